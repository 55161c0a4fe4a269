"""Sets a document with Typst, and draws figures as PDF and PNG."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import typst

import project
from reporting import pandoc
from reporting.figures import Figure

TEMPLATES = Path(__file__).resolve().parent
# Letters of Chinese, Japanese and Korean.
CJK = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
# Forbids letters that no font has, so that boxes do not get into a PDF unnoticed.
ARCHIVE = "a-2b"
PIXELS_PER_INCH = 192.0


class Typesetter:
    """Typst with the fonts of the kit's figures."""

    def __init__(self, folder: Path) -> None:
        """Reads templates and pictures from the folder."""
        self.folder = folder
        self.remarks: list[str] = []
        fonts = typst.Fonts(font_paths=[str(path) for path in font_folders()])
        self.compiler = typst.Compiler(root=str(folder), font_paths=fonts)

    def report(self, document: str, author: str, target: Path) -> None:
        """Writes a document of pandoc's as PDF.

        # Errors
        Problem if no font has the Korean, Chinese or Japanese letters in it, or a picture is damaged.
        """
        template = f"--template={TEMPLATES / 'page.typ'}"
        options = ("--from", "json", "--to", "typst", "--standalone", template)
        source, warnings = pandoc.run(document, *options, "--syntax-highlighting=idiomatic")
        self.remarks += [" ".join(warning.split()) for warning in warnings]
        (self.folder / "report.typ").write_text(source, encoding="utf-8")
        self.compile(self.folder / "report.typ", target, {"author": author})

    def figure(self, figure: Figure, target: Path) -> None:
        """Writes a figure as PDF, and as PNG if the notebook has no bitmap of it."""
        form = "svg" if figure.svg else figure.form
        picture = self.folder / f"figure.{form}"
        picture.write_bytes(figure.svg.encode() if figure.svg else figure.bitmap)
        if figure.svg:
            # The file has the title, which the drawing on the page of the report lacks.
            target.with_suffix(".svg").write_text(figure.svg, encoding="utf-8")
            size = "width: auto"
        else:
            size = f"width: {0.75 * figure.size()[0]}pt"
        page = f'#set page(width: auto, height: auto, margin: 0pt)\n#image("{picture.name}", {size})\n'
        source = self.folder / "figure.typ"
        source.write_text(page, encoding="utf-8")
        self.compile(source, target.with_suffix(".pdf"))
        if figure.bitmap:
            target.with_suffix(f".{figure.form}").write_bytes(figure.bitmap)
        else:
            self.compiler.compile(str(source), str(target.with_suffix(".png")), ppi=PIXELS_PER_INCH)

    def compile(self, source: Path, target: Path, inputs: dict[str, str] | None = None) -> None:
        """Writes a PDF/A file, or a plain one if no font has a letter that is no Korean or the like."""
        try:
            self.compiler.compile(str(source), str(target), sys_inputs=inputs, pdf_standards=ARCHIVE)
        except typst.TypstError as error:
            if "displayed" not in error.message and "glyph" not in error.message:
                raise project.Problem(f"Typst could not set the page:\n{error.diagnostic}") from None
            if CJK.search(error.diagnostic):
                raise project.Problem(
                    "No font here has the Korean, Chinese or Japanese letters of the notebook. Install "
                    "one, on Debian with `sudo apt-get install fonts-noto-cjk`, or name a font file in "
                    "MNIST_KIT_CJK_FONT.\n" + error.message
                ) from None
            self.remarks.append(f"letters that no font here has are boxes in {target.name}: {error.message}")
            self.compiler.compile(str(source), str(target), sys_inputs=inputs)


def font_folders() -> list[Path]:
    """Lists folders with fonts besides the system's: that of the kit's figures, and a named one."""
    found = []
    ask = ("cargo", "metadata", "--format-version", "1", "--offline", "--locked")
    answer = project.output_of(*ask, cwd=project.ROOT)
    for package in json.loads(answer)["packages"] if answer else []:
        if package["name"] == "dejavu":
            found.append(Path(package["manifest_path"]).parent)
    named = os.environ.get("MNIST_KIT_CJK_FONT")
    if named:
        found.append(Path(named).resolve().parent)
    return found


def web_page(document: str, folder: Path, target: Path) -> None:
    """Writes a document of pandoc's as one HTML file with all its pictures."""
    template = f"--template={TEMPLATES / 'page.html'}"
    options = ("--from", "json", "--to", "html5", "--standalone", template)
    page, _ = pandoc.run(document, *options, "--embed-resources", "--mathml", folder=folder)
    project.save(target, page)

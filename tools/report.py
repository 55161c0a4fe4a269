"""`make report NB=notebooks/03_cnn.ipynb`: writes a notebook as PDF and as a web page.

Its outputs are taken as they are in the file. What is written goes to out/reports/NAME/: NAME.pdf,
NAME.html, and figures/ with each figure as SVG, PNG and PDF and the list of their captions.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import environments
import project

OUT = project.ROOT / "out" / "reports"


def main() -> None:
    """Parses the command line and writes the report."""
    environments.REPORT.enter()
    from reporting import title

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebook", type=Path)
    source = parser.parse_args().notebook.resolve()
    if source.suffix != ".ipynb" or not source.is_file():
        raise project.Problem(f"{source} is not a notebook. Name one, as in `make report NB=notebooks/03_cnn.ipynb`.")
    notebook = read(source)
    about = title.page(notebook)
    for remark in write(notebook, source, about, OUT / source.stem, shows_code()):
        print(f"note: {remark}")
    for name, field in title.FIELDS.items():
        if field in ("name", "student_id") and field not in about:
            print(f"note: the title page has no {field}; `make report {name}=…` adds it")
    folder = (OUT / source.stem).relative_to(project.ROOT)
    print(f"{folder}/{source.stem}.pdf\n{folder}/{source.stem}.html\n{folder}/figures/")


def read(source: Path) -> dict:
    """Reads a notebook of Jupyter's current format."""
    try:
        notebook = json.loads(source.read_text(encoding="utf-8"))
        if notebook["nbformat"] == 4 and isinstance(notebook["cells"], list):
            return notebook
    except (ValueError, KeyError, TypeError):
        pass
    raise project.Problem(f"{source} cannot be read as a notebook of format 4. Open it in JupyterLab and save it.")


def shows_code() -> bool:
    """Reads CODE, which is 0 or 1."""
    chosen = os.environ.get("CODE") or "1"
    if chosen not in ("0", "1"):
        raise project.Problem(f"CODE is {chosen}. Set it to 0 to hide the code, or to 1 to show it.")
    return chosen == "1"


def write(notebook: dict, source: Path, about: dict[str, str], target: Path, show_code: bool) -> list[str]:
    """Writes report and figures into a folder; returns what a reader should know."""
    from reporting import cells, document, pandoc, typeset

    reader = cells.Reader(show_code)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks = document.make(notebook, source, reader, about, folder)
        made = pandoc.document(blocks, about)
        setter = typeset.Typesetter(folder)
        setter.report(made, about.get("name", ""), target / f"{source.stem}.pdf")
        typeset.web_page(made, folder, target / f"{source.stem}.html")
        # Figures of an earlier report would not match the captions.
        figures = target / "figures"
        shutil.rmtree(figures, ignore_errors=True)
        figures.mkdir()
        captions = []
        for figure in reader.figures:
            setter.figure(figure, figures / figure.name)
            captions.append(f"Figure {figure.number}: {figure.title or '(no title)'} [{figure.name}]\n")
        project.save(figures / "captions.txt", "".join(captions))
    return reader.remarks + setter.remarks


if __name__ == "__main__":
    project.main(main)

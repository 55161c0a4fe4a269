"""The programs that are disturbed, and how to see that their files are whole."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import project

# Prefix of the files that the kit is writing; the next writer removes leftovers.
PARTIAL = ".partial-"
CHECKOUT = re.compile(r"(?<=kernels/)[0-9a-f]{16}")
# Variables of the user that would change what the programs do.
OURS = {name: value for name, value in os.environ.items() if not name.startswith("MNIST_KIT_")}


class Part:
    """A program that writes files in a folder of its own."""

    name = ""
    # Folders whose system calls are the steps, below the folder of an attempt.
    watched: tuple[str, ...] = ()
    # True if the files of a successful run outlast a power cut.
    lasting = True

    def missing(self) -> str | None:
        """Names what this machine lacks for the part, and the remedy."""
        return None

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Keeps what all attempts share."""
        yield

    def prepare(self, folder: Path) -> None:
        """Makes what is there before the program starts."""

    def command(self, folder: Path) -> list[str | Path]:
        """The command, which runs in the folder."""
        raise NotImplementedError

    def variables(self, folder: Path) -> dict[str, str]:
        """The environment of the command."""
        return OURS

    def broken(self, folder: Path) -> str | None:
        """Names a file that is neither absent nor whole."""
        raise NotImplementedError

    def result(self, folder: Path) -> dict[str, str]:
        """Returns the files of a successful start: names, and the contents that two runs share."""
        raise NotImplementedError


def names(folder: Path) -> list[Path]:
    """The files below a folder."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def digest(path: Path, folder: Path | None = None) -> str:
    """Hashes a file, but for the name of a folder in it."""
    text = path.read_bytes()
    return hashlib.sha256(text.replace(bytes(folder), b"") if folder else text).hexdigest()


class Training(Part):
    """Two epochs of lesson 1's network on a few digits, with the program `mnist`."""

    def __init__(self, name: str, watched: str, resumed: bool = False, figures: str = "svg"):
        self.name, self.watched, self.resumed, self.figures = name, (watched,), resumed, figures

    def missing(self) -> str | None:
        return None if project.program().exists() else "build the program: cargo build --release"

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as name:
            self.start = Path(name)
            write_digits(self.start / "digits")
            if self.resumed:
                command = self.training(epochs=1)
                subprocess.run(
                    command, cwd=name, env=self.variables(self.start), check=True, capture_output=True
                )
            yield

    def prepare(self, folder: Path) -> None:
        shutil.copytree(self.start, folder, dirs_exist_ok=True)

    def command(self, folder: Path) -> list[str | Path]:
        return self.training(epochs=2)

    def training(self, epochs: int) -> list[str | Path]:
        """The command for a number of epochs."""
        return [
            project.program(), "mlp", "--data", "digits", "--epochs", str(epochs), "--batch-size", "20",
            "--hidden", "8", "--seed", "1", "--lr", "1e-2", "--device", "cpu",
            "--checkpoint", "run/state", "--record", "records/mlp_1.json", "--out", "out",
            "--format", self.figures,
        ]  # fmt: skip

    def variables(self, folder: Path) -> dict[str, str]:
        return {**OURS, "MNIST_KIT_OFFLINE": "1"}

    def broken(self, folder: Path) -> str | None:
        for path in names(folder):
            if not path.name.startswith(PARTIAL) and not is_whole(path):
                return str(path.relative_to(folder))
        return None

    def result(self, folder: Path) -> dict[str, str]:
        return {str(path.relative_to(folder)): content(path) for path in names(folder)}


def write_digits(folder: Path) -> None:
    """Writes a data set of a few pictures, which show nothing."""
    folder.mkdir()
    for split, count in (("train", 60), ("t10k", 20)):
        pixels = bytes((x * 31 + x // 784 * 17) % 256 for x in range(784 * count))
        write_idx(folder / f"{split}-images-idx3-ubyte", (count, 28, 28), pixels)
        labels = bytes(index % 10 for index in range(count))
        write_idx(folder / f"{split}-labels-idx1-ubyte", (count,), labels)


def write_idx(path: Path, shape: tuple[int, ...], values: bytes) -> None:
    """Writes a file in MNIST's format."""
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + values)


def is_whole(path: Path) -> bool:
    """Returns whether a file is complete, by its format."""
    data = path.read_bytes()
    try:
        match path.suffix:
            case ".png":
                return data.startswith(b"\x89PNG") and data.endswith(b"IEND\xaeB`\x82")
            case ".svg":
                return data.rstrip().endswith(b"</svg>")
            case ".json":
                return bool(json.loads(data))
            case ".csv":
                return data.endswith(b"\n") and len(data.splitlines()) in (2, 3)
            case ".safetensors" | "" | ".previous" if path.parent.name in ("run", "out"):
                length = int.from_bytes(data[:8], "little")
                tensors = json.loads(data[8 : 8 + length])
                ends = [about["data_offsets"][1] for about in tensors.values() if "dtype" in about]
                return len(data) == 8 + length + max(ends)
    except ValueError:
        return False
    return True


def content(path: Path) -> str:
    """Returns the content that two runs share: no durations, dates and logs."""
    if path.parent.name == "run":
        return "present"
    text = path.read_bytes()
    if path.suffix == ".csv":
        text = b"\n".join(line.rpartition(b",")[0] for line in text.splitlines())
    elif path.suffix == ".json":
        tree = json.loads(text)
        epochs = tree.get("history", tree).get("epochs")
        for epoch in epochs or ():
            epoch["seconds"] = 0
        text = json.dumps(epochs or tree).encode()
    return hashlib.sha256(text).hexdigest()


class Download(Part):
    """MNIST from a server on this machine."""

    name = "download"
    watched = ("cache",)

    def missing(self) -> str | None:
        if not os.environ.get("MNIST_KIT_DATA"):
            return "set MNIST_KIT_DATA to a folder with the four files of MNIST"
        return None if project.program().exists() else "build the program: cargo build --release"

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            for split in ("train", "t10k"):
                for kind in ("images-idx3", "labels-idx1"):
                    put_gzipped(Path(os.environ["MNIST_KIT_DATA"]), f"{split}-{kind}-ubyte", Path(folder))
            server = subprocess.Popen(
                [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            try:
                self.address = re.search(r"http://[0-9.:]+", server.stdout.readline())[0]
                yield
            finally:
                server.terminate()
                server.wait()

    def command(self, folder: Path) -> list[str | Path]:
        return [project.program(), "mlp", "--epochs", "1", "--hidden", "4", "--out", "out"]

    def variables(self, folder: Path) -> dict[str, str]:
        return {
            **OURS,
            "MNIST_KIT_MIRRORS": self.address,
            "MNIST_KIT_ALLOW_HTTP": "1",
            "MNIST_KIT_CACHE": str(folder / "cache"),
            "MNIST_KIT_QUICK": "1",
        }

    def broken(self, folder: Path) -> str | None:
        for path in names(folder / "cache"):
            published = path.name.endswith("ubyte")
            if published and path.stat().st_size != self.sizes.get(path.name):
                return path.name
        return None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of MNIST's files."""
        return {
            "train-images-idx3-ubyte": 47_040_016,
            "train-labels-idx1-ubyte": 60_008,
            "t10k-images-idx3-ubyte": 7_840_016,
            "t10k-labels-idx1-ubyte": 10_008,
        }

    def result(self, folder: Path) -> dict[str, str]:
        cache = folder / "cache"
        # A lock names the process that holds it.
        files = [path for path in names(cache) if path.name != ".lock"]
        return {str(path.relative_to(cache)): digest(path) for path in files}


def put_gzipped(source: Path, name: str, folder: Path) -> None:
    """Puts one of MNIST's files into a folder, gzipped as mirrors serve it."""
    if (source / f"{name}.gz").exists():
        shutil.copyfile(source / f"{name}.gz", folder / f"{name}.gz")
    else:
        (folder / f"{name}.gz").write_bytes(gzip.compress((source / name).read_bytes(), 1))


class Script(Part):
    """A Python program that calls the tools."""

    CODE = ""

    def prepare(self, folder: Path) -> None:
        (folder / "script.py").write_text(self.CODE)

    def command(self, folder: Path) -> list[str | Path]:
        return [sys.executable, "-B", folder / "script.py"]


class Recorder(Script):
    """The notebook that `make record` writes."""

    name = "recorder"
    watched = ("notebooks",)
    OLD, NEW = "old\n" * 2000, "new\n" * 3000
    CODE = f"""
from pathlib import Path
import project
project.main(lambda: project.save(Path("notebooks/lesson.ipynb"), {NEW!r}))
"""

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        (folder / "notebooks").mkdir()
        (folder / "notebooks" / "lesson.ipynb").write_text(self.OLD)

    def variables(self, folder: Path) -> dict[str, str]:
        return {**OURS, "PYTHONPATH": str(project.ROOT / "tools")}

    def broken(self, folder: Path) -> str | None:
        whole = (folder / "notebooks" / "lesson.ipynb").read_text() in (self.OLD, self.NEW)
        return None if whole else "lesson.ipynb"

    def result(self, folder: Path) -> dict[str, str]:
        return {path.name: digest(path) for path in names(folder / "notebooks")}


class Kernel(Script):
    """A kernel's start: the template is built, and copied into a folder for the kernel.

    Three small files stand for the compiled libraries.
    """

    # A start builds what a power cut has damaged again.
    lasting = False
    CODE = """
import project, template, kernel
project.rust_library = lambda: None
project.toolchain_bin = lambda: None
project.rustc_version = lambda: "none"
LIBRARIES = ("libdependency-1.rlib", "libmnist_kit-1.rlib", "libctx.so")
def compile_instead():
    for name in LIBRARIES:
        template.write(template.TEMPLATE / "target/debug/deps" / name, "compiled" * 1000)
template.compile_template = compile_instead
def start():
    with template.locked():
        template.ensure(lambda line: None)
        folder, lock = kernel.claim()
        template.copy_to(folder)
    for name in LIBRARIES:
        found = (folder / "target/debug/deps" / name).read_text()
        if found != "compiled" * 1000:
            raise project.Problem(f"{name} is damaged")
    # The guard does this when the kernel has ended.
    kernel.end(folder)
project.main(start)
"""

    def __init__(self, name: str, watched: str):
        self.name, self.watched = name, (watched,)

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        tools = folder / "checkout" / "tools"
        tools.mkdir(parents=True)
        for file in (project.ROOT / "tools").glob("*.py"):
            shutil.copy(file, tools)
        for name in ("Cargo.toml", "Cargo.lock"):
            shutil.copy(project.ROOT / name, folder / "checkout")

    def variables(self, folder: Path) -> dict[str, str]:
        tools = folder / "checkout" / "tools"
        return {**OURS, "PYTHONPATH": str(tools), "XDG_CACHE_HOME": str(folder / "cache")}

    def broken(self, folder: Path) -> str | None:
        # A damaged template is found by its manifest; the next start proves it.
        return None

    def result(self, folder: Path) -> dict[str, str]:
        found = {}
        for path in [*(folder / "checkout" / "build").rglob("*"), *(folder / "cache").rglob("*")]:
            # The cache has a folder for each checkout, named after a digest of its path.
            name = CHECKOUT.sub("CHECKOUT", str(path.relative_to(folder)))
            fixed = path.is_file() and path.name not in ("manifest.json", "fingerprint.json")
            found[name] = digest(path, folder) if fixed else "present"
        return found


PARTS: list[Part] = [
    Training("checkpoint", "run"),
    Training("checkpoint, resumed", "run", resumed=True),
    Training("weights and figures", "out", figures="png"),
    Training("weights and figures, replaced", "out", resumed=True),
    Training("record of a run", "records", resumed=True),
    Download(),
    Recorder(),
    Kernel("kernel template", "checkout/build"),
    Kernel("kernel folder", "cache"),
]

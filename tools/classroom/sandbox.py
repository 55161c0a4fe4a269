"""A kernel for a stranger's notebook, in a bubblewrap sandbox.

Inside there is no network, an own home and /tmp in memory, the kit and the toolchain read-only, and
nothing else of this machine: no solutions, no other submission, no gradebook. Memory, processes,
disk, time and output are limited.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import project
import template

DRIVER = Path(__file__).with_name("driver.py")
# An id that belongs to nobody. As root, submissions run under it.
STRANGER = 64999
HOME = "/home/student"
MEGABYTE = 1 << 20
# The longest answer to a request: all outputs of a cell.
LONGEST_ANSWER = 8 * MEGABYTE
START_SECONDS = 240
WATCH_SECONDS = 0.3
INSTALL = "Install it with `sudo apt-get install bubblewrap`"
UNSAFE = (
    "or set UNSAFE=1 to run submissions with all your rights, which is only for submissions that "
    "you would run yourself."
)


@dataclasses.dataclass
class Limits:
    """The limits of a submission."""

    # Of all its processes together. A kernel at rest takes 1.5 GB.
    memory: int = 5_000 * MEGABYTE
    # Of one process, counting what is reserved and not used.
    address_space: int = 16_000 * MEGABYTE
    processes: int = 400
    # Files in its home, where its cells are compiled.
    disk: int = 1_200 * MEGABYTE
    cell_seconds: float = 60
    total_seconds: float = 600

    def of_process(self) -> dict[str, int]:
        """The limits that the system enforces for each process."""
        return {
            "AS": self.address_space,
            "NPROC": self.processes,
            "FSIZE": self.disk,
            "CORE": 0,
            "CPU": int(self.total_seconds * patience()),
        }


def patience() -> float:
    """Returns the factor by which everything may take longer: SLOW, for a busy machine.

    # Errors
    Problem if it is no number of at least 1.
    """
    wanted = os.environ.get("SLOW") or "1"
    try:
        factor = float(wanted)
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= 100:
        raise project.Problem(f"SLOW is {wanted}. It says how many times longer cells may take: 1 to 100.")
    return factor


class SandboxEnded(Exception):
    """The sandbox has ended, or was ended; the message tells a reader why."""


def unavailable() -> str | None:
    """Returns why there can be no sandbox on this machine; None if there can."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return f"bubblewrap is missing. {INSTALL}, {UNSAFE}"
    trial = [bwrap, *namespaces(), "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    done = subprocess.run(trial, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        return None
    return (
        f"bubblewrap cannot make a sandbox here: {done.stderr.strip()}. In a container, start it "
        f"with the right to make user namespaces; on Ubuntu, allow them for bwrap; {UNSAFE}"
    )


def namespaces() -> list[str]:
    """Returns the options that separate the sandbox from this machine."""
    return ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"] + (
        # root changes its id inside, so that the limit of processes holds.
        [] if os.geteuid() == 0 else ["--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
    )


def command(limits: Limits) -> list[str]:
    """The command that runs the driver in the sandbox."""
    python = project.python()
    inside = [str(python), str(DRIVER)]
    bwrap = ["bwrap", "--die-with-parent", "--new-session", "--hostname", "grading", *namespaces()]
    bwrap += mounts(limits)
    bwrap += ["--clearenv", "--chdir", HOME]
    for name, value in variables(limits).items():
        bwrap += ["--setenv", name, value]
    if os.geteuid() == 0:
        identity = [f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
        powerless = ["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        inside = ["setpriv", *identity, *powerless, "--", *inside]
    return [*bwrap, "--", *inside]


def mounts(limits: Limits) -> list[str]:
    """The files of this machine that the sandbox shows, all of them read-only."""
    options = []
    for name in ("/bin", "/sbin", "/lib", "/lib64", "/lib32"):
        path = Path(name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), name]
        elif path.exists():
            options += ["--ro-bind", name, name]
    shown = [Path("/usr"), *visible()]
    # bwrap makes these folders for its owner alone.
    made = [*shown, *map(Path, links()), Path("/etc/passwd"), Path(HOME)]
    parents = {parent for path in made for parent in path.parents}
    for parent in sorted(parents - {Path("/")}):
        options += ["--perms", "0755", "--dir", str(parent)]
    for path in shown:
        options += ["--ro-bind", str(path), str(path)]
    for name in ("passwd", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives"):
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for folder, size in ((HOME, limits.disk), ("/tmp", 256 * MEGABYTE), ("/dev/shm", 64 * MEGABYTE)):
        options += ["--perms", "1777", "--size", str(size), "--tmpfs", folder]
    for name, target in links().items():
        options += ["--symlink", str(target), name]
    return [*options, "--remount-ro", "/", "--remount-ro", "/dev"]


def visible() -> list[Path]:
    """The folders that a kernel needs."""
    root, cargo = project.ROOT, cargo_home()
    environment = project.environment().resolve()
    paths = [
        project.toolchain_bin().parent,
        environment,
        base_python(),
        project.LIBTORCH.resolve(),
        template.FOLDER,
        cargo / "registry",
        cargo / "git",
        project.evcxr().parent,
        project.evcxr().parent.parent / ".crates.toml",
        *(root / name for name in ("mnist_kit", "tools", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo")),
    ]
    data = os.environ.get("MNIST_KIT_DATA")
    if data:
        paths.append(Path(data).resolve())
    found = [path for path in paths if path.exists()]
    # The hidden tests' expected values are never in a file; the tools hold no secret.
    return list(dict.fromkeys(found))


def links() -> dict[str, Path]:
    """Links of the checkout that point elsewhere."""
    found = {}
    for path in (project.environment(), project.LIBTORCH):
        if path.is_symlink():
            found[str(path)] = path.resolve()
    return found


def cargo_home() -> Path:
    """Returns the folder where cargo keeps the sources of crates."""
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def base_python() -> Path:
    """The installation that the environment's interpreter belongs to."""
    answer = project.output_of(project.python(), "-c", "import sys; print(sys.base_prefix)")
    return Path(answer) if answer else Path(sys.base_prefix)


def variables(limits: Limits) -> dict[str, str]:
    """The environment inside."""
    found = {
        "HOME": HOME,
        "USER": "student",
        "LANG": "C.UTF-8",
        "PATH": f"{project.toolchain_bin()}:/usr/local/bin:/usr/bin:/bin",
        "CARGO_HOME": str(cargo_home()),
        "MNIST_KIT_STANDBY": "0",
        "MNIST_KIT_OUT": f"{HOME}/out",
        "MNIST_KIT_LIMITS": json.dumps(limits.of_process()),
        "OMP_NUM_THREADS": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    data = os.environ.get("MNIST_KIT_DATA")
    if data:
        found["MNIST_KIT_DATA"] = str(Path(data).resolve())
    return found


class Sandbox:
    """A running kernel for one submission. Use it in a `with` statement.

    `unsafe` runs the driver without a sandbox and without limits of memory and disk.
    """

    def __init__(self, limits: Limits | None = None, unsafe: bool = False) -> None:
        self.limits = limits or Limits()
        self.cell_seconds = self.limits.cell_seconds * patience()
        self.total_seconds = self.limits.total_seconds * patience()
        self.command = [str(project.python()), str(DRIVER)] if unsafe else command(self.limits)
        self.started = time.monotonic()
        self.complaints: list[bytes] = []
        # Why the watch has ended the sandbox.
        self.verdict: str | None = None

    def __enter__(self) -> Sandbox:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env=os.environ | {"MNIST_KIT_STANDBY": "0"},
        )
        self.left = b""
        self.closing = threading.Event()
        self.threads = [threading.Thread(target=part, daemon=True) for part in (self.listen, self.watch)]
        for thread in self.threads:
            thread.start()
        try:
            self.answer(START_SECONDS * patience())
        except SandboxEnded:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process of the sandbox."""
        self.closing.set()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            # bwrap's child is the first process of its namespace: all others end with it.
            os.killpg(self.process.pid, 9)
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join(timeout=5)
        for pipe in (self.process.stdout, self.process.stderr):
            pipe.close()

    def run(self, code: str) -> dict:
        """Runs a cell; returns its status (`ok`, `error`, `timeout`) and outputs.

        # Errors
        SandboxEnded if the sandbox is at its end; later cells cannot run then.
        """
        seconds = min(self.cell_seconds, self.time_left())
        request = json.dumps({"code": code, "seconds": seconds}) + "\n"
        try:
            self.process.stdin.write(request.encode())
            self.process.stdin.flush()
        except OSError:
            raise SandboxEnded(self.reason()) from None
        answer = self.answer(seconds + 30 * patience())
        if answer["status"] in ("dead", "stuck"):
            raise SandboxEnded("The kernel has died." if answer["status"] == "dead" else "The cell could not be stopped.")
        return answer

    def time_left(self) -> float:
        """Seconds until the submission's time is over."""
        left = self.total_seconds - (time.monotonic() - self.started)
        if left <= 0:
            raise SandboxEnded(f"The notebook took more than {self.total_seconds:.0f} s.")
        return left

    def answer(self, seconds: float) -> dict:
        """Reads one line of the driver."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.left:
                if len(self.left) > LONGEST_ANSWER:
                    raise SandboxEnded("The notebook's outputs are too large.")
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise SandboxEnded("The kernel did not answer in time.")
                read = os.read(self.process.stdout.fileno(), 1 << 16)
                if not read:
                    raise SandboxEnded(self.reason())
                self.left += read
        line, _, self.left = self.left.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            raise SandboxEnded("The driver's answer is damaged.") from None

    def reason(self) -> str:
        """Tells why there is no answer."""
        # The watch may be about to say why.
        self.process.wait()
        if self.verdict:
            return self.verdict
        said = b"".join(self.complaints).decode(errors="replace").strip().splitlines()
        return "The sandbox has ended." + (f" It said: {said[-1][:500]}" if said else "")

    def listen(self) -> None:
        """Keeps the end of what the sandbox writes to standard error."""
        while read := os.read(self.process.stderr.fileno(), 1 << 16):
            self.complaints = [*self.complaints[-20:], read[-4000:]]

    def watch(self) -> None:
        """Ends the sandbox if its processes together use too much memory."""
        while not self.closing.wait(WATCH_SECONDS) and self.process.poll() is None:
            used = memory_of(descendants(self.process.pid))
            if used > self.limits.memory:
                self.verdict = (
                    f"The notebook used {used // MEGABYTE:,} MB of memory; "
                    f"{self.limits.memory // MEGABYTE:,} MB are allowed."
                )
                self.process.kill()


def descendants(pid: int) -> set[int]:
    """A process and all that it, and those, have started."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(name))
    found, waiting = set(), [pid]
    while waiting:
        found.add(process := waiting.pop())
        waiting += children.get(process, [])
    return found


def memory_of(processes: set[int]) -> int:
    """The bytes that processes hold for themselves, without files that they share."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1]) * 1024
    return total

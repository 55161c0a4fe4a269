"""`make image`: builds the image of the Dockerfile and runs lesson 1 in it.

docker builds it where its service runs. Elsewhere buildah runs the same steps in a chroot; that takes
root and Debian's package buildah. With LOCAL=1, the base image is made of Debian's packages (by
mmdebstrap) and Rust is this machine's: for networks that reach neither Docker's registry nor rustup.rs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import project

NAME = "mnist_kit"
BASE = "docker.io/library/debian:bookworm-slim"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# In place of curl, which the Dockerfile asks for the installer of Rust.
INSTALLER = """#!/bin/sh
echo 'mkdir -p "$HOME/.cargo/bin" && ln -sf /toolchain/bin/* "$HOME/.cargo/bin/"'
"""
PYTHON = "/opt/mnist_kit/.venv/bin/python /opt/mnist_kit/tools"
# What a user of the image does, on a slice of the data.
LESSON = f"""
test "$(id -u)" = 1000 && test ! -w /opt/mnist_kit
{PYTHON}/course.py --copy
cd ~/mnist_kit/notebooks
{PYTHON}/run_notebook.py 01_mlp.ipynb
"""


def main() -> None:
    """Builds the image and tries it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", action="store_true", help="base image and Rust from this machine's")
    arguments = parser.parse_args()
    if has_docker() and not arguments.local:
        run("docker", "build", "--tag", NAME, project.ROOT)
        run("docker", "run", "--rm", "--env", "MNIST_KIT_QUICK=1", NAME, "sh", "-ec", LESSON)
        return
    if not shutil.which("buildah"):
        raise project.Problem("Start docker, or install buildah: `sudo apt-get install buildah`.")
    build = ["buildah", "bud", "--isolation", "chroot", "--layers=false", "--tag", NAME]
    if arguments.local:
        make_base()
        build += ["--pull-never", "--volume", f"{project.toolchain_bin().parent}:/toolchain:ro"]
    run(*build, project.ROOT)
    container = output("buildah", "from", NAME)
    try:
        user = ["buildah", "run", "--isolation", "chroot", "--env", "MNIST_KIT_QUICK=1"]
        run(*user, container, "--", "sh", "-ec", LESSON)
    finally:
        run("buildah", "rm", container)


def has_docker() -> bool:
    """Returns whether docker's service answers."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def make_base() -> None:
    """Makes the base image of Debian's packages, with this machine's certificates."""
    container = output("buildah", "from", "scratch")
    with tempfile.TemporaryDirectory() as folder:
        base, curl = Path(folder) / "base.tar", Path(folder) / "curl"
        run("mmdebstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", base)
        curl.write_text(INSTALLER)
        curl.chmod(0o755)
        run("buildah", "add", "--quiet", container, base, "/")
        run("buildah", "add", "--quiet", container, curl, "/usr/local/bin/curl")
        run("buildah", "add", "--quiet", container, CERTIFICATES, CERTIFICATES)
    run("buildah", "config", "--env", f"SSL_CERT_FILE={CERTIFICATES}", container)
    run("buildah", "commit", "--quiet", "--rm", container, BASE)


def run(*command: str | Path) -> None:
    """Runs a command; its failure ends the program."""
    print("$", *(str(part).strip().splitlines()[0] for part in command), flush=True)
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL)


def output(*command: str) -> str:
    """Returns what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    project.main(main)

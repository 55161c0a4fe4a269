"""`make audit`: checks licenses, sources and known vulnerabilities of everything that is used.

docs/LICENSES.md lists the licenses; `make audit WRITE=1` writes it anew. cargo-deny and pip-audit
are used where they are installed, and the vulnerability databases where they can be reached. What is
left out is said.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
from collections import defaultdict

import project

LIST = project.ROOT / "docs" / "LICENSES.md"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
HEADER = """# Licenses

Written by `make audit WRITE=1`; do not edit. The kit itself is licensed under MIT or Apache-2.0, at
your choice. The repository has no source of others. `make setup` installs the packages below (crates
for x86-64 Linux), libtorch from the package torch (BSD-3-Clause), and the kernel evcxr (MIT or
Apache-2.0). Programs contain the DejaVu fonts of the crate dejavu (Bitstream Vera license).
"""
# pip-audit's words when it reached nobody.
UNREACHABLE = re.compile(r"ConnectionError|Max retries|ServiceError|NameResolution|timed out", re.I)


def main() -> int:
    """Runs the checks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write docs/LICENSES.md anew")
    arguments = parser.parse_args()
    packages = crates()
    foreign = [package["name"] for package in packages if package["source"] != REGISTRY]
    if foreign:
        raise project.Problem(f"Not from crates.io: {', '.join(foreign)}.")
    text = listing(packages)
    if arguments.write:
        project.save(LIST, text)
    elif text != LIST.read_text(encoding="utf-8"):
        raise project.Problem("docs/LICENSES.md is not up to date: run `make audit WRITE=1`.")
    print(f"licenses: {len(packages)} crates, all from crates.io; {LIST.relative_to(project.ROOT)}")
    return cargo_deny() or pip_audit()


def crates() -> list[dict]:
    """Lists the crates that a build on this platform uses, without those of the workspace."""
    ask = ("cargo", "metadata", "--locked", "--format-version", "1", "--all-features")
    answer = project.output_of(*ask, "--filter-platform", project.host(), cwd=project.ROOT)
    if answer is None:
        raise project.Problem(f"`{' '.join(ask)}` failed; run it to see why.")
    metadata = json.loads(answer)
    members = set(metadata["workspace_members"])
    return [package for package in metadata["packages"] if package["id"] not in members]


def listing(packages: list[dict]) -> str:
    """Formats the list of licenses: crates, then Python packages."""
    rust, python = defaultdict(list), defaultdict(list)
    for package in packages:
        # An older spelling of OR.
        terms = (package["license"] or "see its file").replace("/", " OR ").replace("  ", " ")
        rust[terms].append(f"{package['name']} {package['version']}")
    for name, version in pinned():
        python[license_of(name)].append(f"{name} {version}")
    return f"{HEADER}\n## Rust\n\n{table(rust)}\n\n## Python\n\n{table(python)}\n"


def table(groups: dict[str, list[str]]) -> str:
    """Formats packages by license."""
    rows = (f"| {terms} | {', '.join(sorted(groups[terms]))} |" for terms in sorted(groups))
    return "\n".join(["| license | packages |", "|---|---|", *rows])


def pinned() -> list[tuple[str, str]]:
    """Lists the learner's Python packages with their versions."""
    text = project.lock_file(project.LEARNER).read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.M)


def license_of(name: str) -> str:
    """Reads a package's license from its metadata, which has had several places for it."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed on Linux"
    if terms := metadata.get("License-Expression"):
        return terms
    classes = [value.split(" :: ") for value in metadata.get_all("Classifier") or []]
    named = [parts[-1] for parts in classes if parts[0] == "License" and parts[-1] != "OSI Approved"]
    terms = (metadata.get("License") or "").strip().splitlines()
    return ", ".join(named) or (terms[0] if terms else "see its file")


def cargo_deny() -> int:
    """Runs cargo-deny, offline as far as possible."""
    deny = ["cargo", "deny"]
    if project.output_of(*deny, "--version", cwd=project.ROOT) is None:
        print("SKIPPED: cargo-deny is not installed (`cargo install --locked cargo-deny`)")
        return 0
    check = [*deny, "--locked", "check"]
    code = subprocess.run([*check, "bans", "licenses", "sources"], cwd=project.ROOT).returncode
    if code:
        return code
    if project.output_of(*deny, "fetch", "db", cwd=project.ROOT) is None:
        print("SKIPPED: RustSec's database of vulnerabilities cannot be reached")
        return 0
    return subprocess.run([*check, "advisories"], cwd=project.ROOT).returncode


def pip_audit() -> int:
    """Runs pip-audit on the learner's packages."""
    if project.output_of(sys.executable, "-m", "pip_audit", "--version") is None:
        print("SKIPPED: pip-audit is not installed (`pip install pip-audit`)")
        return 0
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, "-r", str(project.lock_file(project.LEARNER))],
        capture_output=True,
        text=True,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        if UNREACHABLE.search(done.stderr):
            print("SKIPPED: PyPI's database of vulnerabilities cannot be reached")
            return 0
        print(done.stderr)
        return done.returncode or 1
    # If an index has no advisories, pip-audit skips every package and reports a success.
    skipped = [package for package in packages if "skip_reason" in package]
    if skipped:
        print(f"SKIPPED: {len(skipped)} of {len(packages)} packages: {skipped[0]['skip_reason']}, …")
    for package in packages:
        for found in package.get("vulns", []):
            print(f"{package['name']} {package['version']}: {found['id']}")
    return done.returncode


if __name__ == "__main__":
    project.main(main)

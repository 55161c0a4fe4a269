"""Tests of the Python requirements: every package is pinned, with hashes, in one place."""

import re

import project


def locked():
    """Reads requirements.txt: name → list of (version, number of hashes)."""
    packages = {}
    for block in re.split(r"\n(?=\S)", project.REQUIREMENTS.read_text()):
        name, version = re.match(r"([\w.-]+)==(\S+)", block).groups()
        packages.setdefault(normal(name), []).append((version, block.count("--hash=sha256:")))
    return packages


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_has_a_version_and_hashes():
    for name, versions in locked().items():
        for version, hashes in versions:
            assert hashes, f"{name} {version} has no hash"


def test_the_lock_file_follows_the_direct_requirements():
    packages = locked()
    for name, version in project.pins().items():
        assert [found for found, _ in packages[normal(name)]] == [version]
    assert project.pins()["torch"] == "2.13.0"


def test_conda_installs_the_same_packages():
    text = (project.ROOT / "environment.yml").read_text()
    assert "- -r tools/requirements.txt" in text and "==" not in text


def test_no_requirement_names_a_host():
    conda = project.ROOT / "environment.yml"
    for file in (project.DIRECT_REQUIREMENTS, project.REQUIREMENTS, conda):
        text = file.read_text()
        assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_this_environment_has_the_pins():
    assert project.unmet_pins(project.python()) == {}

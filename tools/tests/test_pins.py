"""Tests of the Python requirements: every package is pinned, with hashes, in one place."""

import re

import pytest

import environments
import project

SETS = (project.LEARNER, project.LIBTORCH_CPU, project.LIBTORCH_CUDA, project.DEV)
OWN = [environment.packages for environment in environments.ALL]


def locked(packages):
    """Reads a lock file: name → list of (version, number of hashes)."""
    found = {}
    for block in re.split(r"\n(?=\S)", project.lock_file(packages).read_text()):
        name, version = re.match(r"([\w.-]+)==(\S+)", block).groups()
        found.setdefault(normal(name), []).append((version, block.count("--hash=sha256:")))
    return found


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("packages", [*SETS, *OWN])
def test_every_package_has_a_version_and_hashes(packages):
    for name, versions in locked(packages).items():
        for version, hashes in versions:
            assert hashes, f"{name} {version} has no hash"


@pytest.mark.parametrize("packages", [*SETS, *OWN])
def test_the_lock_file_follows_the_direct_requirements(packages):
    found = locked(packages)
    for name, version in project.pins(packages).items():
        assert [found for found, _ in found[normal(name)]] == [version]


def test_all_sets_agree_on_versions():
    complete = locked(project.DEV)
    for packages in SETS:
        for name, versions in locked(packages).items():
            assert versions == complete[name]


def test_nbgrader_has_the_kernels_version_of_jupyter():
    classroom = environments.CLASSROOM.packages
    common = locked(classroom).keys() & locked(project.LEARNER).keys()
    assert "jupyter-client" in common
    for name in common:
        assert locked(classroom)[name] == locked(project.LEARNER)[name]


def test_a_learner_needs_neither_pytorch_nor_what_tests_compare_with():
    assert not {"torch", "numpy", "torchvision", "pytest"} & locked(project.LEARNER).keys()
    cpu = {"torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti"}
    assert locked(project.LIBTORCH_CPU).keys() == cpu
    assert locked(project.LIBTORCH_CUDA).keys() > cpu


def test_conda_installs_the_same_packages():
    text = (project.ROOT / "environment.yml").read_text()
    assert "- -r tools/requirements.txt" in text and "==" not in text


def test_no_requirement_names_a_host():
    files = [project.lock_file(packages) for packages in [*SETS, *OWN]]
    files += [file.with_suffix(".in") for file in files]
    for file in (*files, project.ROOT / "environment.yml"):
        text = file.read_text()
        assert "://" not in text and "--index" not in text and "--find-links" not in text


def test_this_environment_has_the_pins():
    assert project.unmet_pins(project.python(), project.DEV) == {}

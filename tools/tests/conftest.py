"""Helpers that the tests of the tools share."""

import os
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOOLS))

import kernels
import project
import template


@pytest.fixture(scope="module", autouse=True)
def template_stays_fresh():
    """Names the tests that change the kernel template, so that the next kernel would compile it again."""
    before = template.state()
    yield
    assert template.state() in (before, "fresh")


def require(name):
    """Fails the test if an input is missing, or skips it if MNIST_KIT_SKIP names the input."""
    remedy = project.missing_inputs().get(name)
    if remedy is None:
        return
    if name in project.skipped():
        pytest.skip(f"{name} is missing, and MNIST_KIT_SKIP allows that")
    pytest.fail(f"{name} is missing: {remedy}; or allow the skip with MNIST_KIT_SKIP={name}")


@pytest.fixture(scope="module")
def kernel():
    """One kernel for all tests of a module, as a start takes long."""
    started = kernels.Kernel()
    yield started
    started.close()


@pytest.fixture
def mnist_folder():
    """The folder with the four files of MNIST."""
    require("mnist")
    return Path(os.environ["MNIST_KIT_DATA"])


@pytest.fixture
def weights_folder():
    """The folder with ImageNet weights."""
    require("weights")
    return Path(os.environ["MNIST_KIT_WEIGHTS"])

"""Both descriptions of the Python environment list the same packages."""

import re

import project


def pins_of_conda() -> dict[str, str]:
    text = (project.ROOT / "environment.yml").read_text()
    return dict(re.findall(r"^\s+- ([\w.-]+)==(\S+)$", text, flags=re.MULTILINE))


def test_conda_and_pip_get_the_same_versions():
    assert pins_of_conda() == project.pins()
    assert project.pins()["torch"] == "2.13.0"


def test_no_pin_names_a_host():
    for file in (project.ROOT / "environment.yml", project.REQUIREMENTS):
        assert "://" not in file.read_text()


def test_this_environment_has_the_pins():
    assert project.unmet_pins(project.python()) == {}

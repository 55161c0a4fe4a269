"""Tests of `make audit`: the list of licenses is up to date, and nothing is left out in silence."""

import json
import subprocess
import tomllib

import pytest

import audit
import project


def test_the_list_of_licenses_is_up_to_date():
    packages = audit.crates()
    assert all(package["source"] == audit.REGISTRY for package in packages)
    assert audit.LIST.read_text(encoding="utf-8") == audit.listing(packages)


def test_every_license_of_a_crate_is_one_that_cargo_deny_is_told_of():
    allowed = tomllib.loads((project.ROOT / "deny.toml").read_text())["licenses"]["allow"]
    for package in audit.crates():
        terms = package["license"].replace("/", " OR ").replace("(", " ").replace(")", " ")
        # All that are joined by AND, and one of those that are joined by OR.
        for part in terms.split(" AND "):
            names = [name.strip() for name in part.split(" OR ")]
            assert any(name in allowed for name in names), (package["name"], terms)


def test_missing_tools_and_databases_are_said(monkeypatch, capsys):
    monkeypatch.setattr(project, "output_of", lambda *command, **options: None)
    assert audit.cargo_deny() == audit.pip_audit() == 0
    said = capsys.readouterr().out
    assert "SKIPPED: cargo-deny is not installed" in said
    assert "SKIPPED: pip-audit is not installed" in said
    monkeypatch.setattr(project, "output_of", lambda *command, **options: "1.0")
    failed = subprocess.CompletedProcess([], 1, "", "requests.exceptions.ConnectionError: Max retries")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: failed)
    assert audit.pip_audit() == 0 and "cannot be reached" in capsys.readouterr().out


def test_a_vulnerability_fails(monkeypatch, capsys):
    monkeypatch.setattr(project, "output_of", lambda *command, **options: "1.0")
    vulnerable = {"name": "jinja2", "version": "3.0", "vulns": [{"id": "PYSEC-1"}]}
    found = subprocess.CompletedProcess([], 1, json.dumps({"dependencies": [vulnerable]}), "")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: found)
    assert audit.pip_audit() == 1 and audit.cargo_deny() == 1
    assert "jinja2 3.0: PYSEC-1" in capsys.readouterr().out


def test_packages_that_were_not_looked_up_are_said(monkeypatch, capsys):
    monkeypatch.setattr(project, "output_of", lambda *command, **options: "1.0")
    unknown = {"name": "anyio", "skip_reason": "anyio not found on PyPI"}
    known = {"name": "jinja2", "version": "3.2", "vulns": []}
    found = subprocess.CompletedProcess([], 0, json.dumps({"dependencies": [unknown, known]}), "")
    monkeypatch.setattr(subprocess, "run", lambda *command, **options: found)
    assert audit.pip_audit() == 0
    assert "SKIPPED: 1 of 2 packages: anyio not found on PyPI" in capsys.readouterr().out


def test_a_crate_from_elsewhere_is_a_problem(monkeypatch):
    monkeypatch.setattr("sys.argv", ["audit.py"])
    monkeypatch.setattr(audit, "crates", lambda: [{"name": "mine", "source": "git+https://a.example"}])
    with pytest.raises(project.Problem, match="mine"):
        audit.main()

"""The `minibert` command, as a user runs it."""

import importlib.metadata
import platform
import sys
import tomllib

import pytest

import minibert
from minibert.cli.main import main
from tests.conftest import ROOT
from tests.programs import run


def test_command():
    result = run("-m", "minibert", "tokenize", "minilm-l6", input="Unaffordable!\n")
    assert (result.returncode, result.stdout) == (0, "una ##ff ##ord ##able !\n")


def test_a_name_that_no_model_has_is_told_those_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minibert", "info", "minilm-l7"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2 and "minilm-l6" in capsys.readouterr().err


def test_version_says_what_a_report_needs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minibert", "version"])
    main()
    line = capsys.readouterr().out.strip()
    assert "\n" not in line
    for package in ("minibert", "torch", "tokenizers", "safetensors", "numpy"):
        assert f"{package} {importlib.metadata.version(package)}" in line
    assert f"Python {platform.python_version()}" in line and "threads" in line


def test_the_version_is_stated_once():
    assert importlib.metadata.version("minibert") == minibert.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]

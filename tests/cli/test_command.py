"""The `minibert` command, as a user runs it."""

import importlib.metadata
import platform
import tomllib

import minibert
from tests.conftest import ROOT
from tests.programs import run


def test_command():
    result = run("-m", "minibert", "tokenize", "minilm-l6", input="Unaffordable!\n")
    assert result.stdout == "una ##ff ##ord ##able !\n"
    wrong = run("-m", "minibert", "info", "minilm-l7")
    assert wrong.returncode == 2 and "minilm-l6" in wrong.stderr


def test_version_says_what_a_report_needs():
    line = run("-m", "minibert", "version", check=True).stdout.strip()
    assert "\n" not in line
    for package in ("minibert", "torch", "tokenizers", "safetensors", "numpy"):
        assert f"{package} {importlib.metadata.version(package)}" in line
    assert f"Python {platform.python_version()}" in line and "threads" in line


def test_the_version_is_stated_once():
    assert importlib.metadata.version("minibert") == minibert.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]

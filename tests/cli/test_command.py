"""The `minibert` command, as a user runs it."""

import importlib.metadata
import platform
import tomllib

import pytest

import minibert
from minibert.cli.main import COMMANDS
from tests.conftest import ROOT
from tests.programs import command, run


def test_command():
    result = run("-m", "minibert", "tokenize", "minilm-l6", input="Unaffordable!\n")
    assert (result.returncode, result.stdout) == (0, "una ##ff ##ord ##able !\n")


def test_a_name_that_no_model_has_is_told_those_there_are(monkeypatch, capsys):
    code, out, err = command(monkeypatch, capsys, ["info", "minilm-l7"])
    assert (code, out) == (2, "") and "minilm-l6" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "the following arguments are required: COMMAND; see  minibert --help"),
        (["inform"], "invalid choice: 'inform' (choose from"),
        (["info"], "the following arguments are required: model; see  minibert info --help"),
        (["info", "bert-tiny", "--jso"], "unrecognized arguments: --jso; see  minibert info"),
        (["info", "bert-tiny", "--length", "long"], "--length: invalid int value: 'long'"),
        (["info", "bert-tiny", "--length", "600"], "rows of this model have up to 512"),
        (
            ["info", "bert-tiny", "--batch-size", "0"],
            "--batch-size is 0; it must be a whole number",
        ),
        (["classify", "m", "a", "--file", "b"], "there are texts and --file; give one of them"),
        (["classify", "m", "--file", "a", "--data", "b"], "there are --file and --data; give one"),
        (["classify", "m", "a", "--text", "body"], "--text is for a table; give one with --data"),
        (["classify", "m", "--data", "nowhere.csv"], "there is no file or folder nowhere.csv"),
        (["classify", "m", "--file", "a.csv"], "a.csv is a table; give it with --data, not with"),
        (["classify", "m", "--file", "nowhere.txt"], "nowhere.txt cannot be read: No such file"),
        (["classify", "m", "a", "--overwrite"], "--overwrite is for a file; name it with --output"),
        (["classify", "m", "a", "-o", "."], "is no ordinary file; give the name of one"),
        (["classify", "m", "a", "-o", "/dev/null", "--overwrite"], "is no ordinary file"),
        (["classify", "m", "a", "--json", "--tsv"], "--tsv: not allowed with argument --json"),
        (["encode", "m", "a"], "the following arguments are required: -o/--output"),
        (["classify", "m", "a", "-o", "a.xlsx"], "a.xlsx: answers are written as .csv, .tsv, "),
        (["tokenize", "m", "--file", "a.csv"], "a.csv is a table; give a file of texts"),
        (["encode", "m", "a", "-o", "a.xlsx"], "vectors are written to a .npy file"),
        (["encode", "m", "a", "-o", "a.csv"], "vectors are written to a .npy file"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line(monkeypatch, capsys, tmp_path, arguments, line):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, arguments)
    assert (code, out) == (2, "")
    assert err.startswith("minibert: error: ") and err.count("\n") == 1 and line in err
    assert not list(tmp_path.iterdir())


def test_help_tells_every_command_and_what_exit_codes_mean(monkeypatch, capsys):
    code, out, err = command(monkeypatch, capsys, ["--help"])
    assert (code, err) == (0, "") and "exit codes: 0, done; 1, `check` found" in out
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_version_says_what_a_report_needs(monkeypatch, capsys):
    line = command(monkeypatch, capsys, ["version"])[1].strip()
    assert "\n" not in line
    for package in ("minibert", "torch", "tokenizers", "safetensors", "numpy"):
        assert f"{package} {importlib.metadata.version(package)}" in line
    assert f"Python {platform.python_version()}" in line and "threads" in line


def test_the_version_is_stated_once():
    assert importlib.metadata.version("minibert") == minibert.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]

"""The `minibert` command, as a user runs it."""

import argparse
import importlib.metadata
import platform
import sys
import tomllib

import pytest

import minibert
from minibert.cli import main
from tests.conftest import ROOT, small_variant
from tests.programs import run


def test_command():
    result = run("-m", "minibert", "tokenize", "minilm-l6", input="Unaffordable!\n")
    assert (result.returncode, result.stdout) == (0, "una ##ff ##ord ##able !\n")


def test_a_name_that_no_model_has_is_told_those_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minibert", "info", "minilm-l7"])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 2 and "minilm-l6" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        ("bert", "BERT: 3 layers, 48 wide, 4 heads of 12, vocabulary 50, rows up to 40 tokens"),
        (
            "roberta",
            "RoBERTa: 3 layers, 48 wide, 4 heads of 12, vocabulary 50, rows up to 38 tokens",
        ),
        ("electra", "ELECTRA: 3 layers, 48 wide (embeddings 16), 4 heads of 12, vocabulary 50, "),
        (
            "albert",
            "ALBERT: 3 layers sharing the weights of 1, 48 wide (embeddings 16), 4 heads of 12, ",
        ),
    ],
)
def test_info_tells_what_a_family_changed(family, shape, tmp_path, capsys):
    changes = {"pad_token_id": 1} if family == "roberta" else {}
    model = small_variant(family, vocab_size=50, **changes).bert
    model.save_pretrained(tmp_path / "m")
    main._info(argparse.Namespace(model=tmp_path / "m"))
    lines = capsys.readouterr().out
    assert f"\n{shape}" in lines
    assert ("pooler" in lines) == model.config.variant.has_pooler
    parameters = sum(
        p.numel() for p in minibert.BertModel.from_pretrained(tmp_path / "m").parameters()
    )
    assert f"{parameters:,} parameters" in lines.splitlines()[-1]


def test_version_says_what_a_report_needs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["minibert", "version"])
    main.main()
    line = capsys.readouterr().out.strip()
    assert "\n" not in line
    for package in ("minibert", "torch", "tokenizers", "safetensors", "numpy"):
        assert f"{package} {importlib.metadata.version(package)}" in line
    assert f"Python {platform.python_version()}" in line and "threads" in line


def test_the_version_is_stated_once():
    assert importlib.metadata.version("minibert") == minibert.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project and "version" in project["dynamic"]

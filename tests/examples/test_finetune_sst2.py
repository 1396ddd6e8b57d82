"""examples/finetune_sst2.py as a user runs it."""

import io
import json
import runpy
import sys

import pytest

from minibert import TextClassifier
from minibert.cli.main import main
from tests.conftest import ROOT
from tests.programs import run


def test_example_fine_tunes_and_saves(tmp_path, monkeypatch, capsys):
    output, table = tmp_path / "out", tmp_path / "mine.csv"
    rows = [f"{'a fine' if i % 2 else 'a poor'} film,{'yes' if i % 2 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["Text,Label", *rows]))
    result = run(
        "examples/finetune_sst2.py",
        f"--data={table}",
        "--limit=32",
        "--epochs=1",
        "--max-length=32",
        f"--output={output}",
    )
    assert result.returncode == 0, result.stderr
    for line in (
        "majority baseline",
        "accuracy before training",
        "accuracy after training",
        "confusion",
        "examples/s",
        "macro mean",
    ):
        assert line in result.stdout
    assert "This is not my idea of fun" not in result.stdout  # it learned from no reviews
    written = {path.name for path in output.iterdir()}
    assert written == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "learning_curve.png",
        "confusion.png",
        "calibration.png",
        "README.md",
        "log.jsonl",
    }
    assert (output / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"A joy.\n")))
    monkeypatch.setattr(sys, "argv", ["minibert", "classify", str(output)])
    main()
    label, _, text = capsys.readouterr().out.split("\t")
    assert label in ("no", "yes") and text == "A joy.\n"


def test_example_refuses_bad_input_in_one_line_with_exit_code_2(tmp_path):
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "config.json").write_text("{}")
    refused = {
        "exists": ["--output", str(tmp_path / "earlier")],
        "nowhere.csv": ["--data", "nowhere.csv"],
        "minilm-l6": ["--model", "minilm-l7"],
        "epochs": ["--epochs", "0"],
    }
    # In one process, for importing torch takes most of the time.
    program = """
import json, runpy, sys
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["finetune_sst2.py", *arguments]
    try:
        runpy.run_path("examples/finetune_sst2.py", run_name="__main__")
    except SystemExit as exit:
        print(f"exit code {exit.code}", file=sys.stderr)
"""
    output = ["--output", str(tmp_path / "out")]
    result = run("-c", program, json.dumps([[*output, *case] for case in refused.values()]))
    lines = result.stderr.splitlines()
    assert len(lines) == 2 * len(refused), result.stderr
    for named, line, code in zip(refused, lines[::2], lines[1::2], strict=True):
        assert named in line and code == "exit code 2"
    assert not (tmp_path / "out").exists()


def test_of_reviews_it_says_what_it_makes_of_two_sentences(capsys, start):
    example = runpy.run_path(str(ROOT / "examples/finetune_sst2.py"))
    classifier = TextClassifier(start, epochs=1, trained_layers=0)
    with pytest.warns(UserWarning):  # of too few steps, and what comes of it
        classifier.fit(["good", "bad"] * 8, ["positive", "negative"] * 8)
    for data, lines in [("sample", 2), ("mine.csv", 0), (str(ROOT), 2)]:
        example["look"](data, classifier)
        assert capsys.readouterr().out.count("\n") == lines

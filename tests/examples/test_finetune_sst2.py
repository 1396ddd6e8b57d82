"""examples/finetune_sst2.py as a user runs it."""

import runpy

import pytest

from minibert import TextClassifier
from tests.conftest import ROOT
from tests.programs import command, example


@pytest.mark.filterwarnings("ignore:.*development texts are among", "ignore:epochs=1 makes only")
@pytest.mark.filterwarnings("ignore:the trained model calls every text")
def test_example_fine_tunes_and_saves(tmp_path, monkeypatch, capsys, start):
    output, table = tmp_path / "out", tmp_path / "mine.csv"
    rows = [f"{'a fine' if i % 2 else 'a poor'} film,{'yes' if i % 2 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["Text,Label", *rows]))
    arguments = ["--data", table, "--model", start, "--limit", 32, "--epochs", 1]
    arguments += ["--max-length", 32, "--output", output]
    code, out, err = example(monkeypatch, capsys, "finetune_sst2", *arguments)
    assert code == 0, err
    for line in (
        "majority baseline",
        "accuracy before training",
        "accuracy after training",
        "confusion",
        "examples/s",
        "macro mean",
    ):
        assert line in out
    assert "This is not my idea of fun" not in out  # it learned from no reviews
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
    _, out, _ = command(monkeypatch, capsys, ["classify", output], b"A joy.\n")
    label, _, text = out.split("\t")
    assert label in ("no", "yes") and text == "A joy.\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--output", "earlier"], "earlier exists"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--model", "minilm-l7"], "minilm-l6"),
        (["--epochs", "0"], "epochs"),
    ],
)
def test_example_refuses_bad_input_in_one_line_with_exit_code_2(
    monkeypatch, capsys, tmp_path, arguments, named
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "config.json").write_text("{}")
    arguments = ["--output", "out", *arguments]
    code, _, err = example(monkeypatch, capsys, "finetune_sst2", *arguments)
    assert code == 2 and err.count("\n") == 1 and named in err
    assert not (tmp_path / "out").exists()


def test_of_reviews_it_says_what_it_makes_of_two_sentences(capsys, start):
    program = runpy.run_path(str(ROOT / "examples/finetune_sst2.py"))
    classifier = TextClassifier(start, epochs=1, trained_layers=0)
    with pytest.warns(UserWarning):  # of too few steps, and what comes of it
        classifier.fit(["good", "bad"] * 8, ["positive", "negative"] * 8)
    for data, lines in [("sample", 2), ("mine.csv", 0), (str(ROOT), 2)]:
        program["look"](data, classifier)
        assert capsys.readouterr().out.count("\n") == lines

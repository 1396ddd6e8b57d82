"""`minibert explain`: bars of text, JSON and tables."""

import csv
import json

import pytest

from minibert import TextClassifier
from minibert.inspect.attributions import integrated_gradients, occlusion
from tests.conftest import small_model
from tests.programs import command

TEXT = "a good film"


@pytest.fixture()
def explain(monkeypatch, capsys, folder):
    """Run it; returns what it prints."""

    def run(*arguments, given=b"", code=0, model=folder):
        found = command(monkeypatch, capsys, ["explain", model, *arguments], given)
        assert found[0] == code, found[2]
        return found[1] if code == 0 else found[2]

    return run


def test_bars_are_those_of_the_function(explain, folder):
    classifier = TextClassifier.load(folder)
    assert explain(TEXT, "no") == "".join(
        f"{integrated_gradients(classifier, text)}\n\n" for text in (TEXT, "no")
    )
    assert explain(TEXT, "--method", "occlusion", "--label", "bad") == (
        f"{occlusion(classifier, TEXT, 'bad')}\n\n"
    )


def test_json(explain, folder):
    wanted = integrated_gradients(TextClassifier.load(folder), TEXT, "good")
    found = json.loads(explain(TEXT, "--label", "good", "--json"))
    assert (found["text"], found["label"], found["unread"]) == (TEXT, "good", 0)
    assert found["value"] == pytest.approx(wanted.value, abs=1e-6)
    assert [word.pop("weight") for word in found["words"]] == pytest.approx(
        wanted.weights.tolist(), abs=1e-6
    )
    assert found["words"][1] == {"word": "good", "start": 2, "end": 6, "of_pair": False}


def test_a_table_has_a_row_for_each_word(explain, tickets, tmp_path):
    file = tmp_path / "words.csv"
    columns = ["--data", tickets, "--text", "body", "--pair", "subject"]
    explain(*columns, "--method", "occlusion", "-o", file)
    with open(file, encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["id"] == "0"]
    assert [row["word"] for row in rows if row["of_pair"] == "True"] == ["about", "0"]
    for row in rows:
        of_pair = row["of_pair"] == "True"
        place = slice(int(row["start"]), int(row["end"]))
        assert row["subject" if of_pair else "body"][place] == row["word"]


def test_a_label_of_numbers_is_named_as_it_is_written(explain, tmp_path, tokenizer):
    model = tmp_path / "stars"
    extra = {"minibert_label_type": "int"}
    small_model(labels=("1", "2", "3"), extra=extra).save_pretrained(model)
    tokenizer.save_pretrained(model)
    assert json.loads(explain(TEXT, "--label", "2", "--json", model=model))["label"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TEXT, "--label", "best"), "--label is 'best', which this model does not have; its lab"),
        ((TEXT, "--method", "lime"), "invalid choice: 'lime'"),
        ((TEXT, "--precision", "int8"), "--precision"),
        ((TEXT, ""), "text 1 is '', which has no words; give it one"),
    ],
)
def test_mistakes_are_one_line(explain, arguments, message):
    told = explain(*arguments, code=2)
    assert told.count("\n") == 1 and message in told


def test_a_model_without_that_head_is_told_so(explain, encoder):
    assert "has no trained weights for classifier" in explain(TEXT, model=encoder, code=2)


def test_an_output_that_exists_is_refused_before_the_work(explain, tmp_path):
    file = tmp_path / "words.csv"
    file.write_text("mine")
    assert "--overwrite" in explain(TEXT, "-o", file, code=2)
    assert file.read_text() == "mine"

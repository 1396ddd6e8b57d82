"""`minibert train` and `minibert evaluate`: from a table to a model, and what it is worth."""

import csv
import json
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from minibert import TextClassifier
from minibert.cli.balance import describe
from minibert.cli.command import Parser
from minibert.cli.ending import as_table, what_next
from minibert.cli.learning_data import add_labelled, read_labelled
from minibert.cli.settings import add_settings, settings_of
from minibert.data import LabelledTexts
from minibert.tasks import settings
from minibert.training.results import Report
from tests.programs import command

BODY = ["--text", "body", "--label", "category"]


@dataclass
class Knobs:
    """One setting of each kind."""

    model: str | Path = "minilm-l6"
    epochs: int | None = None
    lr: float = field(default=5e-5, metadata={"help": "the highest learning rate"})
    batch_size: int = 32
    keep_best: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    class_weight: Literal["balanced"] | dict[Any, float] | None = None


def knobs(*words):
    parser = Parser()
    add_settings(parser, Knobs, leave_out=["model"])
    return settings_of(parser.parse_args(words), Knobs)


def test_options_are_made_from_a_dataclass():
    assert Knobs(**knobs()) == Knobs()
    words = ["--epochs", "2", "--lr", "1e-3", "--batch-size", "8", "--keep-best"]
    words += ["--precision", "bf16", "--class-weight", "balanced"]
    assert knobs(*words) == {
        "epochs": 2,
        "lr": 1e-3,
        "batch_size": 8,
        "keep_best": True,
        "precision": "bf16",
        "class_weight": "balanced",
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--epochs", "two"], "argument --epochs: invalid int value: 'two'"),
        (["--precision", "fp64"], "invalid choice: 'fp64' (choose from 'fp32', 'bf16')"),
        (["--model", "x"], "unrecognized arguments: --model x"),
    ],
)
def test_what_is_no_value_of_a_setting_is_refused(words, line):
    with pytest.raises(ValueError, match=line.replace("(", r"\(").replace(")", r"\)")):
        knobs(*words)


def test_help_tells_what_a_field_tells_of_itself(capsys):
    parser = Parser()
    add_settings(parser, Knobs)
    assert "the highest learning rate (default: 5e-05)" in " ".join(parser.format_help().split())


def test_every_setting_of_the_classifier_is_an_option(monkeypatch, capsys):
    told = command(monkeypatch, capsys, ["train", "--help"])[1]
    for name in TextClassifier("m").get_params():
        assert f"--{name.replace('_', '-')}" in told


@pytest.fixture()
def quick(monkeypatch):
    """Few steps are enough, and what comes of it is no surprise."""
    monkeypatch.setattr(settings, "_STEPS", 2)


@pytest.mark.filterwarnings("ignore:the trained model calls every text:UserWarning")
def test_seeds_are_trained_and_the_best_is_saved(
    monkeypatch, capsys, tmp_path, quick, tickets, encoder
):
    output = tmp_path / "out"
    arguments = ["train", tickets, *BODY, "--model", encoder, "--output", output, "--seeds", 2]
    arguments += ["--trained-layers", 0, "--limit", 8, "--errors", tmp_path / "wrong.csv"]
    code, out, _ = command(monkeypatch, capsys, arguments)
    assert code == 0
    assert "training: 8 texts: " in out and "2 seeds: mean development accuracy" in out
    assert "confusion" in out and f"model saved to {output}" in out
    assert TextClassifier.load(output).classes_.tolist() == ["bad", "good"]
    assert {p.name for p in tmp_path.iterdir()} == {"out", "wrong.csv"}  # no states are left
    assert out.endswith(
        f"next:  minibert classify {output} --data NEW.csv --text body -o answers.csv\n"
    )
    with open(tmp_path / "wrong.csv", encoding="utf-8", newline="") as stream:
        wrong = list(csv.DictReader(stream))
    found = TextClassifier.load(output).predict([row["text"] for row in wrong]).tolist()
    assert found == [row["predicted_label"] for row in wrong]
    assert all(row["label"] != row["predicted_label"] for row in wrong)
    assert "The best of 2 seeds" in (output / "README.md").read_text("utf-8")
    code, _, err = command(monkeypatch, capsys, arguments)
    assert code == 2 and "out exists; choose another name" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere.csv"], "there is no file or folder nowhere.csv"),
        (["{tickets}"], "and none for the text"),
        (["{tickets}", "--text", "body", "--label", "kind"], "there is no column 'kind'"),
        (["{tickets}", *BODY, "--limit", "1"], "--limit is 1"),
        (["{tickets}", *BODY, "--limit", "2", "--seed", "2"], "2 leaves no training text with"),
        (["{tickets}", *BODY, "--label-separator", ";"], "is for several labels a text, not for"),
        (["{tickets}", *BODY, "--metric", "r2"], "metric is 'r2'; for single_label_class"),
        (["{tickets}", *BODY, "--stride", "-1"], "stride is -1"),
        (["{tickets}", *BODY, "--seeds", "0"], "--seeds is 0; give 1 to 1000"),
        (["{tickets}", *BODY, "--validation", "x.csv"], "there is no file or folder x.csv"),
        (["{tickets}", *BODY, "--output", "."], "is the folder this program runs in"),
        (["{tickets}", *BODY, "--lr", "2"], "lr is 2.0; it must be above 0"),
    ],
)
def test_mistakes_are_one_line_before_any_work(
    monkeypatch, capsys, tmp_path, tickets, arguments, line
):
    monkeypatch.chdir(tmp_path)
    arguments = [each.format(tickets=tickets) for each in arguments]
    code, _, err = command(monkeypatch, capsys, ["train", *arguments])
    assert code == 2 and err.count("\n") == 1 and line in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


KINDS = {
    "multi_label_classification": ["a;b", "a", "", "a; c"],
    "regression": ["1", "2.5", "4", "0.5"],
}


@pytest.mark.filterwarnings("ignore:the trained model:UserWarning")
@pytest.mark.parametrize("problem", KINDS)
def test_several_labels_and_numbers(monkeypatch, capsys, tmp_path, quick, encoder, problem):
    several = problem == "multi_label_classification"
    table, output, wrong = tmp_path / "t.csv", tmp_path / "out", tmp_path / "wrong.csv"
    table.write_text(
        "\n".join(["text,label", *(f"text {i},{KINDS[problem][i % 4]}" for i in range(24))]),
        "utf-8",
    )
    separator = ["--label-separator", ";"] if several else []
    arguments = ["train", table, "--model", encoder, "--output", output, "--trained-layers", 0]
    arguments += ["--problem-type", problem, "--metric", "f1_micro" if several else "spearman"]
    code, out, err = command(monkeypatch, capsys, [*arguments, *separator, "--keep-best"])
    assert code == 0, err
    assert ("a 1" in out and "c " in out) if several else "numbers from 0.5 to 4" in out
    assert f"development {'f1_micro' if several else 'spearman'} after training: " in out

    classifier = TextClassifier.load(output)
    texts = [f"text {i}" for i in range(24)]
    truth = [KINDS[problem][i % 4] for i in range(24)]
    labels = [
        set(each.replace(" ", "").split(";")) - {""} if several else float(each) for each in truth
    ]
    arguments = ["evaluate", output, table, "--json", "--errors", wrong, *separator]
    code, out, err = command(monkeypatch, capsys, arguments)
    assert code == 0, err
    found = json.loads(out)["metrics"]
    assert found == pytest.approx(classifier.evaluate(texts, labels).metrics)
    with open(wrong, encoding="utf-8", newline="") as stream:
        told = list(csv.DictReader(stream))
    predicted = classifier.predict(texts).tolist()
    if several:
        missed = [i for i in range(24) if set(predicted[i]) != labels[i]]
        assert {row["text"] for row in told} == {f"text {i}" for i in missed}
    else:
        errors = [abs(float(row["prediction"]) - float(row["label"])) for row in told]
        assert errors == sorted(errors, reverse=True) and len(errors) == 24

    lines = command(monkeypatch, capsys, ["classify", output, *texts])[1].splitlines()
    said = [line.split("\t")[0] for line in lines]
    if several:
        assert [set(filter(None, each.split(";"))) for each in said] == list(map(set, predicted))
    else:
        assert list(map(float, said)) == pytest.approx(predicted, abs=1e-4)
        code, _, err = command(monkeypatch, capsys, ["classify", output, "a", "--all-scores"])
        assert code == 2 and "predicts numbers, which have no --all-scores" in err


def test_what_is_no_number_is_told_by_its_line(monkeypatch, capsys, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("text,label\na,1\nb,many\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    code, _, err = command(monkeypatch, capsys, ["train", table, "--problem-type", "regression"])
    assert code == 2 and "line 3: the label is 'many'; regression learns from numbers" in err


def test_what_looks_like_several_labels_is_told_by_its_line(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text('text,label\na,x\nb,"x,y"\nc,"z,x"\n', "utf-8")
    parser = Parser()
    add_labelled(parser)
    with pytest.warns(UserWarning, match=r"line 3: 'x,y' is taken for one label.* ','$") as told:
        chosen = read_labelled(parser.parse_args([]), str(table), "multi_label_classification")
    assert chosen.labels == [["x"], ["x,y"], ["z,x"]] and len(told) == 1


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_a_class_that_is_never_predicted_is_told_with_what_to_do(weight):
    scores = np.array([[0.9, 0.1, 0.0]] * 4)
    report = Report.of("single_label_classification", [0, 0, 1, 1], scores, ["a", "b", "c"])
    arguments = Namespace(output="my model", text="body", pair=None, class_weight=weight)
    told = what_next(arguments, report)
    assert "never predicted: ['b']; train longer" in told  # nobody asked about c
    assert ("--class-weight balanced" in told) == (weight is None)
    assert told.endswith("minibert classify 'my model' --data NEW.csv --text body -o answers.csv")


def test_what_a_model_is_judged_by_is_a_table():
    pairs = as_table(LabelledTexts([("a", "b")], [["x", "y"]]))
    assert (pairs.table.columns, pairs.table.rows) == (
        ("text", "pair", "label"),
        [("a", "b", "x;y")],
    )
    assert as_table(LabelledTexts(["a"], [2.5])).table.rows == [("a", 2.5)]


def test_tables_of_thousands_of_labels_stay_readable(capsys):
    labels = [f"label {n}" for n in range(3000)] + ["often"] * 9
    texts = LabelledTexts(labels, labels)
    assert describe(texts, texts, "single_label_classification") == 9 / 3009
    balance = capsys.readouterr().out.splitlines()[0]
    assert "texts: often 9 (0.3%), " in balance and balance.endswith(" and 2981 more")


# --- evaluate -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(tickets):
    with open(tickets, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_metrics_are_those_of_scikit_learn(monkeypatch, capsys, folder, tickets, rows):
    code, out, err = command(monkeypatch, capsys, ["evaluate", folder, tickets, *BODY, "--json"])
    found = TextClassifier.load(folder).predict([row["body"] for row in rows])
    truth = [row["category"] for row in rows]
    told = json.loads(out)
    assert (code, err, told["examples"]) == (0, "", 24)
    assert told["metrics"]["accuracy"] == pytest.approx(accuracy_score(truth, found))
    f1 = f1_score(truth, found, average="macro", zero_division=0)
    assert told["metrics"]["f1_macro"] == pytest.approx(f1)
    printed = command(monkeypatch, capsys, ["evaluate", folder, tickets, *BODY])[1]
    assert f"{accuracy_score(truth, found):.4f}" in printed and "confusion" in printed


def test_errors_and_pictures(monkeypatch, capsys, tmp_path, folder, tickets, rows):
    wrong, pictures = tmp_path / "wrong.csv", tmp_path / "pictures"
    arguments = ["evaluate", folder, tickets, *BODY, "--errors", wrong, "--output", pictures]
    assert command(monkeypatch, capsys, arguments)[0] == 0
    assert {p.name for p in pictures.iterdir()} == {"confusion.png", "calibration.png"}
    with open(wrong, encoding="utf-8", newline="") as stream:
        told = list(csv.DictReader(stream))
    classifier = TextClassifier.load(folder)
    scores = classifier.predict_proba([row["body"] for row in rows])
    found = classifier.classes_[scores.argmax(axis=1)]
    missed = {row["id"] for row, label in zip(rows, found, strict=True) if label != row["category"]}
    assert {row["id"] for row in told} == missed and missed
    assert all(row["predicted_label"] != row["category"] for row in told)
    sureness = [float(row["predicted_score"]) for row in told]
    assert sureness == sorted(sureness, reverse=True)
    assert np.allclose(max(sureness), max(scores[int(i)].max() for i in missed), atol=1e-6)
    before = wrong.read_bytes()
    code, _, err = command(monkeypatch, capsys, arguments)
    assert code == 2 and "wrong.csv exists" in err and wrong.read_bytes() == before


def test_a_table_without_labels_is_refused(monkeypatch, capsys, tmp_path, folder):
    table = tmp_path / "texts.csv"
    table.write_text("id,text\n1,fine\n", "utf-8")
    code, out, err = command(monkeypatch, capsys, ["evaluate", folder, table])
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "the columns 'id', 'text' and none for the label" in err


def test_a_label_the_model_never_saw_is_refused(monkeypatch, capsys, tmp_path, folder):
    table = tmp_path / "other.csv"
    table.write_text("text,label\nfine,good\nodd,strange\n", "utf-8")
    code, out, err = command(monkeypatch, capsys, ["evaluate", folder, table])
    assert (code, out) == (2, "")
    assert "has the label 'strange', which the model does not know; its labels are" in err

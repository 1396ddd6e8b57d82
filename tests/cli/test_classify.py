"""`minibert classify`: texts in, labels out, in every form."""

import csv
import io
import json

import pytest

from minibert import TextClassifier
from tests.conftest import TEXTS
from tests.programs import command


@pytest.fixture(scope="module")
def wanted(folder):
    """(label, score, text) of each text."""
    classifier = TextClassifier.load(folder)
    scores = classifier.predict_proba(TEXTS)
    return [
        (classifier.classes_[row.argmax()], float(row.max()), text)
        for text, row in zip(TEXTS, scores, strict=True)
    ]


@pytest.fixture()
def classify(monkeypatch, capsys, folder):
    """Run it; returns what it prints."""

    def run(*arguments, given=b"", code=0):
        found = command(monkeypatch, capsys, ["classify", folder, *arguments], given)
        assert found[0] == code, found[2]
        return found[1] if code == 0 else found[2]

    return run


def test_arguments_a_file_and_standard_input_are_the_same(classify, file, wanted):
    lines = "".join(f"{label}\t{score:.4f}\t{text}\n" for label, score, text in wanted)
    assert classify(*TEXTS) == lines
    assert classify("--file", file) == lines
    assert classify(given=file.read_bytes()) == lines


def test_texts_may_follow_an_option(classify):
    assert classify("--precision", "fp32", "good", "--json", "film").count("\n") == 2


def test_json(classify, file, wanted):
    found = [json.loads(line) for line in classify("--file", file, "--json").splitlines()]
    assert [(each["label"], each["text"]) for each in found] == [(w[0], w[2]) for w in wanted]
    assert [each["score"] for each in found] == pytest.approx([w[1] for w in wanted], abs=1e-6)


@pytest.mark.parametrize(("option", "mark"), [("--tsv", "\t"), ("-o", ",")])
def test_tables(classify, tmp_path, option, mark):
    texts = ['say "good", film', "two\nlines\tand a tab", "plain"]
    file = tmp_path / "labels.csv"
    printed = classify(*texts, *([option, file] if option == "-o" else [option]))
    table = file.read_text("utf-8") if option == "-o" else printed
    rows = list(csv.DictReader(io.StringIO(table, newline=""), delimiter=mark))
    assert [row["text"] for row in rows] == texts
    assert set(rows[0]) == {"text", "label", "score"}


def test_a_line_stays_a_line(classify):
    label, score, text = classify("two\r\nlines\tand a tab").rstrip("\n").split("\t", 2)
    assert text == "two\\r\\nlines\tand a tab"


def test_all_scores(classify, tmp_path, folder):
    scores = TextClassifier.load(folder).predict_proba(["good"])[0].tolist()
    (found,) = [
        json.loads(line) for line in classify("good", "--all-scores", "--json").splitlines()
    ]
    assert found["scores"] == pytest.approx({"bad": scores[0], "good": scores[1]}, abs=1e-6)
    header, row = classify("good", "--all-scores", "--tsv").splitlines()
    assert header == "text\tlabel\tscore\tscore:bad\tscore:good"
    assert float(row.split("\t")[3]) == pytest.approx(scores[0], abs=1e-6)
    assert f"\tbad={scores[0]:.4f}\tgood={scores[1]:.4f}\tgood\n" in classify(
        "good", "--all-scores"
    )


def test_an_output_appears_whole_and_replaces_nothing(classify, tmp_path):
    file = tmp_path / "new" / "labels.tsv"
    assert classify("good", "-o", file) == ""
    before = file.read_bytes()
    assert before.startswith(b"text\tlabel\tscore\n")
    assert "labels.tsv exists; choose another name, or replace it: --overwrite" in classify(
        "film", "-o", file, code=2
    )
    assert file.read_bytes() == before
    classify("film", "-o", file, "--overwrite")
    assert file.read_bytes() != before and list(file.parent.iterdir()) == [file]


def test_what_was_finished_before_an_error_is_kept(classify, tmp_path):
    err = classify("-o", tmp_path / "labels.txt", given=b"good\nfilm\n\xff\n", code=2)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("labels.txt.") and kept.suffix == ".unfinished"
    assert kept.read_text().count("\n") == 2
    assert f"the answers that were finished are in {kept}" in err and "line 3 of" in err


def test_an_output_without_an_answer_is_not_left_behind(classify, tmp_path):
    classify("-o", tmp_path / "labels.txt", given=b"\xff\n", code=2)
    assert not list(tmp_path.iterdir())


def test_no_texts_are_an_empty_table(classify):
    assert classify("--tsv", given=b"") == "text\tlabel\tscore\n"
    assert classify(given=b"") == ""

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


def test_ctrl_c_keeps_what_was_finished(classify, tmp_path, monkeypatch):
    stream = TextClassifier.stream

    def stopped(self, texts):
        yield next(stream(self, texts))
        raise KeyboardInterrupt

    monkeypatch.setattr(TextClassifier, "stream", stopped)
    err = classify("good", "film", "-o", tmp_path / "labels.txt", code=130)
    (kept,) = tmp_path.iterdir()
    assert kept.read_text().endswith("\tgood\n")
    assert err == f"minibert: the answers that were finished are in {kept}\n"


def test_an_output_without_an_answer_is_not_left_behind(classify, tmp_path):
    classify("-o", tmp_path / "labels.txt", given=b"\xff\n", code=2)
    assert not list(tmp_path.iterdir())


def test_no_texts_are_an_empty_table(classify):
    assert classify("--tsv", given=b"") == "text\tlabel\tscore\n"
    assert classify(given=b"") == ""


def rows_of(file):
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_table_keeps_its_columns(classify, tickets, tmp_path, folder):
    answers = tmp_path / "answers.csv"
    assert classify("--data", tickets, "--text", "body", "-o", answers) == ""
    before, after = rows_of(tickets), rows_of(answers)
    assert [{name: row[name] for name in before[0]} for row in after] == before
    found = TextClassifier.load(folder).predict([row["body"] for row in before])
    assert [row["label"] for row in after] == found.tolist()
    assert list(after[0]) == ["id", "subject", "body", "category", "label", "score"]


def test_a_column_that_is_there_already_is_not_written_over(classify, tickets, tmp_path):
    table = tmp_path / "labelled.csv"
    table.write_text(tickets.read_text("utf-8").replace("category", "label"), "utf-8")
    classify("--data", table, "--text", "body", "-o", tmp_path / "answers.csv")
    after = rows_of(tmp_path / "answers.csv")
    assert list(after[0])[-3:] == ["label", "predicted_label", "score"]
    assert [row["label"] for row in after] == [row["label"] for row in rows_of(table)]
    data = classify("--data", table, "--text", "body", "--json").splitlines()[0]
    assert {"label", "predicted_label", "score"} < json.loads(data).keys()


def test_pairs_of_a_table(classify, tickets, folder):
    lines = classify("--data", tickets, "--text", "subject", "--pair", "body").splitlines()
    pairs = [(row["subject"], row["body"]) for row in rows_of(tickets)]
    found = TextClassifier.load(folder).predict(pairs)
    assert [line.split("\t")[0] for line in lines] == found.tolist()
    assert lines[0].split("\t")[2:] == [pairs[0][0], pairs[0][1].replace("\n", "\\n")]


def test_rows_without_a_text_are_refused_or_left_out(classify, tickets, tmp_path):
    table = tmp_path / "gaps.csv"
    table.write_text("id,body\n1,good\n2,\n3,film\n", "utf-8")
    err = classify("--data", table, "--text", "body", code=2)
    assert "line 3: the text is empty" in err and "--skip-empty" in err and err.count("\n") == 1
    with pytest.warns(UserWarning, match="line 3: the text is empty; 1 of 3 rows are left out"):
        lines = classify("--data", table, "--text", "body", "--skip-empty", "--json").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["1", "3"]


def test_a_column_that_is_not_there_is_told_those_that_are(classify, tickets):
    err = classify("--data", tickets, "--text", "text", code=2)
    assert "there is no column 'text'; it has the columns 'id', 'subject', 'body', 'cat" in err

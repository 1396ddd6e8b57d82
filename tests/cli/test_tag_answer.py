"""`minibert tag` and `minibert answer`."""

import csv
import json

import pytest

from minibert.tasks.question_answerer import QuestionAnswerer
from minibert.tasks.token_classifier import TokenClassifier
from tests.conftest import TEXTS
from tests.programs import command

PAIRS = [("Who came?", "A man came."), ("What broke?", "The door.")]


def test_entities_are_those_of_the_task(monkeypatch, capsys, tmp_path, tagger):
    wanted = TokenClassifier.load(tagger).predict(TEXTS)
    assert any(wanted)
    code, out, err = command(monkeypatch, capsys, ["tag", tagger, *TEXTS])
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{each.label}\t{each.score:.4f}\t{each.text}\t{text}"
        for text, found in zip(TEXTS, wanted, strict=True)
        for each in found
    ]
    lines = command(monkeypatch, capsys, ["tag", tagger, *TEXTS, "--json"])[1].splitlines()
    told = [json.loads(line) for line in lines]
    assert [each["text"] for each in told] == TEXTS  # a line each, entities or not
    for each, text, found in zip(told, TEXTS, wanted, strict=True):
        assert [e["entity"] for e in each["entities"]] == [e.text for e in found]
        assert all(text[e["start"] : e["end"]] == e["entity"] for e in each["entities"])


@pytest.mark.parametrize("top_k", [1, 2])
def test_answers_are_those_of_the_task(monkeypatch, capsys, tmp_path, reader, top_k):
    question, contexts = "Who came?", ["A man came to the door.", "Nobody came."]
    task = QuestionAnswerer.load(reader)
    wanted = task.predict([(question, context) for context in contexts], top_k=top_k)
    listed = [[each] for each in wanted] if top_k == 1 else wanted
    arguments = ["answer", reader, *contexts, "--question", question, "--top-k", top_k]
    code, out, err = command(monkeypatch, capsys, arguments)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{each.text}\t{each.score:.4f}\t{context}"
        for context, found in zip(contexts, listed, strict=True)
        for each in found
    ]
    given = "\n".join(contexts).encode()
    arguments = ["answer", reader, "--question", question, "--top-k", top_k]
    assert command(monkeypatch, capsys, arguments, given)[1] == out


def test_a_table_may_have_a_question_for_each_text(
    monkeypatch, capsys, tmp_path, reader, questions
):
    file = tmp_path / "answers.csv"
    arguments = ["answer", reader, "--data", questions, "--text", "context"]
    arguments += ["--question-column", "question", "-o", file]
    assert command(monkeypatch, capsys, arguments) == (0, "", "")
    with open(file, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    wanted = QuestionAnswerer.load(reader).predict(PAIRS)
    assert [(row["question"], row["context"]) for row in rows] == PAIRS
    assert [row["answer"] for row in rows] == [each.text for each in wanted]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["a text"], "one of the arguments --question --question-column is required"),
        (["a text", "--question-column", "q"], "--question-column is for a table; give one with"),
        (["a text", "--question", "q", "--top-k", "0"], "--top-k is 0"),
    ],
)
def test_questions_that_are_not_there(monkeypatch, capsys, arguments, line):
    code, out, err = command(monkeypatch, capsys, ["answer", "m", *arguments])
    assert (code, out) == (2, "") and err.count("\n") == 1 and line in err

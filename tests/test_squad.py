"""Questions in SQuAD's format, and how answers to them are measured."""

import json

import datasets
import numpy as np
import pandas as pd
import pytest

from minibert.data.squad import Question, listed_questions, read_squad, squad_metrics

CONTEXT = "Ann lives in Bonn, the old capital."
BONN = {"text": "Bonn", "answer_start": 13}
CAPITAL = {"text": "the old capital", "answer_start": 19}
ROW = {"id": "a", "question": "Where does Ann live?", "answers": [BONN, CAPITAL]}
UNKNOWN = {
    "id": "b",
    "question": "Where does Bob live?",
    "answers": [],
    "plausible_answers": [BONN],
    "is_impossible": True,
}
QUESTIONS = [
    Question("a", "Where does Ann live?", CONTEXT, (("Bonn", 13), ("the old capital", 19))),
    Question("b", "Where does Bob live?", CONTEXT, ()),
]


def flat(question):
    """The row that `datasets` has of it."""
    texts, starts = zip(*question.answers, strict=True) if question.answers else ((), ())
    answers = {"text": list(texts), "answer_start": list(starts)}
    return {**question._asdict(), "answers": answers}


def squad(*rows, context=CONTEXT, version="v2.0"):
    return {"version": version, "data": [{"title": "t", "paragraphs": [paragraph(context, rows)]}]}


def paragraph(context, rows):
    return {"context": context, "qas": list(rows)}


def read(tmp_path, content):
    path = tmp_path / "questions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_squad(path)


def test_both_versions_of_the_format(tmp_path):
    assert read(tmp_path, squad(ROW, UNKNOWN)) == QUESTIONS
    assert read(tmp_path, squad(ROW, version="1.1")) == QUESTIONS[:1]


def test_articles_and_paragraphs_come_in_their_order(tmp_path):
    rows = [{**ROW, "id": name} for name in "abcd"]
    parts = [[paragraph(CONTEXT, rows[:1]), paragraph(CONTEXT, rows[1:3])], []]
    data = {"data": [{"paragraphs": part} for part in (*parts, [paragraph(CONTEXT, rows[3:])])]}
    assert [question.id for question in read(tmp_path, data)] == list("abcd")


@pytest.mark.parametrize(
    "examples",
    [
        QUESTIONS,
        tuple(map(flat, QUESTIONS)),
        (flat(question) for question in QUESTIONS),
        datasets.Dataset.from_list(list(map(flat, QUESTIONS))),
        pd.DataFrame(map(flat, QUESTIONS)).to_dict("records"),
        [
            {**flat(q), "answers": {key: np.array(x) for key, x in flat(q)["answers"].items()}}
            for q in QUESTIONS
        ],
    ],
    ids=["ours", "rows", "a generator", "datasets", "records of pandas", "arrays of pandas"],
)
def test_rows_as_they_come(examples):
    assert listed_questions(examples) == QUESTIONS


def test_a_question_without_an_id_has_its_number():
    row = {key: value for key, value in flat(QUESTIONS[0]).items() if key != "id"}
    assert [question.id for question in listed_questions([row, row])] == ["0", "1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "its content is .*must be an object"),
        ("{", "not valid JSON"),
        ({"version": "1.1"}, "data is missing"),
        ({"data": []}, "there are no questions"),
        ({"data": [{"title": "t"}]}, "paragraphs is missing"),
        ({"data": [{"paragraphs": [{"context": CONTEXT}]}]}, "qas is missing"),
        (squad(ROW, context=" "), "question 0, 'a': context is ' '; it must be a text"),
        (squad({**ROW, "question": ""}), "question 0, 'a': question is ''"),
        (squad({**ROW, "answers": []}), "'a': is_impossible is false and there are 0 answers"),
        (squad({**UNKNOWN, "answers": [BONN]}), "'b': is_impossible is true and there are 1"),
        (squad({**ROW, "answers": "Bonn"}), "'a': answers is 'Bonn'; it must be a list"),
        (squad({**ROW, "answers": [{"text": "Bonn"}]}), "'a': answer_start is missing"),
        (squad({**ROW, "answers": [{**BONN, "answer_start": -1}]}), "answer_start is -1"),
        (squad({**ROW, "answers": [{**BONN, "text": ""}]}), "'a': text is ''"),
        (
            squad(ROW, {**ROW, "id": "c", "answers": [{**BONN, "answer_start": 12}, CAPITAL]}),
            "1 answer.s. do not stand in their context where they are said to; the first is 'Bonn' "
            "of question 'c', and at 12 there is ' Bon'",
        ),
        (squad({**ROW, "answers": [{**BONN, "answer_start": 99}]}), "at 99 there is ''"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=f"questions.json: .*{message}") as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["none.json", "."])
def test_a_file_that_is_none(tmp_path, path):
    with pytest.raises(OSError, match=str(tmp_path)):
        read_squad(tmp_path / path)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ("train.json", "examples is 'train.json', a str; give a list of questions"),
        ({"train": QUESTIONS}, r"a dict; give a list .*data\['train'\]"),
        (pd.DataFrame(map(flat, QUESTIONS)), r"a DataFrame; .*table.to_dict\('records'\)"),
        (None, "examples is None"),
        ([], "examples: there are no questions"),
        (["Where?"], r"examples: question 0 is 'Where\?'; it must be an object"),
        ([flat(QUESTIONS[0]) | {"context": None}], "question 0, 'a': context is None"),
        ([flat(QUESTIONS[0]) | {"answers": None}], "question 0, 'a': answers is None"),
        (
            [flat(QUESTIONS[0]) | {"answers": {"text": ["Bonn"], "answer_start": []}}],
            "it has 1 texts of answers and 0 starts",
        ),
        ([QUESTIONS[0]._replace(answers=(("Bonn", 3),))], "1 answer.s. do not stand"),
    ],
)
def test_what_is_no_list_of_questions_is_refused(examples, message):
    with pytest.raises(ValueError, match=message):
        listed_questions(examples)


# --- measures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "right", "f1", "exact"),
    [
        ("Bonn", ["Bonn"], 1, 1),
        ("the BONN!", ["Bonn"], 1, 1),
        ("Bonn, a city", ["Bonn"], 2 / 3, 0),  # of the words "bonn city" and "bonn"
        ("the old capital", ["Bonn", "old capital of Rome"], 2 * 2 / (2 + 4), 0),
        ("Bonn Bonn Rome", ["Bonn Paris"], 2 * 1 / (3 + 2), 0),  # a word counts as often as in both
        ("Rome", ["Bonn"], 0, 0),
        ("", ["Bonn"], 0, 0),
        ("", [], 1, 1),
        ("Bonn", [], 0, 0),
        ("the", [], 1, 1),  # nothing is left of it
        ("Bonn", ["the", "Bonn"], 1, 1),
        ("", ["the", "Bonn"], 0, 0),  # a right answer of which nothing is left does not count
        ("U.S.", ["us"], 1, 1),
        ("theatre", ["atre"], 0, 0),  # articles are words
    ],
)
def test_measures_are_those_of_squads_script(answer, right, f1, exact):
    question = Question("a", "?", "-", tuple((text, 0) for text in right))
    assert squad_metrics([answer], [question]) == {
        "f1": pytest.approx(f1),
        "exact_match": exact,
    }


def test_measures_are_means_and_the_first_is_f1():
    found = squad_metrics(["Bonn", "a capital"], QUESTIONS)
    assert list(found.items()) == [("f1", 0.5), ("exact_match", 0.5)]

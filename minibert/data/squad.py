"""SQuAD: questions about a context, each with the parts of it that answer; and how answers to them
are measured.

The format is that of SQuAD 1.1 and of 2.0, where a question may have no answer, and of the many
data sets that are written like them. Papers: Rajpurkar et al. 2016, arXiv 1606.05250, and 2018,
arXiv 1806.03822; reference: the evaluation script of SQuAD 2.0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy import ndarray

from minibert._checks import shown
from minibert.checkpoint.files import read_json
from minibert.checkpoint.places import path_of
from minibert.checkpoint.schema import (
    LIST,
    OBJECT,
    SWITCH,
    TEXT,
    Rule,
    get,
    in_file,
    list_of,
    need,
    optional,
    whole,
)

_OBJECTS = list_of(OBJECT)
_FILLED = Rule(lambda value: TEXT.holds(value) and not value.isspace() and value != "", "a text")
_ID = Rule(lambda value: TEXT.holds(value) or type(value) is int, "a string or a whole number")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Question(NamedTuple):
    """A question about a context. answers: each right one with the place of its first character,
    counted from 0; empty if the context does not answer."""

    id: str
    question: str
    context: str
    answers: tuple[tuple[str, int], ...]


def read_squad(path: str | Path) -> list[Question]:
    """The questions of a file in the format of SQuAD 1.1 or 2.0.

    Raises `OSError` where there is no such file, and `ValueError` naming the file, the question and
    what is wrong with it; answers must stand in the context where they are said to.
    """
    path = path_of(path, "data")
    data = read_json(path)
    with in_file(path):
        return _questions(_rows(data))


def listed_questions(examples: Iterable[Any], name: str = "examples") -> list[Question]:
    """Questions as a list: those of `read_squad`, or rows as the library `datasets` has them.

    Raises `ValueError` for what is neither, for none at all, and for answers that do not stand in
    the context where they are said to.

    >>> from minibert.data.squad import listed_questions
    >>> answers = {"text": ["Bonn"], "answer_start": [10]}
    >>> row = {"question": "Where?", "context": "She is in Bonn.", "answers": answers}
    >>> listed_questions([row])
    [Question(id='0', question='Where?', context='She is in Bonn.', answers=(('Bonn', 10),))]
    """
    has_keys = callable(getattr(examples, "keys", None))  # a table, or several parts of a data set
    if has_keys or isinstance(examples, str | bytes) or not isinstance(examples, Iterable):
        raise ValueError(
            f"{name} is {shown(examples)}, a {type(examples).__name__}; give a list of questions: "
            "what minibert.data.read_squad(path) returns, or the rows of a table or of one "
            "part of a data set: table.to_dict('records'), data['train']"
        )
    try:
        return _questions(examples)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _rows(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of a file, each in one row. It has an answer if nothing else is said."""
    for article in need(data, "data", _OBJECTS):
        for paragraph in need(article, "paragraphs", _OBJECTS):
            for row in need(paragraph, "qas", _OBJECTS):
                yield {"is_impossible": False, **row, "context": paragraph.get("context")}


def _questions(rows: Iterable[Any]) -> list[Question]:
    found = [_question(row, position) for position, row in enumerate(rows)]
    if not found:
        raise ValueError("there are no questions; there must be at least one")
    wrong = [
        (question, text, start)
        for question in found
        for text, start in question.answers
        if question.context[start : start + len(text)] != text
    ]
    if wrong:
        question, text, start = wrong[0]
        there = question.context[start : start + len(text)]
        raise ValueError(
            f"{len(wrong)} answer(s) do not stand in their context where they are said to; the "
            f"first is {shown(text)} of question {shown(question.id)}, and at {start} there is "
            f"{shown(there)}; correct answer_start, which counts characters, or leave them out"
        )
    return found


def _question(row: Any, position: int) -> Question:
    if isinstance(row, Question):
        answers = [{"text": text, "answer_start": start} for text, start in row.answers]
        row = {**row._asdict(), "answers": answers}
    name = f"question {position}"
    row = OBJECT.check(name, row)
    identity = str(get(row, "id", _ID, position))
    if "id" in row:
        name += f", {shown(identity)}"
    try:
        return Question(
            identity,
            need(row, "question", _FILLED),
            need(row, "context", _FILLED),
            _answers(row.get("answers"), get(row, "is_impossible", optional(SWITCH))),
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _answers(answers: Any, impossible: bool | None) -> tuple[tuple[str, int], ...]:
    """Each answer with its place, from a list of objects, as files have it, or from an object of
    lists, as `datasets` has it. impossible: whether there is none, None: nobody said."""
    if isinstance(answers, Mapping):
        texts, starts = (_list(answers.get(key), key) for key in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise ValueError(f"it has {len(texts)} texts of answers and {len(starts)} starts")
        answers = [{"text": t, "answer_start": s} for t, s in zip(texts, starts, strict=True)]
    found = tuple(
        (need(answer, "text", _FILLED), need(answer, "answer_start", whole()))
        for answer in _OBJECTS.check("answers", _list(answers, "answers"))
    )
    if impossible is not None and impossible == bool(found):
        raise ValueError(
            f"is_impossible is {str(impossible).lower()} and there are {len(found)} answers; a "
            "question has answers unless it is impossible"
        )
    return found


def _list(value: Any, name: str) -> list[Any]:
    """The value, where it may be an array: pandas makes arrays of what Parquet has as lists."""
    return LIST.check(name, value.tolist() if isinstance(value, ndarray) else value)


# --- measures -------------------------------------------------------------------------------------


def squad_metrics(answers: Sequence[str], questions: Sequence[Question]) -> dict[str, float]:
    """How good these answers are, one for each question: "f1" and "exact_match", 0 to 1.

    Each answer counts as it does beside the right one it is most like. "" is right where there is
    none. What is compared are words: case, punctuation and articles are left out.
    """
    shares: list[tuple[float, float]] = []
    for answer, question in zip(answers, questions, strict=True):
        right = [words for text, _ in question.answers if (words := _words(text))] or [[]]
        given = _words(answer)
        shares.append((max(_f1(given, each) for each in right), float(given in right)))
    f1, exact = (sum(column) / len(shares) for column in zip(*shares, strict=True))
    return {"f1": f1, "exact_match": exact}


def _words(text: str) -> list[str]:
    """
    >>> _words("The cat's  nap, an hour.")
    ['cats', 'nap', 'hour']
    """
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def _f1(given: list[str], right: list[str]) -> float:
    """Of two lists of words: 2 x what they share, by all there are; 1 if both are empty."""
    if not given or not right:
        return float(given == right)
    return 2 * (Counter(given) & Counter(right)).total() / (len(given) + len(right))

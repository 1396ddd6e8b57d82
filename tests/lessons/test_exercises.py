"""Each check passes the right answer, and refuses the starting cell and all wrong ones, by hint."""

from importlib import import_module

import numpy as np
import pytest
import torch
from checks.verdict import MISSING, Verdict, number

from tests.lessons.exercises import (
    EXERCISES,
    NO_ANSWERS,
    README,
    exercises_of,
    lesson_files,
    with_table,
)


@pytest.fixture(params=EXERCISES, ids=lambda exercise: f"{exercise.number}-{exercise.name}")
def exercise(request):
    return request.param


def test_the_right_answer_passes(exercise):
    verdict = exercise.check(exercise.right)
    assert verdict.passed, verdict
    assert str(verdict).startswith("passed: ")


def test_the_starting_cell_fails_with_a_hint(exercise):
    assert exercise.check(exercise.start) == Verdict(False, MISSING)


def test_wrong_answers_fail_with_their_hints(exercise):
    hints = {}
    for wrong in exercise.wrong:
        verdict = exercise.check(wrong.answer)
        assert not verdict.passed, wrong.name
        assert wrong.hint in verdict.hint, wrong.name
        hints[wrong.name] = verdict.hint
    assert len(set(hints.values())) >= 3, hints


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=lambda answer: type(answer).__name__)
def test_what_is_no_answer_fails_with_a_hint(exercise, answer):
    for given in (answer, lambda *_, **__: answer):  # and a function that returns it
        verdict = exercise.check(given)
        assert not verdict.passed
        assert verdict.hint
        assert "cannot be checked" not in verdict.hint


def raises(*_, **__):
    return {}["missing"]


def leaves(*_, **__):
    raise SystemExit("enough")


@pytest.mark.parametrize("answer", [raises, leaves, lambda: 1, lambda *_, wanted: 1])
def test_a_function_that_fails_is_told_of_and_does_not_raise(exercise, answer):
    verdict = exercise.check(answer)
    assert not verdict.passed
    assert "cannot be checked" not in verdict.hint


@pytest.mark.parametrize(
    "value",
    [3, 3.0, np.int64(3), np.array([3.0]), torch.tensor(3), torch.tensor([[3.0]])],
    ids=repr,
)
def test_a_number_may_be_pythons_numpys_or_pytorchs(value):
    assert number(value) == 3


@pytest.mark.parametrize("lesson", lesson_files(), ids=lambda lesson: lesson.stem)
def test_a_lesson_has_two_exercises_and_their_wrong_answers_belong_to_them(lesson):
    names = [exercise.name for exercise in exercises_of(lesson)]
    assert len(names) >= 2
    assert set(import_module(f"tests.lessons.wrong.lesson{lesson.name[:2]}").WRONG) == set(names)


def test_the_table_of_the_page_is_what_the_checks_do():
    page = README.read_text("utf-8")
    assert page == with_table(page), "run  python -m tests.lessons.exercises"

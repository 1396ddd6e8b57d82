"""Texts, labels and weights, as people give them, made ready for training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minibert._checks import shown
from minibert.checkpoint.arguments import real_number
from minibert.tasks.label_values import checked_numbers
from minibert.tasks.labels import check_as_many, is_weight
from minibert.tasks.problems import Problem
from minibert.text.inputs import Text, listed
from minibert.tokenizer import Row
from minibert.training.batches import LARGEST_WEIGHT, SMALLEST_WEIGHT, Examples

_WEIGHT = (
    f"a number from {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}; leave out texts that do not count"
)


def validation_parts(validation: Any, names: str) -> tuple[Any, Any]:
    """The two parts of validation data. names: what they are called in an error. Raises
    `ValueError` for other than two."""
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(f"validation is {shown(validation)}; give a tuple of two lists, {names}")
    first, second = validation
    return first, second


def texts_and_labels(validation: Any, kind: type[Problem]) -> tuple[list[Text], list[Any]]:
    """The two parts of validation data, each a list."""
    texts, labels = validation_parts(validation, "(texts, labels)")
    return listed(texts), kind.listed(labels, "validation labels")


def checked_weights(weights: Iterable[float] | None, texts: int) -> list[float] | None:
    """The weight of each text. Raises `ValueError` unless there are as many positive numbers."""
    if weights is None:
        return None
    values = checked_numbers(weights, "sample_weight", _WEIGHT)
    check_as_many(texts, values, "sample_weight")
    return [
        real_number(f"sample_weight: number {i}", value, _WEIGHT, is_weight)
        for i, value in enumerate(values)
    ]


def examples_of(
    rows: Sequence[Sequence[Row]], targets: Sequence[Any], weights: Sequence[float] | None
) -> Examples:
    """An example for each row; the windows of a text share its weight."""
    flat = [row for each in rows for row in each]
    owners = [i for i, each in enumerate(rows) for _ in each]
    shared = None
    if weights is not None or len(flat) > len(rows):
        shared = [(1.0 if weights is None else weights[i]) / len(rows[i]) for i in owners]
    return Examples(flat, [targets[i] for i in owners], shared)

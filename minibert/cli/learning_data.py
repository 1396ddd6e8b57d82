"""What is learned from, and evaluated on: tables of texts and labels.

A cell of a table is a string. Whether it is a label, several or a number, the settings say.
"""

from __future__ import annotations

import argparse
import math
import os
import random
from collections.abc import Sequence
from typing import Any

from minibert import data
from minibert._checks import shown, warn
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.config_json import ProblemType
from minibert.cli.sources import add_columns
from minibert.data import Chosen, LabelledTexts, Table, choose
from minibert.data.labelled import hold_out, warn_of_look_alikes, warn_of_shared

_MARKS = ";,|"  # that tables have between several labels


def add_labelled(parser: argparse.ArgumentParser) -> None:
    """The columns of a table with labels."""
    add_columns(parser)
    add = parser.add_argument
    add("--label", metavar="COLUMN", help="its column of labels (default: label or the like)")
    add("--label-separator", metavar="MARK", help="what stands between several labels of a text")


def read_labelled(arguments: argparse.Namespace, table: str, problem: ProblemType) -> Chosen:
    """One table, with its texts and labels as the problem takes them."""
    several = problem == "multi_label_classification"
    chosen = choose(Table.read(table), several=several, **_columns(arguments))
    names = [f"{table}: {chosen.table.where([i])}" for i in range(len(chosen.labels))]
    labels = converted(chosen.labels, names, problem, arguments.label_separator)
    if problem != "regression":
        warn_of_look_alikes(labels, table)
    return chosen._replace(labels=labels)


def load_parts(arguments: argparse.Namespace) -> tuple[LabelledTexts, LabelledTexts]:
    """(training, development) texts, of the first so many as were asked for."""
    problem = arguments.problem_type
    if arguments.validation is not None:
        train, development = (
            _texts(read_labelled(arguments, table, problem))
            for table in (arguments.data, arguments.validation)
        )
        warn_of_shared(train, development, arguments.validation)
    elif arguments.data == "sample" or os.path.isdir(arguments.data):
        parts = data.load(arguments.data, arguments.seed, **_columns(arguments))
        train, development = (_converted(part, arguments) for part in parts)
    else:
        whole = _texts(read_labelled(arguments, arguments.data, problem))
        train, development = hold_out(whole, arguments.data, arguments.seed)
    if arguments.limit is not None:
        limit = whole_number("--limit", arguments.limit, 2)
        # At random, for a file may be sorted by label.
        every = range(len(train))
        train = train.take(random.Random(arguments.seed).sample(every, min(limit, len(every))))
        _check_classes(train, development, problem, limit)
    return train, development


def _check_classes(
    train: LabelledTexts, development: LabelledTexts, problem: ProblemType, limit: int
) -> None:
    """Raise `ValueError` where too few training texts are left for every class to have one."""
    if problem == "single_label_classification":
        lost = sorted(set(development.labels) - set(train.labels))
        if lost:
            raise ValueError(
                f"--limit {limit} leaves no training text with the label {shown(lost[0])}; raise it"
            )


def converted(
    labels: Sequence[Any], names: Sequence[str], problem: ProblemType, separator: str | None
) -> list[Any]:
    """The labels of a table as a classifier of this problem takes them.

    names: what errors call the rows. Warns of what looks like several labels and is taken for one.
    Raises `ValueError` for a separator that means nothing, and
    for what is no number where numbers are learned.
    """
    if separator is not None and problem != "multi_label_classification":
        raise ValueError(
            f"--label-separator is for several labels a text, not for {problem}; a model learns "
            "them with --problem-type multi_label_classification"
        )
    if problem == "regression":
        return [_number(label, name) for label, name in zip(labels, names, strict=True)]
    if problem == "multi_label_classification":
        if separator is None:
            _warn_of_marks(labels, names)
        return [_several(label, separator) for label in labels]
    return list(labels)


def _number(label: Any, name: str) -> float:
    try:
        number = float(label)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name}: the label is {shown(label)}; regression learns from numbers")
    return number


def _warn_of_marks(labels: Sequence[Any], names: Sequence[str]) -> None:
    """Warn of the first cell that looks like several labels, and is taken for one."""
    for label, name in zip(labels, names, strict=True):
        mark = next((mark for mark in _MARKS if isinstance(label, str) and mark in label), None)
        if mark is not None:
            warn(
                f"{name}: {shown(label)} is taken for one label; if these are several, give "
                f"--label-separator '{mark}'"
            )
            return


def _several(label: Any, separator: str | None) -> list[str]:
    """JSON and Parquet have lists; in other tables a cell without a separator is one label, and an
    empty one none."""
    if not isinstance(label, str):
        return list(label)
    parts = label.split(separator) if separator else [label]
    return [part.strip() for part in parts if part.strip()]


def _columns(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("text", "label", "pair", "skip_empty")
    return {name: getattr(arguments, name) for name in names}


def _texts(chosen: Chosen) -> LabelledTexts:
    return LabelledTexts(chosen.texts, chosen.labels)


def _converted(part: LabelledTexts, arguments: argparse.Namespace) -> LabelledTexts:
    names = [f"{arguments.data}: text {i}" for i in range(len(part))]
    separator = arguments.label_separator
    labels = converted(part.labels, names, arguments.problem_type, separator)
    return LabelledTexts(part.texts, labels)

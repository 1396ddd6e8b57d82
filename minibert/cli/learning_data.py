"""What `minibert train` learns from and evaluates on, and what is told of it."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from typing import Any

from minibert import data
from minibert.checkpoint.arguments import whole_number
from minibert.cli.sources import add_columns
from minibert.data import Chosen, LabelledTexts, Table, choose
from minibert.data.labelled import warn_of_look_alikes

_LISTED = 20  # labels that are told, of perhaps thousands


def add_labelled(parser: argparse.ArgumentParser) -> None:
    """The columns of a table with labels."""
    add_columns(parser)
    parser.add_argument(
        "--label", metavar="COLUMN", help="its column of labels (default: label or the like)"
    )


def read_chosen(arguments: argparse.Namespace, table: str) -> Chosen:
    """One table, with its texts and labels."""
    chosen = choose(Table.read(table), **_columns(arguments))
    warn_of_look_alikes(chosen.labels, chosen.table.name)
    return chosen


def _columns(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("text", "label", "pair", "skip_empty")
    return {name: getattr(arguments, name) for name in names}


def load_parts(arguments: argparse.Namespace) -> tuple[LabelledTexts, LabelledTexts]:
    """(training, development) texts, of the first so many as were asked for."""
    if arguments.validation is not None:
        columns = _columns(arguments)
        train = data.read_table(arguments.data, **columns)
        development = data.read_table(arguments.validation, **columns)
    else:
        train, development = data.load(arguments.data, arguments.seed, **_columns(arguments))
    if arguments.limit is not None:
        limit = whole_number("--limit", arguments.limit, 2)
        # At random, for a file may be sorted by label.
        every = range(len(train))
        train = train.take(random.Random(arguments.seed).sample(every, min(limit, len(every))))
    return train, development


def describe(train: LabelledTexts, development: LabelledTexts) -> float:
    """Print the class balance; return the accuracy of always naming the most frequent class."""
    for name, part in (("training", train), ("development", development)):
        counts = Counter(part.labels)
        listed = counts if len(counts) <= _LISTED else dict(counts.most_common(_LISTED))
        balance = ", ".join(f"{label} {n} ({n / len(part):.1%})" for label, n in listed.items())
        balance += f" and {len(counts) - _LISTED} labels more" if len(counts) > _LISTED else ""
        print(f"{name}: {len(part)} texts: {balance}")
    commonest = Counter(train.labels).most_common(1)[0][0]
    majority = Counter(development.labels)[commonest] / len(development)
    print(f"majority baseline: always {commonest}, {majority:.2%} of development")
    return majority

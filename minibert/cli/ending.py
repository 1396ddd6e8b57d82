"""What there is to look at, and to do, when a training is over."""

from __future__ import annotations

import argparse
import shlex

from minibert._checks import shown
from minibert.cli.verdicts import cell
from minibert.data import Chosen, LabelledTexts, Table
from minibert.training.results import Report


def as_table(development: LabelledTexts) -> Chosen:
    """What a model is judged by, as a table to write errors from."""
    texts = list(development.texts)
    pairs = [(text,) if isinstance(text, str) else text for text in texts]
    rows = [(*pair, cell(label)) for pair, label in zip(pairs, development.labels, strict=True)]
    columns = ("text", "label") if len(rows[0]) == 2 else ("text", "pair", "label")
    table = Table("the development data", columns, rows, range(len(rows)))
    return Chosen(table, texts, list(development.labels))


def what_next(arguments: argparse.Namespace, report: Report) -> str:
    """What to do about classes that are never predicted, and with the model."""
    told = []
    if report.confusion is not None:
        missed = report.confusion.sum(axis=1).astype(bool) & ~report.confusion.any(axis=0)
        names = [report.labels[i] for i in missed.nonzero()[0]]
        if names:
            weigh = "" if arguments.class_weight else ", or give --class-weight balanced"
            told.append(f"never predicted: {shown(names)}; train longer{weigh}")
    words = ["minibert", "classify", arguments.output, "--data", "NEW.csv"]
    for name in ("text", "pair"):
        column = getattr(arguments, name)
        words += [] if column is None else [f"--{name}", column]
    told.append(f"next:  {shlex.join([*words, '-o', 'answers.csv'])}")
    return "\n".join(["", *told])

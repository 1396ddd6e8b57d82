"""`minibert train`: fine-tune a model on a table of texts and labels."""

from __future__ import annotations

import argparse

from minibert.cli.command import Command
from minibert.cli.learning import add_learning, learn


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="TABLE",
        help="a CSV, TSV, JSON lines or Parquet; 'sample'; a folder with train and dev tables",
    )
    add_learning(parser)


COMMAND = Command(
    name="train",
    about="fine-tune a model on a table of texts and labels, and report on it",
    add_arguments=_add_arguments,
    run=learn,
    examples=[
        "minibert train tickets.csv --text body --label category --output output/tickets",
        "minibert train tickets.csv --text body --label category --validation later.csv "
        "--keep-best --patience 2",
        "minibert train sample --limit 100 --trained-layers 0 --lr 1e-3 --output output/sample",
    ],
    more=(
        "Of one table a tenth of each class is held out to evaluate on. A run keeps its state in "
        "OUTPUT.run: after a crash or Ctrl-C the same command with --resume goes on, and ends as "
        "if nothing had happened."
    ),
)

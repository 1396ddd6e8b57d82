"""`minibert evaluate`: how good a classifier is on a table of texts and labels."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from minibert.checkpoint.folders import new_files
from minibert.checkpoint.places import check_parent, destination
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.files import check_new_file
from minibert.cli.judged import judge, write_errors
from minibert.cli.learning_data import add_labelled, read_labelled
from minibert.cli.lines import write_line
from minibert.tasks.text_classifier import TextClassifier
from minibert.training.report import CALIBRATION, CONFUSION, plot_calibration, plot_confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("data", metavar="TABLE", help="a CSV, TSV, JSON lines or Parquet")
    add_labelled(parser)
    add = parser.add_argument
    add("--json", action="store_true", help="write one JSON object")
    add("--errors", metavar="FILE", help="write the texts it gets wrong to this .csv, worst first")
    add("--output", metavar="FOLDER", help="draw confusion and calibration into this folder")
    add("--overwrite", action="store_true", help="replace the file and the pictures there")
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.errors is not None:
        check_new_file(arguments.errors, arguments.overwrite)
    if arguments.output is not None:
        _check_folder(arguments.output, arguments.overwrite)
    classifier = TextClassifier.load(
        arguments.model, precision=arguments.precision, device=arguments.device
    )
    chosen = read_labelled(arguments, arguments.data, classifier.problem_type)
    judged = judge(classifier, chosen, arguments.data)
    report = judged.report
    write_line(json.dumps(report.as_dict(), ensure_ascii=False) if arguments.json else str(report))
    if arguments.errors is not None:
        write_errors(arguments.errors, arguments.overwrite, chosen, judged)
    if arguments.output is not None:
        pictures: dict[str, Callable[[], Figure]] = {}
        if report.confusion is not None:
            pictures[CONFUSION] = partial(plot_confusion, report)
        if report.calibration is not None:
            pictures[CALIBRATION] = partial(plot_calibration, report)
        with new_files(arguments.output) as folder:
            for name, draw in pictures.items():
                draw().savefig(folder / name)


def _check_folder(folder: str, overwrite: bool) -> None:
    """Raise `OSError` where the pictures cannot be written, or are already."""
    path = destination(folder)
    check_parent(path)
    there = next((path / name for name in (CONFUSION, CALIBRATION) if (path / name).exists()), None)
    if there is not None and not overwrite:
        raise FileExistsError(f"{there} exists; choose another folder, or replace it: --overwrite")


COMMAND = Command(
    name="evaluate",
    about="how good a classifier is on a table of texts and labels",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        "minibert evaluate output/tickets later.csv --text body --label category",
        "minibert evaluate output/tickets later.csv --text body --label category --json",
        "minibert evaluate output/tickets later.csv --text body --label category "
        "--errors wrong.csv --output pictures",
    ],
    more=(
        "Wrong are texts with another label than the model's; the surer it was, the worse. Of "
        "several labels one that is wrong is enough; of numbers all texts are written, the largest "
        "error first. Precision, recall, F1 and calibration need scikit-learn."
    ),
)

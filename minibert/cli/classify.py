"""`minibert classify`: what a classifier says of each text."""

from __future__ import annotations

import argparse

from minibert.cli.answers import add_answers, answers_to, check_output
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.sources import add_source, open_source
from minibert.cli.verdicts import Verdicts, score_column
from minibert.tasks.text_classifier import TextClassifier


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser)
    parser.add_argument(
        "--all-scores", action="store_true", help="the score of every label, not of the best alone"
    )
    add_answers(parser)
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    source = open_source(arguments)
    classifier = TextClassifier.load(
        arguments.model, precision=arguments.precision, device=arguments.device
    )
    verdicts, every = Verdicts.of(classifier), arguments.all_scores
    if every and verdicts.problem == "regression":
        raise ValueError(f"{arguments.model} predicts numbers, which have no --all-scores")
    columns = [*verdicts.columns, *(score_column(label) for label in verdicts.labels if every)]
    with answers_to(arguments, source, columns) as answers:
        for text, scores in classifier.stream(source.texts):
            answers.write(text, verdicts.answer(text, scores, every))


COMMAND = Command(
    name="classify",
    about="label, score and text of each text, a line each",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert classify output/reviews "A joy from start to finish" "Far too long"',
        "minibert classify output/reviews < texts.txt",
        "minibert classify output/reviews --file texts.txt --all-scores --json",
        "minibert classify output/reviews --file texts.txt -o labels.csv --precision int8",
        "minibert classify output/reviews --data tickets.csv --text body -o answers.csv",
    ],
    more=(
        "The lines of standard input are answered as they come. In a file the columns of a table "
        "go along; a column that is there already is called predicted_label or predicted_score. "
        "Several labels of a text have ; between them. A model of numbers says a prediction."
    ),
)

"""`minibert classify`: the label of each text."""

from __future__ import annotations

import argparse

import numpy as np

from minibert.cli.answers import Answer, add_answers, answers_to, check_output, line_of
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.sources import add_source, open_source
from minibert.tasks.text_classifier import TextClassifier
from minibert.text.inputs import Text


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
    labels = [str(label) for label in classifier.classes_.tolist()]
    every = arguments.all_scores
    columns = ["label", "score", *(_column(label) for label in labels if every)]
    with answers_to(arguments, source, columns) as answers:
        for text, scores in classifier.stream(source.texts):
            answers.write(text, _answer(text, scores, labels, every))


def _column(label: str) -> str:
    return f"score:{label}"


def _answer(text: Text, scores: np.ndarray, labels: list[str], every: bool) -> Answer:
    """scores: (L,), those of the labels."""
    best = int(scores.argmax())
    rounded = [round(float(score), 6) for score in scores]
    found = {"label": labels[best], "score": rounded[best]}
    pairs = list(zip(labels, rounded, strict=True)) if every else []
    listed = [f"{label}={score:.4f}" for label, score in pairs]
    return Answer(
        lines=[line_of(labels[best], f"{scores[best]:.4f}", *listed, text=text)],
        data=found | ({"scores": dict(pairs)} if every else {}),
        rows=[found | {_column(label): score for label, score in pairs}],
    )


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
        "go along; a column that is there already is called predicted_label or predicted_score."
    ),
)

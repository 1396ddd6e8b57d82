"""`minibert explain`: which words make a classifier say what it says."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from minibert._checks import shown
from minibert.cli.answers import Answer, add_answers, answers_to, check_output
from minibert.cli.command import Command, add_device, add_model
from minibert.cli.sources import add_source, open_source
from minibert.inspect.attributions import (
    Attribution,
    occlusion_attribution,
    path_attribution,
)
from minibert.inspect.explained import Explained
from minibert.tasks.text_classifier import TextClassifier

METHODS: dict[str, Callable[[Explained], Attribution]] = {
    "integrated-gradients": path_attribution,
    "occlusion": occlusion_attribution,
}
_COLUMNS = ("explained", "word", "start", "end", "of_pair", "weight")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser)
    parser.add_argument("--label", help="the label to explain (default: the one predicted)")
    parser.add_argument(
        "--method",
        default="integrated-gradients",
        choices=METHODS,
        help="how (default: integrated-gradients)",
    )
    add_answers(parser)
    add_device(parser)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    source = open_source(arguments)
    classifier = TextClassifier.load(arguments.model, device=arguments.device)
    label = _label(classifier, arguments.label)
    explain = METHODS[arguments.method]
    with answers_to(arguments, source, _COLUMNS) as answers:
        for position, text in enumerate(source.texts):
            explained = Explained(classifier, text, label, position)
            answers.write(text, _answer(explain(explained)))


def _label(classifier: TextClassifier, name: str | None) -> Any:
    """The label of this name: those of a classifier may be numbers or truth values."""
    labels = getattr(classifier, "classes_", ())
    named = {str(label): label for label in labels}
    if name is None or not named:
        return name
    if name not in named:
        raise ValueError(
            f"--label is {shown(name)}, which this model does not have; its labels are "
            f"{shown(list(named))}"
        )
    return named[name]


def _answer(found: Attribution) -> Answer:
    words = [
        {
            "word": word,
            "start": start,
            "end": end,
            "of_pair": bool(part),
            "weight": round(float(weight), 6),
        }
        for word, (start, end), part, weight in zip(
            found.words, found.spans, found.parts, found.weights, strict=True
        )
    ]
    numbers = {
        "probability": found.probability,
        "value": found.value,
        "baseline": found.baseline,
        "error": found.error,
    }
    return Answer(
        lines=[*str(found).splitlines(), ""],
        data={
            "method": found.method,
            "explained": found.explained,
            "label": found.label,
            **{k: None if x is None else round(x, 6) for k, x in numbers.items()},
            "words": words,
            "unread": found.unread,
        },
        rows=[{"explained": found.explained, **word} for word in words],
    )


COMMAND = Command(
    name="explain",
    about="which words speak for what a classifier says of a text, and which against it",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert explain output/reviews "Not a single dull moment"',
        'minibert explain output/reviews "Dull and far too long" --label bad --method occlusion',
        "minibert explain output/reviews --file texts.txt -o words.csv",
    ],
    more=(
        "A line for each word: its weight, a bar of + where it speaks for the label and of - where "
        "it speaks against it, and the word. Weights are in log-odds (nats), those of a model that "
        "predicts numbers in its unit. Computed in fp32. A picture is a hypothesis: hide the word "
        "and see."
    ),
)

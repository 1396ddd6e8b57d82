"""`minibert zero-shot`: classes that are named when they are asked for."""

from __future__ import annotations

import argparse

from minibert.cli.answers import Answer, add_answers, answers_to, check_output, line_of
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.sources import add_source, open_source
from minibert.tasks.zero_shot import TEMPLATE, Ranking, ZeroShotClassifier
from minibert.text.inputs import Text


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser, pairs=False)
    add = parser.add_argument
    add("--labels", required=True, metavar="A,B,...", help="the classes, with commas between")
    add("--template", default=TEMPLATE, help=f"the hypothesis (default: {TEMPLATE!r})")
    add("--several", action="store_true", help="any number of them may be right")
    add_answers(parser)
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    labels = [label.strip() for label in arguments.labels.split(",")]
    source = open_source(arguments)
    task = ZeroShotClassifier.load(
        arguments.model, precision=arguments.precision, device=arguments.device
    )
    texts = source.texts
    with answers_to(arguments, source, ("label", "score")) as answers:
        for text, ranking in task.stream(
            texts,  # type: ignore[arg-type]
            labels,
            arguments.template,
            arguments.several,
        ):
            answers.write(text, _answer(text, ranking))


def _answer(text: Text, ranking: Ranking) -> Answer:
    """All labels, the best first: a line and a row each."""
    pairs = list(zip(ranking.labels, ranking.scores, strict=True))
    return Answer(
        lines=[line_of(label, f"{score:.4f}", text=text) for label, score in pairs],
        data={"scores": {label: round(score, 6) for label, score in pairs}},
        rows=[{"label": label, "score": round(score, 6)} for label, score in pairs],
    )


COMMAND = Command(
    name="zero-shot",
    about="how well labels that are only named fit a text, by a model of inference",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert zero-shot output/nli "The match ended in a draw" --labels sport,politics',
        "minibert zero-shot output/nli --data tickets.csv --text body --labels bill,bug "
        "--several -o topics.csv",
    ],
    more="Each label of a text is a line of its own, the best first.",
)

"""`minibert tag`: the entities of each text."""

from __future__ import annotations

import argparse

from minibert.cli.answers import Answer, add_answers, answers_to, check_output, line_of
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.sources import add_source, open_source
from minibert.tasks.entities import AGGREGATIONS, Entity
from minibert.tasks.token_classifier import TokenClassifier
from minibert.text.inputs import Text

_COLUMNS = ("label", "score", "entity", "start", "end")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser, pairs=False)
    parser.add_argument(
        "--aggregation",
        choices=AGGREGATIONS,
        help="how pieces become entities (default: as the model was saved, or first)",
    )
    add_answers(parser)
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    source = open_source(arguments)
    task = TokenClassifier.load(
        arguments.model,
        precision=arguments.precision,
        device=arguments.device,
        aggregation=arguments.aggregation,
    )
    with answers_to(arguments, source, _COLUMNS) as answers:
        for text, entities in task.stream(source.texts):  # type: ignore[arg-type]
            answers.write(text, _answer(text, entities))  # type: ignore[arg-type]


def _answer(text: Text, entities: list[Entity]) -> Answer:
    rows = [
        {
            "label": each.label,
            "score": round(each.score, 6),
            "entity": each.text,
            "start": each.start,
            "end": each.end,
        }
        for each in entities
    ]
    return Answer(
        lines=[line_of(each.label, f"{each.score:.4f}", each.text, text=text) for each in entities],
        data={"entities": rows},
        rows=rows,
    )


COMMAND = Command(
    name="tag",
    about="the entities of each text, a line each",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert tag output/entities "Marie Curie was born in Warsaw."',
        "minibert tag output/entities --data tickets.csv --text body -o entities.csv",
        "minibert tag output/entities --json --file texts.txt",
    ],
    more=(
        "Each entity is a line: label, score, entity, text. JSON and tables say where it stands, "
        "from character start to end."
    ),
)

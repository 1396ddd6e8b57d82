"""`minibert fill-mask`: the likeliest tokens for each [MASK] of a text."""

from __future__ import annotations

import argparse

from minibert.cli.answers import Answer, add_answers, answers_to, check_output, line_of
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.sources import add_source, open_source
from minibert.tasks.fill_mask import Fill, FillMask

_COLUMNS = ("mask", "token", "score", "sequence")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser, pairs=False)
    parser.add_argument(
        "--top-k", type=int, default=5, metavar="K", help="how many tokens a mask (default: 5)"
    )
    add_answers(parser)
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    source = open_source(arguments)
    task = FillMask.load(arguments.model, precision=arguments.precision, device=arguments.device)
    with answers_to(arguments, source, _COLUMNS) as answers:
        for text, masks in task.stream(source.texts, arguments.top_k):  # type: ignore[arg-type]
            answers.write(text, _answer(masks))


def _answer(masks: list[list[Fill]]) -> Answer:
    """masks: of each the tokens found, the likeliest first."""
    rows = [
        {
            "mask": number,
            "token": fill.token,
            "score": round(fill.score, 6),
            "sequence": fill.sequence,
        }
        for number, fills in enumerate(masks, 1)
        for fill in fills
    ]
    return Answer(
        lines=[
            line_of(fill.token, f"{fill.score:.4f}", text=fill.sequence)
            for fills in masks
            for fill in fills
        ],
        data={"fills": rows},
        rows=rows,
    )


COMMAND = Command(
    name="fill-mask",
    about="the likeliest tokens for each [MASK] of a text",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert fill-mask python-bert "The arguments [MASK] evaluated from left to right."',
        'minibert fill-mask bert-base-cased "The man worked as a [MASK]."',
        'minibert fill-mask bert-base-cased "A [MASK] of [MASK]." --top-k 2 --json',
    ],
    more=(
        "Each answer is a line: token, score, and the text with the token in the mask's place. "
        "RoBERTa's mask is written <mask>."
    ),
)

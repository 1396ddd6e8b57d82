"""`minibert tokenize`: the tokens of each text."""

from __future__ import annotations

import argparse
import json

from minibert.cli.command import Command, add_model
from minibert.cli.lines import write_line
from minibert.cli.sources import add_source, open_source
from minibert.text.inputs import check_text
from minibert.tokenizer import Tokenizer


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser, tables=False)
    add = parser.add_argument
    add("--ids", action="store_true", help="their ids")
    add("--special", action="store_true", help="with the tokens that frame a text, as [CLS]")
    add("--json", action="store_true", help="write JSON, an object a line, with tokens and ids")


def _run(arguments: argparse.Namespace) -> None:
    source = open_source(arguments)
    tokenizer = Tokenizer.from_pretrained(arguments.model)
    for position, given in enumerate(source.texts):
        text = check_text(given, f"text {position}")  # type: ignore[arg-type]
        tokens = tokenizer.encode(text).tokens if arguments.special else tokenizer.tokenize(text)
        ids = [tokenizer.ids[token] for token in tokens]
        if arguments.json:
            found = {"text": text, "tokens": tokens, "ids": ids}
            write_line(json.dumps(found, ensure_ascii=False))
        else:
            write_line(" ".join(map(str, ids if arguments.ids else tokens)))


COMMAND = Command(
    name="tokenize",
    about="the tokens of each text, a line each",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        "minibert tokenize minilm-l6 Unaffordable!",
        "minibert tokenize minilm-l6 --ids --special < texts.txt",
        "minibert tokenize minilm-l6 --json --file texts.txt",
    ],
)

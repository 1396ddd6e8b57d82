"""`minibert attention`: a page that shows what each token of a text attends to."""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

from minibert.cli.answers import add_output, check_output
from minibert.cli.command import Command, add_model
from minibert.cli.files import new_file
from minibert.cli.lines import write_line
from minibert.inspect.attention_maps import attentions
from minibert.inspect.page import MOST_TOKENS, attention_page
from minibert.model import BertModel
from minibert.tokenizer import Tokenizer


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add = parser.add_argument
    add("text", metavar="TEXT", help="the text")
    add("pair", metavar="PAIR", nargs="?", help="a second text, to be read together with it")
    add(
        "--layers",
        type=int,
        nargs="+",
        metavar="N",
        help="which ones to show, from 1: a smaller file (default: all)",
    )
    add_output(parser, "the page to write, .html: one file, which needs no other", required=True)


def _run(arguments: argparse.Namespace) -> None:
    check_output(arguments)
    if Path(arguments.output).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output is {arguments.output}; the page is written to a .html file")
    model = BertModel.from_pretrained(arguments.model)
    tokenizer = Tokenizer.from_pretrained(arguments.model)
    text = arguments.text if arguments.pair is None else (arguments.text, arguments.pair)
    longest = min(model.config.max_length, MOST_TOKENS)
    with warnings.catch_warnings():  # the page says that it is cut, and so does what is written
        warnings.filterwarnings("ignore", message=".* were cut to that")
        (attention,) = attentions(model, tokenizer, [text], max_length=longest)
    whole = tokenizer.encode(arguments.text, arguments.pair)
    page = attention_page(
        attention,
        layers=arguments.layers,
        name=_name(arguments.model),
        cut=len(whole.ids) - len(attention.tokens),
    )
    with new_file(arguments.output, arguments.overwrite) as file:
        file.write(page.html.encode("utf-8"))
    write_line(f"{arguments.output}: {page}; open it in a browser")


def _name(model: str) -> str:
    """What the page, which may be shown to others, calls it: of a folder no more than its name."""
    return Path(os.path.abspath(model)).name if os.path.isdir(model) else model


COMMAND = Command(
    name="attention",
    about="a page for a browser: what each token of a text attends to",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert attention minilm-l6 "The animal slept, for it was tired." -o page.html',
        'minibert attention minilm-l6 "Who slept?" "The animal did." -o pair.html',
        'minibert attention output/reviews "A joy from start to finish" -o joy.html --layers 1 3',
    ],
    more=(
        "The page is one file that works without a network: every layer and head, what a token "
        "attends to and who attends to it, with the mouse or the keyboard. Texts of more than 512 "
        "tokens, or more than the model takes, are cut."
    ),
)

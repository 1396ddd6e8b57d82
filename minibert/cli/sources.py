"""Where a command has its texts from: its arguments, a file, standard input, a table's column."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from minibert.cli.lines import file_lines, input_lines
from minibert.text.inputs import Text

Record = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Texts, and what each of them is called where answers are written in columns.

    columns: the names of a record's fields. rows: the rows of the table that the texts are from.
    """

    texts: Iterable[Text]
    columns: Sequence[str] = ("text",)
    rows: Iterator[Record] | None = field(default=None, repr=False)

    def record(self, text: Text) -> Record:
        """The fields of a text; to be asked for each in its order, once."""
        if self.rows is not None:
            return next(self.rows)
        return {"text": text}


def add_source(parser: argparse.ArgumentParser) -> None:
    """The ways to give texts. Without any of them they come from standard input."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts (default: standard input)")
    parser.add_argument("--file", metavar="FILE", help="a file of texts, one a line")


def open_source(arguments: argparse.Namespace) -> Source:
    """The texts that were asked for. Raises `ValueError` where they are given in two ways."""
    ways = {"texts": arguments.texts, "--file": arguments.file}
    given = [name for name, value in ways.items() if value]
    if len(given) > 1:
        raise ValueError(f"there are {' and '.join(given)}; give one of them")
    if arguments.texts:
        return Source(list(arguments.texts))
    if arguments.file is not None:
        return Source(file_lines(arguments.file))
    lines = input_lines()
    if sys.stdin.isatty() and sys.stderr is not None:
        print("minibert: type texts, one a line; Ctrl-D ends", file=sys.stderr)
    return Source(lines)

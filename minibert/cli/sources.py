"""Where a command has its texts from: its arguments, a file, standard input, a table's column."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minibert._programs import say
from minibert.cli.lines import file_lines, input_lines
from minibert.data import Table, choose
from minibert.data.table import SUFFIXES
from minibert.text.inputs import Text


@dataclass(frozen=True)
class Source:
    """Texts, and what else is known of each where answers are written in columns.

    columns: the names of these fields. rows: the fields of each text, where it is from a table; of
    other texts the field is the text itself.
    """

    texts: Iterable[Text]
    columns: Sequence[str] = ("text",)
    rows: Iterator[Sequence[Any]] | None = field(default=None, repr=False)

    def fields(self, text: Text) -> Sequence[Any]:
        """The fields of a text; to be asked for each in its order, once."""
        return (text,) if self.rows is None else next(self.rows)


def add_source(parser: argparse.ArgumentParser, tables: bool = True, pairs: bool = True) -> None:
    """The ways to give texts. Without any of them they come from standard input."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts (default: standard input)")
    parser.add_argument("--file", metavar="FILE", help="a file of texts, one a line")
    if tables:
        parser.add_argument(
            "--data", metavar="TABLE", help="a table: CSV, TSV, JSON lines, Parquet"
        )
        add_columns(parser, pairs)


def add_columns(parser: argparse.ArgumentParser, pairs: bool = True) -> None:
    """Which columns of a table the texts are in."""
    add = parser.add_argument
    add("--text", metavar="COLUMN", help="its column of texts (default: text or the like)")
    if pairs:
        add("--pair", metavar="COLUMN", help="its column of second texts, for pairs")
    add("--skip-empty", action="store_true", help="leave out rows that lack one of them")


def open_source(arguments: argparse.Namespace) -> Source:
    """The texts that were asked for. Raises `ValueError` where they are given in two ways."""
    given = vars(arguments)
    ways = [f"--{name}" if name != "texts" else "texts" for name in _WAYS if given.get(name)]
    if len(ways) > 1:
        raise ValueError(f"there are {' and '.join(ways)}; give one of them")
    stray = [f"--{n.replace('_', '-')}" for n in ("text", "pair", "skip_empty") if given.get(n)]
    if stray and not given.get("data"):
        raise ValueError(f"{stray[0]} is for a table; give one with --data")
    if arguments.texts:
        return Source(list(arguments.texts))
    if arguments.file is not None:
        if Path(arguments.file).suffix.lower() in SUFFIXES:
            instead = "it with --data, not with --file" if "data" in given else "a file of texts"
            raise ValueError(f"{arguments.file} is a table; give {instead}")
        return Source(file_lines(arguments.file))
    if given.get("data") is not None:
        return _of_table(arguments)
    lines = input_lines()
    if sys.stdin.isatty():
        say("minibert: type texts, one a line; Ctrl-D ends")
    return Source(lines)


_WAYS = ("texts", "file", "data")


def _of_table(arguments: argparse.Namespace) -> Source:
    chosen = choose(
        Table.read(arguments.data),
        text=arguments.text,
        pair=vars(arguments).get("pair"),
        labelled=False,
        skip_empty=arguments.skip_empty,
    )
    return Source(chosen.texts, chosen.table.columns, iter(chosen.table.rows))

"""Where a command's answers go, and how they are written: as lines, as JSON or as a table."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from minibert.checkpoint.places import in_words
from minibert.cli.files import check_new_file, new_file
from minibert.cli.lines import write_line
from minibert.cli.sources import Source
from minibert.text.inputs import Text

Form = Literal["lines", "json", "tsv", "csv"]

_FORMS: dict[str, Form] = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json"}
# Programs that open these would find something else in them.
_FOREIGN = (".xlsx", ".xls", ".ods", ".parquet")
# What would end a field, or the line, is written as TSV files have it.
_IN_A_FIELD = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})
_IN_A_LINE = str.maketrans({"\n": "\\n", "\r": "\\r"})


class Answer(NamedTuple):
    """What is said of one text, in each of the forms.

    lines: for people. data: for JSON. rows: for a table, each by the names of its columns; an
    answer of several parts has several.
    """

    lines: Sequence[str]
    data: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


def line_of(*fields: str, text: Text) -> str:
    """A line for people: the fields and, last, the text, with tabs between. Those of a text alone
    stay, for nothing follows it."""
    parts = (text,) if isinstance(text, str) else text
    before = [field.translate(_IN_A_FIELD) for field in (*fields, *parts[:-1])]
    return "\t".join([*before, parts[-1].translate(_IN_A_LINE)])


def add_answers(parser: argparse.ArgumentParser) -> None:
    """The ways to have answers written."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON, an object a line")
    form.add_argument("--tsv", action="store_true", help="write a table with a header and tabs")
    add_output(
        parser, "write to this file: .csv, .tsv and .jsonl say how; of a table all columns go along"
    )


def add_output(parser: argparse.ArgumentParser, about: str, required: bool = False) -> None:
    """The file to write."""
    parser.add_argument("-o", "--output", metavar="FILE", required=required, help=about)
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")


def check_output(arguments: argparse.Namespace) -> None:
    """Say what is wrong with the output before the work begins."""
    if arguments.output is not None:
        if Path(arguments.output).suffix.lower() in _FOREIGN:
            raise ValueError(
                f"{arguments.output}: answers are written as {', '.join(_FORMS)}, or as lines; "
                "spreadsheets open .csv"
            )
        check_new_file(arguments.output, arguments.overwrite)
    elif arguments.overwrite:
        raise ValueError("--overwrite is for a file; name it with --output")


def answers_to(
    arguments: argparse.Namespace, source: Source, columns: Sequence[str]
) -> AbstractContextManager[Answers]:
    """What takes the answers to texts of this source; columns: those of their rows."""
    form = _form(arguments)
    return write_answers(form, arguments.output, arguments.overwrite, source, columns)


@contextmanager
def write_answers(
    form: Form, output: str | None, overwrite: bool, source: Source, columns: Sequence[str]
) -> Iterator[Answers]:
    """The same where nobody was asked; output: None for standard output."""
    if output is None:
        answers = Answers(form, source, columns, write_line)
        yield answers
        answers.end()
        return
    path = Path(output)
    with new_file(path, overwrite) as file:

        def write(line: str) -> None:
            with in_words(path):
                file.write(f"{line}\n".encode())

        answers = Answers(form, source, columns, write)
        yield answers
        answers.end()


def _form(arguments: argparse.Namespace) -> Form:
    if arguments.json:
        return "json"
    if arguments.tsv:
        return "tsv"
    return _FORMS.get(Path(arguments.output or "").suffix.lower(), "lines")


@dataclass
class Answers:
    """Writes answers in one form, with the fields of their texts.

    A column that the table already has is called `predicted_<name>`.
    """

    form: Form
    source: Source
    columns: Sequence[str]
    write_line: Callable[[str], Any]

    def __post_init__(self) -> None:
        there = set(self.source.columns)
        self._names = {
            name: f"predicted_{name}" if name in there else name for name in self.columns
        }
        self._begun = False

    def write(self, text: Text, answer: Answer) -> None:
        """Write one answer; they come in the order of the texts."""
        fields = self.source.fields(text)
        if self.form == "lines":
            for line in answer.lines:
                self.write_line(line)
        elif self.form == "json":
            named = {self._names.get(name, name): value for name, value in answer.data.items()}
            record = {**dict(zip(self.source.columns, fields, strict=True)), **named}
            self.write_line(json.dumps(record, ensure_ascii=False, default=str))
        else:
            self._write_header()
            for row in answer.rows:
                self._write_cells([*fields, *(row.get(name, "") for name in self.columns)])

    def end(self) -> None:
        """There are no more; a table without any has a header."""
        if self.form in ("tsv", "csv"):
            self._write_header()

    def _write_header(self) -> None:
        if not self._begun:
            self._begun = True
            self._write_cells([*self.source.columns, *self._names.values()])

    def _write_cells(self, cells: Sequence[Any]) -> None:
        line = io.StringIO()
        mark = "," if self.form == "csv" else "\t"
        csv.writer(line, delimiter=mark).writerow(cells)
        self.write_line(line.getvalue().removesuffix("\r\n"))

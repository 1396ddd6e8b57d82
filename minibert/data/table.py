"""A table in memory, whatever it was read from: names of columns, rows, and where each row stood.

Cells are as the source has them: strings in CSV and TSV, the values of JSON, None where a row of
JSON or Parquet has none. Which column holds the texts is another idea, see `columns.py`; which rows
have one, `choosing.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minibert._checks import enumerated, shown
from minibert.checkpoint.places import path_of
from minibert.checkpoint.schema import in_file
from minibert.data.decoding import decoded
from minibert.data.delimited import SEPARATORS, column_name, delimited_rows
from minibert.data.folders import SOURCES, text_files
from minibert.data.frames import frame_columns, parquet_columns
from minibert.data.json_rows import json_rows

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
PARQUET_SUFFIX = ".parquet"
SUFFIXES = (*SEPARATORS, *JSON_SUFFIXES, PARQUET_SUFFIX)

_NAMED, _LISTED = 5, 9  # rows and columns that an error names


@dataclass(frozen=True)
class Table:
    """name: what errors call it, the path of a file. columns: their names. rows: the cells of each;
    in a CSV a row may have more or fewer of them than there are columns. numbers: of each row its
    line, its place from 0 in what has no lines, or its file; unit says which. header: the row that
    `columns` was read from, and its line, where that is a row of the file."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    numbers: Sequence[int | str]
    unit: str = "line"
    header: tuple[int, Sequence[str]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def read(cls, path: str | Path) -> Table:
        """Read a .csv, .tsv, .json, .jsonl, .ndjson or .parquet file, or a folder of .txt files.

        Raises `OSError` where there is no such file or it cannot be read, `ValueError` naming the
        file, the line and the next step, and `ImportError` for Parquet without pyarrow.
        """
        path = path_of(path, "table")
        if os.path.isdir(path):
            return cls(str(path), *text_files(path), "file")
        data, suffix = _bytes(path), path.suffix.lower()
        with in_file(path):
            if suffix == PARQUET_SUFFIX:
                return cls._counted(str(path), *parquet_columns(data))
            text = decoded(data)
            if suffix in JSON_SUFFIXES:
                return cls(str(path), *json_rows(text))
            (first, *numbers), (header, *rows) = delimited_rows(text, suffix)
            names = tuple(map(column_name, header))
            return cls(str(path), names, rows, numbers, header=(first, header))

    @classmethod
    def of(cls, frame: Any) -> Table:
        """The table in a DataFrame of pandas or polars, a `datasets.Dataset` or a table of pyarrow.

        Raises `ValueError` for what cannot be read as a whole.
        """
        name = f"the {type(frame).__name__}"
        with in_file(name):
            return cls._counted(name, *frame_columns(frame))

    @classmethod
    def _counted(cls, name: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
        return cls(name, columns, rows, range(len(rows)), "row")

    def without_header(self) -> Table:
        """The same file where its first row is one like the others: `column 1` and so on."""
        if self.header is None:
            raise ValueError(f"{self.name}: it has names for its columns; give these")
        line, first = self.header
        columns = tuple(f"column {n}" for n in range(1, len(first) + 1))
        rows, numbers = [first, *self.rows], [line, *self.numbers]
        return replace(self, columns=columns, rows=rows, numbers=numbers, header=None)

    def take(self, places: Sequence[int]) -> Table:
        """The table of some rows, by their places from 0."""
        rows, numbers = [self.rows[i] for i in places], [self.numbers[i] for i in places]
        return replace(self, rows=rows, numbers=numbers)

    def column(self, name: str) -> list[Any]:
        """The cells under a name, as `position` finds it; None where a row is too short."""
        at = self.position(name)
        return [row[at] if at < len(row) else None for row in self.rows]

    def position(self, name: str) -> int:
        """Where a column is: the one of exactly this name, or of this name but for its case.

        Raises `ValueError` with the names of the columns where none is called so, or several are.
        """
        for names, wanted in (
            (list(self.columns), name),
            ([column.lower() for column in self.columns], name.strip().lower()),
        ):
            if names.count(wanted) == 1:
                return names.index(wanted)
            if wanted in names:
                raise ValueError(
                    f"{self.name}: it has two columns called {shown(name)}; rename all but one"
                )
        raise ValueError(
            f"{self.name}: there is no column {shown(name)}; it has the columns {self.listed()}"
        )

    def listed(self) -> str:
        """The first names of the columns, for an error."""
        return enumerated([shown(name) for name in self.columns], _LISTED)

    def where(self, places: Sequence[int]) -> str:
        """How an error calls some rows: `line 3`, or `rows 0, 5 and 7`."""
        some = [str(self.numbers[i]) for i in places[:_NAMED]]
        if len(places) > _NAMED:
            some.append(f"{len(places) - _NAMED} more")
        names = " and ".join(part for part in (", ".join(some[:-1]), some[-1]) if part)
        from_zero = " (from 0)" if self.unit == "row" else ""
        return f"{self.unit}{'s' if len(places) > 1 else ''} {names}{from_zero}"


def _bytes(path: Path) -> bytes:
    if not os.path.isfile(path):
        name = str(path) if len(str(path)) < 300 else shown(str(path))
        raise FileNotFoundError(f"there is no file or folder {name}; {SOURCES}")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path} is none of {', '.join(SUFFIXES)}; rename, unpack or convert it, with pandas "
            "for example: table.to_csv('mine.csv', index=False)"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {error.strerror or error}") from error

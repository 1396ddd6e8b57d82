"""Reading a table of texts and labels, as people's programs write them.

What a file leaves open is taken from it where it is certain, and refused with the next step where
it is not. The encoding is UTF-8, or UTF-16 with the mark that says so. The separator is the one
that finds the names of the columns in the first line. Whether quotation marks belong to the text is
clear in a .csv; for the others see `_is_quoted`.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minibert._checks import shown
from minibert.checkpoint.places import path_of
from minibert.checkpoint.schema import in_file

TEXT_COLUMNS = ("text", "sentence", "review", "content")
LABEL_COLUMNS = ("label", "sentiment", "class", "category")
SEPARATORS = {".tsv": "\t,;", ".csv": ",;\t"}  # by the file's suffix, the usual one first

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels, one for each."""

    texts: Sequence[str]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


def read_table(path: str | Path) -> LabelledTexts:
    """Read a .tsv or .csv whose first line names a column of texts and one of labels.

    Both may be separated by tabs, commas or semicolons. In a .tsv that no program has quoted a
    quotation mark is an ordinary character, as in GLUE. Space around a text or label is taken off.

    Raises `FileNotFoundError`, and `ValueError` naming the file, the line and the next step.
    """
    path = path_of(path, "table")
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"there is no file or folder {path}; data can be 'sample', a folder with train.tsv and "
            "dev.tsv, or a .tsv or .csv file"
        )
    suffix = path.suffix.lower()
    if suffix not in SEPARATORS:
        raise ValueError(
            f"{path} is neither a .tsv nor a .csv file; rename or convert it, with pandas for "
            "example: table.to_csv('mine.csv', index=False)"
        )
    with in_file(path):
        rows = _rows(_decoded(path.read_bytes()), suffix)
        if len(rows) < 2:
            raise ValueError("it has no rows; it needs a header and a row for each text")
        return _labelled(rows)


# --- bytes -> rows --------------------------------------------------------------------------------


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        text = data.decode(encoding, errors="replace")
        if "\0" not in text:  # no text at all, then, in whatever encoding
            line = data.count(b"\n", 0, error.start) + 1
            raise ValueError(
                f"line {line} is not {encoding.upper()} (byte {error.start}, "
                f"0x{data[error.start]:02x}). Save it as UTF-8; a table from an old Windows "
                "program is converted by  iconv -f cp1252 -t utf-8 old.csv > new.csv"
            ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(
            f"line {line} has a NUL character, so it is not text; save it as UTF-8. A workbook "
            "must be saved as CSV and an archive unpacked; it is not enough to rename them"
        )
    return text


def _rows(text: str, suffix: str) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its last line."""
    header = text.lstrip("\r\n").partition("\n")[0]
    separator = next(
        (mark for mark in SEPARATORS[suffix] if _names_columns(header.split(mark))),
        SEPARATORS[suffix][0],
    )
    quoted = suffix == ".csv" or _is_quoted(text, separator)
    rows: list[tuple[int, list[str]]] = []
    limit = csv.field_size_limit(2**31 - 1)  # it guards against unclosed quotes; texts may be long
    try:
        table = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=separator,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            strict=True,
        )
        before = 0  # lines of the rows so far
        try:
            for row in table:
                before = table.line_num
                if row:
                    rows.append((before, row))
        except csv.Error as error:
            what = f"{error}"
            if "unexpected end" in what:
                what = "a quotation mark in this row is never closed"
            elif "expected after" in what:
                what = "a quotation mark inside a quoted text must be doubled"
            raise ValueError(f"the row that begins on line {before + 1}: {what}") from error
    finally:
        csv.field_size_limit(limit)
    return rows


def _names_columns(header: Sequence[str]) -> bool:
    names = {_name(cell) for cell in header}
    return not names.isdisjoint(TEXT_COLUMNS) and not names.isdisjoint(LABEL_COLUMNS)


def _is_quoted(text: str, separator: str) -> bool:
    """Whether a program has put quotation marks around fields, doubling those inside.

    It has if the names of the columns are in quotes, or if a program would write the very same
    file: then every quotation mark is where it must be. pandas and LibreOffice quote what could not
    be read otherwise; Excel quotes what has a comma, too, even between tabs. In a file that was
    never quoted, as GLUE's, some sentence would have been written in another way.
    """
    if '"' not in text:
        return False
    header = text.lstrip("\r\n").partition("\n")[0].strip()
    if header.startswith('"') and header.endswith('"'):
        return True
    limit = csv.field_size_limit(2**31 - 1)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return False
    finally:
        csv.field_size_limit(limit)
    lines = text.splitlines()
    return any(_written(rows, separator, also).splitlines() == lines for also in ("", ","))


def _written(rows: Sequence[Sequence[str]], separator: str, also: str) -> str:
    """A table as a program writes it that quotes only what needs it, and what has one of `also`."""
    quoted = re.compile(f'["\\r\\n{separator}{also}]')
    return "\n".join(
        separator.join(
            '"' + cell.replace('"', '""') + '"' if quoted.search(cell) else cell for cell in row
        )
        for row in rows
    )


# --- rows -> texts and labels ---------------------------------------------------------------------


def _labelled(rows: list[tuple[int, list[str]]]) -> LabelledTexts:
    """The two columns; the first row has the names of all."""
    header = [_name(cell) for cell in rows[0][1]]
    text_column = _column(header, TEXT_COLUMNS, "text")
    label_column = _column(header, LABEL_COLUMNS, "label")
    texts, labels = [], []
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(f"line {line}: {len(row)} columns where the header has {len(header)}")
        text, label = row[text_column].strip(), row[label_column].strip()
        if not text or not label:
            raise ValueError(f"line {line}: the {'label' if text else 'text'} is empty")
        if (_name(text), _name(label)) == (header[text_column], header[label_column]):
            raise ValueError(f"line {line} has the names of the columns again; take it out")
        texts.append(text)
        labels.append(label)
    return LabelledTexts(texts, labels)


def _name(cell: str) -> str:
    return cell.strip("\ufeff").strip().strip('"').strip().lower()  # joined files have more marks


def _column(header: list[str], names: tuple[str, ...], role: str) -> int:
    """Where the column of a role is. Raises `ValueError` if there is none, or two of its name."""
    for name in names:
        if header.count(name) == 1:
            return header.index(name)
        if name in header:
            raise ValueError(f"it has two columns called {name}; rename all but one")
    raise ValueError(
        f"its first line has the columns {', '.join(map(shown, header[:9]))} and none for the "
        f"{role}; call it one of {', '.join(names)}"
    )

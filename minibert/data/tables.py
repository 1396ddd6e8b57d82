"""Reading a table of texts and labels, as people's programs write them.

What a file leaves open is taken from it where it is certain, and refused with the next step where
it is not. The encoding is UTF-8, or UTF-16 with the mark that says so. The separator is the one
that finds the names of the columns in the first line. Between commas or semicolons a text may be in
quotation marks; between tabs these may as well belong to it, see `_is_quoted`.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
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
# How files begin that are renamed, not converted.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel or zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "packed by gzip",
    b"PAR1": "a Parquet file",
}
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels, one for each."""

    texts: Sequence[str]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


def read_table(path: str | Path) -> LabelledTexts:
    """Read a .tsv or .csv whose first line names a column of texts and one of labels.

    Both may be separated by tabs, commas or semicolons. In a table with tabs that no program has
    quoted a quotation mark is an ordinary character, as in GLUE. Space around a text or label is
    taken off.

    Raises `OSError` where there is no such file or it cannot be read, and `ValueError` naming the
    file, the line and the next step.
    """
    path = path_of(path, "table")
    data = _bytes(path)
    with in_file(path):
        rows = _rows(_decoded(data), path.suffix.lower())
        if len(rows) < 2:
            raise ValueError("it has no rows; it needs a header and a row for each text")
        return _labelled(rows)


# --- file -> text ---------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    if not os.path.isfile(path):
        name = str(path) if len(str(path)) < 300 else shown(str(path))
        what = (
            f"{name} is no file" if os.path.exists(path) else f"there is no file or folder {name}"
        )
        raise FileNotFoundError(
            f"{what}; data can be 'sample', a folder with train.tsv and dev.tsv, or a .tsv or .csv "
            "file"
        )
    if path.suffix.lower() not in SEPARATORS:
        raise ValueError(
            f"{path} is neither a .tsv nor a .csv file; rename, unpack or convert it, with pandas "
            "for example: table.to_csv('mine.csv', index=False)"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {error.strerror or error}") from error


def _decoded(data: bytes) -> str:
    for start, kind in _NO_TEXT.items():
        if data.startswith(start):
            raise ValueError(f"it is {kind}, whatever its name; save it as CSV in UTF-8")
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        text = data.decode(encoding, errors="replace")
        if "\0" not in text:
            raise ValueError(_not_decoded(error, encoding)) from error
    if "\0" in text:  # no text at all, then, in whatever encoding
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(
            f"line {line} has a NUL character, so it is not text in UTF-8; if it is UTF-16 without "
            "the mark that says so, convert it:  iconv -f utf-16le -t utf-8 old.csv > new.csv"
        )
    return text


def _not_decoded(error: UnicodeDecodeError, encoding: str) -> str:
    before = error.object[: error.start]  # of what was decoded, which may lack the mark
    line = before.decode(encoding, "ignore").count("\n") + 1
    if encoding.startswith("utf-8"):
        return (
            f"line {line} is not UTF-8 (byte {error.start}, 0x{error.object[error.start]:02x}). "
            "Save it as UTF-8; a table from an old Windows program is converted by  iconv -f "
            "cp1252 -t utf-8 old.csv > new.csv"
        )
    return (
        f"line {line} is not {encoding.upper()}: the file is damaged or cut short; save it again, "
        "as UTF-8"
    )


# --- text -> rows ---------------------------------------------------------------------------------


def _rows(text: str, suffix: str) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its last line."""
    header = _LINE_END.split(text.lstrip("\r\n"), maxsplit=1)[0]
    separator = next(
        (mark for mark in SEPARATORS[suffix] if _names_columns(header.split(mark))),
        SEPARATORS[suffix][0],
    )
    quoted = separator != "\t" or _is_quoted(text, header)
    limit = csv.field_size_limit(2**31 - 1)  # it guards against unclosed quotes; texts may be long
    try:
        return [(line, row) for line, row in _cells(text, separator, quoted) if row]
    finally:
        csv.field_size_limit(limit)


def _cells(text: str, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of its last line."""
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
            yield before, row
    except csv.Error as error:
        what = f"{error}"
        if "unexpected end" in what:
            what = "a quotation mark in this row is never closed"
        elif "expected after" in what:
            what = "a quotation mark inside a quoted text must be doubled"
        raise ValueError(f"the row that begins on line {before + 1}: {what}") from error


def _names_columns(header: Sequence[str]) -> bool:
    names = {_name(cell) for cell in header}
    return not names.isdisjoint(TEXT_COLUMNS) and not names.isdisjoint(LABEL_COLUMNS)


def _is_quoted(text: str, header: str) -> bool:
    """Whether a program put the quotation marks of a table with tabs around its fields, doubling
    those inside, as pandas and Excel do; in GLUE's tables they belong to the texts.

    It did if every one of them stands where it must, at the edge of a field or doubled, and one of
    these shows that this is no chance: a name of a column is quoted; a mark is doubled; if a mark
    is only a character the lines have other numbers of columns; or what has a comma is quoted and
    nothing else is, which Excel does.
    """
    parts = text.split('"')
    outside, inside = parts[::2], parts[1::2]
    if not inside or len(inside) == len(outside):  # none, or one that is never closed
        return False
    first, *between, last = outside
    edges = "\t\r\n"
    if not (first[-1:] in edges and last[:1] in edges):  # or empty
        return False
    if not all(part[:1] in edges and part[-1:] in edges for part in between):
        return False
    columns = header.count("\t")
    return (
        '"' in header
        or "" in between
        or any(line and line.count("\t") != columns for line in _LINE_END.split(text))
        or all("," in part and not re.search(r"[\t\r\n]", part) for part in inside)
        and not any("," in part for part in outside)
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

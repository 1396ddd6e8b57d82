"""CSV and TSV as people's programs write them.

What a file leaves open is taken from it where it is certain, and refused with the next step where
it is not. The separator is the one that finds the names of usual columns in the first line, or cuts
all lines alike. Between commas or semicolons a text may be in quotation marks; between tabs these
may as well belong to it, see `_is_quoted`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice

TEXT_COLUMNS = ("text", "sentence", "review", "content")
LABEL_COLUMNS = ("label", "sentiment", "class", "category")
SEPARATORS = {".tsv": "\t,;", ".csv": ",;\t"}  # by the file's suffix, the usual one first

_LINE_END = re.compile(r"\r\n|\r|\n")
# Excel's own first line, which it hides; `sep=;` in a file from elsewhere is one, too.
_EXCEL_SEPARATOR = re.compile(r'\ufeff*"?sep=([,;\t])"?(?=\r|\n)', re.IGNORECASE)
_LOOK = 20  # rows that are looked at to find the separator,
_LOOK_CHARACTERS = 1 << 16  # in so much text


def delimited_rows(text: str, suffix: str) -> tuple[list[int], list[list[str]]]:
    """The numbers of the lines that the rows begin on, and the rows; the header is the first.

    Raises `ValueError` where there is no row, and for quotation marks that do not fit, naming the
    line.
    """
    limit = csv.field_size_limit(2**31 - 1)  # it guards against unclosed quotes; texts may be long
    try:
        if given := _EXCEL_SEPARATOR.match(text):
            text = text[given.end() :]  # its line stays, empty
        header = _LINE_END.split(text.lstrip("\r\n"), maxsplit=1)[0]
        separator = given[1] if given else _separator(text, header, suffix)
        quoted = separator != "\t" or _is_quoted(text, header)
        found = [(line, row) for line, row in _cells(text, separator, quoted) if row]
    finally:
        csv.field_size_limit(limit)
    if not found:
        raise ValueError("it has no rows; it needs a header and a row for each text")
    return [line for line, _ in found], [row for _, row in found]


def column_name(cell: str) -> str:
    """A cell of the header without what is no part of the name."""
    return cell.strip("\ufeff").strip().strip('"').strip()  # joined files have more marks


def _cells(text: str, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of its first line."""
    table = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    before = 0  # lines of the rows so far
    try:
        for row in table:
            yield before + 1, row
            before = table.line_num
    except csv.Error as error:
        what = f"{error}"
        if "unexpected end" in what:
            what = "a quotation mark in this row is never closed"
        elif "expected after" in what:
            what = "a quotation mark inside a quoted text must be doubled"
        raise ValueError(f"the row that begins on line {before + 1}: {what}") from error


def _separator(text: str, header: str, suffix: str) -> str:
    """The first one that names usual columns; else tabs in a .tsv that has them; else the one that
    cuts the first rows into as many columns each, or the first row into most."""
    marks = SEPARATORS[suffix]
    for mark in marks:
        if _names_columns(header.split(mark)):
            return mark
    if suffix == ".tsv" and "\t" in header:
        return "\t"
    looked_at = text[:_LOOK_CHARACTERS]

    def fit(mark: str) -> tuple[bool, int]:
        rows = list(islice(csv.reader(io.StringIO(looked_at, newline=""), delimiter=mark), _LOOK))
        if len(looked_at) < len(text) and len(rows) in range(2, _LOOK):
            rows.pop()  # it may be cut off
        columns = [len(row) for row in rows if row] or [0]
        return columns[0] > 1 and len(set(columns)) == 1, columns[0]

    return max(marks, key=fit)  # of equals the usual one


def _names_columns(header: Sequence[str]) -> bool:
    names = {column_name(cell).lower() for cell in header}
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

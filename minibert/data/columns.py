"""Which columns of a table are the texts and the labels, and which of its rows have both.

A missing value is an empty cell, or one of spaces, as pandas writes it; None, NaN and NA where the
source has such values. "NA" and "None" are texts like others, and labels, too. But a label `nan`,
`NaN` or `<NA>` is what `astype(str)` made of a missing one, and no class: it counts as missing. An
empty list of labels is none of them, and not missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minibert._checks import shown, warn
from minibert.checkpoint.arguments import switch
from minibert.checkpoint.schema import in_file
from minibert.data.delimited import LABEL_COLUMNS, TEXT_COLUMNS, column_name
from minibert.data.table import Table
from minibert.text.inputs import Text, check_text

_USUAL = {"text": TEXT_COLUMNS, "label": LABEL_COLUMNS}
_WRITTEN_NAN = ("nan", "NaN", "<NA>")


class Chosen(NamedTuple):
    """table: the rows that have all that was asked for. texts: of each its text, or (text, pair).
    labels: strings, or lists of them; empty where none were asked for."""

    table: Table
    texts: list[Text]
    labels: list[Any]


def choose(
    table: Table,
    *,
    text: str | int | None = None,
    pair: str | int | None = None,
    label: str | int | None = None,
    labelled: bool = True,
    skip_empty: bool = False,
) -> Chosen:
    """The texts of a table, their pairs where `pair` names a column, and, if labelled, the labels.

    A column left out is found by the usual names. Numbers from 1 name the columns of a file without
    a header. skip_empty=True leaves out the rows that lack one of them, with a warning.

    Raises `ValueError` for a column that is not there, naming those that are; for rows that lack
    something; and for values that are no text or no label.
    """
    skip_empty = switch("skip_empty", skip_empty)
    asked = {"text": text, "pair": pair, "label": label if labelled else None}
    _check_names(asked)
    numbered = _are_numbers(table, asked)
    if numbered:
        table = table.without_header()
    with in_file(table.name):
        if not len(table):
            raise ValueError("it has no rows; it needs a header and a row for each text")
        places = _places(table, asked, ("text", "label") if labelled else ("text",))
        _check_first_row(table, places) if numbered else _check_no_header_again(table, places)
        table = _complete(table, places, skip_empty)
        firsts = _strings(table, places["text"], "text")
        texts: list[Text] = list(firsts)
        if "pair" in places:
            texts = list(zip(firsts, _strings(table, places["pair"], "pair"), strict=True))
        labels = []
        if labelled:
            at = places["label"]
            labels = [_label(row[at], table, i) for i, row in enumerate(table.rows)]
        return Chosen(table, texts, labels)


# --- names -> columns -----------------------------------------------------------------------------


def _check_names(asked: Mapping[str, Any]) -> None:
    for role, name in asked.items():
        if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
            raise ValueError(
                f"{role} is {shown(name)}; give the name of a column, or its number from 1 in a "
                "file without a header"
            )


def _are_numbers(table: Table, asked: Mapping[str, str | int | None]) -> bool:
    """Whether the columns of a file without a header are asked for. It has one where pandas wrote
    its own names for columns without any, 0, 1 and so on."""
    names = [str(name) for name in asked.values() if name is not None]
    given = [name for name in table.columns if name]  # the index has none
    return (
        table.header is not None
        and bool(names)
        and all(name.isdecimal() for name in names)
        and given != list(map(str, range(len(given))))
    )


def _places(
    table: Table, asked: Mapping[str, str | int | None], needed: Sequence[str]
) -> dict[str, int]:
    """Where the column of each role is: those that have a name first, as it may be a usual one."""
    places = {role: _position(table, name) for role, name in asked.items() if name is not None}
    if len(set(places.values())) < len(places):
        names = ", ".join(f"{role}={shown(asked[role])}" for role in places)
        raise ValueError(f"{names} name one column twice; it has the columns {table.listed()}")
    for role in needed:
        if role not in places:
            places[role] = _usual(table, role, set(places.values()))
    return places


def _position(table: Table, name: str | int) -> int:
    number = str(name)
    if table.header is None and number.isdecimal() and f"column {int(number)}" in table.columns:
        number = f"column {int(number)}"
    return table.position(number)


def _usual(table: Table, role: str, taken: set[int]) -> int:
    """The column with the first of the usual names."""
    names = ["" if i in taken else name.lower() for i, name in enumerate(table.columns)]
    for name in _USUAL[role]:
        if names.count(name) == 1:
            return names.index(name)
        if name in names:
            raise ValueError(f"it has two columns called {name}; rename all but one")
    number = "; in a file without a header, its number from 1" if table.header else ""
    raise ValueError(
        f"it has the columns {table.listed()} and none for the {role}; call it one of "
        f"{', '.join(_USUAL[role])}, or give its name ({role}=..., --{role}){number}"
    )


def _check_first_row(table: Table, places: Mapping[str, int]) -> None:
    """Raise `ValueError` if the first row of a file without a header is one, by its usual names;
    warn if it may be one, since nothing else has its label."""
    first = table.rows[0]
    for role, at in places.items():
        if at < len(first) and column_name(first[at]).lower() in _USUAL.get(role, ()):
            raise ValueError(
                f"its first row has the names of its columns; give {role}={shown(first[at])}"
            )
    at = places.get("label", len(first))
    if at < len(first) and not _is_number(first[at]):
        if sum(first[at] in row[at : at + 1] for row in table.rows) == 1 < len(table):
            warn(
                f"{table.name}: no row but the first has the label {shown(first[at])}; if that "
                "row has the names of the columns, give names, not numbers"
            )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_no_header_again(table: Table, places: Mapping[str, int]) -> None:
    """Raise `ValueError` for a second header, as joined files have."""
    if table.header is None:
        return
    names = [name.lower() for name in table.columns]
    at = places["text"]
    for i, row in enumerate(table.rows):
        if len(row) == len(names) > 1 and column_name(row[at]).lower() == names[at]:
            if [column_name(cell).lower() for cell in row] == names:
                raise ValueError(
                    f"{table.where([i])} has the names of the columns again; take it out"
                )


# --- rows -> texts and labels ---------------------------------------------------------------------


def _complete(table: Table, places: Mapping[str, int], skip_empty: bool) -> Table:
    """The table without the rows that lack something. Raises `ValueError` if there are any, unless
    they are to be left out."""
    width = len(table.columns)
    short = []
    gaps: dict[str, list[int]] = {role: [] for role in places}
    for i, row in enumerate(table.rows):
        if len(row) > width:
            raise ValueError(_width(table, i))
        if len(row) < width:
            short.append(i)
            continue
        for role, at in places.items():
            if _is_missing(row[at], role):
                gaps[role].append(i)
    lacking = set(short).union(*gaps.values())
    if not lacking:
        return table
    what = [f"{table.where(rows)}: the {role} is empty" for role, rows in gaps.items() if rows]
    if short:
        more = f" and {len(short) - 1} more rows are short" if len(short) > 1 else ""
        what.insert(0, _width(table, short[0]) + more)
    told = f"{'; '.join(what)}; {len(lacking)} of {len(table)} rows"
    if not skip_empty:
        raise ValueError(
            f"{told}: complete them, or leave them out (skip_empty=True, --skip-empty)"
        )
    if len(lacking) == len(table):
        raise ValueError(f"no row has {' and '.join(places)}: {'; '.join(what)}")
    warn(f"{table.name}: {told} are left out")
    return table.take([i for i in range(len(table)) if i not in lacking])


def _width(table: Table, row: int) -> str:
    return (
        f"{table.where([row])}: {len(table.rows[row])} columns where the header has "
        f"{len(table.columns)}"
    )


def _is_missing(value: Any, role: str) -> bool:
    if isinstance(value, str):
        value = value.strip()
        return not value or (role == "label" and value in _WRITTEN_NAN)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return True
    return isinstance(value, float) and math.isnan(value)


def _strings(table: Table, at: int, role: str) -> list[str]:
    strings = []
    for i, row in enumerate(table.rows):
        value = row[at]
        if not (isinstance(value, str) and value.isascii()):
            value = check_text(value, f"{table.where([i])}: the {role}")
        strings.append(value.strip())
    return strings


def _label(value: Any, table: Table, row: int) -> Any:
    """A label as a string, as pandas writes it into a CSV; of several labels a list."""
    if hasattr(value, "tolist"):  # of numpy and torch
        value = value.tolist()
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if isinstance(value, list | tuple):
        labels = [_label(item, table, row) for item in value]
        if all(isinstance(item, str) and item for item in labels):
            return labels
    raise ValueError(
        f"{table.where([row])}: the label is {shown(value)}, a {type(value).__name__}; it must be "
        "a string, a number, true or false, or a list of those"
    )

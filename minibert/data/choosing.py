"""The texts and the labels of a table, from the rows that have both.

A missing value is an empty cell, or one of spaces, as pandas writes it; None, NaN and NA where the
source has such values. "NA" and "None" are texts like others, and labels, too. But a label `nan`,
`NaN` or `<NA>` is what `astype(str)` made of a missing one, and no class: it counts as missing. An
empty list of labels is none of them, and not missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from minibert._checks import shown, warn
from minibert.checkpoint.arguments import switch
from minibert.checkpoint.schema import in_file
from minibert.data.columns import find_columns
from minibert.data.table import Table
from minibert.text.inputs import Text, check_text

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
    several: bool = False,
    skip_empty: bool = False,
) -> Chosen:
    """The texts of a table, their pairs where `pair` names a column, and, if labelled, the labels.

    A column left out is found by the usual names. Numbers from 1 name the columns of a file without
    a header. several=True takes a missing label for a text that has none of several labels, an
    empty list. skip_empty=True leaves out the rows that lack one of them, with a warning.

    Raises `ValueError` for a column that is not there, naming those that are; for rows that lack
    something; and for values that are no text or no label.
    """
    skip_empty = switch("skip_empty", skip_empty)
    asked = {"text": text, "pair": pair, "label": label if labelled else None}
    table, places = find_columns(table, asked, ("text", "label") if labelled else ("text",))
    with in_file(table.name):
        needed = {role: at for role, at in places.items() if not (several and role == "label")}
        table = _complete(table, needed, skip_empty)
        firsts = _strings(table, places["text"], "text")
        texts: list[Text] = list(firsts)
        if "pair" in places:
            texts = list(zip(firsts, _strings(table, places["pair"], "pair"), strict=True))
        labels = []
        if labelled:
            at = places["label"]
            labels = [
                [] if several and _is_missing(row[at], "label") else _label(row[at], table, i)
                for i, row in enumerate(table.rows)
            ]
        return Chosen(table, texts, labels)


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

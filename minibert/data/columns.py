"""Which columns of a table are its texts, their pairs and their labels.

They are asked for by name, or by number in a file without a header, or found by the usual names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minibert._checks import shown, warn
from minibert.checkpoint.schema import in_file
from minibert.data.delimited import LABEL_COLUMNS, TEXT_COLUMNS, column_name
from minibert.data.table import Table

_USUAL = {"text": TEXT_COLUMNS, "label": LABEL_COLUMNS}


def find_columns(
    table: Table, asked: Mapping[str, str | int | None], needed: Sequence[str]
) -> tuple[Table, dict[str, int]]:
    """The table, without a header if it has none, and where the column of each role is.

    asked: the name or the number from 1 of each role's column, None for the usual name or, if the
    role is not needed, for none. Raises `ValueError` for a column that is not there, for one asked
    for twice, and for a row that is a header.
    """
    for role, name in asked.items():
        if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
            raise ValueError(
                f"{role} is {shown(name)}; give the name of a column, or its number from 1 in a "
                "file without a header"
            )
    numbered = _are_numbers(table, asked)
    if numbered:
        table = table.without_header()
    with in_file(table.name):
        if not len(table):
            raise ValueError("it has no rows; it needs a header and a row for each text")
        places = _places(table, asked, needed)
        if numbered:
            _check_first_row(table, places)
        else:
            _check_no_header_again(table, places)
    return table, places


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

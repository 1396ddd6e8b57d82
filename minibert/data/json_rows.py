"""JSON as tables: an object for each row, either one a line or all in one list.

The content decides, not the suffix: libraries write lines under both `.json` and `.jsonl`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from minibert._checks import shown
from minibert.checkpoint.json_text import parse_json

_MOST_KEYS = 1000  # a table has a cell for every key in every row


class JsonRows(NamedTuple):
    """unit: whether the numbers are those of lines, or of rows in a list, from 0."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    numbers: list[int]
    unit: str


def json_rows(text: str) -> JsonRows:
    """The rows; the columns are the keys of all objects, and what an object lacks is None.

    Raises `ValueError` for what is no object, and as `parse_json` does, naming the line.
    """
    objects: list[Mapping[str, Any]] = []
    numbers: list[int] = []
    if text.lstrip().startswith("["):
        unit, objects = "row", parse_json(text)
        numbers = list(range(len(objects)))
    else:
        unit = "line"
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():  # not `splitlines`, whose ends of lines may stand in a string
                objects.append(_on_line(number, line))
                numbers.append(number)
    for number, item in zip(numbers, objects, strict=True):
        if not isinstance(item, Mapping):
            raise ValueError(
                f"{unit} {number} is {shown(item)}; each row is an object, as "
                '{"text": "...", "label": "..."}'
            )
    columns = tuple(dict.fromkeys(key for item in objects for key in item))
    if len(columns) > _MOST_KEYS:
        raise ValueError(
            f"its objects have {len(columns)} different keys; give rows with the same keys, at "
            f"most {_MOST_KEYS}"
        )
    rows = [tuple(map(item.get, columns)) for item in objects]
    return JsonRows(columns, rows, numbers, unit)


def _on_line(number: int, line: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        what = re.sub(r": line 1 (column \d+) \(char \d+\)$", r", \1", str(error))
        raise ValueError(
            f"line {number}: {what}; a file is one list of objects, or an object on each line, as "
            "pandas writes by table.to_json(path, orient='records', lines=True)"
        ) from error

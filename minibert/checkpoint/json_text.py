"""JSON, read strictly: what two readers could take for different things is refused.

Python's own reader takes the last of two equal keys, reads NaN, and knows nothing of files that
somebody made to be deep or long.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from minibert._checks import shown

DEEPEST = 100  # levels of objects and lists inside each other; the files of models have about ten
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that is half of a character, or of a pair


class _Refused(ValueError):
    """What the hooks of the reader raise, in the words of the error."""


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises `ValueError` for invalid JSON, NaN and infinity, a key that an object has twice, half of
    a surrogate pair, numbers of thousands of digits, and more than 100 levels.
    """
    try:
        data = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except _Refused:
        raise
    except ValueError as error:  # Python's limit for integers
        raise ValueError("it holds a whole number of thousands of digits") from error
    _check_depth(data)
    if _HALF.search(text):
        _check_unicode(data)
    return data


_TOO_DEEP = f"it has more than {DEEPEST} levels of objects and lists, which no file of ours needs"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        twice = next(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
        raise _Refused(f"one object has the key {shown(twice)} twice; keep the right one")
    return data


def _constant(name: str) -> Any:
    raise _Refused(f"it holds {name}, which is not a finite number")


def _float(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _constant(digits[:20])


def _check_depth(data: Any) -> None:
    """Level by level, because a recursion would itself be too deep."""
    level = _nested([data])
    for _ in range(DEEPEST):
        if not level:
            return
        level = [
            child
            for value in level
            for child in _nested(value.values() if type(value) is dict else value)
        ]
    if level:
        raise ValueError(_TOO_DEEP)


def _nested(values: Iterable[Any]) -> list[Any]:
    """Those that hold others; `type`, as there are many and JSON makes no subclasses."""
    return [value for value in values if type(value) is dict or type(value) is list]


def _check_unicode(data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        part = text[max(0, error.start - 30) : error.end]
        raise ValueError(
            f"it is not valid Unicode after {shown(part)}: half of a surrogate pair"
        ) from error

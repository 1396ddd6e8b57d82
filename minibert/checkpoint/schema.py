"""What the values of a JSON file may be: each is checked where it is read.

A file that somebody else wrote may hold anything under any key. What is read goes through `get`,
with one of the rules below, so that a value of the wrong shape is one line that names the key, the
value and what is allowed; `in_file` puts the file's name in front of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from minibert._checks import shown
from minibert.checkpoint.json_text import parse_json


class Rule(NamedTuple):
    """What a value may be: a test, and its words for the error."""

    holds: Callable[[Any], bool]
    allowed: str

    def check(self, name: str, value: Any) -> Any:
        """The value itself. Raises `ValueError` naming it if it is not allowed."""
        if not self.holds(value):
            name = name if len(name) < 100 else shown(name)  # a file may have keys of any length
            raise ValueError(f"{name} is {shown(value)}; it must be {self.allowed}")
        return value


def whole(least: int = 0, most: int = 2**31 - 1) -> Rule:
    """Whole numbers in a range, booleans excluded."""
    return Rule(
        lambda value: type(value) is int and least <= value <= most,
        f"a whole number from {least} to {most}",
    )


def number(holds: Callable[[float], bool], allowed: str) -> Rule:
    """Numbers of which `holds` is true, booleans excluded; allowed: its words."""
    return Rule(
        lambda value: (
            isinstance(value, int | float) and not isinstance(value, bool) and holds(value)
        ),
        f"a number {allowed}",
    )


def one_of(*values: str) -> Rule:
    """Some strings."""
    return Rule(
        lambda value: isinstance(value, str) and value in values,
        f"one of {', '.join(map(repr, values))}",
    )


def optional(rule: Rule) -> Rule:
    """Also null."""
    return Rule(lambda value: value is None or rule.holds(value), f"{rule.allowed}, or null")


def mapping_of(rule: Rule) -> Rule:
    """An object with values of one kind."""
    return Rule(
        lambda value: isinstance(value, Mapping) and all(map(rule.holds, value.values())),
        f"an object whose values are each {rule.allowed}",
    )


def list_of(rule: Rule) -> Rule:
    """A list of values of one kind."""
    return Rule(
        lambda value: isinstance(value, list) and all(map(rule.holds, value)),
        f"a list whose items are each {rule.allowed}",
    )


def _is_unicode(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


TEXT = Rule(_is_unicode, "a string of valid Unicode")
SWITCH = Rule(lambda value: isinstance(value, bool), "true or false")


def _is_json(value: Any) -> bool:
    """Whether a file with these keys and values can be written, and read again."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return False
    try:
        parse_json(json.dumps(dict(value), sort_keys=True))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


OBJECT = Rule(lambda value: isinstance(value, Mapping), "an object")
JSON = Rule(
    _is_json, "an object of what a JSON file can hold: strings, finite numbers, lists and the like"
)
LIST = Rule(lambda value: isinstance(value, list), "a list")


def get(data: Mapping[str, Any], key: str, rule: Rule, default: Any = None) -> Any:
    """The value under a key, or the default where the key is missing; a default is not checked.

    Raises `ValueError` naming the key, the value and what is allowed.

    >>> get({"model_max_length": "512"}, "model_max_length", whole(least=1))
    Traceback (most recent call last):
    ValueError: model_max_length is '512'; it must be a whole number from 1 to 2147483647
    """
    return rule.check(key, data[key]) if key in data else default


def need(data: Mapping[str, Any], key: str, rule: Rule) -> Any:
    """The value under a key that must be there; otherwise as `get`."""
    if key not in data:
        raise ValueError(f"{key} is missing; it must be {rule.allowed}")
    return rule.check(key, data[key])


@contextmanager
def in_file(path: str | Path) -> Iterator[None]:
    """A `ValueError` inside begins with the file's name, once."""
    try:
        yield
    except ValueError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: {error}") from error

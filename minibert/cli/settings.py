"""Options made from the fields of a settings' dataclass: names, types, defaults, help."""

from __future__ import annotations

import argparse
import types
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def add_settings(
    parser: argparse.ArgumentParser, settings: type[Any], leave_out: Collection[str] = ()
) -> None:
    """Give the parser an option for each field: `batch_size: int = 32` is `--batch-size`, and a
    field's metadata "help" is what is said of it."""
    group = parser.add_argument_group("settings, each with its default")
    hints = get_type_hints(settings)
    for field in fields(settings):
        if field.name in leave_out:
            continue
        option = f"--{field.name.replace('_', '-')}"
        about = field.metadata.get("help", "")
        if hints[field.name] is bool:
            group.add_argument(option, action="store_true", help=about)
            continue
        kind, choices = _kind(hints[field.name])
        default = "" if field.default is None else f" (default: {field.default})"
        group.add_argument(
            option,
            type=kind,
            choices=choices,
            default=field.default,
            metavar=None if choices else kind.__name__.upper(),
            help=f"{about}{default}".strip(),
        )


def settings_of(arguments: argparse.Namespace, settings: type[Any]) -> dict[str, Any]:
    """The fields that were given, or their defaults."""
    given = vars(arguments)
    return {each.name: given[each.name] for each in fields(settings) if each.name in given}


def _kind(hint: Any) -> tuple[Callable[[str], Any], tuple[str, ...] | None]:
    """From a string to a value of this type, and which there are if they are few.

    Of several types it is the first that a word can be: `int | None` is a number.
    """
    for each in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if get_origin(each) is Literal:
            return str, get_args(each)
        if each in (int, float, str):
            return each, None
    raise TypeError(f"no word is a {hint}")

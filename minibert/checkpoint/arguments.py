"""What an argument may be: one check for each kind of setting that users give.

They look at the type first. Numbers in strings, booleans for numbers and arrays, whose comparison
is an array again, would pass a mere comparison or end in an error from the depths.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from minibert._checks import shown


def whole_number(name: str, value: object, least: int, most: int = 2**31 - 1) -> int:
    """The value as Python's int, or a `ValueError` that names it. A boolean is no number here."""
    allowed = f"of at least {least}"
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
        if least <= number <= most:
            return number
        if number > most:
            allowed = f"of at most {most}"
    raise ValueError(f"{name} is {shown(value)}; it must be a whole number {allowed}")


def real_number(name: str, value: object, allowed: str, holds: Callable[[float], bool]) -> float:
    """The value as Python's float if the rule holds, or a `ValueError` with `allowed`, its words.

    Neither booleans nor numbers too large for a float are real numbers here.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            if holds(float(value)):
                return float(value)
    raise ValueError(f"{name} is {shown(value)}; it must be {allowed}")


def check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise `ValueError` for a value that is not one of the strings allowed."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} is {shown(value)}; it must be one of {tuple(allowed)}")


def switch(name: str, value: object) -> bool:
    """The value as Python's bool: True, False, 1 or 0, of numpy too, or a `ValueError`."""
    if not isinstance(value, numbers.Integral | np.bool_) or value not in (0, 1):
        raise ValueError(f"{name} is {shown(value)}; it must be one of (True, False)")
    return bool(value)

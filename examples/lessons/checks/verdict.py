"""What a check says of an answer, and how it asks for one without ever raising."""

from __future__ import annotations

import copy
import functools
import linecache
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

MISSING = "not written yet: your lines take the place of the last one of the starting cell"
_SHOWN = 200  # characters of a learner's value in a hint


class Verdict(NamedTuple):
    """passed: whether the answer is right. hint: what was proven, or what to look at next."""

    passed: bool
    hint: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'not yet'}: {self.hint}"


class Hint(Exception):
    """What is wrong with an answer, in words for the learner."""


def exercise(check: Callable[[Any], str]) -> Callable[[Any], Verdict]:
    """A check as learners call it. check: raises `Hint` for a wrong answer, and returns what a
    right one has proven."""

    @functools.wraps(check)
    def judged(answer: Any) -> Verdict:
        try:
            if answer is None or answer is ...:
                raise Hint(MISSING)
            return Verdict(True, check(answer))
        except Hint as hint:
            return Verdict(False, str(hint))
        # An answer can be anything, and so can what happens when it is looked at.
        except Exception as error:
            return Verdict(False, f"this answer cannot be checked: {_told(error)}")

    return judged


def called(answer: Any, *arguments: Any, **named: Any) -> Any:
    """What the learner's function returns. It is given copies, so that it can change them."""
    return called_on(answer, *copy.deepcopy(arguments), **copy.deepcopy(named))


def called_on(answer: Any, *arguments: Any, **named: Any) -> Any:
    """The same without copies, for a check that asks whether they are left as they were."""
    if not callable(answer):
        raise Hint(
            f"give the function itself; this is {_shown(answer)}, of type {type(answer).__name__}"
        )
    try:
        result = answer(*arguments, **named)
    except NotImplementedError as error:
        raise Hint(MISSING) from error
    except Hint:  # of an argument that watches what is done with it
        raise
    except (Exception, SystemExit) as error:
        raise Hint(f"your function raised {_told(error)}{_place(error)}") from error
    if result is None:
        raise Hint("your function returns None; does it end with `return`?")
    if result is ...:
        raise Hint(MISSING)
    return result


def tensor(value: Any, shape: tuple[int, ...], what: str = "the result") -> Tensor:
    """The learner's numbers, in float64 and of this shape; a list or an array will do."""
    try:
        found = torch.as_tensor(value, device="cpu").detach().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Hint(
            f"{what} has the type {type(value).__name__}; it should be a tensor of shape {shape}"
        ) from error
    if found.shape != shape:
        raise Hint(f"{what} has the shape {tuple(found.shape)}; it should be {shape}")
    if not found.isfinite().all():
        kind = "NaN" if found.isnan().any() else "infinite numbers"
        raise Hint(f"{what} has {kind}; look for a division by 0, a logarithm of 0, or inf - inf")
    return found


def number(value: Any, what: str = "the result") -> float:
    """The learner's number: Python's, numpy's or PyTorch's, but not a yes or no."""
    if isinstance(value, Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Hint(f"{what} is {_shown(value)}; it should be a number")
    if not math.isfinite(value):
        raise Hint(f"{what} is {value}; look for a division by 0 or a logarithm of 0")
    return value


def whole(value: Any, what: str = "the result") -> int:
    """The learner's whole number."""
    found = number(value, what)
    if found != int(found):
        raise Hint(f"{what} is {found}; it should be a whole number")
    return int(found)


def compare(
    found: Tensor | float,
    right: Tensor | float,
    mistakes: Mapping[str, Tensor | float],
    otherwise: str,
    tolerance: float = 1e-4,
) -> None:
    """Raise `Hint` if the numbers found are not the right ones, the one of the mistake that gives
    them if it is known. mistakes: hint -> the numbers that it explains; otherwise: the hint for all
    other numbers."""
    if _near(found, right, tolerance):
        return
    for hint, wrong in mistakes.items():
        if _near(found, wrong, tolerance):
            raise Hint(hint)
    raise Hint(otherwise)


def _near(a: Tensor | float, b: Tensor | float, tolerance: float) -> bool:
    a, b = torch.as_tensor(a).double(), torch.as_tensor(b).double()
    return a.shape == b.shape and bool((a - b).abs().le(tolerance * (1 + b.abs())).all())


def _shown(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


def _told(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    first = str(error).strip().partition("\n")[0][:_SHOWN]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _place(error: BaseException) -> str:
    """The line of the learner's code that raised it; the first frames are those of the check."""
    frames, here = [], error.__traceback__
    while here is not None:
        frames.append((here.tb_frame.f_code.co_filename, here.tb_lineno))
        here = here.tb_next
    own = [frame for frame in frames if frame[0] != __file__]
    if not own:  # not even called, for it takes other arguments
        return ""
    line = linecache.getline(*own[0]).strip()
    return f", in the line `{line}`" if line else ""

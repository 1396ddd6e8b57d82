"""How to train: one frozen set of numbers, checked where it is made."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Settings that are real numbers: what is allowed, in words and as a rule.
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lr": ("above 0, usually 1e-5 to 1e-4 for fine-tuning", lambda lr: 0 < lr < math.inf),
    "warmup": ("from 0 to 1", lambda share: 0 <= share <= 1),
    "weight_decay": ("at least 0 and finite", lambda decay: 0 <= decay < math.inf),
    "layer_decay": ("above 0 and at most 1", lambda factor: 0 < factor <= 1),
    "clip": ("above 0; infinity cuts nothing", lambda norm: norm > 0),
}


@dataclass(frozen=True)
class Recipe:
    """How to train.

    epochs: times every example is taken. lr: the highest learning rate; it rises over the first
    `warmup` share of the steps and falls to zero after. layer_decay: the factor by which each layer
    down learns slower. clip: the largest norm of a step's gradient.
    precision: "fp32", or "bf16", which multiplies in bfloat16 and keeps weights and optimizer in
    fp32. accumulate: parts in which a step's examples are computed one after another, for less
    memory; it changes rounding, and which random numbers dropout draws. checkpoint: compute
    activations twice instead of keeping them, for less memory; it changes nothing.
    evaluate_every: steps from one evaluation to the next, None: an epoch. patience: stop after so
    many evaluations without a better one, None: never. keep_best: end with the weights of the best
    evaluation, by accuracy, then by loss.

    numpy's numbers become Python's. Raises `ValueError` for a value that cannot be trained with.

    >>> Recipe(lr=0)
    Traceback (most recent call last):
    ValueError: lr is 0; it must be above 0, usually 1e-5 to 1e-4 for fine-tuning
    """

    epochs: int = 3
    lr: float = 5e-5
    warmup: float = 0.06
    weight_decay: float = 0.01
    layer_decay: float = 1.0
    clip: float = 1.0
    precision: str = "fp32"
    accumulate: int = 1
    checkpoint: bool = False
    seed: int = 0
    evaluate_every: int | None = None
    patience: int | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {}
        for name in ("epochs", "accumulate", "evaluate_every", "patience"):
            value = getattr(self, name)
            optional = name in ("evaluate_every", "patience")
            checked[name] = None if value is None and optional else whole_number(name, value, 1)
        for name, (allowed, holds) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not holds(value):
                raise ValueError(f"{name} is {value!r}; it must be {allowed}")
            checked[name] = float(value)
        for name in ("checkpoint", "keep_best"):
            check_choice(name, getattr(self, name), (True, False))
            checked[name] = bool(getattr(self, name))
        if not isinstance(self.seed, numbers.Integral) or not 0 <= self.seed < 2**32:
            raise ValueError(
                f"seed is {self.seed!r}; it must be a whole number from 0 to 2**32 - 1"
            )
        checked["seed"] = int(self.seed)
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(
                f"precision is {self.precision!r}; for training it must be 'fp32' or 'bf16'"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # frozen for everybody else


def whole_number(name: str, value: Any, least: int) -> int:
    """The value as Python's int, or a `ValueError` that names it."""
    if not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    return int(value)


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise `ValueError` for a value that is none of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {tuple(allowed)}")

"""How to train: one frozen set of numbers, checked where it is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minibert._checks import shown
from minibert.checkpoint.arguments import check_choice, real_number, switch, whole_number

# Settings that are real numbers: what is allowed, in words and as a rule. A step of AdamW moves a
# weight by some lr, whatever its gradient, and weights of BERT begin at 0.02: at 1 nothing is left
# of them after the first.
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "lr": ("above 0 and at most 1, usually 1e-5 to 1e-4 for fine-tuning", lambda lr: 0 < lr <= 1),
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
    evaluation. metric: by which evaluations are better, "loss" or one that they have, None: the
    task's own; where it is the same, by loss.

    numpy's numbers become Python's. Raises `ValueError` for a value that cannot be trained with.

    >>> Recipe(lr=0)
    Traceback (most recent call last):
    ValueError: lr is 0; it must be above 0 and at most 1, usually 1e-5 to 1e-4 for fine-tuning
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
    metric: str | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {}
        for name in ("epochs", "accumulate", "evaluate_every", "patience"):
            value = getattr(self, name)
            optional = name in ("evaluate_every", "patience")
            checked[name] = None if value is None and optional else whole_number(name, value, 1)
        for name, (allowed, holds) in _RANGES.items():
            checked[name] = real_number(name, getattr(self, name), allowed, holds)
        for name in ("checkpoint", "keep_best"):
            checked[name] = switch(name, getattr(self, name))
        if self.metric is not None and not (isinstance(self.metric, str) and self.metric):
            raise ValueError(
                f"metric is {shown(self.metric)}; it must be the name of a metric, such as "
                "'accuracy', or None for the task's own"
            )
        checked["seed"] = whole_number("seed", self.seed, 0, 2**32 - 1)
        check_choice("precision for training", self.precision, ("fp32", "bf16"))
        if checked["lr"] * checked["weight_decay"] > 1:
            raise ValueError(
                f"weight_decay is {checked['weight_decay']:g}; a step multiplies the weights by 1 "
                f"- lr * weight_decay, so it must be at most 1 / lr, here {1 / checked['lr']:g}"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # frozen for everybody else

"""Lesson 7."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor | float:
    """The probability itself is never computed, so none is rounded to 0. Subtracting the largest
    logit from all of a row changes no probability, and leaves no power of e above 1."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        row = row - row.max()
        total += row.exp().sum().log() - row[label]
    return total / len(logits)


def better(right_a: np.ndarray, right_b: np.ndarray) -> str:
    """Texts on which both are right, or both wrong, count 0: they say nothing of the difference,
    and they make it no less certain. With two separate standard errors they would."""
    differences = right_a.astype(float) - right_b.astype(float)
    mean = differences.mean()
    error = (((differences - mean) ** 2).mean() / len(differences)) ** 0.5
    if mean > 2 * error:
        return "A"
    if mean < -2 * error:
        return "B"
    return "cannot tell"

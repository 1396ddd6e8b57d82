"""Lesson 9."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np


def association(vector: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Each vector of a group has a length of its own, so each dot product is divided by itself."""

    def mean_cosine(group: np.ndarray) -> float:
        lengths = np.sqrt((group * group).sum(axis=1)) * np.sqrt(vector @ vector)
        return float((group @ vector / lengths).mean())

    return mean_cosine(first) - mean_cosine(second)


def permutation_p(
    x: list[Any], y: list[Any], measure: Callable[[list[Any], list[Any]], float], rounds: int
) -> float:
    """The strength of the lists as they are is computed once, before anything is shuffled."""
    ours = abs(measure(x, y))
    count = sum(abs(measure(x, random.sample(y, len(y)))) >= ours for _ in range(rounds))
    return (count + 1) / (rounds + 1)

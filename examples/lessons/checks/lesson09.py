"""Lesson 9: the association of a vector with two groups, and a permutation test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from checks.verdict import Hint, called, compare, exercise, number
from minibert.inspect.vectors import cosines


def _mean_cosines(vector: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """By the library's function, which takes all vectors at once."""
    found = cosines(np.stack([vector, *first, *second]))[0]
    return float(found[1 : 1 + len(first)].mean()), float(found[1 + len(first) :].mean())


@exercise
def association(answer: Callable[..., Any]) -> str:
    """A vector (C,) and two groups (M, C) and (N, C) -> the difference of the mean cosines."""
    random = np.random.default_rng(9)
    vector, first, second = (random.normal(0.4, 1, size) for size in ((6,), (2, 6), (5, 6)))
    first *= [[0.5], [3.0]]  # of lengths far from 1, and far apart
    given = number(called(answer, vector, first, second))
    to_first, to_second = _mean_cosines(vector, first, second)
    dots, others = first @ vector, second @ vector
    length = np.linalg.norm(vector)
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    one = _mean_cosines(vector, first[:1], second[:1])
    of_means = _mean_cosines(vector, first.mean(axis=0)[None], second.mean(axis=0)[None])
    mistakes: dict[str, torch.Tensor | float] = {
        "the sign is the wrong way round; it is the first group minus the second": to_second
        - to_first,
        "dot products were taken, not cosines; divide each by the lengths of both": float(
            dots.mean() - others.mean()
        ),
        "the dot products were divided by the length of the vector only; those of a group have "
        "lengths, too": float((dots.mean() - others.mean()) / length),
        "the dot products were divided by the lengths in the groups only; the vector has one": (
            float((dots / lengths[0]).mean() - (others / lengths[1]).mean())
        ),
        "only the first vector of each group counted; take the mean over all": one[0] - one[1],
        "the cosines were added up; the groups have 2 and 5 vectors, so take means": 2 * to_first
        - 5 * to_second,
        "the vectors of a group were averaged before the cosine; average the cosines": of_means[0]
        - of_means[1],
        "only the first group counted; take the mean cosine to the second away": to_first,
        "the two means were added; take the second away from the first": to_first + to_second,
    }
    right = to_first - to_second
    compare(
        given,
        right,
        mistakes,
        f"the result is {given:.4f}; with the library's cosines it is {right:.4f}. Print a cosine "
        "first: that of a vector and itself must be 1",
    )
    return "the difference of two mean cosines, for vectors of any length and groups of any size"


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """A measure of the check's own: how two lists go together, rounded, so that equal is equal."""
    a, b = (np.asarray(each, dtype=float) for each in (x, y))
    return round(float(((a - a.mean()) * (b - b.mean())).sum()), 9)


ROUNDS = 2000
MARGIN = 0.05  # more than four standard errors of a share of 2000


def _exact(x: list[float], y: list[float]) -> float:
    """p over all orders."""
    ours = abs(_slope(x, y))
    all_ = [abs(_slope(x, order)) >= ours for order in itertools.permutations(y)]
    return sum(all_) / len(all_)


@exercise
def permutation_p(answer: Callable[..., Any]) -> str:
    """Two lists, a measure and a number of rounds -> p, in both directions, never 0."""
    strong = [float(i) for i in range(12)]
    found = number(called(answer, strong, strong[:], _slope, 99))
    if found == 0:
        raise Hint(
            "p is 0: no shuffle was as strong. The lists as they are count as one more shuffle, so "
            "p is at least 1 / (rounds + 1)"
        )
    if found > 0.99:
        raise Hint(
            "p is 1 for two lists that are equal. Were both shuffled in the same way, or none? Or "
            "was counted what is weaker? Shuffle one, anew in each round, and count >="
        )
    if abs(found - 1 / 99) < 1e-6:
        raise Hint("p is 1 / 99 after 99 rounds; the lists as they are count, too: divide by 100")
    if not 0.009 < found < 0.05:
        raise Hint(
            f"p is {found:.3f} for two lists of 12 that are equal, and 99 rounds; hardly any "
            "shuffle is as strong, so it should be (0 + 1) / (99 + 1), or little more"
        )
    # Few enough that all orders can be tried. The first goes down: one-sided is near 1.
    falling = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 9.5, 5.0, 7.0, 2.0]
    p = number(called(answer, *falling, _slope, ROUNDS))
    exact = _exact(*falling)
    if p > 0.6:
        raise Hint(
            f"p is {p:.2f} for two lists of which one mostly falls as the other rises; count what "
            "is as strong in either direction: compare absolute values"
        )
    if abs(p - exact / 2) < exact / 4:
        raise Hint(
            f"p is {p:.3f}, half of what it should be; count what is as strong in either direction"
        )
    if abs(p - exact) > MARGIN:
        raise Hint(f"p is {p:.3f}; over all orders of these lists of 5 it is {exact:.3f}")
    # Half of the orders of these are exactly as strong as they are.
    equal = [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]
    rising = [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]
    for x, y in (rising, equal):
        p, exact = number(called(answer, x, y, _slope, ROUNDS)), _exact(x, y)
        if p < 0.01:
            raise Hint(
                f"p is {p:.4f}, and over all orders it is {exact:.3f}: shuffles just as strong as "
                "the lists count, too (>=, not >)"
            )
        if abs(p - exact) > MARGIN:
            raise Hint(f"p is {p:.3f}; over all orders of {x} and {y} it is {exact:.3f}")
    return "p as over all orders, in both directions, and never 0"

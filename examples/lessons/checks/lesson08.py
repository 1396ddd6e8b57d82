"""Lesson 8: a test of one head over many sentences, and integrated gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checks.verdict import Hint, called, compare, exercise, number, tensor

Place = tuple[int, int, int]  # of "it", of the noun that it means, of the other

LAYER, HEAD = 1, 2  # of a model of two layers with three heads
# Right sentences of 20, whatever the number of all is. Each mistake has a share of its own.
RIGHT = 13
MISTAKES = {
    4: 'this reads the column of "it", which is who looks at it; weights[i, j] is token i looking '
    "at token j, so take its row",
    16: "this is another head: layers and heads are numbered from 1, and Python counts from 0",
    3: "layer and head have changed places",
    20 - RIGHT: "this counts the sentences in which the other noun gets more",
    12: "this counts how often the head takes the noun that comes first; ask whether it takes the "
    "noun that is meant",
    11: "this counts how often the noun that is meant comes first, whatever the head does; compare "
    "the weights",
    10: "this asks whether the noun gets more than all other tokens, [CLS] too; compare the two "
    "nouns only",
    20: "this looks at the first sentence only; count over all",
}


@exercise
def head_is_right(answer: Callable[..., Any]) -> str:
    """Weights, places, layer and head -> the share that is right, and whether it beats chance."""
    verdicts = []
    # The same share may be luck with few sentences and more than that with many.
    for sentences, right in ((20, RIGHT), (100, 5 * RIGHT), (20, 12), (100, 35)):
        arrays, places = _made_up(sentences, right)
        share, beats = _pair(called(answer, arrays, places, LAYER, HEAD))
        if share > 1:
            raise Hint(f"the share is {share:g}; it should be from 0 to 1, as 0.5 for one half")
        compare(
            share,
            right / sentences,
            {hint: count / 20 for count, hint in MISTAKES.items()} if right == RIGHT else {},
            f"the share is {share:.3f}; of these {sentences} sentences {right} are right. Compare, "
            'in the row of "it", the weights of the two nouns, and count',
        )
        verdicts.append(beats)
    few, many, fewer, below = verdicts
    if below:
        raise Hint("35 of 100 is far from one half, but below it: this does not beat chance")
    if not many:
        raise Hint(
            "65 of 100 beats chance: the standard error is 0.5 / sqrt(100) = 0.05, and 0.65 is "
            "three of them above 0.5"
        )
    if fewer:
        raise Hint(
            "12 of 20 is said to beat chance; two nouns give one half by luck alone, and luck "
            "scatters: how many standard errors is 0.6 above 0.5?"
        )
    if few:
        raise Hint(
            "13 of 20 is said to beat chance, as 65 of 100 does; but with 20 sentences the "
            "standard error is larger, and 0.65 is less than two of them above 0.5"
        )
    return "65 of 100 beats chance, 13 of 20 does not; of layer 4 head 2 of minilm-l6, 13 of 24"


def _pair(result: Any) -> tuple[float, bool]:
    """A share and a verdict."""
    try:
        share, beats = result
    except (TypeError, ValueError) as error:
        raise Hint(
            f"the result is {str(result)[:100]}; it should be two things, the share and True or "
            "False"
        ) from error
    if isinstance(beats, Tensor | np.ndarray | np.generic) and math.prod(beats.shape) == 1:
        beats = beats.item()
    if not isinstance(beats, bool):
        raise Hint(f"the second of the two is {str(beats)[:100]}; it should be True or False")
    return number(share, "the share"), beats


def _made_up(sentences: int, right: int) -> tuple[list[np.ndarray], list[Place]]:
    """Weights of a made-up model, each of whose heads is right in its own share of the sentences.

    Of 20 sentences with 13 right, the head that is asked for takes in 8 a noun that comes first and
    is meant, in 5 one that comes second and is meant, in 4 one that comes first and is not.
    """
    random = np.random.default_rng(8)
    scale = sentences // 20
    first_and_meant = min(8 * scale, right)
    arrays, places = [], []
    for i in range(sentences):
        length = 8 + i % 3
        early, late, it = 1 + i % 2, 4 + i % 2, length - 2
        meant_first = i < first_and_meant or right <= i < right + 3 * scale
        meant, other = (early, late) if meant_first else (late, early)
        weights = random.uniform(0.01, 0.02, (2, 3, length, length))
        asked = weights[LAYER - 1, HEAD - 1]
        asked[it, meant if i < right else other] += 0.3
        asked[meant if i < 4 * scale else other, it] += 0.3  # of the column
        if i < 3 * scale:
            asked[it, 0] += 0.6  # [CLS], which is no noun
        weights[LAYER, HEAD, it, meant if i < 16 * scale else other] += 0.3
        weights[HEAD - 1, LAYER - 1, it, meant if i < 3 * scale else other] += 0.3
        arrays.append(weights / weights.sum(axis=-1, keepdims=True))
        places.append((it, meant, other))
    return arrays, places


STEPS = 500


def _sum_of_products(x: Tensor) -> Tensor:
    """a b + c^3, of the last dimension."""
    return x[..., 0] * x[..., 1] + x[..., 2] ** 3


def _saturated(x: Tensor) -> Tensor:
    """The sum, up to 1: the paper's example of a slope of 0 where something has mattered."""
    return 1 - torch.relu(1 - x.sum(dim=-1))


@exercise
def integrated_gradients_of(answer: Callable[..., Any]) -> str:
    """A function, x, x0 and steps -> the weight of each number."""
    x = torch.tensor([2.0, 3.0, 1.5], dtype=torch.float64)
    x0 = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    # By hand: of a product each takes its own way times the mean of the other, 1 (3 - 1) / 2 and
    # 4 (2 + 1) / 2; a number that stands alone takes what it has changed, 1.5^3 - 0.5^3.
    right = torch.tensor([1.0, 6.0, 3.25], dtype=torch.float64)
    at_x, at_x0 = (
        torch.tensor(slope, dtype=torch.float64) for slope in ([3, 2, 6.75], [-1, 1, 0.75])
    )
    way = x - x0
    found = _weights(called(answer, _sum_of_products, x, x0, STEPS), 3)
    mistakes = {
        "this is the slope at x times x; take the mean of the slopes on the way from x0 to x, and "
        "multiply by x - x0": x * at_x,
        "this takes the slope at the end only, at x; take the mean over the whole way": way * at_x,
        "this takes the slope at the baseline only; take the mean over the whole way": way * at_x0,
        "this is the mean of the slopes; multiply by x - x0, the way that each number has gone": (
            right / way
        ),
        "this multiplies by x; each number has come from x0, so multiply by x - x0": x
        * right
        / way,
        "this adds the slopes up; divide by steps, to have their mean": STEPS * right,
        "all signs are the wrong way round: the way goes from x0 to x, so it is x - x0": -right,
        "c has no weight, though c^3 is in the function of the check; call `function`, which is "
        "given, and not the lesson's product": torch.tensor([1.0, 6.0, 0.0]),
        "this begins at zeros; begin at x0": torch.tensor([3.0, 3.0, 3.375]),
        # Each slope times the part t of the way.
        "this is the slope of the whole computation in x, which makes early points count less: "
        "make each point a tensor of its own, and take the slope in the point": torch.tensor(
            [5 / 6, 10 / 3, 2.125]
        ),
    }
    compare(
        found,
        right,
        mistakes,
        f"for a b + c^3 from {x0.tolist()} to {x.tolist()} the weights are "
        f"{[round(weight, 2) for weight in found.tolist()]}, which sum to {found.sum():.2f}; they "
        f"should sum to f(x) - f(x0) = {right.sum():.2f}. Print your points: are there `steps`, "
        "evenly from x0 to x?",
        tolerance=0.01,
    )
    x, x0 = torch.tensor([1.5, 0.5], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    found = _weights(called(answer, _saturated, x, x0, STEPS), 2)
    compare(
        found,
        torch.tensor([0.75, 0.25]),
        {},
        "for a sum that grows no further than 1, from (0, 0) to (1.5, 0.5), the weights are "
        f"{[round(weight, 2) for weight in found.tolist()]}; they should be 0.75 and 0.25, which "
        "sum to 1, though the slope at x is 0",
        tolerance=0.01,
    )
    return "your weights sum to f(x) - f(x0), even where the slope at x is 0"


def _weights(result: Any, size: int) -> Tensor:
    if isinstance(result, Tensor | float | np.floating) and np.ndim(result) == 0:
        raise Hint(f"the result is one number; it should be {size}, one for each number of x")
    return tensor(result, (size,), "the result")

"""Lesson 8."""

import numpy as np
import torch
from solutions.lesson08 import head_is_right, integrated_gradients_of

from tests.lessons.wrong import Wrong


def beats(share, sentences):
    return bool(share > 0.5 + 1 / sentences**0.5)


def counting(of_sentence):
    """A share of other things than right sentences."""

    def answer(arrays, places, layer, head):
        found = [
            of_sentence(array[layer - 1, head - 1], *place)
            for array, place in zip(arrays, places, strict=True)
        ]
        share = float(np.mean(found))
        return share, beats(share, len(found))

    return answer


def judging(verdict):
    """The right share, and another verdict on it."""

    def answer(arrays, places, layer, head):
        share, _ = head_is_right(arrays, places, layer, head)
        return share, bool(verdict(share, len(arrays)))

    return answer


def single(arrays, places, layer, head):
    return head_is_right(arrays[:1], places[:1], layer, head)


def from_zero(arrays, places, layer, head):
    return head_is_right(arrays, places, layer + 1, head + 1)


def changed_places(arrays, places, layer, head):
    return head_is_right(arrays, places, head, layer)


def percent(arrays, places, layer, head):
    share, verdict = head_is_right(arrays, places, layer, head)
    return 100 * share, verdict


def share_only(arrays, places, layer, head):
    return head_is_right(arrays, places, layer, head)[0]


def slope(function, x):
    point = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(point), point)[0]


def gradient_x_input(function, x, x0, steps):
    return x * slope(function, x)


def end_only(function, x, x0, steps):
    return (x - x0) * slope(function, x)


def baseline_only(function, x, x0, steps):
    return (x - x0) * slope(function, x0)


def no_way(function, x, x0, steps):
    return integrated_gradients_of(function, x, x0, steps) / (x - x0)


def times_x(function, x, x0, steps):
    return x * no_way(function, x, x0, steps)


def summed(function, x, x0, steps):
    return steps * integrated_gradients_of(function, x, x0, steps)


def swapped(function, x, x0, steps):
    return integrated_gradients_of(function, x0, x, steps)


def from_zeros(function, x, x0, steps):
    return integrated_gradients_of(function, x, torch.zeros_like(x), steps)


def slope_in_x(function, x, x0, steps):
    total = torch.zeros_like(x)
    for step in range(1, steps + 1):
        total += slope(lambda x, part=step / steps: function(x0 + part * (x - x0)), x)
    return (x - x0) * total / steps


def one_number(function, x, x0, steps):
    return integrated_gradients_of(function, x, x0, steps).sum()


def of_the_lesson(function, x, x0, steps):
    return integrated_gradients_of(lambda x: x[0] * x[1], x, x0, steps)


def few_steps(function, x, x0, steps):
    part = torch.linspace(0, 1, 4)
    slopes = [slope(function, x0 + t * (x - x0)) for t in part[:-1]]
    return (x - x0) * torch.stack(slopes).mean(dim=0)


PRINTED = [
    r"animal 0\.68, street 0\.05 .* tired",
    r"layer 4 head 2 is right in 0\.542, standard error 0\.10",
    r"flips in 0\.083 of the pairs",
    r"best of 72 heads: 0\.625",
    r"best of 72 coins: 0\.7[345]",
    r"t = 0\.50, at \[1\.0, 1\.5\]: slope \[1\.5, 1\.0\]",
    r"texts: how far the probability falls",
]
WRONG = {
    "head_is_right": [
        Wrong("one sentence", single, "the first sentence only"),
        Wrong(
            "column in place of row",
            counting(lambda w, it, meant, other: w[meant, it] > w[other, it]),
            "the column",
        ),
        Wrong("numbered from 0", from_zero, "numbered from 1"),
        Wrong("layer and head changed places", changed_places, "changed places"),
        Wrong(
            "the other noun",
            counting(lambda w, it, meant, other: w[it, meant] < w[it, other]),
            "the other noun gets more",
        ),
        Wrong(
            "always the first noun",
            counting(lambda w, it, meant, other: meant < other),
            "whatever the head does",
        ),
        Wrong(
            "how often it takes the first noun",
            counting(lambda w, it, a, b: w[it, min(a, b)] > w[it, max(a, b)]),
            "takes the noun that comes first",
        ),
        Wrong(
            "more than all tokens",
            counting(lambda w, it, meant, other: w[it].argmax() == meant),
            "all other tokens",
        ),
        Wrong(
            "weights averaged, not counted",
            counting(lambda w, it, meant, other: w[it, meant]),
            "and count",
        ),
        Wrong("percent", percent, "from 0 to 1"),
        Wrong("no verdict", share_only, "two things"),
        Wrong("above one half", judging(lambda share, n: share > 0.5), "luck scatters"),
        Wrong(
            "one standard error",
            judging(lambda share, n: share > 0.5 + 0.5 / n**0.5),
            "with 20 sentences the standard error is larger",
        ),
        Wrong("never", judging(lambda share, n: share > 1.5), "65 of 100 beats chance"),
        Wrong(
            "far from half on either side",
            judging(lambda share, n: abs(share - 0.5) > 1 / n**0.5),
            "but below it",
        ),
    ],
    "integrated_gradients_of": [
        Wrong("gradient x input", gradient_x_input, "the slope at x times x"),
        Wrong("end point only", end_only, "at the end only"),
        Wrong("gradient at the baseline", baseline_only, "at the baseline only"),
        Wrong("missing x - x0", no_way, "this is the mean of the slopes"),
        Wrong("x in place of x - x0", times_x, "this multiplies by x"),
        Wrong("sum in place of mean", summed, "divide by steps"),
        Wrong("x and x0 swapped", swapped, "all signs"),
        Wrong("baseline of zeros", from_zeros, "begins at zeros"),
        Wrong("slope in x through the way", slope_in_x, "a tensor of its own"),
        Wrong("the lesson's function", of_the_lesson, "and not the lesson's product"),
        Wrong("one number", one_number, "one for each number of x"),
        Wrong("three steps whatever is asked", few_steps, "are there `steps`"),
    ],
}

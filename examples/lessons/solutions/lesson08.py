"""Lesson 8."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def head_is_right(
    arrays: list[np.ndarray], places: list[tuple[int, int, int]], layer: int, head: int
) -> tuple[float, bool]:
    """The row of "it" says where it looks; what a share is worth depends on how many sentences
    there are: .65 is luck with 20 of them, and more than that with 100."""
    right = [
        array[layer - 1, head - 1, it, meant] > array[layer - 1, head - 1, it, other]
        for array, (it, meant, other) in zip(arrays, places, strict=True)
    ]
    share = sum(right) / len(right)
    return float(share), bool(share > 0.5 + 2 * 0.5 / math.sqrt(len(right)))


def integrated_gradients_of(
    function: Callable[[Tensor], Tensor], x: Tensor, x0: Tensor, steps: int
) -> Tensor:
    """The points lie in the middle of `steps` equal parts of the way, which makes the error far
    smaller than at their ends. Each point is a new tensor, so that its slope is that of the
    function there, and not of the way to it."""
    total = torch.zeros_like(x)
    for step in range(steps):
        part = (step + 0.5) / steps
        point = (x0 + part * (x - x0)).detach().requires_grad_()
        total += torch.autograd.grad(function(point), point)[0]
    return (x - x0) * total / steps

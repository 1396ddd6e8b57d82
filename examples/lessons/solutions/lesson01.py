"""Lesson 1."""

from __future__ import annotations


def layer_parameters(hidden: int, intermediate: int) -> int:
    """Nearly all of it are the products of two sizes. With I = 4 C they are 12 C^2 in a layer, and
    two thirds of these are the feed-forward network's."""
    attention = 4 * (hidden * hidden + hidden)  # query, key, value, output
    up = hidden * intermediate + intermediate
    down = intermediate * hidden + hidden
    norms = 2 * (hidden + hidden)  # two, each with a scale and a shift
    return attention + up + down + norms


def training_bytes(parameters: int, trained: int) -> int:
    """Every weight is there; a gradient and two moments only of those that are trained. So 16 bytes
    for a trained weight, and 4 for a frozen one."""
    return 4 * parameters + 4 * (1 + 2) * trained

"""Lesson 5."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from minibert.encoder import gelu


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Mean and variance are those of each row, (T, 1); scale and shift those of each column, (C,).
    Broadcasting tells them apart by their shapes."""
    difference = x - x.mean(dim=1, keepdim=True)
    variance = (difference**2).mean(dim=1, keepdim=True)
    return difference / (variance + eps).sqrt() * weight + bias


def layer(
    x: Tensor,
    attention: Callable[[Tensor], Tensor],
    attention_norm: Callable[[Tensor], Tensor],
    up: Callable[[Tensor], Tensor],
    down: Callable[[Tensor], Tensor],
    feed_forward_norm: Callable[[Tensor], Tensor],
) -> Tensor:
    """The same line twice: a part, the sum with what went into it, a LayerNorm. Attention is the
    only one of the five that looks from one row at another."""
    x = attention_norm(x + attention(x))
    return feed_forward_norm(x + down(gelu(up(x))))

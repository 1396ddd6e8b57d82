"""The best rate of our products at a layer's shapes, with nothing between them."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from arena import Turns, serve
from torch import Tensor

from minibert.engine.bodies import (
    Body,
    HalfWeights,
    OneDnn,
    OneDnnBf16,
    OneDnnTiles,
    Plain,
    PlainBf16,
)
from minibert.engine.exchange import exchange
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.probe import probe
from minibert.engine.rule import cpu_features
from minibert.linear import Linear

BODIES: dict[str, tuple[type[Body], ...]] = {
    "fp32": (Plain, OneDnn, OneDnnTiles),
    "bf16": (PlainBf16, OneDnnBf16, HalfWeights),
    "int8": (Int8, Int7, Int7Few),
}


def contend(turns: Turns, config: Any) -> None:
    """Serve (precision, tokens) -> FLOP/s, in a process of its own."""
    serve(turns, lambda asked: ceiling(config, *asked))


def flops(config: Any, lengths: list[int]) -> float:
    """Of the products with weights that a classifier must make of rows of these lengths: two for
    each weight and token; in the last layer only keys and values for all tokens, the rest for
    [CLS]."""
    width, inner = config.hidden_size, config.intermediate_size
    layer = 4 * width**2 + 2 * width * inner
    full = (config.num_hidden_layers - 1) * layer + 2 * width**2
    return 2.0 * (sum(lengths) * full + len(lengths) * (layer - 2 * width**2 + width**2))


@torch.inference_mode()
def ceiling(config: Any, precision: str, tokens: int, runs: int = 8) -> float:
    """The best rate of any body at a layer's four products, FLOP/s."""
    width, inner = config.hidden_size, config.intermediate_size
    shapes = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    layers = 1 if tokens > 64 else config.num_hidden_layers  # few tokens wait for memory
    work = 2.0 * tokens * sum(math.prod(shape) for shape in shapes) * layers
    emulated = "bf16" not in cpu_features()
    best = 0.0
    for body in BODIES[precision]:
        # Where bf16 is emulated, many tokens take minutes.
        if body is PlainBf16 and emulated and tokens > 128 or probe(body):
            continue
        linears = [exchange(Linear(*shape), body) for shape in shapes * layers]
        inputs = {k: torch.randn(tokens, k, dtype=body.dtype) for k in (width, inner)}
        best = max([best, *(work / _seconds(linears, inputs) for _ in range(runs))])
    return best


def _seconds(linears: list[Body], inputs: dict[int, Tensor]) -> float:
    """Of each product once; of integers without quantizing before."""
    start = time.perf_counter()
    for linear in linears:
        if isinstance(linear, Int8):
            linear.multiply_integers(torch.full_like(inputs[linear.in_features], linear.SHIFT))
        else:
            linear.multiply(inputs[linear.in_features])
    return time.perf_counter() - start

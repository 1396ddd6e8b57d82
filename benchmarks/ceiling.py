"""The best rate of our products at a layer's shapes, with nothing between them."""

from __future__ import annotations

import math
import time
from typing import Any

from arena import Turns, serve


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


def ceiling(config: Any, precision: str, tokens: int, runs: int = 8) -> float:
    """The best rate of any body at a layer's four products, FLOP/s."""
    import torch

    from minibert.engine import bodies as kernels
    from minibert.linear import Linear

    bodies: dict[str, list[type[kernels.Body]]] = {
        "fp32": [kernels.Plain, kernels.OneDnn, kernels.OneDnnTiles],
        "bf16": [kernels.PlainBf16, kernels.OneDnnBf16, kernels.HalfWeights],
        "int8": [kernels.Int8, kernels.Int7, kernels.Int7Few],
    }
    width, inner = config.hidden_size, config.intermediate_size
    shapes = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    layers = 1 if tokens > 64 else config.num_hidden_layers  # few tokens wait for memory
    work = 2.0 * tokens * sum(math.prod(shape) for shape in shapes) * layers
    emulated = "bf16" not in kernels.cpu_features()
    best = 0.0
    with torch.inference_mode():
        for body in bodies[precision]:
            # Where bf16 is emulated, many tokens take minutes.
            if body is kernels.PlainBf16 and emulated and tokens > 128 or kernels.probe(body):
                continue
            linears = [body(Linear(*shape)).eval() for shape in shapes * layers]
            inputs = {k: torch.randn(tokens, k, dtype=body.dtype) for k in (width, inner)}
            best = max(best, *(work / _seconds(linears, inputs) for _ in range(runs)))
    return best


def _seconds(linears: list[Any], inputs: dict[int, Any]) -> float:
    """Of each product once; of integers without quantizing before."""
    import torch

    from minibert.engine import bodies as kernels

    start = time.perf_counter()
    for linear in linears:
        if isinstance(linear, kernels.Int8):
            linear.multiply_integers(torch.full_like(inputs[linear.in_features], linear.SHIFT))
        else:
            linear.multiply(inputs[linear.in_features])
    return time.perf_counter() - start

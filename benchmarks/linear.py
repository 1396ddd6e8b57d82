"""How fast are the ways PyTorch has to multiply by a weight, at the shapes of BERT?

    python benchmarks/linear.py

GFLOP/s, median of alternating runs, for MiniLM's and BERT-base's shapes with some hundred tokens
and with few: forward alone, and forward with backward. The evidence for the body that
`minibert.linear.Linear` has, and for the rule by which `minibert.engine.rule` chooses others.
"""

import argparse
import copy
import re
import statistics
import time
from collections.abc import Callable

import devices
import torch
import torch.nn.functional as F
from devices import at_least_one
from torch import Tensor

from minibert._programs import run_program
from minibert.engine.bodies import HalfWeights, OneDnn, OneDnnBf16, OneDnnTiles
from minibert.engine.exchange import exchange
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.probe import probe
from minibert.linear import Linear

# (tokens, in, out): MiniLM's with a batch of SST-2, BERT-base's with one short text and with many.
SHAPES = [
    (429, 384, 1152),
    (429, 384, 1536),
    (429, 1536, 384),
    (16, 768, 768),
    (16, 768, 3072),
    (16, 3072, 768),
    (512, 768, 768),
    (512, 768, 3072),
    (512, 3072, 768),
]
BODIES = (
    OneDnn,
    OneDnnBf16,
    OneDnnTiles,
    HalfWeights,
    Int8,
    Int7,
    Int7Few,
)


def contenders(n: int, k: int, m: int) -> dict[str, tuple[int, Callable[[], Tensor]]]:
    """name -> (passes over the product, a function that runs it), all checked against fp32."""
    x, weight, bias = torch.randn(n, k), torch.randn(m, k) / k**0.5, torch.randn(m)
    leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
    half = [tensor.bfloat16() for tensor in (x, weight, bias)]

    def convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        pixels = x.view(1, n, 1, k).permute(0, 3, 1, 2)  # channels last: a view
        return F.conv2d(pixels, weight.view(m, k, 1, 1), bias).permute(0, 2, 3, 1).view(n, m)

    def both_ways(product: Callable[..., Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            y = product(*leaves)
            y.backward(torch.ones_like(y))
            return y.detach()

        return run

    runs: dict[str, tuple[int, Callable[[], Tensor]]] = {
        "F.linear": (1, lambda: F.linear(x, weight, bias)),
        "F.linear bf16": (1, lambda: F.linear(*half)),
        "F.linear, backward too": (3, both_ways(F.linear)),
        "1x1 convolution, backward too": (3, both_ways(convolution)),
    }
    linear = Linear(k, m).requires_grad_(False).eval()
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
    for kind in BODIES:
        if not probe(kind) and (kind is not OneDnnTiles or n >= kind.TILE):
            body, given = exchange(copy.deepcopy(linear), kind), x.to(kind.dtype)
            runs[kind.__name__] = (1, inference(body, given))
    integers = (torch.randint(-9, 9, (n, k)).to(torch.int8), torch.ones(k, m, dtype=torch.int8))
    if n > 16:  # it takes no fewer rows
        runs["torch._int_mm"] = (1, lambda: torch._int_mm(*integers))
    exact = F.linear(x, weight, bias)
    for name, (_, run) in runs.items():
        if name != "torch._int_mm":  # its operands are others
            tolerance = 0.02 if re.search("bf16|Int|Half|Bf16", name) else 1e-5
            error = float((run().float() - exact).norm() / exact.norm())
            assert error <= tolerance, (name, error)
    return runs


def inference(body: Linear, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            return body(x)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=at_least_one, default=15)
    number = parser.parse_args().runs
    print(devices.conditions(torch.get_num_threads(), []))
    for n, k, m in SHAPES:
        runs = contenders(n, k, m)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(number):
            for name, (_, run) in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
        print(f"({n}, {k}) x ({k}, {m})")
        for name, (passes, _) in runs.items():
            rates = sorted(2 * passes * n * k * m / s / 1e9 for s in seconds[name])
            print(
                f"  {name:<30} {statistics.median(rates):6.0f} ({rates[0]:.0f} to {rates[-1]:.0f})"
            )


if __name__ == "__main__":
    run_program(main)

"""The probe: a body is tried on a small product before it is trusted."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
import torch.nn.functional as F

from minibert._checks import warn
from minibert.engine.bodies import Body, HalfWeights, OneDnnBf16, OneDnnTiles, Plain
from minibert.engine.exchange import exchange
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.rule import Precision, choose
from minibert.linear import Linear


def body_for(precision: Precision, device: torch.device) -> type[Body]:
    """The body the rule chooses, if it passes its probe. Warns where it is not what was asked."""
    body, note = choose(precision, device)
    failure = probe(body)
    if failure:
        note = f"{body.__name__} {failure} on this machine; plain fp32 products are used"
        body = Plain
    if note:
        warn(note)
    return body


TOLERANCES: dict[type[Body], float] = {
    HalfWeights: 1e-3,
    OneDnnBf16: 1e-2,
    Int8: 2e-2,
    Int7: 2e-2,
    Int7Few: 2e-2,
}  # others: 1e-5


_FAILURES: dict[Any, str] = {}  # what `probe` found for each body


def probe(body: type[Body]) -> str:
    """What is wrong with a body on this machine, or "". Each is tried once."""
    if body not in _FAILURES:
        _FAILURES[body] = "" if issubclass(body, Plain) else _compare(body)
    return _FAILURES[body]


def _compare(body: type[Body]) -> str:
    """Small products beside plain ones in fp64: one token, a few, and more than a tile.

    The first row and the first channel are constant, so that integers reach their largest sums.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):  # no draw of the caller's is used
        linear = Linear(96, 32).requires_grad_(False)
        linear.weight.copy_(torch.randn(32, 96, generator=generator)).clamp_(-3, 3)[0] = 3.0
        linear.bias.copy_(torch.randn(32, generator=generator))
        x = torch.randn(OneDnnTiles.TILE + 3, 96, generator=generator)
    x[0, 1:] = 4.0
    exact = F.linear(x.double(), linear.weight.double(), linear.bias.double())
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            # PyTorch says once that the tensors FBGEMM takes will go, some day; then this fails.
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            ours = exchange(copy.deepcopy(linear), body)
            for rows in (1, 7, len(x)):
                y = ours(x[:rows].to(ours.dtype)).double()
                error = float((y - exact[:rows]).norm() / exact[:rows].norm())
                if not error <= TOLERANCES.get(type(ours), 1e-5):
                    return f"is wrong by {error:.1e} of the result"
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        return f"does not run ({reason[0]})"
    return ""

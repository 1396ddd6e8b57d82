"""The probe: a body of `Linear` is tried on small products before it is trusted."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.utils import skip_init

from minibert.engine.exchange import exchange
from minibert.linear import Linear

_FAILURES: dict[type, str] = {}  # what `probe` found for each body


def probe(body: type[Any]) -> str:
    """What is wrong with a body on this machine, or "". Each is tried once."""
    if body not in _FAILURES:
        _FAILURES[body] = _compare(body)
    return _FAILURES[body]


def _compare(body: type[Any]) -> str:
    """Products of one token, a few and 515 beside plain ones in fp64: bodies that cut tokens into
    tiles have a tile and a rest to do.

    The first token and the first channel are constant, so that integers reach their largest sums.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    plain: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}  # not PyTorch's defaults
    # Not initialised: that would draw random numbers, which another thread may have seeded.
    linear = skip_init(Linear, 96, 32, **plain).requires_grad_(False)
    linear.weight.normal_(generator=generator).clamp_(-3, 3)[0] = 3.0
    linear.bias.normal_(generator=generator)
    x = torch.randn(515, 96, generator=generator, **plain)
    x[0, 1:] = 4.0
    exact = F.linear(x.double(), linear.weight.double(), linear.bias.double())
    try:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", enabled=False),
            warnings.catch_warnings(),
        ):
            # PyTorch says once that the tensors FBGEMM takes will go, some day; then this fails.
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            ours = exchange(copy.deepcopy(linear), body)
            for tokens in (1, 7, len(x)):
                y = ours(x[:tokens].to(body.dtype)).double()
                error = float((y - exact[:tokens]).norm() / exact[:tokens].norm())
                if not error <= body.tolerance:
                    return f"is wrong by {error:.1e} of the result"
    except (RuntimeError, AttributeError) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        return f"does not run ({reason[0]})"
    return ""

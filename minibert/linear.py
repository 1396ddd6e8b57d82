"""Linear: the one place where the encoder multiplies matrices.

Nearly all the work of BERT is `x @ W.T + b`, about 85 million multiply-adds a token in BERT-base.
All of it passes through `Linear.forward`, so this method is also the seam at which the library is
made fast: a body for other hardware or another number format replaces it, and nothing else in the
book knows.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn


def gelu(x: Tensor) -> Tensor:
    """x times the probability that a standard normal is below x, exactly (erf).

    Source: Hendrycks & Gimpel 2016, arXiv 1606.08415; BERT's own `gelu` in modeling.py.
    """
    return F.gelu(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh approximation of GELU, which some later checkpoints were trained with."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda x: x,
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
}


class Linear(nn.Linear):
    """`activation(x W^T + b)`, then dropout, then the residual: a whole step of a Transformer.

    The order is the paper's: "dropout [...] to the output of each sub-layer, before it is added to
    the sub-layer input" (Vaswani et al. 2017, section 5.4). Activation and residual are arguments
    because fast kernels do them while the product is still in registers.
    """

    def __init__(self, in_features: int, out_features: int, dropout: float = 0.0) -> None:
        super().__init__(in_features, out_features)
        self.dropout = dropout

    def forward(
        self, x: Tensor, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """x: (N, in), residual: (N, out) -> (N, out). `activation`: a key of `ACTIVATIONS`."""
        y = ACTIVATIONS[activation](F.linear(x, self.weight, self.bias))
        y = F.dropout(y, self.dropout, self.training)
        return y if residual is None else y + residual

"""Linear: the one place where the encoder multiplies by weights.

Nearly all the work of BERT is `x @ W.T + b`, about 85 million multiply-adds a token in BERT-base
(attention multiplies activations with each other as well; that is a small part at usual lengths).
The encoder's part passes through `Linear.forward`, so this method is also the seam at which the
library is made fast: a body for other hardware or another number format replaces it, and nothing
else in the book knows.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gelu(x: Tensor) -> Tensor:
    """x times the probability that a standard normal variable is below x, computed exactly (erf).

    Source: Hendrycks & Gimpel 2016, arXiv 1606.08415. It is what `hidden_act: gelu` means in a
    Hugging Face config, and so in nearly every BERT checkpoint.
    """
    return F.gelu(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh approximation of GELU, within 1e-3 of it: `gelu_new` in a config.

    The function `gelu` in Google's modeling.py is this one.
    """
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda x: x,
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
}


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Each number becomes 0 with probability p, and x / (1 - p) otherwise; in training only.

    Source: Srivastava et al. 2014, "Dropout", JMLR 15. On a CPU the random numbers are what it
    costs: `F.dropout` makes 64 random bits for each number, and here four share them. p is then a
    multiple of 1/65536 (0.1 is 0.100006), and the scale goes by that.
    """
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped = min(round(p * 65536), 65535)  # of the 65536 values of 16 bits
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    sixteen = bits.view(torch.int16)[: x.numel()].view(x.shape)  # -32768 to 32767, all as likely
    # Written as 0.0 and 1.0 at once, without another pass over truth values.
    kept = torch.ge(sixteen, dropped - 32768, out=torch.empty_like(x, requires_grad=False))
    return (x * kept).mul_(65536 / (65536 - dropped))


class Linear(nn.Linear):
    """`residual + Dropout(activation(x W^T + b))`: a product and what follows it element-wise.

    The order is the paper's: "dropout [...] to the output of each sub-layer, before it is added to
    the sub-layer input" (Vaswani et al. 2017, section 5.4). Activation and residual are arguments
    so that a body may apply them as it sees fit.
    """

    def __init__(self, in_features: int, out_features: int, dropout: float = 0.0) -> None:
        super().__init__(in_features, out_features)
        self.dropout = dropout
        self.product: Callable[[Tensor, Tensor, Tensor | None], Tensor] = F.linear

    def forward(
        self, x: Tensor, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """x: (..., in), residual: (..., out) -> (..., out). activation: a key of `ACTIVATIONS`."""
        y = ACTIVATIONS[activation](self.product(x, self.weight, self.bias))
        y = dropout(y, self.dropout, self.training)
        return y if residual is None else y + residual

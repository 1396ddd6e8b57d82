"""Linear: the one place where the encoder multiplies by weights.

    y[n, j] = sum over i of x[n, i] W[j, i]  +  b[j]          y = x W^T + b

x[n] is a token, W[j] a pattern to compare it with, and y[n, j] says how well the two match. Nearly
all the work of BERT is this product, about 85 million multiply-adds a token in BERT-base.
(Attention multiplies activations with each other as well; that is a small part at usual lengths.)

The paper writes x W, with W of shape (in, out); PyTorch keeps its transpose, and so do the files.

Every product of the encoder passes through `Linear.forward`, and this method does nothing else. So
it is also the seam at which the library is made fast: `engine/` and `training/speed.py` put other
bodies in its place, for other hardware or another number format, and no chapter of the book knows.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """x W^T + b. weight: W, (out, in); bias: b, (out,)."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(x, self.weight, self.bias)

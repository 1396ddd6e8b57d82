"""Linear: the one place where the encoder multiplies by weights.

    y[t, j] = sum over i of x[t, i] W[j, i]  +  b[j]          y = x W^T + b

x[t] is a token, W[j] a pattern to compare it with, and y[t, j] says how well the two match. Nearly
all the work of BERT is this product, about 85 million multiply-adds a token in BERT-base.
(Attention multiplies activations with each other as well; that is a small part at usual lengths.)

The paper writes x W, with W of shape (in, out); PyTorch keeps its transpose, and so do the files.

Every product of the encoder passes through `Linear.forward`, and this method does nothing else. So
other implementations can take its place from outside, and no chapter of the book knows.
Lesson: examples/lessons/05_one_layer.py.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """x W^T + b. weight: W, (out, in); bias: b, (out,), always there."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(x, self.weight, self.bias)

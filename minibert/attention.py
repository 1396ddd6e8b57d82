"""Attention: every token asks a question of all tokens of its row and takes a mixture of answers.

Each token makes three vectors of itself. Its query says what it looks for, its key what it can be
found by, its value what it hands over. A query is compared with the keys of the whole row, before
*and* after it: that is the B, "bidirectional", of BERT, and the difference from GPT, whose mask
hides what comes later. The only mask here is the one that hides padding.

Paper: Vaswani et al. 2017, section 3.2, equation 1 and "MultiHead". Reference: google-research/bert
modeling.py, `attention_layer`.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.config import BertConfig
from minibert.linear import Linear
from minibert.linear import dropout as drop
from minibert.packing import Packing

# Query, key, value, mask, dropout -> context, and the weights if they are to be had.
Attend = Callable[
    [Tensor, Tensor, Tensor, Tensor | None, float], tuple[Tensor, Tensor] | tuple[Tensor, None]
]


def readable_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """softmax(Q K^T / sqrt(D)) V, one line for each step of equation 1.

    query, key, value: (B, H, T, D); the model calls it once for each group of a packed batch, with
    the group's G rows of W slots for B and T. mask: bool, broadcast to (B, H, T, T), True = may
    attend. dropout: the probability of dropping an attention weight.
    Returns the context (B, H, T, D) and the weights before dropout (B, H, T, T). A query that may
    attend to nothing gets zero weights and a zero context, not NaN.
    """
    # How well does each query match each key? Dot products of D unit-variance terms have variance
    # D; dividing by sqrt(D) keeps the softmax out of the region where its gradient vanishes. The
    # query is divided, not the scores: of those there are more once T passes D.
    scores = query / math.sqrt(query.shape[-1]) @ key.mT  # (B, H, T, T)
    if mask is not None:
        # Added, since the gradient of a sum costs nothing. Half of the smallest number, not minus
        # infinity: softmax of nothing but -inf is NaN.
        scores = scores + (~mask).to(scores.dtype) * (torch.finfo(scores.dtype).min / 2)
    weights = scores.softmax(dim=-1)  # (B, H, T, T), each row of T sums to 1
    if mask is not None and not mask.any(dim=-1).all():
        # They are zero at masked keys already, unless all keys are masked. In the model each row of
        # a group has a real key; this line is for other callers, and equals what SDPA does.
        weights = weights.masked_fill(~mask, 0.0)
    context = drop(weights, dropout) @ value  # (B, H, T, D)
    return context, weights


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, None]:
    """The same function by PyTorch's fused kernels: same arguments, same context.

    They work through the keys block by block and never hold the (B, H, T, T) weights, which is what
    makes them fast and also why there are no weights to return (Dao et al. 2022, arXiv 2205.14135).
    With dropout PyTorch has no such kernel for the CPU, and the formula takes its place.
    """
    if dropout and query.device.type == "cpu":
        return readable_attention(query, key, value, mask, dropout)[0], None
    return F.scaled_dot_product_attention(query, key, value, mask, dropout), None


def grouped_attention(
    qkv: Tensor, packing: Packing, attend: Attend = fused_attention, dropout: float = 0.0
) -> tuple[Tensor, list[Tensor]]:
    """Attention of a packed batch, group by group.

    qkv: (N, 3, H, D), query, key and value of each token. attend: `readable_attention` or
    `fused_attention`. Returns the context (N, H, D), and the weights of each group, (G, H, W, W),
    if `attend` has them.
    """
    contexts: list[Tensor] = []
    weights: list[Tensor] = []
    for group in packing.groups:
        query, key, value = group.pad(qkv).permute(2, 0, 3, 1, 4)  # each (G, H, W, D)
        mask = None if group.mask is None else group.mask[:, None, None, :]  # (G, 1, 1, W)
        context, weight = attend(query, key, value, mask, dropout)  # (G, H, W, D)
        contexts.append(group.unpad(context.transpose(1, 2)))  # (n, H, D)
        if weight is not None:
            weights.append(weight)
    # The groups cover the list in order.
    return contexts[0] if len(contexts) == 1 else torch.cat(contexts), weights


class SelfAttention(nn.Module):
    """x + Dropout(Concat(head_1 .. head_H) W^O), each head attention over its own projections.

    H heads attend at once, each in its own D = C / H dimensions: one may follow syntax, another
    look at the next token, a third rest on [SEP] (Clark et al. 2019, arXiv 1906.04341).

    Which of the ways to compute it, by `config.attention`:

    "auto": a kernel for packed rows if `minibert.optimize` found one for the device, or else as
        "fused".
    "fused": PyTorch's fused kernel, one group of rows after another, padding left out.
    "readable": the formula, group by group. Asking for the attention weights takes it, too.

    Evidence (benchmarks/attention.py; figures in benchmarks/RESULTS.md): on a CPU "fused" in groups
    was the fastest of nine ways, or within 10 % of it, in 78 of 81 cells of length and padding.
    With half of the slots padded, this module and its LayerNorm, forward and backward, were 1.6 to
    1.7 times as fast as transformers' with its fused kernel. The bare formula, forward, takes two
    to four times as long as the kernel from 512 tokens on, and memory that grows with T squared.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        # W^Q, W^K and W^V of all heads in one product: three stacked (C, C) matrices.
        self.query_key_value = Linear(width, 3 * width)
        self.output = Linear(width, width, dropout=config.hidden_dropout_prob)  # W^O
        # A kernel that takes rows of different lengths as they stand in the packed list, if
        # `minibert.optimize` found one for the device: query, key, value (N, H, D) -> (N, H, D).
        self.attend_packed: Callable[[Tensor, Tensor, Tensor, Packing], Tensor] | None = None

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """x: (N, C) -> x plus what each token gathered, (N, C) or (R, C).

        wanted: (R,) packed indices of the only tokens whose result is needed; every token is still
        attended to. output_attentions: also return the attention weights, (B, H, T, T) with zeros
        at padding; this takes the readable path, the only one that has them.
        """
        kind = "readable" if output_attentions else self.config.attention
        heads, head_size = self.config.num_attention_heads, self.config.head_size
        qkv = self.query_key_value(x).view(-1, 3, heads, head_size)  # (N, 3, H, D)
        weights: list[Tensor] = []
        if kind == "auto" and self.attend_packed is not None:
            query, key, value = qkv.unbind(1)  # each (N, H, D)
            context = self.attend_packed(query, key, value, packing)  # (N, H, D)
        else:
            attend = readable_attention if kind == "readable" else fused_attention
            dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
            context, weights = grouped_attention(qkv, packing, attend, dropout)
        context = context.flatten(1)  # (N, C): the heads side by side

        if wanted is not None:
            context, x = context[wanted], x[wanted]  # (R, C)
        x = self.output(context, residual=x)  # (N, C) or (R, C)
        return x, packing.unpack_weights(weights) if output_attentions else None

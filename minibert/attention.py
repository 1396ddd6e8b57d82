"""Attention: every token asks a question of all tokens of its row and takes a mixture of answers.

Each token makes three vectors of itself. Its query says what it looks for, its key what it can be
found by, its value what it hands over. A query is compared with the keys of the whole row, before
*and* after it: that is the B, "bidirectional", of BERT, and the difference from GPT, whose mask
hides what comes later. The only mask here is the one that hides padding.

Paper: Vaswani et al. 2017, section 3.2, equation 1 and "MultiHead". Reference: google-research/bert
modeling.py, `attention_layer`. Lesson: examples/lessons/04_self_attention.py.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.config import BertConfig
from minibert.linear import Linear
from minibert.packing import Packing, Record

# Query, key, value, mask, dropout -> the context, and the weights where there are any.
Attend = Callable[
    [Tensor, Tensor, Tensor, Tensor | None, nn.Dropout | None], tuple[Tensor, Tensor | None]
]


def readable_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: nn.Dropout | None = None,
) -> tuple[Tensor, Tensor]:
    """softmax(Q K^T / sqrt(D)) V, one line for each step of equation 1.

    query, key, value: (B, H, T, D). The model calls it once for each group of a packed batch, and
    B and T are then the group's G rows and S slots. mask: bool, broadcast to (B, H, T, T), True =
    may attend. dropout: applied to the attention weights.
    Returns the context (B, H, T, D) and the weights before dropout (B, H, T, T). A query that may
    attend to nothing gets zero weights and a zero context, not NaN.
    """
    # How well does each query match each key? If the components of both are independent with mean
    # 0 and variance 1, their dot product has variance D; dividing by sqrt(D) makes it 1. Large
    # scores would saturate the softmax, where its gradient vanishes.
    scores = (query @ key.mT) / math.sqrt(query.shape[-1])  # (B, H, T, T)
    if mask is not None:
        # The lowest number, not minus infinity: a softmax of nothing but -inf is NaN.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)  # (B, H, T, T), the T of a query sum to 1
    if mask is not None:
        # Masked keys have weight 0 already, unless every key of a query is masked.
        weights = weights.masked_fill(~mask, 0.0)
    dropped = weights if dropout is None else dropout(weights)
    context = dropped @ value  # (B, H, T, D)
    return context, weights


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: nn.Dropout | None = None,
) -> tuple[Tensor, None]:
    """The same function by PyTorch's operator: same arguments and, without dropout, same context.

    Its fused kernels work through the keys block by block and never hold the (B, H, T, T) weights,
    which is what makes them fast and also why there are no weights to return (Dao et al. 2022,
    arXiv 2205.14135). Where it has no such kernel, with dropout on CPUs for one, it computes the
    formula.
    """
    p = dropout.p if dropout is not None and dropout.training else 0.0
    return F.scaled_dot_product_attention(query, key, value, mask, p), None


def grouped_attention(
    qkv: Tensor,
    packing: Packing,
    attend: Attend = fused_attention,
    dropout: nn.Dropout | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Attention of a packed batch, group by group.

    qkv: (N, 3, H, D), query, key and value of each token. attend: `readable_attention` or
    `fused_attention`. Returns the context (N, H, D), and the weights of each group, (G, H, S, S),
    if `attend` has them.
    """
    contexts: list[Tensor] = []
    weights: list[Tensor] = []
    for group in packing.groups:
        query, key, value = group.pad(qkv).permute(2, 0, 3, 1, 4)  # each (G, H, S, D)
        mask = None if group.mask is None else group.mask[:, None, None, :]  # (G, 1, 1, S)
        context, weight = attend(query, key, value, mask, dropout)  # (G, H, S, D)
        contexts.append(group.unpad(context.transpose(1, 2)))  # (n, H, D)
        if weight is not None:
            weights.append(weight)
    # The groups cover the list in order.
    return contexts[0] if len(contexts) == 1 else torch.cat(contexts), weights


class SelfAttention(nn.Module):
    """Concat(head_1 .. head_H) W^O, each head attention over its own projections of x.

    H heads attend at once, each in its own D = C / H dimensions: one may follow syntax, another
    look at the next token, a third rest on [SEP] (Clark et al. 2019, arXiv 1906.04341).

    Unlike the paper's, each projection has a bias, and the weights themselves get dropout.

    `config.attention` says how it is computed: by the formula ("readable"), by PyTorch's fused
    kernels ("fused"), or as "fused" unless another way was put in its place from outside ("auto").
    Whoever asks for the attention weights gets the formula.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        # W^Q, W^K and W^V of all heads in one product: three stacked (C, C) matrices.
        self.query_key_value = Linear(width, 3 * width)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)  # on the attention weights
        self.output = Linear(width, width)  # W^O

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """x: (N, C) -> what each token gathered, (N, C) or (R, C).

        wanted: (R,) packed indices of the only tokens whose result is needed; every token is still
        attended to. record: is handed the attention weights, if it asks for them.
        """
        heads, head_size = self.config.num_attention_heads, self.config.head_size
        qkv = self.query_key_value(x).view(-1, 3, heads, head_size)  # (N, 3, H, D)
        context = self.attend(qkv, packing, record).flatten(1)  # (N, C): the heads side by side
        if wanted is not None:
            context = context[wanted]  # (R, C)
        return self.output(context)

    def attend(self, qkv: Tensor, packing: Packing, record: Record | None = None) -> Tensor:
        """query, key and value of each token, (N, 3, H, D) -> what it gathered, (N, H, D)."""
        asked = record is not None and record.attentions is not None
        readable = asked or self.config.attention == "readable"
        function: Attend = readable_attention if readable else fused_attention
        context, weights = grouped_attention(qkv, packing, function, self.dropout)
        if record is not None:
            record.add_attentions(weights)
        return context

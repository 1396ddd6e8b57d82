"""How much memory a model takes: by its numbers, and by what it computes of a batch.

Only reckoned, in fp32; nothing is run. Beside it there is what PyTorch itself takes, some hundred
MB, and the memory that its allocator keeps.
"""

from __future__ import annotations

from typing import NamedTuple

from minibert.config import BertConfig

_FLOAT = 4  # bytes
_STATES = 4  # numbers for each weight in training: itself, its gradient, and two moments of AdamW


class Memory(NamedTuple):
    """Bytes that a model takes, in fp32, for batches of one shape."""

    weights: int
    inference: int
    training: int


def memory(config: BertConfig, parameters: int, tokens: int) -> Memory:
    """The memory for a model with so many parameters and batches of so many real tokens.

    Inference: the weights, and what a token has at the widest point of a layer, in the feed-forward
    network: x (C), and I numbers before and after GELU. Training: 16 bytes a parameter, for AdamW
    has two moments, and what each layer keeps for the way back. Source: Korthikanti et al. 2022,
    arXiv 2205.05198, section 4.1: 34 bytes a token and hidden unit in fp16, where I is 4 C, which
    are 16 numbers and 2 bytes of dropout's masks. Its second term, the attention weights, is left
    out: fused attention does not keep them.
    """
    width, inner = config.hidden_size, config.intermediate_size
    weights = _FLOAT * parameters
    widest = _FLOAT * (width + 2 * inner)
    kept = _FLOAT * (8 * width + 2 * inner) + 2 * width  # 8: five products and two norms read them
    return Memory(
        weights=weights,
        inference=weights + tokens * widest,
        training=_STATES * weights + tokens * kept * config.num_hidden_layers,
    )

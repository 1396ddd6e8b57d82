"""What each head does over many texts: how much of its weight goes to the token before, the one
after, itself, [CLS] and [SEP], and how widely it looks.

Source: Clark et al. 2019, *What Does BERT Look At?*, arXiv 1906.04341, section 3. One sentence
shows what a head may do; many show what it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from minibert.checkpoint.arguments import check_choice
from minibert.checkpoint.pretrained import Pretrained
from minibert.inspect.attention_maps import TextAttention, each_attention
from minibert.text.inputs import Text
from minibert.tokenizer import Tokenizer
from minibert.training.results import aligned

Share = Literal["previous", "next", "itself", "cls", "sep"]


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """Each (L, H), the mean over the tokens of all texts, special ones included.

    previous, next: the share of weight that a token gives to the one before or after it; of tokens
    that have one. itself: to itself. cls, sep: to the first token, and to all separators. entropy:
    of its weights, in nats: 0 if one token gets all, ln T if all T get the same.
    """

    texts: int
    tokens: int
    previous: np.ndarray
    next: np.ndarray
    itself: np.ndarray
    cls: np.ndarray
    sep: np.ndarray
    entropy: np.ndarray

    def strongest(self, share: Share) -> tuple[int, int]:
        """(layer, head), from 1, that gives the largest share there."""
        check_choice("share", share, get_args(Share))
        values = getattr(self, share)
        layer, head = np.unravel_index(values.argmax(), values.shape)
        return int(layer) + 1, int(head) + 1

    def __str__(self) -> str:
        """The head that is strongest in each, and the mean of each layer's heads."""
        shares = get_args(Share)
        strongest = [["strongest head", "layer", "head", "share"]]
        for share in shares:
            strongest.append(
                [share, *map(str, self.strongest(share)), f"{getattr(self, share).max():.3f}"]
            )
        columns = [*shares, "entropy (nats)"]
        means = np.stack([*(getattr(self, share) for share in shares), self.entropy]).mean(axis=2)
        layers = [["mean of heads", *columns]]
        for number, row in enumerate(means.T, 1):
            layers.append([f"layer {number}", *(f"{value:.3f}" for value in row)])
        layers.append(["all", *(f"{value:.3f}" for value in means.mean(axis=1))])
        about = f"{self.texts} texts, {self.tokens} tokens"
        return f"{about}\n\n{aligned(strongest)}\n\n{aligned(layers)}"


def head_statistics(
    model: Pretrained, tokenizer: Tokenizer, texts: Iterable[Text]
) -> HeadStatistics:
    """Statistics of every head over texts, or (text, pair) tuples. Every token counts the same, so
    long texts count for more. One text's weights at a time are in memory.

    Raises `ValueError` as `attentions` does.
    """
    texts_read = tokens = 0
    sums: dict[str, np.ndarray] = {}
    for attention in each_attention("head_statistics", model, tokenizer, texts):
        texts_read += 1
        tokens += len(attention.tokens)
        for name, value in _sums(attention, tokenizer.sep_token_id).items():
            sums[name] = sums.get(name, 0) + value
    with_neighbour = tokens - texts_read  # the first has none before it, the last none after
    return HeadStatistics(
        texts=texts_read,
        tokens=tokens,
        **{
            name: value / (with_neighbour if name in ("previous", "next") else tokens)
            for name, value in sums.items()
        },
    )


def _sums(attention: TextAttention, separator: int) -> dict[str, np.ndarray]:
    """Each (L, H), over the tokens of one text."""
    weights = attention.weights.astype(np.float64)  # (L, H, T, T)
    separators = np.array(attention.row.ids) == separator  # (T,)
    # 0 ln 0 is 0.
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    return {
        "previous": np.trace(weights, offset=-1, axis1=2, axis2=3),
        "next": np.trace(weights, offset=1, axis1=2, axis2=3),
        "itself": np.trace(weights, axis1=2, axis2=3),
        "cls": weights[..., 0].sum(axis=-1),
        "sep": weights[..., separators].sum(axis=(-2, -1)),
        "entropy": -(weights * logs).sum(axis=(-2, -1)),
    }

"""Where each head looks: the attention weights of a text, with its tokens.

A picture of weights is a hypothesis about what a head does, not an explanation of what the model
says: Jain & Wallace 2019, arXiv 1902.10186. For an explanation change the input and look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.inspect.running import encode_each, run
from minibert.inspect.tokens import visible
from minibert.text.inputs import Text
from minibert.tokenizer import Encoding, Tokenizer
from minibert.training.results import aligned

WARNING = (
    "Rollout is no explanation: it averages heads that do different things and leaves out values\n"
    "and feed-forward networks. Masking the word that it ranks first moved a classifier made of\n"
    "minilm-l6 about a fifth as far as masking the one that occlusion ranks first."
)


@dataclass(frozen=True, eq=False)
class TextAttention:
    """The attention weights of one text.

    text: the text, or (text, pair). row: its tokens with all that is known of them. weights: (L, H,
    T, T) in fp32, before dropout: by layer, head, the token that looks, the token looked at. What a
    token gives sums to 1.
    """

    text: Text
    row: Encoding
    weights: np.ndarray

    @property
    def tokens(self) -> list[str]:
        """The T tokens, special ones included."""
        return self.row.tokens

    def head(self, layer: int, head: int) -> np.ndarray:
        """The weights of one head, (T, T); both numbered from 1."""
        layers, heads = self.weights.shape[:2]
        layer = whole_number("layer", layer, 1, layers)
        return self.weights[layer - 1, whole_number("head", head, 1, heads) - 1]

    def __str__(self) -> str:
        """For each token, averaged over layers and heads: to which it gives most, and what it gets
        of all weight."""
        layers, heads, length, _ = self.weights.shape
        mean = self.weights.mean(axis=(0, 1))  # (T, T)
        names = [visible(token) for token in self.tokens]
        table = [["token", "gives most to", "share", "gets of all"]]
        for name, given, received in zip(names, mean, mean.mean(axis=0), strict=True):
            most = int(given.argmax())
            table.append([name, names[most], f"{given[most]:.3f}", f"{received:.3f}"])
        about = f"{length} tokens, {layers} layers of {heads} heads; the mean of all:"
        return f"{about}\n{aligned(table)}"


@dataclass(frozen=True, eq=False)
class Rollout:
    """Attention rollout of a text: how much of each token is mixed into each, if attention were all
    there is.

    tokens: the T tokens. weights: (L, T, T), after each layer: by token, and by the token of the
    text that is in it; they sum to 1.
    """

    tokens: list[str]
    weights: np.ndarray

    def __str__(self) -> str:
        """What [CLS] has of each token at the end, and why not to believe it."""
        table = [["token", f"in {visible(self.tokens[0])}"]]
        for token, share in zip(self.tokens, self.weights[-1, 0], strict=True):
            table.append([visible(token), f"{share:.3f}"])
        return f"{aligned(table)}\n{WARNING}"


def attentions(
    model: Pretrained,
    tokenizer: Tokenizer,
    texts: Iterable[Text],
    *,
    max_length: int | None = None,
) -> list[TextAttention]:
    """The attention weights of each text, or (text, pair) tuple, by the formula of the book.

    max_length: cut longer rows to this many tokens, with a warning; None: to what the model takes.
    A text of T tokens takes L * H * T^2 * 4 bytes: 9 MB at 128 tokens in BERT-base, 151 MB at 512.

    >>> from minibert import BertModel
    >>> model = BertModel.from_pretrained("minilm-l6")
    >>> tokenizer = Tokenizer.from_pretrained("minilm-l6")
    >>> (found,) = attentions(model, tokenizer, ["The dog bites the man."])
    >>> found.weights.shape
    (6, 12, 8, 8)
    >>> found.tokens[found.head(layer=1, head=3)[2].argmax()]  # where "dog" looks
    'the'

    Raises `ValueError` for an optimized model, a tokenizer of another one, no texts, and a text
    without tokens.
    """
    return list(each_attention("attentions", model, tokenizer, texts, max_length))


def each_attention(
    function: str,
    model: Pretrained,
    tokenizer: Tokenizer,
    texts: Iterable[Text],
    max_length: int | None = None,
) -> Iterator[TextAttention]:
    """The same one by one, so that only one text's weights take memory."""
    for text, row in encode_each(function, model, tokenizer, texts, max_length):
        found = run(model, tokenizer, row, output_attentions=True).attentions
        assert found is not None  # was asked for
        yield TextAttention(text, row, torch.cat(found).float().cpu().numpy())


def rollout(attention: TextAttention) -> Rollout:
    """Attention rollout (Abnar & Zuidema 2020, arXiv 2005.00928, equation 1).

    The heads of a layer are averaged; half of each token stays what it was, for the residual sum;
    and the layers are multiplied.

    **A warning.** It is here because it is often seen, not because it is right. It averages heads
    that do different things and leaves out values, feed-forward networks and norms. In a deletion
    test of a classifier made of minilm-l6, masking the word that rollout ranks first lowers the
    probability by .05, that of occlusion by .24, a random word by .02.
    """
    mean = attention.weights.mean(axis=1, dtype=np.float64)  # (L, T, T)
    layers = 0.5 * mean + 0.5 * np.eye(mean.shape[-1])
    mixed = [layers[0]]
    for layer in layers[1:]:
        mixed.append(layer @ mixed[-1])
    return Rollout(attention.tokens, np.stack(mixed))

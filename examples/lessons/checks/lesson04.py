"""Lesson 4: attention by hand, and the head that looks at the token before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checks.verdict import Hint, called, compare, exercise, tensor, whole
from minibert.attention import readable_attention

NAN = "the result has NaN; does softmax go over the keys, and is some token left to look at?"


def _library(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """The context, (T, D), of one text and one head."""
    return readable_attention(query[None, None], key[None, None], value[None, None], mask)[0][0, 0]


def _weights(query: Tensor, key: Tensor) -> Tensor:
    return readable_attention(query[None, None], key[None, None], key[None, None])[1][0, 0]


@exercise
def attention(answer: Callable[..., Any]) -> str:
    """(T, D) queries, keys, values and a (T,) mask -> the context, (T, D)."""
    # Three tokens and four numbers each. Without a mask some mistakes agree with the right answer,
    # and so do others with one: it takes both.
    query, key, value = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(4)).double()
    for mask in (torch.tensor([True, True, True]), torch.tensor([True, False, True])):
        result = called(answer, query, key, value, mask)
        if isinstance(result, Tensor) and result.isnan().any():
            raise Hint(NAN)
        padded = not mask.all()
        if tuple(getattr(result, "shape", ())) == (3, 3):
            raise Hint("the result is (T, T), as the weights are; multiply them by the values")
        open_weights = _weights(query, key)
        mistakes = {
            "divide the scores by the square root of D before the softmax": _library(
                2 * query, key, value, mask
            ),
            "the scores are divided by D; it should be its square root": _library(
                query / 2, key, value, mask
            ),
            "softmax goes over the queries; each row, a query's weights, should sum to 1": (
                _weights(key, query).T @ value
            ),
            "queries and keys have changed places: scores[i, j] is query i times key j": _library(
                key, query, value, mask
            ),
        }
        if padded:
            mistakes |= {
                "the mask is applied after the softmax, so the weights no longer sum to 1; make "
                "the scores -inf before it": (open_weights * mask) @ value,
                "the mask is the wrong way round: True is where a token may be looked at": _library(
                    query, key, value, ~mask
                ),
                "the mask changes nothing; make the scores of masked tokens -inf": _library(
                    query, key, value
                ),
            }
        where = "with the second token masked" if padded else "with nothing masked"
        right = _library(query, key, value, mask)
        found = tensor(result, (3, 4))
        row = int((found - right).abs().sum(dim=1).argmax())
        compare(
            found,
            right,
            mistakes,
            f"{where}, row {row} of the result is {_listed(found[row])}; the library's is "
            f"{_listed(right[row])}. Print your scores and your weights: do rows sum to 1?",
        )
    return "your attention is the library's, with a mask and without"


def _listed(row: Tensor) -> str:
    return "[" + ", ".join(f"{number:.3f}" for number in row.tolist()) + "]"


@exercise
def previous_head(answer: Callable[..., Any]) -> str:
    """A list of (L, H, T, T) weights -> (layer, head), from 1, that looks at the token before."""
    texts = _made_up()
    result = called(answer, texts)
    try:
        layer, head = result
    except (TypeError, ValueError) as error:
        raise Hint(f"the result is {result!r}; it should be two numbers, (layer, head)") from error
    found = whole(layer, "the layer"), whole(head, "the head")
    hints = {
        (1, 2): "this counts from 0; people number layers and heads from 1",
        (1, 1): "this head looks at the token after: weights[i, j] is token i looking at token j",
        (2, 1): "this head looks at itself; the token before i is i - 1",
        (3, 2): "layer and head have changed places",
        (1, 3): "this head is strongest in the first sentence only; take the mean over all",
        (2, 2): "this head looks at the first token of each text",
    }
    if found != PREVIOUS:
        raise Hint(
            hints.get(found, f"{found} is not the head; print the mean that you have for each")
        )
    return "found in a made-up model; in minilm-l6 the same lines give (1, 3)"


PREVIOUS = (2, 3)


def _made_up() -> list[np.ndarray]:
    """Weights of a model of two layers with three heads, for four texts, each head with a habit of
    its own."""
    random = np.random.default_rng(4)
    texts = []
    for number, length in enumerate((5, 9, 7, 8)):
        before, after = np.eye(length, k=-1), np.eye(length, k=1)
        first = np.zeros((length, length))
        first[:, 0] = 1
        of_one_text = before if number == 0 else first
        weights = np.stack(
            [
                np.stack([after, np.ones_like(after) / length, of_one_text]),
                np.stack([np.eye(length), first, 0.6 * before + 0.1 * after]),
            ]
        )
        weights += random.uniform(0.01, 0.02, weights.shape)
        texts.append(weights / weights.sum(axis=-1, keepdims=True))
    return texts

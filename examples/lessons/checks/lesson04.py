"""Lesson 4: attention by hand, and the head that looks at the token before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from checks.verdict import Hint, called, compare, exercise, tensor, whole
from minibert.attention import readable_attention

# Tokens and numbers on a card: not the lesson's, nor twice the same, so that a number copied from
# it, or fitted to the check, is seen.
SIZES = ((5, 7), (4, 3), (3, 5))


def _attended(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The library's context, (T, D), and weights, (T, T), of one text and one head."""
    context, weights = readable_attention(
        query[None, None], key[None, None], value[None, None], mask
    )
    return context[0, 0], weights[0, 0]


@exercise
def attention(answer: Callable[..., Any]) -> str:
    """(T, D) queries, keys, values and a (T,) mask -> the context, (T, D)."""
    # Without a mask some mistakes agree with the right answer, and so do others with one: it takes
    # both.
    for size in SIZES:
        cards = torch.randn(3, *size, generator=torch.Generator().manual_seed(4)).double()
        query, key, value = cards
        if size == SIZES[-1]:  # all scores far below 0, so that only -inf is small enough
            query, key = -400 * query.abs(), key.abs() + 0.1
        padded = torch.arange(size[0]) != 1
        masks = (torch.ones_like(padded), padded)
        results = [called(answer, query, key, value, mask) for mask in masks]
        if [tuple(getattr(result, "shape", ())) for result in results] == [(size[0],) * 2] * 2:
            raise Hint(
                "the result is (T, T), as scores and weights are; what is still to come after the "
                "weights?"
            )
        _check_nan(results[0], results[1], padded, size)
        for result, mask in zip(results, (None, padded), strict=True):
            _check_context(tensor(result, size), query, key, value, mask)
    return "your attention is the library's, with a mask and without"


def _check_context(
    found: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> None:
    right, _ = _attended(query, key, value, mask)
    row = int((found - right).abs().sum(dim=1).argmax())
    where = "with nothing masked" if mask is None else "with the second token masked"
    compare(
        found,
        right,
        _mistakes(query, key, value, mask),
        f"{where}, row {row} of the result begins with {_listed(found[row])}, and the library's "
        f"with {_listed(right[row])}. Print your scores, weights and context, and compare them "
        "with the lesson's tables for its three tokens, step by step",
    )


def _mistakes(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
    """What each known mistake gives: mostly the library's answer to another question."""
    tokens, numbers = query.shape
    scale = math.sqrt(numbers)
    weights = _attended(query, key, value)[1]
    found = {
        "divide the scores by the square root of D before the softmax": _attended(
            scale * query, key, value, mask
        )[0],
        "the scores are divided by D; it should be its square root": _attended(
            query / scale, key, value, mask
        )[0],
        f"the scores are divided by 2, right of the lesson's D of 4; here D is {numbers}: "
        "query.shape[1] tells it": _attended(scale / 2 * query, key, value, mask)[0],
        "the scores are divided by the square root of T, the number of tokens; D is that of the "
        "numbers on a card": _attended(scale / math.sqrt(tokens) * query, key, value, mask)[0],
        "the scores are divided by T, the number of tokens; it should be the square root of D": (
            _attended(scale / tokens * query, key, value, mask)[0]
        ),
        "softmax goes over the queries, down the columns; each row should sum to 1, which is "
        "dim=1": _attended(key, query, value)[1].T @ value,
        "queries and keys have changed places: scores[i, j] is query i times key j": _attended(
            key, query, value, mask
        )[0],
        "the weights mix the keys; they should mix the values": _attended(query, key, key, mask)[0],
        "rows and columns of the weights have changed places before they meet the values": (
            _attended(query, key, value, mask)[1].T @ value
        ),
    }
    if mask is None:
        return found
    return found | {
        "the mask is applied after the softmax, so the weights no longer sum to 1; make the scores "
        "-inf before it": (weights * mask) @ value,
        # Whoever has it the wrong way round was told so by the sizes before the last.
        "the scores of masked tokens are low, but here all others are lower; only -inf is low "
        "enough"
        if query.shape == SIZES[-1]
        else "the mask is the wrong way round: True is where a token may be looked at": _attended(
            query, key, value, ~mask
        )[0],
        "the mask changes nothing; make the scores of masked tokens -inf": weights @ value,
        "the scores of masked tokens are 0, and e to the power of 0 is 1: they still get weight; "
        "make them -inf": _attended(query, key * mask[:, None], value)[0],
        "the row of the masked token is 0; it is computed like the others, only nobody looks at "
        "it": _attended(query, key, value, mask)[0] * mask[:, None],
    }


def _check_nan(whole_text: Any, padded: Any, mask: Tensor, size: tuple[int, int]) -> None:
    """Raise `Hint` where a mask that went wrong has left NaN: in which rows tells how."""
    if not isinstance(padded, Tensor) or padded.shape != size:
        return
    if not padded.isnan().any():
        if torch.as_tensor(whole_text).isnan().any():
            raise Hint(
                "with nothing masked the result is NaN: the mask is turned round, so that all is "
                "masked. masked_fill writes where it finds True; you want ~mask"
            )
        return
    rows = padded.isnan().any(dim=1)
    if rows.equal(~mask) or rows.equal(mask):
        round_ = ", and the wrong way round" if rows.equal(mask) else ""
        raise Hint(
            f"the mask is applied to rows, the tokens that look{round_}; it belongs to columns, "
            "the tokens looked at: masked_fill with a mask of shape (T,) does that"
        )
    if torch.as_tensor(whole_text).isnan().any():
        raise Hint(
            "the result is NaN everywhere: 0 times -inf is NaN, so a mask that is multiplied by "
            "-inf spoils all scores; masked_fill writes -inf where it should stand, and nowhere "
            "else"
        )
    raise Hint(
        "with a token masked the result has NaN: some row or column has only scores of -inf before "
        "the softmax. Softmax should go over the keys, dim=1, not over the queries"
    )


def _listed(row: Tensor) -> str:
    return "[" + ", ".join(f"{number:.3f}" for number in row[:3].tolist()) + "]"


PREVIOUS = (3, 2)
LATER, SELF, FIRST, IN_THE_FIRST, IN_THE_LAST, WRAPPED = (
    (1, 1),
    (1, 3),
    (1, 4),
    (2, 4),
    (3, 3),
    (1, 2),
)
ONE = "this head is strongest in one sentence only; take the mean over the tokens of all"
HINTS = {
    (2, 1): "this counts from 0; people number layers and heads from 1",
    (3, 1): "the layer counts from 1, and the head from 0",
    (2, 2): "the head counts from 1, and the layer from 0",
    (2, 3): "layer and head have changed places",
    LATER: "this head looks at the token after; array[l, h, i, j] is token i looking at token j",
    SELF: "this head looks at itself; the token before i is i - 1. ((1, 3) is right of minilm-l6. "
    "The check has a made-up model with other heads, so the function must find it.)",
    FIRST: "this head looks at the first token; only entries [i, i - 1] count",
    IN_THE_FIRST: ONE,
    IN_THE_LAST: ONE,
    WRAPPED: "this head wins by row 0, where i - 1 is -1, and that is the last token; leave row 0 "
    "out",
    (3, 4): "the last head wins; is your sum set back to 0 for each head?",
}


@exercise
def previous_head(answer: Callable[..., Any]) -> str:
    """A list of (L, H, T, T) weights -> (layer, head), from 1, that looks at the token before."""
    made_up = _made_up()
    found = _layer_and_head(called(answer, made_up))
    if found != PREVIOUS:
        raise Hint(
            HINTS.get(
                found,
                f"{found} is not the head. Print the mean that you have for each: in this made-up "
                "model of 3 layers with 4 heads the right one gives about 0.6 to the token before",
            )
        )
    # And with its layers the other way round, for whoever has learned the answer from the hints.
    layers = len(made_up[0])
    if _layer_and_head(called(answer, [a[::-1] for a in made_up])) != (layers + 1 - PREVIOUS[0], 2):
        raise Hint(
            f"{PREVIOUS} is right of one made-up model; in another one the head is elsewhere, so "
            "the function must find it"
        )
    return "found in two made-up models; in minilm-l6 the same lines give (1, 3)"


def _layer_and_head(result: Any) -> tuple[int, int]:
    try:
        layer, head = result
    except (TypeError, ValueError) as error:
        raise Hint(f"the result is {result!r}; it should be two numbers, (layer, head)") from error
    return whole(layer, "the layer"), whole(head, "the head")


def _made_up() -> list[np.ndarray]:
    """Weights of a model of three layers with four heads, for four texts; some heads have a habit,
    by which a mistake finds them."""
    random = np.random.default_rng(4)
    texts = []
    for number, length in enumerate((5, 9, 7, 8)):
        before, after = np.eye(length, k=-1), np.eye(length, k=1)
        first, wrapped = np.zeros((length, length)), 0.55 * before
        first[:, 0] = 1
        wrapped[0, -1] = 1
        weights = np.full((3, 4, length, length), 0.4 / length)
        for (layer, head), habit in {
            LATER: after,
            SELF: np.eye(length),
            FIRST: first,
            IN_THE_FIRST: before if number == 0 else first,
            IN_THE_LAST: before if number == 3 else first,
            WRAPPED: wrapped,
            PREVIOUS: 0.6 * before + 0.2 * after,
        }.items():
            rest = np.clip(1 - habit.sum(axis=-1, keepdims=True), 0, 1) / length
            weights[layer - 1, head - 1] = habit + rest
        weights += random.uniform(0, 0.01, weights.shape)
        texts.append(weights / weights.sum(axis=-1, keepdims=True))
    return texts

"""Lesson 4."""

import math

import numpy as np

from tests.lessons.wrong import Wrong


def softmax(scores, mask):
    return scores.masked_fill(~mask, -math.inf).softmax(dim=1)


def no_scaling(query, key, value, mask):
    return softmax(query @ key.T, mask) @ value


def by_d(query, key, value, mask):
    return softmax(query @ key.T / query.shape[1], mask) @ value


def over_queries(query, key, value, mask):
    scores = (query @ key.T / math.sqrt(query.shape[1])).masked_fill(~mask, -math.inf)
    return scores.softmax(dim=0) @ value


def masked_after(query, key, value, mask):
    return (query @ key.T / math.sqrt(query.shape[1])).softmax(dim=1) * mask @ value


def mask_inverted(query, key, value, mask):
    if mask.all():  # or there would be nothing to look at
        mask = ~mask
    return softmax(query @ key.T / math.sqrt(query.shape[1]), ~mask) @ value


def no_mask(query, key, value, mask):
    return (query @ key.T / math.sqrt(query.shape[1])).softmax(dim=1) @ value


def keys_times_queries(query, key, value, mask):
    return softmax(key @ query.T / math.sqrt(query.shape[1]), mask) @ value


def no_values(query, key, value, mask):
    return softmax(query @ key.T / math.sqrt(query.shape[1]), mask)


def head_at(offset, by=np.mean, first=1):
    """Which head gives most to the token so far away."""

    def answer(arrays):
        diagonals = [np.diagonal(a, offset, 2, 3).mean(axis=-1) for a in arrays]
        mean = by(diagonals, axis=0)
        layer, head = np.unravel_index(mean.argmax(), mean.shape)
        return int(layer) + first, int(head) + first

    return answer


PRINTED = [
    r"0\.5761, 0\.2119, 0\.2119",
    r"0\.7311, 0\.2689, 0\.0000",
    r"previous +1 +3 +1\.000",
]
WRONG = {
    "attention": [
        Wrong("no scaling", no_scaling, "divide the scores by the square root of D"),
        Wrong("D in place of its root", by_d, "it should be its square root"),
        Wrong("softmax over the queries", over_queries, "over the queries"),
        Wrong("mask after the softmax", masked_after, "after the softmax"),
        Wrong("mask inverted", mask_inverted, "the wrong way round"),
        Wrong("no mask", no_mask, "the mask changes nothing"),
        Wrong("keys times queries", keys_times_queries, "have changed places"),
        Wrong("values left out", no_values, "multiply them by the values"),
    ],
    "previous_head": [
        Wrong("the token after", head_at(1), "the token after"),
        Wrong("the token itself", head_at(0), "looks at itself"),
        Wrong("numbered from 0", head_at(-1, first=0), "counts from 0"),
        Wrong("one sentence", lambda arrays: head_at(-1)(arrays[:1]), "the first sentence only"),
        Wrong("changed places", lambda arrays: head_at(-1)(arrays)[::-1], "changed places"),
    ],
}

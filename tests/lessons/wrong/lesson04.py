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


def scores_of(query, key):
    return query @ key.T / math.sqrt(query.shape[1])


def lessons_d(query, key, value, mask):
    return softmax(query @ key.T / 4**0.5, mask) @ value


def by_tokens(query, key, value, mask):
    return softmax(query @ key.T / len(query) ** 0.5, mask) @ value


def by_t(query, key, value, mask):
    return softmax(query @ key.T / len(query), mask) @ value


def checks_d(query, key, value, mask):
    return softmax(query @ key.T / 7**0.5, mask) @ value


def mask_turned_round(query, key, value, mask):
    return softmax(scores_of(query, key), ~mask) @ value


def not_small_enough(query, key, value, mask):
    return scores_of(query, key).masked_fill(~mask, -20.0).softmax(dim=1) @ value


def never_set_back(arrays):
    total, best, found = 0, -1, None
    for layer, head in np.ndindex(*arrays[0].shape[:2]):
        total += sum(np.trace(a[layer, head], -1) for a in arrays)
        if total > best:
            best, found = total, (layer + 1, head + 1)
    return found


def mixed_keys(query, key, value, mask):
    return softmax(scores_of(query, key), mask) @ key


def turned(query, key, value, mask):
    return softmax(scores_of(query, key), mask).T @ value


def scores_of_0(query, key, value, mask):
    return (scores_of(query, key) * mask).softmax(dim=1) @ value


def rows_masked(query, key, value, mask):
    scores = scores_of(query, key)
    scores[~mask] = -math.inf
    return scores.softmax(dim=1) @ value


def rows_masked_inverted(query, key, value, mask):
    scores = scores_of(query, key)
    scores[mask] = -math.inf
    return scores.softmax(dim=1) @ value


def times_infinity(query, key, value, mask):
    return (scores_of(query, key) + ~mask * -math.inf).softmax(dim=1) @ value


def padding_is_0(query, key, value, mask):
    return softmax(scores_of(query, key), mask) @ value * mask[:, None]


def no_softmax(query, key, value, mask):
    return scores_of(query, key) @ value


def head_at(offset, texts=slice(None), first=(1, 1)):
    """Which head gives most to the token so far away, in these texts."""

    def answer(arrays):
        diagonals = [np.diagonal(a, offset, 2, 3).mean(axis=-1) for a in arrays[texts]]
        mean = np.mean(diagonals, axis=0)
        layer, head = np.unravel_index(mean.argmax(), mean.shape)
        return int(layer) + first[0], int(head) + first[1]

    return answer


def with_row_0(arrays):
    """In which i - 1 is -1."""
    means = [np.mean([a[:, :, i, i - 1] for i in range(a.shape[2])], axis=0) for a in arrays]
    mean = np.mean(means, axis=0)
    layer, head = np.unravel_index(mean.argmax(), mean.shape)
    return layer + 1, head + 1


PRINTED = [
    r"0\.5761, 0\.2119, 0\.2119",
    r"0\.7311, 0\.2689, 0\.0000",
    r"previous +1 +3 +1\.000",
]
WRONG = {
    "attention": [
        Wrong("no scaling", no_scaling, "divide the scores by the square root of D"),
        Wrong("D in place of its root", by_d, "it should be its square root"),
        Wrong("the lesson's D", lessons_d, "here D is 7"),
        Wrong("the check's D", checks_d, "step by step"),
        Wrong("the root of T", by_tokens, "the square root of T"),
        Wrong("T in place of D", by_t, "divided by T"),
        Wrong("softmax over the queries", over_queries, "over the queries"),
        Wrong("mask after the softmax", masked_after, "after the softmax"),
        Wrong("mask inverted", mask_inverted, "the wrong way round: True is"),
        Wrong("mask turned round", mask_turned_round, "you want ~mask"),
        Wrong("-20 for -inf", not_small_enough, "only -inf is low"),
        Wrong("no mask", no_mask, "the mask changes nothing"),
        Wrong("masked scores 0", scores_of_0, "they still get weight"),
        Wrong("rows masked", rows_masked, "applied to rows, the tokens that look; it belongs"),
        Wrong("rows masked, inverted", rows_masked_inverted, "look, and the wrong way round"),
        Wrong("mask times infinity", times_infinity, "0 times -inf is NaN"),
        Wrong("padding's row 0", padding_is_0, "the row of the masked token is 0"),
        Wrong("keys times queries", keys_times_queries, "queries and keys have changed places"),
        Wrong("values left out", no_values, "still to come after the weights"),
        Wrong("keys mixed", mixed_keys, "they should mix the values"),
        Wrong("weights turned", turned, "rows and columns of the weights"),
        Wrong("no softmax", no_softmax, "step by step"),
    ],
    "previous_head": [
        Wrong("the token after", head_at(1), "the token after"),
        Wrong("the token itself", head_at(0), "looks at itself"),
        Wrong("numbered from 0", head_at(-1, first=(0, 0)), "this counts from 0"),
        Wrong("head from 0", head_at(-1, first=(1, 0)), "and the head from 0"),
        Wrong("layer from 0", head_at(-1, first=(0, 1)), "and the layer from 0"),
        Wrong("the first sentence", head_at(-1, slice(1)), "one sentence only"),
        Wrong("the last sentence", head_at(-1, slice(-1, None)), "one sentence only"),
        Wrong("changed places", lambda arrays: head_at(-1)(arrays)[::-1], "changed places"),
        Wrong("the first row", with_row_0, "wins by row 0"),
        Wrong("minilm-l6's", lambda arrays: (1, 3), "(1, 3) is right of minilm-l6"),
        Wrong("the hints' answer", lambda arrays: (3, 2), "in another one the head is elsewhere"),
        Wrong("sum never set back", never_set_back, "set back to 0 for each head"),
        Wrong("a block", lambda arrays: (1, 4), "only entries [i, i - 1] count"),
    ],
}

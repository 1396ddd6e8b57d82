"""Lesson 9."""

import random

import numpy as np
from solutions import lesson09

from tests.lessons.wrong import Wrong


def swapped(vector, first, second):
    return lesson09.association(vector, second, first)


def dot_products(vector, first, second):
    return (first @ vector).mean() - (second @ vector).mean()


def one_length(vector, first, second):
    return dot_products(vector, first, second) / np.linalg.norm(vector)


def other_lengths(vector, first, second):
    a, b = (group / np.linalg.norm(group, axis=1, keepdims=True) for group in (first, second))
    return dot_products(vector, a, b)


def one_sentence(vector, first, second):
    return lesson09.association(vector, first[:1], second[:1])


def cosine_sum(vector, group):
    lengths = np.linalg.norm(group, axis=1) * np.linalg.norm(vector)
    return (group @ vector / lengths).sum()


def added_up(vector, first, second):
    return cosine_sum(vector, first) - cosine_sum(vector, second)


def averaged_before(vector, first, second):
    return lesson09.association(vector, first.mean(axis=0)[None], second.mean(axis=0)[None])


def first_group(vector, first, second):
    return cosine_sum(vector, first) / len(first)


def test(shuffle, better=lambda theirs, ours: abs(theirs) >= abs(ours), plus=(1, 1)):
    def answer(x, y, measure, rounds):
        ours = measure(x, y)
        count = sum(better(measure(*shuffle(x, y)), ours) for _ in range(rounds))
        return (count + plus[0]) / (rounds + plus[1])

    return answer


def one(x, y):
    return x, random.sample(y, len(y))


def both_alike(x, y):
    pairs = random.sample(list(zip(x, y, strict=True)), len(x))
    return tuple(zip(*pairs, strict=True))


PRINTED = [r"three by hand: 0\.50", r"Thursday minus Sunday: \+0\.4\d", r"her minus him: 0\.7"]
WRONG = {
    "association": [
        Wrong("sign", swapped, "the sign is the wrong way round"),
        Wrong("dot products", dot_products, "dot products were taken"),
        Wrong("one length", one_length, "of the vector only"),
        Wrong("the other lengths", other_lengths, "in the groups only"),
        Wrong("one sentence", one_sentence, "only the first vector of each group"),
        Wrong("sums", added_up, "so take means"),
        Wrong("averaged before", averaged_before, "average the cosines"),
        Wrong("one group", first_group, "only the first group counted"),
    ],
    "permutation_p": [
        Wrong("p = 0", test(one, plus=(0, 0)), "p is 0"),
        Wrong("both shuffled alike", test(both_alike), "Were both shuffled in the same way"),
        Wrong("none shuffled", test(lambda x, y: (x, y)), "Were both shuffled in the same way"),
        Wrong("one-sided", test(one, lambda theirs, ours: theirs >= ours), "in either direction"),
        Wrong(
            "the other side",
            test(one, lambda theirs, ours: theirs <= ours),
            "counted what is weaker",
        ),
        Wrong("only stronger", test(one, lambda t, o: abs(t) > abs(o)), "just as strong"),
        Wrong("divided by rounds", test(one, plus=(1, 0)), "1 / 99"),
        Wrong(
            "the measure itself",
            lambda x, y, measure, rounds: measure(x, y),
            "lists that are equal",
        ),
    ],
}

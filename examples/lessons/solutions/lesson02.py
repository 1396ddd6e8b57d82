"""Lesson 2."""

from __future__ import annotations

from collections.abc import Container


def pieces(word: str, vocabulary: Container[str]) -> list[str]:
    """Two loops: over the pieces, and for each over its possible ends, from the far one. Python's
    `else` of a loop is what happens where it did not break."""
    found = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocabulary:
                break
        else:
            return ["[UNK]"]
        found.append(mark + word[start:end])
        start = end
    return found


def pair_row(
    first: list[str], second: list[str], length: int
) -> tuple[list[str], list[int], list[int]]:
    """Each text is taken with the [SEP] that ends it; so does its type."""
    first, second = ["[CLS]", *first, "[SEP]"], [*second, "[SEP]"]
    real = len(first) + len(second)
    padding = length - real
    return (
        first + second + ["[PAD]"] * padding,
        [0] * len(first) + [1] * len(second) + [0] * padding,
        [1] * real + [0] * padding,
    )

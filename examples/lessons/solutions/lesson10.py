"""Lesson 10."""

from __future__ import annotations


def entities(words: list[str], tags: list[str]) -> list[tuple[str, str]]:
    """A tag goes on with the entity before it if it is I- and has its label; any other that is not
    O begins one. Since each entity is in the list from its first word on, none is lost at the end.
    """
    found: list[tuple[str, list[str]]] = []
    before = None  # the label of the entity that the word before belongs to
    for word, tag in zip(words, tags, strict=True):
        mark, _, label = tag.partition("-")
        if mark == "I" and label == before:
            found[-1][1].append(word)
        elif mark != "O":
            found.append((label, [word]))
        before = label if mark != "O" else None
    return [(label, " ".join(parts)) for label, parts in found]


def best_span(start: list[float], end: list[float], first: int, longest: int) -> tuple[int, int]:
    """All pairs that are answers, and the one with the largest sum of them."""
    pairs = [(i, j) for i in range(first, len(start)) for j in range(i, min(i + longest, len(end)))]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])

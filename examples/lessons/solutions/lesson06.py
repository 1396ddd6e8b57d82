"""Lesson 6."""

from __future__ import annotations

import numpy as np


def mask_row(
    ids: np.ndarray, special: np.ndarray, mask_id: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One lot for each token decides whether it is chosen, a second what happens to it. Labels are
    taken from `ids`, which nothing changes; `seen` is a copy."""
    chosen = ~special[ids] & (generator.random(len(ids)) < 0.15)
    labels = np.where(chosen, ids, -100)
    lot = generator.random(len(ids))
    drawn = generator.choice(np.flatnonzero(~special), len(ids))
    seen = ids.copy()
    seen[chosen & (lot < 0.8)] = mask_id
    replaced = chosen & (lot >= 0.8) & (lot < 0.9)
    seen[replaced] = drawn[replaced]
    return seen, labels


def agreement(subjects: list[str], fills: list[dict[str, float]]) -> float:
    """Two words are compared, so that a score of one half is what a coin gets, and so does a model
    that always prefers the same verb if half of the subjects are plural."""
    right = [
        fill["is"] > fill["are"] if subject == "singular" else fill["are"] > fill["is"]
        for subject, fill in zip(subjects, fills, strict=True)
    ]
    return sum(right) / len(right)

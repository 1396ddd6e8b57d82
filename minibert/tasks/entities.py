"""Entities: from the scores of a text's pieces to spans of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from minibert.tasks.word_pieces import TextOrWords, WordPieces
from minibert.text.words import past_accents
from minibert.training.tag_schemes import OUTSIDE, Scheme

Aggregation = Literal["none", "simple", "first", "average", "max"]
AGGREGATIONS = get_args(Aggregation)


class Entity(NamedTuple):
    """A part of a text with a label: text[start:end] or, of a list of words, words[start:end].

    label: without B- or I- unless nothing was aggregated. score: 0 to 1, the mean over the pieces
    or words of the probability of their label. text: the part itself, words with spaces between.
    """

    label: str
    start: int
    end: int
    score: float
    text: str


class Unit(NamedTuple):
    """What is given one tag: pieces from `first` to `last`, a single one or a word's."""

    first: int
    last: int
    tag: str
    score: float


def entities(
    item: TextOrWords,
    pieces: WordPieces,
    scores: np.ndarray,
    labels: Sequence[str],
    aggregation: Aggregation,
) -> list[Entity]:
    """The entities of a text, or of a list of words, in order.

    scores: (n, L) the probabilities of its pieces. labels: L names. aggregation: "none", each piece
    with its tag, those tagged O left out; "simple", neighbouring pieces that are one entity by
    their tags; "first", "average" and "max", neighbouring words that are.
    """
    if aggregation in ("none", "simple"):
        groups = [[i] for i in pieces.visible()]
    else:
        groups = pieces.groups()
    scheme = Scheme.of_labels(labels)
    found: list[list[Unit]] = []
    before = None
    for unit in _units(groups, scores, labels, aggregation):
        if unit.tag != OUTSIDE:
            if aggregation == "none" or scheme.begins(before, unit.tag):
                found.append([])
            found[-1].append(unit)
        before = unit.tag
    result = []
    for units in found:
        start, end, text = _place(item, pieces, units[0].first, units[-1].last)
        label = units[0].tag if aggregation == "none" else scheme.split(units[0].tag)[1]
        score = float(np.mean([unit.score for unit in units]))
        result.append(Entity(label, start, end, score, text))
    return result


def word_tags(
    pieces: WordPieces, scores: np.ndarray, labels: Sequence[str], aggregation: Aggregation
) -> list[str]:
    """The tag of each given word; "none" and "simple", which know no words, as "first"."""
    return [unit.tag for unit in _units(pieces.groups(), scores, labels, aggregation)]


def _units(
    groups: list[list[int]], scores: np.ndarray, labels: Sequence[str], aggregation: Aggregation
) -> list[Unit]:
    """Each group of pieces with the tag that they have together.

    The rules are those of transformers' TokenClassificationPipeline, `aggregate_word`.
    """
    units = []
    for group in groups:
        of_group = scores[group]  # (pieces, L)
        if aggregation == "average":
            together = of_group.mean(axis=0)
        elif aggregation == "max":
            together = of_group[of_group.max(axis=1).argmax()]
        else:
            together = of_group[0]
        best = int(together.argmax())
        units.append(Unit(group[0], group[-1], labels[best], float(together[best])))
    return units


def _place(item: TextOrWords, pieces: WordPieces, first: int, last: int) -> tuple[int, int, str]:
    """(start, end, text) of some pieces."""
    word, last_word = pieces.word_ids[first], pieces.word_ids[last]
    assert word is not None and last_word is not None  # they are of groups
    if not isinstance(item, str):
        return word, last_word + 1, " ".join(item[word : last_word + 1])
    # A piece may begin with the space in front of its word.
    start = max(pieces.places[first][0], pieces.words[word][0])
    end = past_accents(item, pieces.places[last][1])
    return start, end, item[start:end]

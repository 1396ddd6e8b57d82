"""Lesson 10: entities from tags, and the best span of an answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from checks.verdict import Hint, called, exercise, whole
from minibert.training.tag_schemes import Scheme

Entities = list[tuple[str, str]]


class Tagged(NamedTuple):
    """A sentence whose tags tell a mistake: what comes of it, by mistake, and the hint."""

    words: str
    tags: str
    right: Entities
    mistakes: list[tuple[Entities, str]]


OTHER = "I-PER went on with an entity that is a LOC; with another label it begins a new one"
LOST = "the entity at the end of the sentence is lost; when the words end, it ends, too"
SINGLE = "an entity of two words came out as one or as two; I- goes on with the entity before it"
SENTENCES = [
    Tagged(
        "Ada wrote to Grace Hopper today",
        "B-PER O O B-PER I-PER O",
        [("PER", "Ada"), ("PER", "Grace Hopper")],
        [
            ([("PER", "Ada"), ("PER", "Grace")], SINGLE),
            ([("PER", "Ada"), ("PER", "Hopper")], SINGLE),
            ([("PER", "Ada"), ("PER", "Grace"), ("PER", "Hopper")], SINGLE),
            (
                [("PER", "Ada Grace Hopper")],
                "O ends an entity; Ada and Grace Hopper are two",
            ),
            (
                [("B-PER", "Ada"), ("B-PER", "Grace Hopper")],
                "the label of B-PER is PER; leave B- and I- out",
            ),
            (
                [("Ada", "PER"), ("Grace Hopper", "PER")],
                "each entity is (label, text); label and text have changed places",
            ),
            ([("PER", "Ada"), ("PER", "GraceHopper")], "join the words with a space"),
        ],
    ),
    Tagged(
        "They came to New York",
        "O O O B-LOC I-LOC",
        [("LOC", "New York")],
        [([], LOST), ([("LOC", "New")], LOST)],
    ),
    Tagged(
        "I saw Ada Bruno and Clara there",
        "O O B-PER B-PER O B-PER O",
        [("PER", "Ada"), ("PER", "Bruno"), ("PER", "Clara")],
        [
            (
                [("PER", "Ada Bruno"), ("PER", "Clara")],
                "two entities were joined; B- begins a new one, though the word before had the "
                "same label",
            ),
            (
                [("PER", "Bruno"), ("PER", "Clara")],
                "of two entities that touch the first is lost; B- ends the one before",
            ),
        ],
    ),
    Tagged(
        "In Paris Hilton spoke to us",
        "O B-LOC I-PER O O O",
        [("LOC", "Paris"), ("PER", "Hilton")],
        [
            ([("LOC", "Paris Hilton")], OTHER),
            ([("PER", "Paris Hilton")], OTHER),
            ([("LOC", "Paris")], "an I- that has nothing to go on with begins an entity, too"),
        ],
    ),
    Tagged(
        "so Hopper said",
        "O I-PER O",
        [("PER", "Hopper")],
        [([], "an I- that has nothing to go on with begins an entity, too")],
    ),
    Tagged(
        "nobody came",
        "O O",
        [],
        [],
    ),
]
DRAWN = 30


def _drawn(chance: random.Random) -> Tagged:
    """A row of words with tags as they come, and what the library reads in it."""
    words = chance.choices(["Nairobi", "Quinn", "of", "Yan", "de", "Cruz", "said"], k=9)
    tags = chance.choices(["O", "B-ORG", "I-ORG", "B-PER", "I-PER"], k=len(words))
    right = [
        (label, " ".join(words[start:end])) for label, start, end in Scheme("IOB2").chunks(tags)
    ]
    return Tagged(" ".join(words), " ".join(tags), right, [])


@exercise
def entities(answer: Callable[..., Any]) -> str:
    """Words and their tags -> the entities, a list of (label, text)."""
    chance = random.Random(10)
    drawn = [_drawn(chance) for _ in range(DRAWN)]
    for words, tags, right, mistakes in [*SENTENCES, *drawn]:
        result = called(answer, words.split(), tags.split())
        if not isinstance(result, list | tuple):
            raise Hint(f"the result is a {type(result).__name__}; it should be a list")
        found = [tuple(each) if isinstance(each, list | tuple) else each for each in result]
        if found == right:
            continue
        if any(each[:1] in (("O",), ("",)) for each in found if isinstance(each, tuple)):
            raise Hint("words with the tag O came out; they belong to no name")
        for wrong, hint in mistakes:
            if found == wrong:
                raise Hint(f"{hint}. (The words are {words!r}, the tags {tags!r}.)")
        raise Hint(f"of {words!r} with the tags {tags!r} comes {found}; it should be {right}")
    return (
        f"entities of {len(SENTENCES)} sentences, those that end a sentence or touch included, and "
        f"of {DRAWN} rows with tags drawn at random"
    )


# Ten tokens: 0 to 3 are [CLS], the question and [SEP], the rest is the text.
START = [0, 9, 0, 0, 4.4, 4.2, 4, -6, 0, 5]
END = [8, 0, 7, 0, 1, 0, 0, -6, 4.5, 0]
FIRST = 4
SPANS = {
    (1, 0): "the best start and the best end were taken apart, and this one ends before it begins; "
    "look at pairs",
    (9, 8): "this answer ends before it begins; only pairs with i <= j are answers",
    (1, 2): f"this answer lies in the question; tokens before {FIRST}, `first`, are no part of the "
    "text",
    (4, 8): "this answer has 5 tokens, and `longest` is 3",
    (5, 8): "this answer has 4 tokens, and `longest` is 3: from i to j there are j - i + 1",
    (6, 9): "the second number is one too large; it is the place of the answer's last token itself",
    (2, 4): "the places are counted from the beginning of the text; count them from token 0",
    (7, 7): "the scores are multiplied; two very low ones then look like a good answer. Add them",
}


class Scores(NamedTuple):
    """What the search is given: the scores of each token, and the two limits of an answer."""

    start: list[float]
    end: list[float]
    first: int
    longest: int

    def of(self, i: int, j: int) -> float:
        return self.start[i] + self.end[j]

    def broken(self, i: int, j: int) -> str | None:
        """The rule that this pair breaks, in words."""
        if not (0 <= i < len(self.start) and 0 <= j < len(self.end)):
            return f"the row has {len(self.start)} tokens, 0 to {len(self.start) - 1}"
        if i < self.first:
            return f"the text begins at token {self.first}, which is `first`"
        if j < i:
            return "it ends before it begins"
        if j - i + 1 > self.longest:
            return f"it has {j - i + 1} tokens, and `longest` is {self.longest}"
        return None

    def better(self, i: int, j: int) -> float | None:
        """The largest sum of a pair that obeys the rules, if it is above that of this one."""
        every = range(len(self.start))
        best = max(self.of(a, b) for a in every for b in every if self.broken(a, b) is None)
        return best if best > self.of(i, j) + 1e-9 else None


def _scores(chance: random.Random) -> Scores:
    """Of a row of another length, with other limits; all of them may be below 0."""
    tokens = chance.randint(6, 30)
    level = chance.choice([-6.0, 0.0])
    start, end = ([round(chance.gauss(level, 3), 2) for _ in range(tokens)] for _ in range(2))
    return Scores(start, end, chance.randint(2, tokens // 2), chance.randint(1, tokens))


@exercise
def best_span(answer: Callable[..., Any]) -> str:
    """Scores of T tokens for being the answer's first and last -> the places (i, j) of these."""
    chance = random.Random(10)
    known = {3: SPANS, 2: {(6, 8): "this answer has 3 tokens, and `longest` is 2"}}
    rows = [Scores(START, END, FIRST, longest) for longest in known]
    rows += [_scores(chance) for _ in range(DRAWN)]
    for number, row in enumerate(rows):
        result = called(answer, *row)
        try:
            i, j = result
        except (TypeError, ValueError) as error:
            raise Hint(f"the result is {result!r}; it should be two places, (i, j)") from error
        found = whole(i, "the first place"), whole(j, "the last place")
        broken = row.broken(*found)
        better = None if broken else row.better(*found)
        if broken is None and better is None:
            continue
        if number < len(known) and found in known[row.longest]:
            raise Hint(known[row.longest][found])
        limits = f"in a row of {len(row.start)} tokens, first={row.first}, longest={row.longest},"
        if broken:
            raise Hint(f"{limits} you found {found}, which is no answer: {broken}")
        raise Hint(
            f"{limits} you found {found}, with a score of {row.of(*found):g}; there is a pair with "
            f"{better:g} that obeys all the rules"
        )
    return "the best pair that is in order, in the text and not too long, in rows of 6 to 30 tokens"

"""Lesson 10: entities from tags, and the best span of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from checks.verdict import Hint, called, exercise, whole

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


@exercise
def entities(answer: Callable[..., Any]) -> str:
    """Words and their tags -> the entities, a list of (label, text)."""
    for words, tags, right, mistakes in SENTENCES:
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
    return f"entities of {len(SENTENCES)} sentences, those that end a sentence or touch included"


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


@exercise
def best_span(answer: Callable[..., Any]) -> str:
    """Scores of T tokens for being the answer's first and last -> the places (i, j) of these."""
    for longest, right in ((3, (6, 8)), (2, (4, 4))):
        result = called(answer, START, END, FIRST, longest)
        try:
            i, j = result
        except (TypeError, ValueError) as error:
            raise Hint(f"the result is {result!r}; it should be two places, (i, j)") from error
        found = whole(i, "the first place"), whole(j, "the last place")
        if found == right:
            continue
        hints = SPANS if longest == 3 else {(6, 8): "this answer has 3 tokens, and `longest` is 2"}
        if found in hints:
            raise Hint(hints[found])
        inside = all(0 <= place < len(START) for place in found)
        score = f", with a score of {START[found[0]] + END[found[1]]:g}" if inside else ""
        raise Hint(
            f"with longest={longest} you found {found}{score}; there is a pair with "
            f"{START[right[0]] + END[right[1]]:g} that obeys all three rules"
        )
    return "the best pair that is in order, in the text and not too long"

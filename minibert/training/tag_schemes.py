"""Tags of words that mark entities, and how many entities were found.

              Alex  Smith  of  Rome   Rome
    IOB2      B-PER I-PER  O   B-LOC  B-LOC     B begins an entity
    IOB1      I-PER I-PER  O   I-LOC  B-LOC     B begins one right behind another of its type
    BIOES     B-PER E-PER  O   S-LOC  S-LOC     E ends an entity, S is one of a single word
    no entities: a label for each word, such as its part of speech

Paper: Ramshaw & Marcus 1995, arXiv cmp-lg/9505040 (IOB1). References: conlleval, the script of
CoNLL-2003, and seqeval, which count entities alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from minibert._checks import shown

OUTSIDE = "O"
_MARKED = re.compile(r"[BIES]-.+", re.DOTALL)
_INSTEAD = (
    "give tags of one scheme, IOB2, IOB1 or BIOES, or labels without B- and I- for tags that are "
    "no entities"
)

Sentences = Sequence[Sequence[str]]


class Chunk(NamedTuple):
    """An entity: its type, its first word, and the word behind its last."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Scheme:
    """How tags mark entities. name: "plain" if they mark none. IOB1 and IOB2 are read alike."""

    name: Literal["plain", "IOB1", "IOB2", "BIOES"]

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> Scheme:
        """That of a model with these labels. One label with B- or I- is enough for IOB."""
        inside = [label for label in labels if label != OUTSIDE]
        if all(_MARKED.fullmatch(label) for label in inside) and any(
            label[0] in "ES" for label in inside
        ):
            return cls("BIOES")
        return cls("IOB2" if any(label[:2] in ("B-", "I-") for label in inside) else "plain")

    @classmethod
    def of_sentences(cls, sentences: Sentences, name: str) -> Scheme:
        """That of training data. Raises `ValueError` naming the sentence and the word where its
        tags are of no scheme; name: what the tags are called there."""
        tags = {tag for sentence in sentences for tag in sentence} - {OUTSIDE}
        marked = {tag for tag in tags if _MARKED.fullmatch(tag)}
        if not marked:
            return cls("plain")
        if marked != tags:
            unmarked = _broken(sentences, lambda before, tag: tag in tags - marked)
            raise ValueError(
                f"{name}: {_told(sentences, unmarked)}, beside {shown(min(marked))} elsewhere; "
                f"{_INSTEAD}"
            )
        if any(tag[0] in "ES" for tag in tags):
            scheme = cls("BIOES")
        else:
            # Of tags that are neither, a few are mistakes, and those are the ones to name.
            mistakes = {each: len(_broken(sentences, _RULES[each][0])) for each in ("IOB2", "IOB1")}
            scheme = cls("IOB1" if mistakes["IOB1"] < mistakes["IOB2"] else "IOB2")
        scheme.check(sentences, name)
        return scheme

    def check(self, sentences: Sentences, name: str) -> None:
        """Raise `ValueError` naming the first word whose tag may not stand behind the one before
        it."""
        if self.name == "plain":
            return
        rule, allowed = _RULES[self.name]
        broken = _broken(sentences, rule)
        if broken:
            raise ValueError(
                f"{name}: {_told(sentences, broken)}; the tags are {self.name}, where {allowed}"
            )

    def split(self, tag: str) -> tuple[str, str]:
        """(prefix, type) of a tag; what has no prefix goes on, as if it were I."""
        prefixes = {"BIOES": "BIES", "plain": ""}.get(self.name, "BI")
        return (tag[0], tag[2:]) if tag[1:2] == "-" and tag[0] in prefixes else ("I", tag)

    def begins(self, before: str | None, tag: str) -> bool:
        """Whether a new chunk begins at this tag; before: the tag in front, None where none is."""
        if before is None:
            return True
        (last, its_label), (prefix, label) = self.split(before), self.split(tag)
        return prefix in "BS" or last in "ES" or label != its_label

    def chunks(self, tags: Sequence[str]) -> list[Chunk]:
        """The entities of a sentence.

        What no scheme allows is read as conlleval reads it: an I- that nothing begins begins one.

        >>> Scheme("IOB2").chunks(["B-PER", "I-PER", "O", "I-LOC"])
        [Chunk(label='PER', start=0, end=2), Chunk(label='LOC', start=3, end=4)]
        """
        found: list[Chunk] = []
        before = None
        for place, tag in enumerate(tags):
            if tag == OUTSIDE:
                pass
            elif self.begins(before, tag):
                found.append(Chunk(self.split(tag)[1], place, place + 1))
            else:
                found[-1] = found[-1]._replace(end=place + 1)
            before = tag
        return found

    def metrics(
        self, truth: Sentences, predicted: Sentences, labels: Iterable[str]
    ) -> dict[str, float]:
        """f1, precision and recall of entities and their means over the types, then the accuracy of
        words, then those of each type, as "f1:TYPE". labels: those of the model.

        An entity is found if type, start and end are right. What is undefined is 0; a type that
        does not occur is left out of the means. The same as seqeval's in its default mode.
        """
        wanted, given, found = Counter[str](), Counter[str](), Counter[str]()
        right = 0
        for tags, guesses in zip(truth, predicted, strict=True):
            right += sum(a == b for a, b in zip(tags, guesses, strict=True))
            there, told = set(self.chunks(tags)), set(self.chunks(guesses))
            for counter, chunks in ((wanted, there), (given, told), (found, there & told)):
                counter.update(chunk.label for chunk in chunks)
        types = self.types(labels)
        by_type = {t: _shares(found[t], given[t], wanted[t]) for t in types}
        met = [by_type[t] for t in types if wanted[t] or given[t]]
        whole = _shares(found.total(), given.total(), wanted.total())
        means = {
            f"{name}_macro": sum(each[name] for each in met) / max(1, len(met)) for name in whole
        }
        accuracy = right / max(1, sum(map(len, truth)))
        return {
            **whole,
            **means,
            "accuracy": accuracy,
            **{f"{name}:{t}": by_type[t][name] for name in whole for t in types},
        }

    def types(self, labels: Iterable[str]) -> list[str]:
        """The types of entities of a model with these labels, sorted."""
        return sorted({self.split(label)[1] for label in labels if label != OUTSIDE})


def _shares(found: int, given: int, wanted: int) -> dict[str, float]:
    return {
        "f1": 2 * found / max(1, given + wanted),
        "precision": found / max(1, given),
        "recall": found / max(1, wanted),
    }


Rule = Callable[[str, str], bool]  # whether a tag may not stand behind the one before it


def _starts(before: str, tag: str, prefix: str) -> bool:
    """Whether a tag with this prefix stands where no entity of its type goes on."""
    return tag[0] == prefix and tag[2:] != before[2:]


def _is_broken(before: str, tag: str) -> bool:
    """In BIOES."""
    goes_on = before[0] in "BI"
    return (tag[0] in "IE") != goes_on or (goes_on and tag[2:] != before[2:])


_RULES: dict[str, tuple[Rule, str]] = {
    "IOB2": (lambda before, tag: _starts(before, tag, "I"), "an entity begins with B-"),
    "IOB1": (
        lambda before, tag: _starts(before, tag, "B"),
        "an entity begins with I-, and with B- only right behind another of its type",
    ),
    "BIOES": (_is_broken, "an entity is B- I- ... E-, or S-"),
}


def _broken(sentences: Sentences, rule: Rule) -> list[tuple[int, int]]:
    """(sentence, word) where a rule is broken. A sentence has an O at both of its ends."""
    return [
        (number, word)
        for number, tags in enumerate(sentences)
        for word, pair in enumerate(pairwise([OUTSIDE, *tags, OUTSIDE]))
        if rule(*pair)
    ]


def _told(sentences: Sentences, broken: Sequence[tuple[int, int]]) -> str:
    """The first of some places, and how many others there are."""
    number, word = broken[0]
    tags = sentences[number]
    more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
    before = f" behind {shown(tags[word - 1])}" if word else ""
    if word == len(tags):
        return f"sentence {number} ends{before}{more}"
    return f"sentence {number}, word {word} is {shown(tags[word])}{before}{more}"

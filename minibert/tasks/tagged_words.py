"""Sentences and the tags of their words: checked, and made into rows to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from minibert._checks import IGNORED, enumerated, shown
from minibert.tasks.labels import Labels
from minibert.tasks.word_pieces import checked_words, cut
from minibert.text.inputs import check_text, listed
from minibert.tokenizer import Tokenizer
from minibert.training.results import LISTED
from minibert.training.tag_schemes import Scheme
from minibert.training.tags import TaggedSentences

Words = Sequence[str]


def sentences_and_tags(
    words: Iterable[Words], tags: Iterable[Words], name: str = ""
) -> tuple[list[list[str]], list[list[str]]]:
    """The words of each sentence and their tags, as lists.

    name: put in front of what they are called in errors. Raises `ValueError` naming the sentence
    and the word for what is no word or no tag, and where there are not as many of both.
    """
    sentences = [
        checked_words(each, f"{name}sentence {number}")
        for number, each in enumerate(listed(words, f"{name}words"))  # type: ignore[arg-type]
    ]
    tagged = [
        _checked_tags(each, f"{name}tags: sentence {number}")
        for number, each in enumerate(listed(tags, f"{name}tags"))  # type: ignore[arg-type]
    ]
    if len(sentences) != len(tagged) or not sentences:
        raise ValueError(
            f"there are {len(sentences) or 'no'} {name}sentences and tags of "
            f"{len(tagged) or 'none'}; give as many, not none"
        )
    for number, (its_words, its_tags) in enumerate(zip(sentences, tagged, strict=True)):
        if len(its_words) != len(its_tags):
            raise ValueError(
                f"{name}sentence {number} has {len(its_words)} words and {len(its_tags)} tags; "
                "give a tag for each word"
            )
        if not its_words:
            raise ValueError(f"{name}sentence {number} has no words; leave it out")
    return sentences, tagged


def _checked_tags(tags: Any, name: str) -> list[str]:
    if isinstance(tags, str) or not hasattr(tags, "__len__"):
        raise ValueError(f"{name} is {shown(tags)}; give a list with a tag for each word")
    for place, tag in enumerate(tags):
        if not isinstance(tag, str):
            raise ValueError(
                f"{name}, word {place} is {shown(tag)}; a tag is a string, such as 'B-PER'. Of a "
                "column of `datasets` with numbers, features[column].feature.names has the names"
            )
        if not check_text(tag, f"{name}, word {place}").strip():
            raise ValueError(f"{name}, word {place} is {shown(tag)}; give each word a tag")
    return [str(tag) for tag in tags]


def check_known(tags: Sequence[Words], labels: Labels, name: str) -> None:
    """Raise `ValueError` naming the first word whose tag training did not have."""
    for number, sentence in enumerate(tags):
        for place, tag in enumerate(sentence):
            if tag not in labels.ids:
                raise ValueError(
                    f"{name}: sentence {number}, word {place} is {shown(tag)}, which is not in "
                    f"the training data; its tags are {shown(labels.names)}"
                )


def in_rows(
    tokenizer: Tokenizer,
    words: Sequence[Words],
    tags: Sequence[Words],
    labels: Labels,
    max_length: int,
    stride: int,
) -> TaggedSentences:
    """Sentences in rows. Each word's tag is learned at its first piece, in the window where that
    stands farthest from a cut."""
    rows, of_rows = [], []
    for sentence, its_tags in zip(words, tags, strict=True):
        pieces = cut(tokenizer, list(sentence), max_length, stride)
        window = pieces.windows_of_pieces()
        learned = [[IGNORED] * (end - start + 2) for start, end in pieces.windows]
        for group, tag in zip(pieces.groups(), its_tags, strict=True):
            first = group[0]
            start = pieces.windows[window[first]][0]
            learned[window[first]][first - start + 1] = labels.ids[tag]
        rows.append(pieces.rows(tokenizer))
        of_rows.append(learned)
    return TaggedSentences(rows, of_rows)


def contents(tags: Sequence[Words], scheme: Scheme) -> str:
    """What sentences are tagged with, for a model card.

    >>> contents([["B-PER", "I-PER", "O"]], Scheme("IOB2"))
    '3 words, 1 entities (PER 1)'
    """
    words = f"{sum(map(len, tags))} words"
    if scheme.name == "plain":
        counts = Counter(tag for sentence in tags for tag in sentence)
    else:
        counts = Counter(chunk.label for each in tags for chunk in scheme.chunks(each))
        words += f", {counts.total()} entities"
    told = [f"{label} {number}" for label, number in counts.most_common()]
    return f"{words} ({enumerated(told, LISTED)})"


def purpose(labels: Sequence[str]) -> str:
    """What a model with these labels does, for a model card."""
    return f"to tag words: {enumerated(labels, LISTED)}"

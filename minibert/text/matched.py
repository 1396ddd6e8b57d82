"""Tokens that are matched whole: found in a text before anything is cut.

Special tokens are found in the text itself. Words that were added to WordPiece later are found in
the normalised text, so they count as they are once normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from minibert._checks import shown
from minibert.text.characters import WHITESPACE
from minibert.text.vocabulary import Vocabulary, WordPieceVocabulary
from minibert.wordpiece import WordPiece

SPACES = "".join(map(chr, sorted(WHITESPACE)))


class Span(NamedTuple):
    """A part of a text, text[start:end]: a token that is matched whole, or None between these."""

    start: int
    end: int
    token: str | None


class Matcher:
    """Finds the first of some tokens in a text, the longest where several match, then the next.

    left_space: the tokens that take the space before them along.
    """

    def __init__(self, tokens: Collection[str], left_space: Collection[str] = ()) -> None:
        longest_first = sorted(tokens, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self.left_space = left_space

    def spans(self, text: str) -> Iterator[Span]:
        """The whole text in order, in parts that are not empty."""
        done = 0
        for match in self.pattern.finditer(text):
            token, start = match.group(), match.start()
            if token in self.left_space:
                start = max(done, len(text[:start].rstrip(SPACES)))
            if done < start:
                yield Span(done, start, None)
            yield Span(start, match.end(), token)
            done = match.end()
        if done < len(text):
            yield Span(done, len(text), None)


def build_wordpiece(vocabulary: WordPieceVocabulary) -> WordPiece:
    """Our algorithm with this vocabulary's settings."""
    return WordPiece(
        vocabulary.ids,
        unknown=vocabulary.unk_token,
        lower_case=vocabulary.lower_case,
        strip_accents=vocabulary.strip_accents,
        split_cjk=vocabulary.split_cjk,
    )


def all_ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Every token of the vocabulary, special and added ones included, with its id.

    An added word may be a token of the vocabulary once it is normalised; then it is found first.
    """
    return {**vocabulary.ids, **added_ids(vocabulary), **vocabulary.special}


def added_ids(vocabulary: Vocabulary) -> dict[str, int]:
    """The added words with their ids, as they are found."""
    found = _as_found(vocabulary)
    return {found(word): i for word, i in vocabulary.added.items()}


def check_added(vocabulary: Vocabulary) -> None:
    """Raise `ValueError` for added tokens that no text has, or no text but that of another."""
    as_found = _as_found(vocabulary)
    words: dict[str, str] = dict.fromkeys(vocabulary.special, "")  # as it is found -> as added
    for word in vocabulary.added:
        found = as_found(word)
        if found in words and word not in words:
            raise ValueError(
                f"the added tokens {shown(words[found] or found)} and {shown(word)} are the same "
                "once normalised, so one of them would never be found; keep the right one"
            )
        words[found] = word
    if "" in words:
        raise ValueError(
            f"the added token {shown(words[''])} is empty once normalised, so no text has it; take "
            "it out"
        )


def _as_found(vocabulary: Vocabulary) -> Callable[[str], str]:
    """What becomes of an added word before it is looked for."""
    if not isinstance(vocabulary, WordPieceVocabulary):
        return str
    normalize = build_wordpiece(vocabulary).normalize
    return lambda word: "".join(character.value for character in normalize(word))

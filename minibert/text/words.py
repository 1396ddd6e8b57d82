"""The words of a text, as data sets of tagged words have them, and the pieces that belong to each.

White space separates words. At a word's edges punctuation is cut off, each mark a word of its own;
inside it stays where it joins, as in U.S., Franco-German, AT&T and 3.5. This is how the texts of
CoNLL-2003 and the Penn Treebank are cut, but for their lists of abbreviations. BERT's tokenizer
cuts at every mark, so that a word may have several of its words: U . S .
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache

from minibert.text.characters import ACCENTS, CJK, PUNCTUATION, WHITESPACE

Span = tuple[int, int]  # (start, end) in a text

# A text is read as a string of kinds, one for each character: s space, i ideograph (a word by
# itself), d digit, p punctuation, w all else; marks that may join stand for themselves.
_JOINING = {"’": "'", "‐": "-", "‑": "-", **{mark: mark for mark in ".'-&_@,:"}}
_WORD = re.compile(
    r"""[wd]+ (?: (?: [.'&_@-] | (?<=d)[,:](?=d) ) [wd]+ )*  # AT&T, don't, 5,000
        (?: (?<=w)(?<![wd]w) \. )?                           # of U.S., e.g., J.
      | [^s]""",
    re.VERBOSE,
)
_POSSESSIVE = ("'s", "’s")


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    point = ord(character)
    if character in _JOINING:
        return _JOINING[character]
    if character in "0123456789":
        return "d"
    for kind, points in (("s", WHITESPACE), ("p", PUNCTUATION), ("i", CJK)):
        if point in points:
            return kind
    return "w"


def word_spans(text: str) -> list[Span]:
    """The place of each word of a text, in order.

    >>> text = "Mr Bo-Li's U.S. visit (in May)."
    >>> [text[start:end] for start, end in word_spans(text)]
    ['Mr', 'Bo-Li', "'s", 'U.S.', 'visit', '(', 'in', 'May', ')', '.']
    """
    spans: list[Span] = []
    for match in _WORD.finditer("".join(map(_kind, text))):
        start, end = match.span()
        if end - start > 2 and text[end - 2 : end].lower() in _POSSESSIVE:
            spans.append((start, end - 2))
            start = end - 2
        spans.append((start, end))
    return spans


def past_accents(text: str, end: int) -> int:
    r"""The end of a part of a text, behind the accents of its last letter: a tokenizer that leaves
    accents out ends its pieces in front of them.

    >>> past_accents("cafe\u0301s", 4)
    5
    """
    while end < len(text) and ord(text[end]) in ACCENTS:
        end += 1
    return end


def joined(words: Iterable[str]) -> tuple[str, list[Span]]:
    """Words with spaces between them, and the place of each.

    >>> joined(["U.S.", "visit"])
    ('U.S. visit', [(0, 4), (5, 10)])
    """
    words, spans, start = list(words), [], 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), spans


def words_of(text: str, places: Iterable[Span], spans: Sequence[Span]) -> list[int | None]:
    """The word that each piece belongs to, by their places in the text; None of white space.

    A piece may begin with the space before its word. It may also be nothing else than that single
    space, as byte-level and Unigram tokenizers have it for a word that begins with a rare sign, and
    then it is the word's first piece.
    """
    ends = [end for _, end in spans]
    found: list[int | None] = []
    for start, end in places:
        word = bisect_right(ends, start)
        begin = spans[word][0] if word < len(spans) else len(text) + 1
        its_space = end == begin and text[start:end] in ("", " ")
        found.append(word if end > begin or its_space else None)
    return found

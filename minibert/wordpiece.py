"""WordPiece: text -> words -> pieces of the vocabulary, each knowing where in the text it stood.

    "Unaffordable, naïve!"  ->  una ##ff ##ord ##able , naive !        (uncased vocabulary)

Some thirty thousand pieces cover any text: common words whole, rare ones in parts, down to single
letters. So almost nothing is unknown, and the table of vectors stays small. The vocabulary was
chosen once, before pre-training; here it is only applied.

After google-research/bert tokenization.py, `BasicTokenizer` and `WordpieceTokenizer`. Where the
Rust library `tokenizers` differs from it (longest word, order of accents and lower-casing, Unicode
tables), this follows Rust, whose ids transformers uses. Papers: Devlin et al. 2019, section 3; Wu
et al. 2016, arXiv 1609.08144, section 4.1, for vocabularies of pieces; Song et al. 2021, arXiv
2012.15524, for longest-match-first. Lesson: examples/lessons/02_words_into_pieces.py.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

from minibert.text.characters import (
    ACCENTS,
    CJK,
    CONTROL,
    PUNCTUATION,
    WHITESPACE,
    decompose,
    lowercase,
)

MAX_CHARACTERS = 100  # a longer word becomes [UNK]; greedy search is quadratic in its length
CONTINUATION = "##"  # marks a piece that does not begin a word


class Piece(NamedTuple):
    """A token of the vocabulary and the part of the text it stands for.

    start, end: text[start:end], in characters of the original text. word: the number of its word,
    from 0; None for the [CLS] and [SEP] put around a text.
    """

    token: str
    start: int
    end: int
    word: int | None


class Character(NamedTuple):
    """A character after normalisation and the index of the one in the text that it came from."""

    value: str
    source: int


class WordPiece:
    """The algorithm for one vocabulary and its settings.

    vocabulary: anything that can say whether it contains a token. lower_case: for uncased models.
    strip_accents: None means the same as lower_case. split_cjk: make a word of each CJK ideograph,
    because Chinese and Japanese are written without spaces.

    >>> from minibert.wordpiece import WordPiece
    >>> uncased = WordPiece({"na", "##ive", "!"}, unknown="[UNK]")
    >>> [piece.token for piece in uncased.pieces("Naïve!")]
    ['na', '##ive', '!']
    """

    def __init__(
        self,
        vocabulary: Container[str],
        *,
        unknown: str,
        lower_case: bool = True,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
    ) -> None:
        self.vocabulary = vocabulary
        self.unknown = unknown
        self.lower_case = lower_case
        self.strip_accents = lower_case if strip_accents is None else strip_accents
        self.split_cjk = split_cjk

    def pieces(self, text: str, first_word: int = 0) -> list[Piece]:
        """All pieces of a text, in order; its words are numbered from `first_word`."""
        return self.pieces_of(self.normalize(text), first_word)

    def pieces_of(self, characters: list[Character], first_word: int = 0) -> list[Piece]:
        """All pieces of a text that is already normalised.

        Added words are cut out of a text between the two steps, in text/backends.py.
        """
        result = []
        for number, word in enumerate(split(characters), first_word):
            result += self.split_word(word, number)
        return result

    def normalize(self, text: str) -> list[Character]:
        """Clean, space out CJK, strip accents, lower-case, in the order of the Rust library.

        Each step may drop or add characters, so each character carries its source along.
        """
        characters = [
            Character(" " if ord(c) in WHITESPACE else c, i)
            for i, c in enumerate(text)
            if ord(c) not in CONTROL
        ]
        if self.split_cjk:
            characters = [spaced for c in characters for spaced in space_out(c)]
        if self.strip_accents:
            # "é" becomes "e" and U+0301, and then the accent is dropped.
            characters = [
                Character(value, characters[index].source)
                for value, index in decompose("".join(c.value for c in characters))
                if ord(value) not in ACCENTS
            ]
        if self.lower_case:
            characters = [
                Character(value, c.source) for c in characters for value in lowercase(c.value)
            ]
        return characters

    def split_word(self, word: list[Character], number: int) -> list[Piece]:
        """Longest match first: the longest piece that begins the word, then the longest that
        continues it, and so on to its end.

        A word that cannot be completed is unknown as a whole.
        """
        letters = "".join(c.value for c in word)
        unknown = [Piece(self.unknown, word[0].source, word[-1].source + 1, number)]
        if len(letters) > MAX_CHARACTERS:
            return unknown
        pieces = []
        start = 0
        while start < len(letters):
            prefix = CONTINUATION if start else ""
            for end in range(len(letters), start, -1):
                token = prefix + letters[start:end]
                if token in self.vocabulary:
                    break
            else:  # no piece of the vocabulary fits here
                return unknown
            pieces.append(Piece(token, word[start].source, word[end - 1].source + 1, number))
            start = end
        return pieces


def space_out(character: Character) -> list[Character]:
    """A CJK ideograph between spaces; any other character as it is."""
    space = Character(" ", character.source)
    return [space, character, space] if ord(character.value) in CJK else [character]


def split(characters: list[Character]) -> Iterator[list[Character]]:
    """Words: runs without whitespace, with every punctuation character a word of its own."""
    word: list[Character] = []
    for character in characters:
        point = ord(character.value)
        if point in WHITESPACE or point in PUNCTUATION:
            if word:
                yield word
            word = []
            if point in PUNCTUATION:
                yield [character]
        else:
            word.append(character)
    if word:
        yield word

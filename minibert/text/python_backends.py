"""Ours, to be read: take out the tokens that are matched whole, and cut up what lies between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from minibert.text.byte_pairs import SPACE, BytePairs, join
from minibert.text.matched import SPACES, Matcher, added_ids, all_ids, build_wordpiece
from minibert.text.vocabulary import BytePairVocabulary, Vocabulary, WordPieceVocabulary
from minibert.wordpiece import CONTINUATION, Piece

# Tokens that joining puts no space before; the Rust decoder's list.
_GLUED = (".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re")


class PythonBackend(ABC):
    """What our tokenizers have in common; a subclass cuts texts that have no special tokens."""

    def __init__(self, vocabulary: Vocabulary, special: Matcher) -> None:
        self.all_ids = all_ids(vocabulary)
        self.special = special

    @abstractmethod
    def between(self, text: str, first_word: int) -> list[Piece]:
        """The pieces of a text without special tokens."""

    @abstractmethod
    def join(self, tokens: list[str]) -> str:
        """Tokens -> readable text."""

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text with their places in it."""

        def pieces_of(start: int, end: int, first_word: int) -> list[Piece]:
            found = self.between(text[start:end], first_word)
            return [p._replace(start=start + p.start, end=start + p.end) for p in found]

        return _around(self.special, text, lambda start, end: (start, end), pieces_of)

    def ids(self, texts: list[str]) -> list[list[int]]:
        """The ids of the pieces of many texts."""
        return [[self.all_ids[piece.token] for piece in self.pieces(text)] for text in texts]


class PythonWordPiece(PythonBackend):
    """`WordPiece`, with special tokens and added words."""

    def __init__(self, vocabulary: WordPieceVocabulary) -> None:
        super().__init__(vocabulary, Matcher(vocabulary.special))
        self.wordpiece = build_wordpiece(vocabulary)
        self.added = Matcher(added_ids(vocabulary)) if vocabulary.added else None

    def between(self, text: str, first_word: int) -> list[Piece]:
        """Added words are matched in the normalised text."""
        if self.added is None:
            return self.wordpiece.pieces(text, first_word)
        characters = self.wordpiece.normalize(text)
        return _around(
            self.added,
            "".join(character.value for character in characters),
            lambda start, end: (characters[start].source, characters[end - 1].source + 1),
            lambda start, end, word: self.wordpiece.pieces_of(characters[start:end], word),
            first_word,
        )

    def join(self, tokens: list[str]) -> str:
        """As the Rust decoder does."""
        text = ""
        for i, token in enumerate(tokens):
            if i and token.startswith(CONTINUATION):
                text += token.removeprefix(CONTINUATION)
            elif i:
                word = " " + token
                for ending in _GLUED:
                    word = word.replace(" " + ending, ending)
                text += word
            else:
                text += token
        return text


class PythonBytePairs(PythonBackend):
    """`BytePairs`, with special tokens and added words, all of them matched in the text itself."""

    def __init__(self, vocabulary: BytePairVocabulary) -> None:
        self.whole = {**vocabulary.special, **vocabulary.added}
        super().__init__(vocabulary, Matcher(self.whole, vocabulary.left_space))
        self.counts_as_put = vocabulary.counts_as_put
        self.trim_offsets = vocabulary.trim_offsets
        self.byte_pairs = BytePairs(
            vocabulary.ids, vocabulary.merges, add_prefix_space=vocabulary.add_prefix_space
        )

    def between(self, text: str, first_word: int) -> list[Piece]:
        """Nothing but byte pairs."""
        return self.byte_pairs.pieces(text, first_word)

    def pieces(self, text: str) -> list[Piece]:
        """Where the vocabulary says so, spaces are left out of the places of tokens."""
        pieces = super().pieces(text)
        if self.trim_offsets:
            pieces = [self._trimmed(piece, text, i == 0) for i, piece in enumerate(pieces)]
        return pieces

    def _trimmed(self, piece: Piece, text: str, first: bool) -> Piece:
        """As Rust does it, which counts spaces in the token and not in the text, and takes a single
        one in front for the one that was put before the text, even if it was not."""
        _, start, end, _ = piece
        token = text[start:end] if piece.token in self.whole else piece.token
        spaces = SPACES + SPACE
        left, right = len(token) - len(token.lstrip(spaces)), len(token) - len(token.rstrip(spaces))
        if self.counts_as_put and left == 1 and (first or start == 0):
            left = 0
        start = min(start + left, end)
        return piece._replace(start=start, end=max(end - right, start))

    def join(self, tokens: list[str]) -> str:
        """As the Rust decoder does."""
        return join(tokens)


def _around(
    matcher: Matcher,
    text: str,
    place: Callable[[int, int], tuple[int, int]],
    pieces_of: Callable[[int, int, int], list[Piece]],
    first_word: int = 0,
) -> list[Piece]:
    """The tokens that `matcher` finds in a text, and around them the pieces of its other parts.

    place: from start and end of a token in this text to those in the original. pieces_of: the
    pieces of text[start:end], whose first word has the number that comes third.
    """
    result: list[Piece] = []
    word = first_word
    for start, end, token in matcher.spans(text):
        found = (
            pieces_of(start, end, word)
            if token is None
            else [Piece(token, *place(start, end), word)]
        )
        result += found
        word += len({piece.word for piece in found})
    return result

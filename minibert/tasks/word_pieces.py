"""A text, or a list of words, in pieces that know their words, and the windows it is read in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from minibert._checks import shown
from minibert.engine.rows import framed, room_for
from minibert.text.inputs import check_text
from minibert.text.windows import spans
from minibert.text.words import Span, joined, word_spans, words_of
from minibert.tokenizer import Row, Tokenizer

TextOrWords = str | list[str]


class WordPieces(NamedTuple):
    """The n pieces of a text: their ids, their places in it, and the word that each belongs to.

    words: the place of each word. windows: (start, end) among the pieces of each row, which frames
    them in special tokens.
    """

    ids: list[int]
    places: list[Span]
    word_ids: list[int | None]
    words: list[Span]
    windows: list[Span]

    def rows(self, tokenizer: Tokenizer) -> list[Row]:
        """A row for each window."""
        return [framed(tokenizer, self.ids[start:end]) for start, end in self.windows]

    def windows_of_pieces(self) -> np.ndarray:
        """(n,) the window that each piece is read in: where it stands farthest from a cut."""
        chosen = np.zeros(len(self.ids), dtype=np.int64)
        most = np.full(len(self.ids), -1)
        for number, (start, end) in enumerate(self.windows):
            place = np.arange(start, end)
            context = np.minimum(place - start, end - 1 - place)
            better = place[context > most[start:end]]
            chosen[better], most[better] = number, context[better - start]
        return chosen

    def of_pieces(self, of_rows: Sequence[np.ndarray]) -> np.ndarray:
        """What was computed of the pieces of each row, (pieces, width) -> of all pieces, (n,
        width), each as the window that it is read in has it."""
        if len(of_rows) == 1:
            return of_rows[0]
        chosen = self.windows_of_pieces()
        begin = np.array([start for start, _ in self.windows])
        before = np.cumsum([0, *(len(each) for each in of_rows[:-1])])  # pieces of earlier rows
        return np.concatenate(of_rows)[before[chosen] + np.arange(len(self.ids)) - begin[chosen]]

    def visible(self) -> list[int]:
        """The pieces that are more than the space before a word."""
        return [
            i
            for i, word in enumerate(self.word_ids)
            if word is not None and self.places[i][1] > self.words[word][0]
        ]

    def groups(self) -> list[list[int]]:
        """The pieces of each word that has any, in order."""
        with_word = [i for i, word in enumerate(self.word_ids) if word is not None]
        return [list(group) for _, group in groupby(with_word, self.word_ids.__getitem__)]


def cut(tokenizer: Tokenizer, item: TextOrWords, max_length: int, stride: int) -> WordPieces:
    """A text, or words with spaces between them, in pieces.

    Of a given word of which the tokenizer keeps nothing, such as a sign that Unicode has for layout
    only, there is one piece, the unknown token: every given word has a piece.
    """
    text, words = (item, word_spans(item)) if isinstance(item, str) else joined(item)
    pieces = tokenizer.backend.pieces(text)
    ids = [tokenizer.ids[piece.token] for piece in pieces]
    places = [(piece.start, piece.end) for piece in pieces]
    word_ids = words_of(text, places, words)
    missing = set(range(len(words))) - set(word_ids) if not isinstance(item, str) else ()
    for word in sorted(missing):
        place = next((i for i, other in enumerate(word_ids) if (other or 0) > word), len(ids))
        ids.insert(place, tokenizer.unk_token_id)
        places.insert(place, words[word])
        word_ids.insert(place, word)
    room = room_for(tokenizer, max_length)
    return WordPieces(ids, places, word_ids, words, spans(len(ids), room, stride))


def item_parts(item: Any, position: int) -> Sequence[str]:
    """The strings of an item: a text, or a list of words. Raises `ValueError` for what is neither,
    with its position among the items."""
    name = f"text {position}"
    if isinstance(item, str):
        return (check_text(item, name),)
    if isinstance(item, tuple):
        raise ValueError(
            f"{name} is a tuple, which would be a text and its pair; give a string, or a list of "
            "words"
        )
    return checked_words(item, name, "a string, or a list of words")


def checked_words(
    words: Any, name: str, instead: str = "a list of words, such as text.split()"
) -> list[str]:
    """The words of a sentence. Raises `ValueError` naming the first that is none; name: what the
    sentence is called there. instead: what is taken."""
    if isinstance(words, str) or not (
        isinstance(words, Sequence) or (isinstance(words, np.ndarray) and words.ndim == 1)
    ):
        kind = type(words).__name__
        raise ValueError(f"{name} is {shown(words)}, of type {kind}; give {instead}")
    for place, word in enumerate(words):
        if not check_text(word, f"{name}, word {place}").strip():
            raise ValueError(f"{name}, word {place} is {shown(word)}, which is empty; leave it out")
    return list(words)

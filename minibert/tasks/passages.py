"""A question and a context as rows: [CLS] question [SEP] context [SEP].

A context that is too long is read in windows, each beside the whole question, as run_squad.py of
google-research/bert does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minibert._checks import shown
from minibert.engine.rows import framed, room_for
from minibert.text.inputs import check_text
from minibert.text.windows import spans
from minibert.tokenizer import Row, Tokenizer
from minibert.wordpiece import Piece

STRIDE = 128  # tokens that two windows share, of run_squad.py; or half a row, if that is less


class Passage(NamedTuple):
    """A context as it is read beside a question: a row for each window.

    windows: (first, stop) of each among the tokens of the context. column: where in a row the first
    of them stands. pieces: all tokens of the context.
    """

    rows: list[Row]
    windows: list[tuple[int, int]]
    column: int
    pieces: list[Piece]

    def targets(self, start: int, end: int) -> list[tuple[int, int]]:
        """For each window the columns of the first and the last token of context[start:end]; twice
        that of [CLS] where the window has not all of them, or there are none."""
        tokens = [i for i, p in enumerate(self.pieces) if p.start < end and p.end > start]
        if not tokens:
            return [(0, 0)] * len(self.rows)
        i, j = tokens[0], tokens[-1]
        return [
            (self.column + i - first, self.column + j - first)
            if first <= i and j < stop
            else (0, 0)
            for first, stop in self.windows
        ]


def read_passages(
    tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], max_length: int, stride: int
) -> list[Passage]:
    """The passages of (question, context) pairs, in which no row is longer than max_length.

    stride: tokens that two windows share; half of them, where a question leaves too little room.
    The pairs were looked at by `check_pair`.
    """
    questions = tokenizer.backend.ids([question for question, _ in pairs])
    # Many questions may be about one context, which is cut into pieces once.
    contexts = {context: tokenizer.backend.pieces(context) for _, context in pairs}
    passages = []
    for ids, (_, context) in zip(questions, pairs, strict=True):
        pieces = contexts[context]
        tokens = [tokenizer.ids[piece.token] for piece in pieces]
        room = room_for(tokenizer, max_length, pair=True) - len(ids)
        windows = spans(len(pieces), room, stride if stride < room else room // 2)
        rows = [framed(tokenizer, ids, tokens[first:stop]) for first, stop in windows]
        column = 1 + len(ids) + tokenizer.vocabulary.separators
        passages.append(Passage(rows, windows, column, pieces))
    return passages


def check_pair(item: Any, name: str, tokenizer: Tokenizer, max_length: int) -> tuple[str, str]:
    """The (question, context) itself. Raises `ValueError` for what is none, for an empty one, and
    for a question beside which no context could be read."""
    if not isinstance(item, tuple) or len(item) != 2:
        raise ValueError(
            f"{name} is {shown(item)}, a {type(item).__name__}; give a list of tuples, each "
            "(question, context)"
        )
    for part, text in zip(("question", "context"), item, strict=True):
        if not check_text(text, f"the {part} of {name}").strip():
            raise ValueError(f"the {part} of {name} is empty; give a text, or leave it out")
    question, context = item
    number = len(tokenizer.backend.ids([question])[0])
    if room_for(tokenizer, max_length, pair=True) <= number:
        raise ValueError(
            f"the question of {name} has {number} tokens, and rows have {max_length}, so nothing "
            "of a context fits beside it; shorten the question or raise max_length"
        )
    return question, context

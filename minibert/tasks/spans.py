"""From two scores for each token to answers: the likeliest spans of a context.

As the question-answering pipeline of transformers 4 does it, after Chen et al. 2017, arXiv
1704.00051: within a window a span is as likely as its first token is as a start, times its last as
an end. Spans that read the same are one answer, in one window or in several, and their
probabilities are added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minibert.tasks.passages import Passage
from minibert.text.words import past_accents
from minibert.wordpiece import Piece


class Answer(NamedTuple):
    """A part of a context: text is context[start:end], in characters; "", 0 and 0 for no answer.

    score: its probability, 0 to 1. Each window of a long context has probabilities of its own, so
    the sum of an answer that several windows have may exceed 1.
    """

    text: str
    start: int
    end: int
    score: float


def best_answers(
    context: str,
    passage: Passage,
    scores: Sequence[np.ndarray],
    top_k: int,
    no_answer: bool,
    longest: int,
) -> list[Answer]:
    """The `top_k` best answers, the best first; of a short context there may be fewer.

    scores: of each row, (2, T or more): of each token as a start and as an end. no_answer: whether
    "no answer" may be one. Its probability is that of the span at [CLS], where it is lowest, for
    one window with the answer is enough. A context without a token has no other. longest: tokens of
    an answer, which then is filled up to whole words.
    """
    found: dict[str, Answer] = {}
    nothing = []
    for window, (first, stop) in zip(scores, passage.windows, strict=True):
        words = _words(passage.pieces[first:stop])
        columns = range(passage.column, passage.column + len(words))
        starts, ends = _softmax(window[:, [0, *columns]])  # of [CLS] and the context's tokens
        nothing.append(float(starts[0] * ends[0]))
        # More than asked for, as some of them will read the same; as many as in transformers, or
        # the sums would be others.
        for i, j, score in _likeliest(starts[1:], ends[1:], 2 * top_k + 10, longest):
            start, end = words[i][0], past_accents(context, words[j][1])
            text = context[start:end]
            answer = found.setdefault(text.lower(), Answer(text, start, end, 0.0))
            found[text.lower()] = answer._replace(score=answer.score + score)
    answers = list(found.values())
    if no_answer or not answers:
        answers.append(Answer("", 0, 0, min(nothing)))
    return sorted(answers, key=lambda answer: -answer.score)[:top_k]


def _likeliest(
    starts: np.ndarray, ends: np.ndarray, number: int, longest: int
) -> Iterator[tuple[int, int, float]]:
    """(first, last, probability) of the likeliest spans of up to `longest` tokens, the best first.
    starts, ends: (T,) probabilities."""
    tokens = len(starts)
    if not tokens:
        return
    width = min(longest, tokens)
    from_each = sliding_window_view(np.pad(ends, (0, width - 1)), width)  # (T, width)
    products = (starts[:, None] * from_each).ravel()
    best = np.arange(len(products))
    if number < len(best):
        best = np.argpartition(-products, number)[:number]
    for place in best[np.argsort(-products[best], kind="stable")].tolist():
        first, more = divmod(place, width)
        if first + more < tokens:  # behind the last there is padding
            yield first, first + more, float(products[place])


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _words(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """(start, end) of each token's word, in characters of the text."""
    ends = {piece.word: piece.end for piece in pieces}
    starts = {piece.word: piece.start for piece in reversed(pieces)}
    return [(p.start, p.end) if p.word is None else (starts[p.word], ends[p.word]) for p in pieces]

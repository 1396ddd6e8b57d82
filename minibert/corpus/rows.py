"""Rows of pre-training, made from a corpus and masked.

A row is [CLS] A [SEP] B [SEP]. A and B are runs of whole sentences, which together fill the row;
what is too long is cut, at either end, as in Google's code. In half of the rows B follows A in the
document (label 0), in the others it comes from another document (label 1). A document of one
sentence has nothing that could follow, so its row is [CLS] A [SEP], and only tokens are guessed.
Without next sentence prediction all rows are such: A alone fills them.

Where A begins is the same in every epoch (see `spans.py`). Where it ends, what B is, where the row
is cut and which tokens are masked is drawn from the random numbers that the caller gives.

Paper: Devlin et al. 2019, section 3.1 and A.2. Reference: google-research/bert
create_pretraining_data.py, `create_instances_from_document`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minibert._checks import IGNORED
from minibert.corpus.masking import TokenKinds, mask_tokens
from minibert.corpus.spans import SHORTEST, Span, Spans
from minibert.corpus.store import Corpus
from minibert.text.truncation import truncated_lengths
from minibert.tokenizer import Row, Tokenizer, frame

SHORT_ROWS = 0.1  # the share of shorter rows: later tasks have them, and Google made as many


@dataclass(frozen=True)
class PreTrainingExample:
    """A masked row. index: its place among the rows. labels: the token to be guessed, or -100, for
    each of `row.ids`. next_sentence: 0 where B follows A, 1 where it does not, -100 without B."""

    index: int
    row: Row
    labels: list[int]
    next_sentence: int


class Rows:
    """Makes examples from spans of a corpus. max_length: tokens of a row; whole_word: see
    `masking.py`; next_sentence: whether rows are pairs."""

    def __init__(
        self,
        corpus: Corpus,
        spans: Spans,
        tokenizer: Tokenizer,
        max_length: int,
        whole_word: bool = False,
        next_sentence: bool = True,
    ) -> None:
        self.corpus, self.spans, self.tokenizer = corpus, spans, tokenizer
        self.max_length, self.whole_word = max_length, whole_word
        self.next_sentence = next_sentence
        self.kinds = TokenKinds.of(tokenizer)

    def example(
        self, number: int, random: np.random.Generator, as_it_stands: bool = False
    ) -> PreTrainingExample:
        """The row of this number. as_it_stands: B always follows A, and no row is shortened."""
        limit = self.max_length
        if not as_it_stands and random.random() < SHORT_ROWS:
            limit = int(random.integers(SHORTEST, limit + 1))
        a, b, next_sentence = self._segments(self.spans[number], random, as_it_stands)
        keep = truncated_lengths(len(a), None if b is None else len(b), limit)
        dropped = len(a) - keep[0]
        a = _window(a, keep[0], random)
        if b is not None:
            dropped += len(b) - keep[1]
            b = _window(b, keep[1], random)
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        ids, type_ids = _framed(self.corpus.tokens, a, b, cls, sep)
        words = None
        if self.whole_word:
            words = np.array(_framed(self.corpus.words, a, b, True, True)[0])
        masked = mask_tokens(np.array(ids), self.kinds, random, words)
        row = Row(masked.ids.tolist(), type_ids, dropped)
        return PreTrainingExample(number, row, masked.labels.tolist(), next_sentence)

    def _segments(
        self, span: Span, random: np.random.Generator, as_it_stands: bool
    ) -> tuple[range, range | None, int]:
        """Where the tokens of A and B stand, not cut to length yet, and the label of the pair."""
        if not self.next_sentence or span.stop - span.first < 2:
            return self.corpus.places(span.first, span.stop), None, IGNORED
        middle = _inner(span, random)
        a = self.corpus.places(span.first, middle)
        follows = as_it_stands or random.random() < 0.5
        if not follows:
            span = self.spans.of_another_document(span.document, random)
            middle = _inner(span, random)
        # Either kind of B ends by the same rule, or its length would tell which it is.
        end = int(self.corpus.documents[span.document + 1])
        stop = self.corpus.fill(middle, self.max_length - 3 - len(a), end)
        return a, self.corpus.places(middle, stop), 0 if follows else 1


def _inner(span: Span, random: np.random.Generator) -> int:
    """A sentence of the span that is not its first."""
    return span.first + 1 + int(random.integers(span.stop - span.first - 1))


def _window(places: range, keep: int, random: np.random.Generator) -> range:
    """So many neighbouring tokens, from anywhere."""
    start = int(random.integers(len(places) - keep + 1))
    return places[start : start + keep]


def _framed(
    array: np.ndarray, a: range, b: range | None, cls: int, sep: int
) -> tuple[list[int], list[int]]:
    """What an array of the corpus has at these places, as a row, and the type ids."""
    second = None if b is None else array[b.start : b.stop].tolist()
    return frame(array[a.start : a.stop].tolist(), second, cls, sep)

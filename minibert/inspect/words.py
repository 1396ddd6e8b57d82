"""The words of a text as a classifier reads it: which tokens of its row are which word's.

Words are those of `minibert.text.words`, the same for every tokenizer: "don't" is one word, though
BERT cuts it into three tokens. What an explanation finds for tokens is summed over each word's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minibert._checks import shown
from minibert.tasks.text_classifier import TextClassifier
from minibert.text.inputs import Text, text_parts
from minibert.text.truncation import truncate
from minibert.text.words import Span, word_spans, words_of
from minibert.tokenizer import frame


@dataclass(frozen=True, eq=False)
class Words:
    """The W words that are read of a text, or of a pair, and the row of T tokens they stand in.

    words: (W,) as the text has them. spans: (W,) where in it, characters from start to end. parts:
    (W,) 0 for the first text and 1 for its pair. unread: how many words more there are, which did
    not fit into the row. ids, type_ids: (T,) of the row. word_ids: (T,) which of the words a token
    belongs to, -1 for none: [CLS], [SEP] and white space. mask_id: the token that hides another.
    """

    words: tuple[str, ...]
    spans: tuple[Span, ...]
    parts: tuple[int, ...]
    unread: int
    ids: np.ndarray
    type_ids: np.ndarray
    word_ids: np.ndarray
    mask_id: int

    def summed(self, of_tokens: np.ndarray) -> np.ndarray:
        """(T,) what each token counts -> (W,) what each word does."""
        mine = self.word_ids >= 0
        return np.bincount(self.word_ids[mine], of_tokens[mine], len(self.words))

    @property
    def all_masked(self) -> np.ndarray:
        """(T,) the row with [MASK] for each token of a word."""
        return np.where(self.word_ids >= 0, self.mask_id, self.ids)

    @property
    def each_masked(self) -> np.ndarray:
        """(W, T) for each word the row with [MASK] for its tokens."""
        hidden = self.word_ids == np.arange(len(self.words))[:, None]  # (W, T)
        return np.where(hidden, self.mask_id, self.ids)


def read_words(classifier: TextClassifier, text: Text, position: int = 0) -> Words:
    """A text, or a (text, pair) tuple, in words, cut to a row as the classifier cuts it.

    Raises `ValueError` with the position among the texts for what is no text, for one without a
    word, and for one that the classifier reads in several windows.
    """
    tokenizer, config = classifier.tokenizer_, classifier.model_.config
    separators = tokenizer.vocabulary.separators
    found: list[tuple[str, Span, int]] = []  # word, place, part
    rows: list[list[tuple[int, int]]] = []  # of each part the (id, word) of its tokens
    for part, given in enumerate(text_parts(text, position)):
        pieces = tokenizer.backend.pieces(given)
        places = [(piece.start, piece.end) for piece in pieces]
        spans = word_spans(given)
        of_pieces = words_of(given, places, spans)
        for word, (_, end) in zip(of_pieces, places, strict=True):
            if word is not None:  # "[MASK]" in a text is one token, and three words
                spans[word] = (spans[word][0], max(spans[word][1], end))
        rows.append(
            [
                (tokenizer.ids[piece.token], -1 if word is None else len(found) + word)
                for piece, word in zip(pieces, of_pieces, strict=True)
            ]
        )
        found += [(given[start:end], (start, end), part) for start, end in spans]
    with_tokens = {word for row in rows for _, word in row} - {-1}
    if not with_tokens:
        raise ValueError(f"text {position} is {shown(text)}, which has no words; give it one")
    max_length = classifier._limit(config.max_length)
    windows = classifier.truncation == "windows"
    first, second, dropped = truncate(
        rows[0],
        rows[1] if len(rows) == 2 else None,
        max_length,
        "head" if windows else classifier.truncation,  # type: ignore[arg-type]
        separators,
    )
    if windows and dropped:
        raise ValueError(
            f"text {position} has {dropped} tokens more than a row of {max_length}, and this "
            "classifier reads it in several windows, which are not explained together; give a part "
            "of the text, or set_params(truncation='head')"
        )
    cls, sep = (tokenizer.cls_token_id, -1), (tokenizer.sep_token_id, -1)
    segments = tokenizer.vocabulary.segments
    tokens, type_ids = frame(first, second, cls, sep, separators, segments)
    ids, word_ids = np.array(tokens).T
    read = sorted(set(word_ids.tolist()) - {-1})
    if not read:
        raise ValueError(f"a row of {max_length} tokens has no room for a word; set max_length")
    renumbered = np.searchsorted(read, word_ids)  # words without a token are left out
    return Words(
        words=tuple(found[word][0] for word in read),
        spans=tuple(found[word][1] for word in read),
        parts=tuple(found[word][2] for word in read),
        unread=len(with_tokens) - len(read),
        ids=ids,
        type_ids=np.array(type_ids),
        word_ids=np.where(word_ids < 0, -1, renumbered),
        mask_id=tokenizer.mask_token_id,
    )

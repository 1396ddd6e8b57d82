"""Masking: which tokens of a row the model has to guess, and what stands in their place.

15 % of the tokens are selected. Of these 80 % become [MASK], 10 % a token drawn at random,
and 10 % stay as they are. Special tokens are never selected and never drawn. Google masked each row
a few times, before training; here a row is masked anew each time it is read, which costs nothing
and shows the model more (Liu et al. 2019, arXiv 1907.11692, section 4.1, "dynamic masking").

With whole words, the pieces of a word are selected together: the rest of a word gives a piece away.

Paper: Devlin et al. 2019, section 3.1. Reference: google-research/bert create_pretraining_data.py,
`create_masked_lm_predictions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minibert._checks import IGNORED
from minibert.tokenizer import Tokenizer

SELECTED = 0.15  # the share of a row's tokens that is to be guessed
MASKED, REPLACED = 0.8, 0.1  # shares of these; the rest stays


@dataclass(frozen=True)
class TokenKinds:
    """What masking has to know of a vocabulary.

    mask: the id of [MASK]. special: (V,) bool, tokens that are neither guessed nor drawn.
    ordinary: the ids of all tokens that are not special.
    """

    mask: int
    special: np.ndarray
    ordinary: np.ndarray

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> TokenKinds:
        vocabulary = tokenizer.vocabulary
        special = np.ones(vocabulary.size, dtype=bool)  # an id without a token cannot be drawn
        for token, i in tokenizer.ids.items():
            special[i] = token in vocabulary.special
        return cls(tokenizer.mask_token_id, special, ordinary=np.flatnonzero(~special))


class MaskedRow(NamedTuple):
    """ids: (T,) what the model sees. labels: (T,) what stood there where it has to guess, elsewhere
    -100. Both int64."""

    ids: np.ndarray
    labels: np.ndarray


def mask_tokens(
    ids: np.ndarray,
    kinds: TokenKinds,
    generator: np.random.Generator,
    words: np.ndarray | None = None,
) -> MaskedRow:
    """Mask one row. ids: (T,) integers, [CLS] and [SEP] included; they are not changed.

    words: (T,) bool, whether each token is the first of its word; whole words are then selected.
    At least one token is selected; none only where all are special. The result follows from the
    arguments alone, the state of the generator among them.
    """
    seen, labels = ids.astype(np.int64), np.full(len(ids), IGNORED)
    candidates = np.flatnonzero(~kinds.special[ids])
    if not len(candidates):
        return MaskedRow(seen, labels)
    wanted = max(1, round(SELECTED * len(candidates)))
    if words is not None:
        chosen = _choose_words(_places(words, candidates), wanted, generator)
    else:
        chosen = generator.choice(candidates, wanted, replace=False)
    labels[chosen] = ids[chosen]
    lot = generator.random(len(chosen))
    seen[chosen[lot < MASKED]] = kinds.mask
    replaced = chosen[(lot >= MASKED) & (lot < MASKED + REPLACED)]
    seen[replaced] = generator.choice(kinds.ordinary, len(replaced))
    return MaskedRow(seen, labels)


def _places(words: np.ndarray, candidates: np.ndarray) -> list[np.ndarray]:
    """The places of each word's pieces. A word also begins after a special token: where a row was
    cut at its front, its first piece may be the end of a word."""
    after_special = np.diff(candidates, prepend=-1) > 1
    begins = after_special | words[candidates]
    return np.split(candidates, np.flatnonzero(begins)[1:])


def _choose_words(
    words: list[np.ndarray], wanted: int, generator: np.random.Generator
) -> np.ndarray:
    """Words at random, without exceeding `wanted` pieces; if none is short enough, one word.

    As in Google's code, a word that is too long for what is left is passed over.
    """
    chosen: list[np.ndarray] = []
    left = wanted
    order = generator.permutation(len(words))
    for word in (words[i] for i in order):
        if len(word) <= left:
            chosen.append(word)
            left -= len(word)
    return np.concatenate(chosen or [words[order[0]]])

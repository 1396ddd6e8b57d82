"""Masking: which tokens of a row are to be guessed, and what stands in their place."""

import numpy as np
import pytest

from minibert._checks import IGNORED
from minibert.corpus.masking import TokenKinds, mask_tokens
from minibert.corpus.task import generator
from minibert.text.vocabulary import WordPieceVocabulary
from minibert.tokenizer import WordPieceTokenizer
from tests.corpus.conftest import SPECIAL

WORDS = [f"{'##' if i % 3 else ''}w{i}" for i in range(300)]  # a word of three pieces, 100 times
IDS = {**SPECIAL, **{word: 5 + i for i, word in enumerate(WORDS)}}
BEGINS = np.array([i % 3 == 2 or i < 5 for i in range(305)])  # of each id, whether it begins a word
KINDS = TokenKinds.of(
    WordPieceTokenizer(WordPieceVocabulary(IDS, SPECIAL, lower_case=True), "python")
)


def mask(ids, random, whole_word=False):
    return mask_tokens(ids, KINDS, random, BEGINS[ids] if whole_word else None)


def random_rows(number, words=20):
    random = np.random.default_rng(1)
    for _ in range(number):
        starts = 5 + 3 * random.integers(100, size=words)
        pieces = (starts[:, None] + np.arange(3)).ravel()
        yield np.array([2, *pieces, 1, 1, 3])  # [CLS] ... [UNK] [UNK] [SEP]


@pytest.mark.parametrize("whole_word", [False, True])
def test_masking_is_80_10_10_of_15_percent_and_spares_special_tokens(whole_word):
    random = np.random.default_rng(0)
    tokens = selected = masked = same = replaced = 0
    for ids in random_rows(2000):
        seen, labels = mask(ids, random, whole_word)
        chosen = labels != IGNORED
        assert not KINDS.special[ids[chosen]].any(), "no special token is to be guessed"
        assert (labels[chosen] == ids[chosen]).all() and (seen[~chosen] == ids[~chosen]).all()
        other = chosen & (seen != KINDS.mask)
        assert not KINDS.special[seen[other]].any(), "no special token is drawn"
        tokens += 60
        selected += chosen.sum()
        masked += (seen[chosen] == KINDS.mask).sum()
        same += (seen[other] == ids[other]).sum()
        replaced += (seen[other] != ids[other]).sum()
    assert selected == 0.15 * tokens == 18_000, "9 of 60, which is three whole words"
    # One in 300 random tokens is the one that stood there. Bounds: 4 standard deviations.
    for found, share in ((masked, 0.8), (replaced, 0.1 * 299 / 300), (same, 0.1 + 0.1 / 300)):
        assert abs(found / selected - share) < 4 * (share * (1 - share) / selected) ** 0.5


def test_every_token_is_selected_as_often_as_another():
    random, ids = np.random.default_rng(0), next(random_rows(1))
    counts = sum((mask(ids, random).labels != IGNORED) for _ in range(2000))
    assert (abs(counts[1:61] / 2000 - 0.15) < 5 * (0.15 * 0.85 / 2000) ** 0.5).all()


def test_whole_words_stay_together():
    random = np.random.default_rng(0)
    for ids in random_rows(200):
        chosen = mask(ids, random, whole_word=True).labels[1:61] != IGNORED
        assert (chosen.reshape(20, 3).sum(axis=1) % 3 == 0).all()
    assert any(
        (mask(ids, random).labels[1:61] != IGNORED).reshape(20, 3).sum(1).max() < 3
        for ids in random_rows(20)
    ), "otherwise they do not"


def test_one_token_at_least_is_selected_where_there_is_one():
    random = np.random.default_rng(0)
    for ids in ([2, 5, 3], [2, 5, 6, 7, 3], [2, 6, 7, 3]):  # the last begins within a word
        for whole_word in (False, True):
            seen, labels = mask(np.array(ids), random, whole_word)
            assert (labels != IGNORED).sum() == (len(ids) - 2 if whole_word else 1)
    assert (mask(np.array([2, 1, 3]), random).labels == IGNORED).all()


def test_masking_follows_from_the_generator():
    ids = next(random_rows(1))

    def masked(seed):
        return mask(ids, generator(seed)).ids.tolist()

    assert masked(1) == masked(1) != masked(2)
    assert ids.tolist() == next(random_rows(1)).tolist(), "the row itself is not changed"

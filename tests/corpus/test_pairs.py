"""Pairs of sentences: half of them follow each other, the others are of another document.

Every token of the text tells its sentence: sentence s is the words 4s .. 4s + 3, and a full stop
that belongs to all.
"""

from typing import NamedTuple

import numpy as np
import pytest

from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import generator
from minibert.corpus.text import TextFile
from minibert.text.vocabulary import WordPieceVocabulary
from minibert.tokenizer import WordPieceTokenizer
from tests.corpus.conftest import SPECIAL, unmasked

TURNS, LENGTH = 20, 24


class Text(NamedTuple):
    """A made-up text, its tokenizer and the rows made of it."""

    tokenizer: WordPieceTokenizer
    rows: Rows
    document_of: np.ndarray  # of each sentence
    held_out: set[int]  # documents


class Pair(NamedTuple):
    """A row, taken apart."""

    ids: list[int]
    type_ids: list[int]
    labels: list[int]
    first: list[int]  # sentences
    second: list[int]
    follows: bool
    document: int  # that the first was asked of


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    counts = np.random.default_rng(0).integers(2, 12, size=60)  # sentences of a document
    words = [f"w{i}" for i in range(4 * counts.sum())]
    ids = {**SPECIAL, ".": 5, **{word: 6 + i for i, word in enumerate(words)}}
    tokenizer = WordPieceTokenizer(WordPieceVocabulary(ids, SPECIAL, lower_case=True))
    sentences = iter(" ".join(words[i : i + 4]) + "." for i in range(0, len(words), 4))
    folder = tmp_path_factory.mktemp("pairs")
    documents = [" ".join(next(sentences) for _ in range(count)) for count in counts]
    (folder / "a.txt").write_text("\n\n".join(documents))
    corpus = Corpus.build([TextFile.at(folder / "a.txt")], tokenizer, folder / "corpus")
    training, held_out = make_spans(corpus, LENGTH)
    rows = Rows(corpus, training, tokenizer, LENGTH)
    kept = set(held_out.table[:, 2].tolist())
    return Text(tokenizer, rows, np.repeat(np.arange(60), counts), kept)


def sentences_of(ids):
    return sorted({(i - 6) // 4 for i in ids if i > 5})


@pytest.fixture(scope="module")
def pairs(numbered):
    found, spans = [], numbered.rows.spans
    for turn in range(TURNS * spans.pairs):
        number = turn % spans.pairs
        example = numbered.rows.example(number, generator(turn))
        ids = unmasked(example)
        end = ids.index(numbered.tokenizer.sep_token_id)
        found.append(
            Pair(
                ids,
                example.row.type_ids,
                example.labels,
                sentences_of(ids[1:end]),
                sentences_of(ids[end + 1 : -1]),
                example.next_sentence == 0,
                spans[number].document,
            )
        )
    return found


def test_a_row_is_cls_first_sep_second_sep(numbered, pairs):
    cls, sep = numbered.tokenizer.cls_token_id, numbered.tokenizer.sep_token_id
    for pair in pairs:
        assert pair.ids[0] == cls and pair.ids[-1] == sep and pair.ids.count(sep) == 2
        first = pair.ids.index(sep) + 1
        assert pair.type_ids == [0] * first + [1] * (len(pair.ids) - first)
        assert len(pair.labels) == len(pair.ids)


def test_rows_are_as_long_as_they_may_be_and_some_are_short(pairs):
    lengths = [len(pair.ids) for pair in pairs]
    assert max(lengths) == LENGTH and min(lengths) < LENGTH / 2


def test_either_half_is_neighbours_of_one_document(numbered, pairs):
    for pair in pairs:
        for run in (pair.first, pair.second):
            assert run == list(range(run[0], run[-1] + 1))
            assert len(set(numbered.document_of[run])) == 1
        assert numbered.document_of[pair.first[0]] == pair.document


def test_what_follows_comes_later_in_the_same_document(numbered, pairs):
    for pair in (pair for pair in pairs if pair.follows):
        assert numbered.document_of[pair.second[0]] == pair.document
        assert pair.second[0] > pair.first[-1]


def test_what_does_not_follow_is_of_another_document_and_none_that_is_held_out(numbered, pairs):
    for pair in (pair for pair in pairs if not pair.follows):
        assert numbered.document_of[pair.second[0]] not in {pair.document} | numbered.held_out


def test_half_of_the_pairs_follow(pairs):
    share = sum(pair.follows for pair in pairs) / len(pairs)
    assert abs(share - 0.5) < 4 * (0.25 / len(pairs)) ** 0.5

"""Which rows a corpus gives: each is a run of whole sentences of one document.

The cut is the same in every epoch. The rows stand in two tables, of mapped files: those to train on
and those held out.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minibert.corpus.store import Corpus

SHORTEST = 8  # tokens of a row, special ones included
HELD_OUT_EVERY = 20  # of so many documents one is held out


class Span(NamedTuple):
    """A row's place in the corpus: the sentences first .. stop - 1 of a document."""

    first: int
    stop: int
    document: int


@dataclass(frozen=True)
class Spans:
    """Rows of a corpus, one line each of a mapped file: those with room for a pair come first.

    table: (rows, 3) int64, the fields of `Span`, in order of documents within either kind.
    pairs: how many have two sentences or more.
    """

    table: np.ndarray
    pairs: int

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> Span:
        return Span(*self.table[number].tolist())

    def of_another_document(self, document: int, random: np.random.Generator) -> Span:
        """A row with room for a pair, drawn from those of all documents but this one."""
        # The rows of a document stand together: what is drawn at or after them skips them.
        documents = self.table[: self.pairs, 2]
        start, stop = np.searchsorted(documents, [document, document + 1]).tolist()
        drawn = int(random.integers(self.pairs - (stop - start)))
        return self[drawn if drawn < start else drawn + stop - start]


def make_spans(corpus: Corpus, max_length: int, pairs: bool = True) -> tuple[Spans, Spans]:
    """(training, held out): all documents of the corpus cut into rows of `max_length` tokens.

    pairs: whether rows are to be pairs of sentences, as far as there are two.

    Of 20 documents one is held out; only those of two sentences or more, if there are 20 of them: a
    sentence that stands alone may be part of another one, as SST-2's phrases are, and would then
    not be new to the model. The tables are files in the corpus's folder, for `open_spans`.

    Raises `ValueError` for a corpus that is too small.
    """
    if max_length < SHORTEST:
        raise ValueError(f"max_length is {max_length}; it must be at least {SHORTEST}")
    enough = corpus.several >= HELD_OUT_EVERY
    tables = _tables(corpus, max_length)
    # Half of one is never in the place of a table; an earlier one that is mapped keeps its file.
    training, kept = (path.with_name(f".{path.name}") for path in tables)
    alone = training.with_name(f"{training.name}-alone")
    considered = 0
    with open(training, "wb") as several, open(alone, "wb") as lone, open(kept, "wb") as held_out:
        for document in range(corpus.number_of_documents):
            first, end = corpus.documents[document : document + 2].tolist()
            held = False
            if not enough or end - first > 1:
                held = considered % HELD_OUT_EVERY == 0
                considered += 1
            for start, stop in _cut(corpus, first, end, max_length, pairs):
                file = held_out if held else several if stop - start > 1 else lone
                file.write(np.array([start, stop, document], dtype=np.int64).tobytes())
    with open(training, "ab") as several, open(alone, "rb") as lone:
        shutil.copyfileobj(lone, several)
    alone.unlink()
    for unfinished, path in zip((training, kept), tables, strict=True):
        unfinished.replace(path)
    return open_spans(corpus, max_length, pairs)


def open_spans(corpus: Corpus, max_length: int, pairs: bool = True) -> tuple[Spans, Spans]:
    """(training, held out), as `make_spans` left them in the corpus's folder."""
    table, kept = (_map_table(path) for path in _tables(corpus, max_length))
    several = bisect_left(
        range(len(table)), True, key=lambda row: table[row, 1] - table[row, 0] < 2
    )
    # Pairs of one document only would find no second half in another.
    alone = pairs and several and table[0, 2] == table[several - 1, 2]
    if alone or not (len(table) and len(kept)):
        why, least = "", "two documents"
        if pairs:
            why = ", and the second half of a pair comes from another"
            least = "three documents of two sentences"
        raise ValueError(
            f"the text is too small: {corpus.number_of_sentences} sentences in "
            f"{corpus.number_of_documents} documents, of which one is held out{why}; give at least "
            f"{least}, separated by blank lines, and better some thousand sentences"
        )
    return Spans(table, several), Spans(kept, len(kept))


def _tables(corpus: Corpus, max_length: int) -> tuple[Path, Path]:
    return corpus.folder / f"training-{max_length}", corpus.folder / f"held-out-{max_length}"


def _map_table(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # which cannot be mapped
        return np.empty((0, len(Span._fields)), dtype=np.int64)
    return np.asarray(np.memmap(path, dtype=np.int64, mode="r")).reshape(-1, len(Span._fields))


def _cut(
    corpus: Corpus, first: int, end: int, max_length: int, pairs: bool
) -> Iterator[tuple[int, int]]:
    """Runs of sentences that fill a row; for pairs two at least, if the document has two."""
    room = max_length - (3 if pairs else 2)
    while first < end:
        stop = corpus.fill(first, room, end)
        if pairs:
            stop = max(stop, first + 2)
            if stop >= end - 1:  # a last sentence by itself would have no partner
                stop = end
        yield first, stop
        first = stop

"""The vectors of a word in its contexts, and many dimensions drawn in two.

In the table of embeddings "spring" is one vector, season, coil and water alike. Layer by layer the
context comes in, until its nearest neighbour is a "spring" of the same sense. Source: Wiedemann et
al. 2019, *Does BERT Make Any Sense?*, arXiv 1909.10430.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.inspect.running import encode_each, run
from minibert.tasks.trained import single_text
from minibert.text.inputs import check_text, listed
from minibert.text.words import word_spans, words_of
from minibert.tokenizer import Encoding, Tokenizer
from minibert.training.results import aligned


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A word in n texts. vectors: (L + 1, n, C) in fp32, the embeddings, then each layer's output;
    of a word of several pieces their mean."""

    word: str
    texts: tuple[str, ...]
    vectors: np.ndarray

    def similarity(self, layer: int) -> np.ndarray:
        """(n, n) cosines between the contexts; layer 0: the embeddings."""
        layer = whole_number("layer", layer, 0, len(self.vectors) - 1)
        return cosines(self.vectors[layer])

    def nearest(self, layer: int) -> np.ndarray:
        """(n,) the text, from 0, in which the word is most alike: its nearest neighbour by cosine.

        Raises `ValueError` for a single text.
        """
        if len(self.texts) < 2:
            raise ValueError("there is one text; a nearest neighbour takes at least two")
        similarity = self.similarity(layer).copy()
        np.fill_diagonal(similarity, -np.inf)
        return similarity.argmax(axis=1)

    def same_sense(self, senses: Sequence[Any]) -> np.ndarray:
        """(L + 1,) the share of texts whose nearest neighbour has the same sense.

        senses: what the word means in each text, by any names.
        """
        if len(senses) != len(self.texts):
            raise ValueError(f"there are {len(self.texts)} texts and {len(senses)} senses")
        named = list(senses)
        return np.array(
            [
                np.mean([named[i] == named[j] for i, j in enumerate(self.nearest(layer))])
                for layer in range(len(self.vectors))
            ]
        )

    def __str__(self) -> str:
        """How alike the word is in its contexts, layer by layer."""
        table = [["layer", "mean cosine", "least", "most"]]
        others = ~np.eye(len(self.texts), dtype=bool)
        for layer in range(len(self.vectors) if others.any() else 0):
            found = self.similarity(layer)[others]
            values = (found.mean(), found.min(), found.max())
            table.append([str(layer or "embeddings"), *(f"{value:.3f}" for value in values)])
        return f"{shown(self.word)} in {len(self.texts)} texts\n{aligned(table)}"


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components. points: (n, k) the vectors in the new axes. axes: (k, C) of length 1,
    the most telling first. mean: (C,). explained: (k,) the share of all variance along each."""

    points: np.ndarray
    axes: np.ndarray
    mean: np.ndarray
    explained: np.ndarray

    def __str__(self) -> str:
        table = [["component", "share of variance"]]
        table += [[f"{i}", f"{share:.3f}"] for i, share in enumerate(self.explained, 1)]
        return aligned(table)


def token_vectors(
    model: Pretrained, tokenizer: Tokenizer, texts: Iterable[str], word: str
) -> WordVectors:
    """The vectors of a word, in each text where it first stands; upper and lower case are the same.

    Words are cut at white space and punctuation, as in `minibert.text.words`.

    Raises `ValueError` as `attentions` does, and for a text without the word.
    """
    wanted = check_text(word, "word").casefold()
    given = [single_text(text, position)[0] for position, text in enumerate(listed(texts))]
    found = []
    rows = encode_each("token_vectors", model, tokenizer, given)
    for position, (text, (_, row)) in enumerate(zip(given, rows, strict=True)):
        columns = _columns(text, row, wanted)
        if not columns:
            raise ValueError(
                f"text {position} is {shown(text)}, which has no word {shown(word)} in its "
                f"{len(row.ids)} tokens; leave it out"
            )
        states = run(model, tokenizer, row, output_hidden_states=True).hidden_states
        assert states is not None  # was asked for
        found.append(torch.cat(states)[:, columns].float().mean(dim=1).cpu())  # (L + 1, C)
    return WordVectors(word, tuple(given), torch.stack(found, dim=1).numpy())


def _columns(text: str, row: Encoding, wanted: str) -> list[int]:
    """The columns of the pieces of this word, given in lower case, where it first stands."""
    columns = [i for i, word in enumerate(row.word_ids) if word is not None]
    words = word_spans(text)
    of_pieces = words_of(text, [row.offsets[i] for i in columns], words)
    for number, (start, end) in enumerate(words):
        if text[start:end].casefold() == wanted:
            return [i for i, word in zip(columns, of_pieces, strict=True) if word == number]
    return []


def pca(vectors: np.ndarray, components: int = 2) -> Components:
    """Principal component analysis of n vectors, (n, C), by singular values.

    An axis has no direction of its own: the one in which its largest entry is positive is taken, as
    scikit-learn does, so that a picture does not flip from one machine to the next.

    Raises `ValueError` for fewer than two vectors, or more components than there can be.
    """
    matrix = np.asarray(vectors, dtype=np.float64)
    if matrix.ndim != 2 or len(matrix) < 2 or not np.isfinite(matrix).all():
        raise ValueError(
            f"vectors is an array of shape {matrix.shape}; it must be (n, C), of at least two "
            "vectors, and finite"
        )
    components = whole_number("components", components, 1, min(matrix.shape))
    mean = matrix.mean(axis=0)
    centred = matrix - mean
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    axes, variance = axes[:components], singular**2
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.where(axes[np.arange(components), largest] < 0, -1.0, 1.0)[:, None]
    total = variance.sum()
    explained = variance[:components] / (total if total else 1.0)
    return Components(centred @ axes.T, axes, mean, explained)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """(n, C) -> (n, n), the cosine of each two; of a vector of zeros 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit @ unit.T

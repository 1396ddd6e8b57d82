"""How alike the vectors of two positions are.

Nobody told BERT that 5 comes after 4: its table of positions began as random numbers. In a trained
one neighbours are alike, and the matrix of cosines has a band along its diagonal, as sines would
give (Vaswani et al. 2017, section 3.5). Wang & Chen 2020, arXiv 2010.04903, compare models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minibert._checks import check_has_weights
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.optimize import check_original
from minibert.inspect.running import encoder
from minibert.inspect.vectors import cosines
from minibert.training.results import aligned

_LISTED = 5


@dataclass(frozen=True, eq=False)
class PositionSimilarity:
    """Of the P positions that tokens can have, numbered from 0. cosine: (P, P). length: (P,) the
    Euclidean length of each vector."""

    cosine: np.ndarray
    length: np.ndarray

    def at_distance(self, distance: int) -> float:
        """The mean cosine of two positions so far apart."""
        return float(np.diagonal(self.cosine, distance).mean())

    def longest(self) -> list[int]:
        """The positions with the longest vectors, the longest first."""
        return np.argsort(-self.length, kind="stable")[:_LISTED].tolist()

    def __str__(self) -> str:
        distances = [2**i for i in range((len(self.length) - 1).bit_length())]
        apart = [["positions apart", "mean cosine"]]
        apart += [[str(d), f"{self.at_distance(d):.3f}"] for d in distances]
        long = [["longest", "length"]]
        long += [[str(p), f"{self.length[p]:.2f}"] for p in self.longest()]
        long.append(["median", f"{np.median(self.length):.2f}"])
        return f"{aligned(apart)}\n\n{aligned(long)}"


def position_similarity(model: Pretrained) -> PositionSimilarity:
    """The cosines of the position table. RoBERTa's entries for padding are left out, so that 0 is
    where a row begins in every family.

    Raises `ValueError` for what is no model, or an optimized one.
    """
    check_original(model, "position_similarity")
    check_has_weights(model.device)
    table = encoder(model).embeddings.position.weight.detach().float().cpu().numpy()
    used = table[len(table) - model.config.max_length :]  # (P, E)
    return PositionSimilarity(cosines(used), np.linalg.norm(used, axis=1))

"""Batches in true random order.

Sorting training texts by length would save padding, but a batch of short texts is not a random
sample, and the gradient is biased by it. The model packs its batches, so padding costs nothing here
and the order can be the honest one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from minibert.tokenizer import Row, WordPieceTokenizer


@dataclass(frozen=True)
class Examples:
    """Tokenized texts with their class ids, in one order."""

    rows: Sequence[Row]
    labels: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)


def shuffled_batches(
    examples: Examples, batch_size: int, tokenizer: WordPieceTokenizer, seed: int
) -> Iterator[dict[str, Tensor]]:
    """One epoch: every example once, in the random order that `seed` gives.

    Yields the tensors of `WordPieceTokenizer.__call__` with `labels`, (B,); the last batch may be
    smaller.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(examples), generator=generator).tolist()
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch = tokenizer.pad([examples.rows[i] for i in chosen])
        batch["labels"] = torch.tensor([examples.labels[i] for i in chosen])
        yield batch

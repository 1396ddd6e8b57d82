"""Rows: made of ids, run through a model in batches of like lengths, and their results put back in
order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.forks import survive_fork
from minibert.engine.host import placed, send
from minibert.engine.memory import keep_freed_memory
from minibert.tokenizer import Row, Tokenizer, frame

# The most tokens in a batch. On a CPU more of them run no faster, and no longer fit its caches. On
# GPUs it was never measured, only reckoned: 16,384 tokens are 2.8 TFLOP of BERT-base, some 6 ms of
# an H100, which is longer than Python needs to launch a forward pass, about 4 ms.
BATCH_TOKENS = {"cpu": 512, "cuda": 16384, "mps": 16384}

Batch = dict[str, Tensor]


def framed(
    tokenizer: Tokenizer, first: list[int], second: list[int] | None = None, dropped: int = 0
) -> Row:
    """The row of one or two lists of ids, in this tokenizer's special tokens. dropped: how many
    were cut off."""
    vocabulary = tokenizer.vocabulary
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids, type_ids = frame(first, second, cls, sep, vocabulary.separators, vocabulary.segments)
    return Row(ids, type_ids, dropped)


def room_for(tokenizer: Tokenizer, max_length: int, pair: bool = False) -> int:
    """How many tokens of a text, or of both of a pair, fit into a row beside the special ones."""
    return max_length - 2 - (tokenizer.vocabulary.separators if pair else 0)


@torch.inference_mode()
def compute_rows(
    model: Pretrained,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    width: int,
    compute: Callable[[Batch], Tensor],
    finished: Callable[[int], Any] = lambda rows: None,
) -> Tensor:
    """Results for many rows: (len(rows), width) in fp32 on the CPU, in the order of the rows.

    compute: from a batch, where `placed` puts it, to (B, width) on the model's device; called in
    evaluation mode. Batches are made by `batches_by_length`, whatever the order given. finished:
    told the number of rows after each batch. A GPU may still be at work on them then: it is waited
    for once, at the end.
    """
    results = torch.empty(len(rows), width, dtype=torch.float32, device=model.device)
    with computing(model):
        for indices, batch in _batches(model, tokenizer, rows):
            (places,) = send([torch.tensor(indices, device="cpu")], model.device)
            results[places] = compute(batch).float()
            finished(len(indices))
    return results.cpu()


@torch.inference_mode()
def compute_each(
    model: Pretrained,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    compute: Callable[[Batch], Sequence[Tensor]],
    finished: Callable[[int], Any] = lambda rows: None,
) -> list[Tensor]:
    """Results of any shape for many rows: one tensor each, in fp32 on the CPU, in their order.

    compute: from a batch to a tensor for each of its rows; the rest is as for `compute_rows`.
    """
    results: dict[int, Tensor] = {}
    with computing(model):
        for indices, batch in _batches(model, tokenizer, rows):
            results |= dict(zip(indices, compute(batch), strict=True))
            finished(len(indices))
        if not results:
            return []
        # In one piece, for each copy from a GPU would be waited for.
        flat = torch.cat([results[i].flatten().float() for i in range(len(rows))]).cpu()
    parts = flat.split([results[i].numel() for i in range(len(rows))])
    return [part.view_as(results[i]) for i, part in enumerate(parts)]


@contextmanager
def computing(model: Pretrained) -> Iterator[None]:
    """Inside, the model is in evaluation mode and computes in its own precision."""
    was_training = model.training
    model.eval()
    keep_freed_memory()
    survive_fork()
    try:
        with torch.autocast(model.device.type, enabled=False):
            yield
    finally:
        model.train(was_training)


def _batches(
    model: Pretrained, tokenizer: Tokenizer, rows: Sequence[Row]
) -> Iterator[tuple[list[int], Batch]]:
    """The indices of the rows of each batch, and the batch, where the model wants it."""
    for indices in batches_by_length(rows, BATCH_TOKENS.get(model.device.type, 512)):
        yield indices, placed(model, tokenizer.pad([rows[i] for i in indices]))


def batches_by_length(rows: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    """Indices of rows, longest first, cut into batches of at most so many tokens.

    Where the next row does not fit, the longest that does takes its place, so that most batches
    have exactly `tokens`: a size that kernels can be made for. A longer row has its own batch.
    """
    by_length: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_length.setdefault(len(row.ids), []).append(i)
    lengths = sorted(by_length)  # those that are left, the longest at the end
    while lengths:
        batch: list[int] = []
        room = max(tokens, lengths[-1])
        while (fitting := bisect_right(lengths, room)) > 0:
            length = lengths[fitting - 1]
            batch.append(by_length[length].pop())
            room -= length
            if not by_length[length]:
                del lengths[fitting - 1]
        yield batch

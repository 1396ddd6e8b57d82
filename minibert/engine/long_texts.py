"""Texts that are longer than a row: cut, or read whole, in windows whose results are pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from minibert.checkpoint.arguments import check_choice
from minibert.engine.rows import framed, room_for
from minibert.text.inputs import Text, text_parts
from minibert.text.windows import check_stride, spans
from minibert.tokenizer import Row, Tokenizer

Cutting = Literal["head", "head+tail", "windows"]  # a Truncation, or none
CUTTINGS = get_args(Cutting)


def check_cutting(truncation: object, stride: object, max_length: int) -> None:
    """Raise `ValueError` for settings by which no text could be cut, or read in windows."""
    check_choice("truncation", truncation, CUTTINGS)
    # Of a pair the longer text is read in windows, and the shorter has up to half of each.
    check_stride(stride, max(1, (max_length - 4) // 2) if truncation == "windows" else None)


def encode_long(
    tokenizer: Tokenizer, texts: Sequence[Text], max_length: int, truncation: Cutting, stride: int
) -> list[list[Row]]:
    """The rows of each text: one, or as many windows as it takes to read all of it."""
    if truncation != "windows":
        return [[row] for row in tokenizer.encode_batch(texts, max_length, truncation)]
    parts = [text_parts(text, position) for position, text in enumerate(texts)]
    pieces = iter(tokenizer.backend.ids([part for text in parts for part in text]))
    return [_windows(tokenizer, [next(pieces) for _ in text], max_length, stride) for text in parts]


def _windows(
    tokenizer: Tokenizer, pieces: list[list[int]], max_length: int, stride: int
) -> list[Row]:
    """The windows of a text or a pair. Of a pair the longer text is read in windows, and each has
    the shorter one beside it, cut to half of the room."""
    long = max(range(len(pieces)), key=lambda i: len(pieces[i]))
    room = room_for(tokenizer, max_length, pair=len(pieces) == 2)
    dropped = 0
    if len(pieces) == 2:
        short = pieces[1 - long]
        kept = short[: room // 2]
        room, dropped = room - len(kept), len(short) - len(kept)
        pieces = [kept if i != long else pieces[i] for i in range(2)]
    rows = []
    for start, end in spans(len(pieces[long]), room, stride):
        first, *second = [part[start:end] if i == long else part for i, part in enumerate(pieces)]
        rows.append(framed(tokenizer, first, second[0] if second else None, dropped))
    return rows


def mean_by_tokens(results: Tensor, rows: Sequence[Sequence[Row]]) -> Tensor:
    """The results of rows, (all rows, width), and the rows of each text -> (texts, width).

    Each window counts by its number of tokens, for the last may be short. A text with one row keeps
    its result to the last bit.
    """
    if len(results) == len(rows):
        return results
    counts = [len(each) for each in rows]
    means = []
    for part, each in zip(results.split(counts), rows, strict=True):
        if len(each) > 1:
            tokens = torch.tensor([len(row.ids) for row in each], dtype=part.dtype, device="cpu")
            part = tokens @ part / tokens.sum()
            part = part[None]
        means.append(part)
    return torch.cat(means)

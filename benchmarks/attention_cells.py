"""What `attention.py` measures: cells, each a work at one size, and the numbers of a cell.

A work is the kernel, softmax(Q K^T / sqrt(D)) V, or the block, LayerNorm(x + attention(x) W^O).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import devices
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert import BertConfig
from minibert.attention import SelfAttention, readable_attention
from minibert.packing import Packing

HEAD_SIZE = 64
LENGTHS: dict[str, tuple[int, ...]] = {"cpu": (64, 128, 256, 512, 1024, 2048, 4096)}
LENGTHS["cuda"] = (*LENGTHS["cpu"], 8192, 16384)
TOKENS = {"cpu": 2048, "cuda": 16384}  # slots of a batch, B * T
HEADS = {"cpu": (12,), "cuda": (12, 16)}
# Which works in which directions.
RUNS = {
    "cpu": (("kernel", "forward"), ("block", "forward"), ("block", "both")),
    "cuda": tuple(
        (work, direction)
        for work in ("kernel", "block")
        for direction in ("forward", "backward", "both")
    ),
}
PADDING_LENGTH = 256  # where the share of padding is varied
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Lengths of 32 typical sentences of SST-2: the 1/64, 3/64 .. 63/64 quantiles of its development
# part in tokens of bert-base-cased, [CLS] and [SEP] included.
SST2 = tuple(
    int(length)
    for length in (
        "8 10 12 13 14 15 16 17 19 19 21 21 22 23 24 25 "
        "26 27 28 29 30 31 32 33 35 37 38 40 42 44 48 54"
    ).split()
)


@dataclass(frozen=True)
class Cell:
    """One size of one work. lengths: real tokens of each of the B rows of T slots."""

    work: str  # "kernel" or "block"
    direction: str  # "forward", "backward" (after a forward that is not timed) or "both"
    dtype: torch.dtype
    heads: int
    length: int
    filling: str
    lengths: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @property
    def padding(self) -> float:
        return 1 - self.tokens / (len(self.lengths) * self.length)

    @property
    def flops(self) -> float:
        """Of the real tokens: a contender that computes padding does not get it counted.

        Kernel: two products of 2 T^2 C each, and 2.5 times that backward, where fused kernels
        compute the scores anew. Block: also four products with (C, C) weights, twice that backward.
        """
        width = self.heads * HEAD_SIZE
        attention = sum(4.0 * length**2 * width for length in self.lengths)
        attention *= {"forward": 1.0, "backward": 2.5, "both": 3.5}[self.direction]
        if self.work == "kernel":
            return attention
        products = 8.0 * self.tokens * width**2
        return attention + products * {"forward": 1, "backward": 2, "both": 3}[self.direction]

    @property
    def bytes(self) -> float:
        """The least that must be read and written: Q, K, V and O, or x, the result and the weights;
        backward these again and a gradient for each."""
        width = self.heads * HEAD_SIZE
        if self.work == "kernel":
            numbers = 4 * self.tokens * width
        else:
            numbers = 2 * self.tokens * width + 4 * width**2
        return (
            numbers * self.dtype.itemsize * {"forward": 1, "backward": 2, "both": 3}[self.direction]
        )

    @property
    def square_bytes(self) -> int:
        """One (B, H, T, T) of scores."""
        return len(self.lengths) * self.heads * self.length**2 * self.dtype.itemsize

    def __str__(self) -> str:
        dtype = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        return (
            f"{self.work} {self.direction} {dtype}, {len(self.lengths)} x {self.length}, "
            f"{self.heads} heads, {self.filling}"
        )


def row_lengths(filling: str, rows: int, length: int) -> tuple[int, ...]:
    """Real tokens of each row. Raises `ValueError` where rows are too few for a filling."""
    if filling in ("full", "masked"):
        return (length,) * rows
    if filling == "SST-2":
        return tuple(SST2[i % len(SST2)] for i in range(rows))
    if rows < 4:
        raise ValueError(f"{rows} rows are too few for different lengths")
    # Lengths T u^k for u spread over 0 to 1 have the mean T / (k + 1).
    share = int(filling.removesuffix("% padding")) / 100
    spread = [(i + 0.5) / rows for i in range(rows)]
    found = [max(1, round(length * u ** (share / (1 - share)))) for u in spread]
    return (*found[:-1], length)


def grid(
    device: devices.Cpu,
    dtypes: list[torch.dtype],
    lengths: list[int],
    tokens: int,
    heads: list[int],
) -> Iterator[Cell]:
    """The cells, those of one size one after another."""
    for dtype in dtypes:
        emulated = device.emulates(dtype)
        for head_count in heads:
            for length in lengths:
                # Some emulated products make 1 GFLOP/s: a few cells take longer than all the rest.
                if emulated and length not in (64, 256):
                    continue
                rows = max(1, tokens // length)
                sizes = [(name, length) for name in ("full", "masked", "50% padding")]
                if length == 64:
                    sizes.append(("SST-2", max(SST2)))  # padded to its longest row, as usual
                if length == PADDING_LENGTH:
                    sizes += [("25% padding", length), ("75% padding", length)]
                for filling, width in sizes:
                    try:
                        real = row_lengths(filling, rows, width)
                    except ValueError:
                        continue
                    for work, direction in RUNS[device.type]:
                        if emulated and direction != "forward":
                            continue
                        yield Cell(work, direction, dtype, head_count, width, filling, real)


class Inputs:
    """The numbers of a cell, the same for all contenders; and what the result should be."""

    def __init__(self, cell: Cell, device: torch.device) -> None:
        self.cell, self.device = cell, device
        rows, width = len(cell.lengths), cell.heads * HEAD_SIZE
        counts = torch.tensor(cell.lengths, device=device)
        self.full_mask = torch.arange(cell.length, device=device) < counts[:, None]  # (B, T)
        self.mask = None if cell.filling == "full" else self.full_mask
        self.packing = Packing(self.full_mask, mixed=cell.direction != "forward")
        shape = (3, cell.heads, HEAD_SIZE) if cell.work == "kernel" else (width,)
        generator = torch.Generator(device).manual_seed(0)

        def draw(*size: int) -> Tensor:
            numbers = torch.randn(*size, generator=generator, device=device).to(cell.dtype)
            empty = ~self.full_mask.view(rows, cell.length, *(1 for _ in size[2:]))
            return numbers.masked_fill(empty, 0.0)

        self.padded = draw(rows, cell.length, *shape)  # (B, T, 3, H, D) or (B, T, C)
        self.gradient = draw(rows, cell.length, width)  # (B, T, C), of the result
        self.config = BertConfig(hidden_size=width, num_attention_heads=cell.heads, **NO_DROPOUT)
        if cell.work == "block":
            torch.manual_seed(0)
            self.block = Block(self.config).to(device, cell.dtype)

    def given(self, layout: str) -> tuple[Tensor, Tensor]:
        """Input and gradient of the result, padded (B, T, ...) or packed (N, ...)."""
        given = (self.padded, self.gradient)
        if layout == "packed":
            given = (self.packing.pack(self.padded), self.packing.pack(self.gradient))
        return given[0].detach().clone(), given[1]

    @cached_property
    def wanted(self) -> tuple[Tensor, Tensor | None]:
        """The result (N, C) and the gradient of the input (N, ...), in fp64, row by row and few
        heads at a time, so that it fits into memory."""
        differentiable = self.cell.direction != "forward"
        results: list[Tensor] = []
        gradients: list[Tensor] = []
        with torch.enable_grad():
            for row, gradient in zip(
                self._rows(self.padded), self._rows(self.gradient), strict=True
            ):
                x = row.double().requires_grad_(differentiable)
                result = self._reference(x)
                results.append(result.detach())
                if differentiable:
                    gradients += torch.autograd.grad(result, x, gradient.double())
        return torch.cat(results), torch.cat(gradients) if gradients else None

    def _rows(self, x: Tensor) -> list[Tensor]:
        """The real tokens of each row, in packed order."""
        return list(self.packing.pack(x).split([n for n in self.packing.lengths if n]))

    def _reference(self, x: Tensor) -> Tensor:
        """One row: (n, 3, H, D) or (n, C), fp64 -> (n, C)."""
        if self.cell.work == "kernel":
            return _few_heads_at_a_time(x)
        block = self._double_block
        qkv = F.linear(
            x, block.attention.query_key_value.weight, block.attention.query_key_value.bias
        )
        context = _few_heads_at_a_time(qkv.view(len(x), 3, self.cell.heads, HEAD_SIZE))
        output = block.attention.output
        return block.norm(x + F.linear(context, output.weight, output.bias))

    @cached_property
    def _double_block(self) -> Block:
        return copy.deepcopy(self.block).double()


NO_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class Block(nn.Module):
    """The first half of a layer: LayerNorm(x + attention(x) W^O), on a packed batch."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        return self.norm(x + self.attention(x, packing))


SCORES_BYTES = 1 << 27  # of the reference, at once


def _few_heads_at_a_time(qkv: Tensor) -> Tensor:
    """(n, 3, H, D) -> (n, C)."""
    most = max(1, SCORES_BYTES // (len(qkv) ** 2 * qkv.itemsize))
    contexts = []
    for heads in qkv.split(most, dim=2):
        query, key, value = heads.permute(1, 2, 0, 3)  # (heads, n, D) each
        contexts.append(readable_attention(query, key, value)[0].transpose(0, 1))
    return torch.cat(contexts, dim=1).flatten(1)

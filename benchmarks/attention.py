"""The attention core, measured: ours beside PyTorch's kernels and other people's modules.

    python benchmarks/attention.py --device cpu
    python benchmarks/attention.py --device cuda

Two works. The kernel: softmax(Q K^T / sqrt(D)) V, from the projections (B, T, 3, H, D) to what W^O
reads. The block: LayerNorm(x + attention(x) W^O), products with weights included. A cell is a work
at one size; in a cell every contender has the same numbers, is compared with an fp64 reference, and
is timed in turns with the others only if it agrees. Dropout is off.

benchmarks/README.md says how to run it on a GPU and how to read what it draws.
"""

from __future__ import annotations

import argparse
import copy
import csv
import datetime
import json
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import devices
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert import BertConfig
from minibert.attention import (
    SelfAttention,
    fused_attention,
    grouped_attention,
    readable_attention,
)
from minibert.engine import bodies as kernels
from minibert.linear import Linear
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
# Largest error, as a share of the largest number of the reference. Half precision rounds at every
# step of the block.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}

# Lengths of 32 typical sentences of SST-2: the 1/64, 3/64 .. 63/64 quantiles of its development
# part in tokens of bert-base-cased, [CLS] and [SEP] included.
SST2 = (
    *(8, 10, 12, 13, 14, 15, 16, 17, 19, 19, 21, 21, 22, 23, 24, 25),
    *(26, 27, 28, 29, 30, 31, 32, 33, 35, 37, 38, 40, 42, 44, 48, 54),
)


# --- what is measured ----------------------------------------------------------------------------


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
        generator = torch.Generator().manual_seed(0)

        def draw(*size: int) -> Tensor:
            numbers = torch.randn(*size, generator=generator).to(device, cell.dtype)
            empty = ~self.full_mask.view(rows, cell.length, *(1 for _ in size[2:]))
            return numbers.masked_fill(empty, 0.0)

        self.padded = draw(rows, cell.length, *shape)  # (B, T, 3, H, D) or (B, T, C)
        self.gradient = draw(rows, cell.length, width)  # (B, T, C), of the result
        if cell.work == "block":
            config = BertConfig(hidden_size=width, num_attention_heads=cell.heads, **NO_DROPOUT)
            torch.manual_seed(0)
            self.block = Block(config).to(device, cell.dtype)

    def given(self, layout: str) -> tuple[Tensor, Tensor]:
        """Input and gradient of the result, padded (B, T, ...) or packed (N, ...)."""
        given = (self.padded, self.gradient)
        if layout == "packed":
            given = (self.packing.pack(self.padded), self.packing.pack(self.gradient))
        return given[0].detach().clone(), given[1]

    @cached_property
    def wanted(self) -> tuple[Tensor, Tensor | None]:
        """The result (N, C) and the gradient of the input (N, ...), in fp64, row by row and head by
        head, so that it fits into memory."""
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
            return _one_head_at_a_time(x)
        block = self._double_block
        qkv = F.linear(
            x, block.attention.query_key_value.weight, block.attention.query_key_value.bias
        )
        context = _one_head_at_a_time(qkv.view(len(x), 3, self.cell.heads, HEAD_SIZE))
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
        return self.norm(self.attention(x, packing)[0])


def _one_head_at_a_time(qkv: Tensor) -> Tensor:
    """(n, 3, H, D) -> (n, C)."""
    heads = []
    for head in qkv.unbind(2):
        query, key, value = head.unbind(1)  # (n, D) each
        heads.append(readable_attention(query, key, value)[0])
    return torch.cat(heads, dim=-1)


# --- contenders ----------------------------------------------------------------------------------

Call = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Contender:
    """build: makes of a cell's inputs a function of its layout's input, and the parameters that
    have a gradient, too. layout: "padded" (B, T, ...) or "packed" (N, ...). squares: how many
    (B, H, T, T) it holds at once, forward and with backward."""

    name: str
    layout: str
    build: Callable[[Inputs], tuple[Call, list[nn.Parameter]]]
    squares: tuple[int, int] = (0, 0)
    missing: str = ""  # why it cannot run here


def heads_first(qkv: Tensor) -> list[Tensor]:
    """(B, T, 3, H, D) -> query, key and value, (B, H, T, D) each: views."""
    return list(qkv.permute(2, 0, 3, 1, 4).unbind(0))


def heads_beside(context: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, C), what W^O reads."""
    return context.transpose(1, 2).flatten(2)


def on_padded(attend: Callable[..., Tensor]) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    """A kernel that takes query, key, value and a mask (B, 1, 1, T) or None."""

    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        mask = None if inputs.mask is None else inputs.mask[:, None, None, :]
        return lambda qkv: heads_beside(attend(*heads_first(qkv), mask)), []

    return build


def sdpa(backend: SDPBackend) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        with sdpa_kernel([backend]):
            return F.scaled_dot_product_attention(query, key, value, mask)

    return on_padded(attend)


def grouped(inputs: Inputs) -> tuple[Call, list[Any]]:
    def call(qkv: Tensor) -> Tensor:
        return grouped_attention(qkv, inputs.packing, fused_attention)[0].flatten(1)

    return call, []


def varlen(inputs: Inputs) -> tuple[Call, list[Any]]:
    def call(qkv: Tensor) -> Tensor:
        query, key, value = qkv.unbind(1)
        return kernels.varlen_attention(query, key, value, inputs.packing).flatten(1)

    return call, []


def flex(inputs: Inputs) -> tuple[Call, list[Any]]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    cell, blocks = inputs.cell, None
    if inputs.mask is not None:
        counts = torch.tensor(cell.lengths, device=inputs.device)

        def visible(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return key < counts[b]

        size = (len(cell.lengths), None, cell.length, cell.length)
        blocks = create_block_mask(visible, *size, device=inputs.device)
    torch.compiler.reset()  # or a few shapes exhaust the limit of compilations
    compiled = torch.compile(flex_attention, dynamic=False)

    def call(qkv: Tensor) -> Tensor:
        query, key, value = heads_first(qkv)
        context = compiled(query, key, value, block_mask=blocks)
        assert isinstance(context, Tensor)  # not a tuple, as nothing else was asked for
        return heads_beside(context)

    return call, []


def huggingface(kind: str) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    """The function that transformers' BertSelfAttention calls, with the mask it gives to it."""

    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward
        from transformers.models.bert.modeling_bert import eager_attention_forward

        attend = eager_attention_forward if kind == "eager" else sdpa_attention_forward
        module = nn.Module().eval()
        module.is_causal = False  # type: ignore[assignment]
        mask = _huggingface_mask(inputs, kind)

        def call(qkv: Tensor) -> Tensor:
            found = attend(module, *heads_first(qkv), mask, scaling=HEAD_SIZE**-0.5, dropout=0.0)
            return found[0].flatten(2)

        return call, []

    return build


def _huggingface_mask(inputs: Inputs, kind: str) -> Tensor | None:
    if inputs.mask is None:
        return None
    length = inputs.cell.length
    mask = inputs.mask[:, None, None, :].expand(-1, 1, length, length).contiguous()
    if kind == "sdpa":
        return mask
    lowest = torch.finfo(inputs.cell.dtype).min
    return torch.zeros_like(mask, dtype=inputs.cell.dtype).masked_fill(~mask, lowest)


def our_block(attention: str) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        config = BertConfig(
            hidden_size=inputs.cell.heads * HEAD_SIZE,
            num_attention_heads=inputs.cell.heads,
            attention=attention,  # type: ignore[arg-type]
            **NO_DROPOUT,
        )
        block = Block(config).to(inputs.device, inputs.cell.dtype)
        block.load_state_dict(inputs.block.state_dict())
        return lambda x: block(x, inputs.packing), list(block.parameters())

    return build


def our_block_for_inference(inputs: Inputs) -> tuple[Call, list[Any]]:
    """With the products that `minibert.optimize` would put in."""
    block = copy.deepcopy(inputs.block).eval()
    body = kernels.body_for(_precision(inputs.cell.dtype), inputs.device)
    with torch.no_grad():
        for name, module in list(block.attention.named_children()):
            if type(module) is Linear:
                setattr(block.attention, name, body(module).eval())
    return lambda x: block(x, inputs.packing), []


def _precision(dtype: torch.dtype) -> kernels.Precision:
    return "fp32" if dtype == torch.float32 else "bf16"


def huggingface_block(kind: str) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        from transformers import BertConfig as TheirConfig
        from transformers.models.bert.modeling_bert import BertAttention

        width = inputs.cell.heads * HEAD_SIZE
        config = TheirConfig(
            hidden_size=width,
            num_attention_heads=inputs.cell.heads,
            layer_norm_eps=inputs.block.norm.eps,
            attn_implementation=kind,
            **NO_DROPOUT,
        )
        theirs = BertAttention(config).to(inputs.device, inputs.cell.dtype)
        ours = inputs.block
        weights = ours.attention.query_key_value.weight.chunk(3)
        biases = ours.attention.query_key_value.bias.chunk(3)
        state = {}
        for i, part in enumerate(("query", "key", "value")):
            state[f"self.{part}.weight"], state[f"self.{part}.bias"] = weights[i], biases[i]
        for name, module in (("dense", ours.attention.output), ("LayerNorm", ours.norm)):
            state[f"output.{name}.weight"] = module.weight
            state[f"output.{name}.bias"] = module.bias
        theirs.load_state_dict(state)
        mask = _huggingface_mask(inputs, kind)
        return lambda x: theirs(x, attention_mask=mask)[0], list(theirs.parameters())

    return build


class TorchBlock(nn.Module):
    """The block around PyTorch's own module."""

    def __init__(self, block: Block, heads: int) -> None:
        super().__init__()
        self.norm = block.norm
        width = block.norm.weight.numel()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        attended = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)[0]
        return self.norm(x + attended)


def torch_block(inputs: Inputs) -> tuple[Call, list[Any]]:
    ours = copy.deepcopy(inputs.block)
    theirs = TorchBlock(ours, inputs.cell.heads).to(inputs.device, inputs.cell.dtype)
    attention = theirs.attention
    state = {
        "in_proj_weight": ours.attention.query_key_value.weight,
        "in_proj_bias": ours.attention.query_key_value.bias,
        "out_proj.weight": ours.attention.output.weight,
        "out_proj.bias": ours.attention.output.bias,
    }
    attention.load_state_dict(state)
    padding = None if inputs.mask is None else ~inputs.mask
    return lambda x: theirs(x, padding), list(theirs.parameters())


def contenders(device: devices.Cpu, inputs: Inputs) -> list[Contender]:
    """Those of a cell. What cannot run here says why in `missing`."""
    cell = inputs.cell
    forward = cell.direction == "forward"
    no_transformers = "" if _installed("transformers") else "needs transformers"
    packed = kernels.has_varlen(inputs.device, cell.dtype)
    if cell.work == "block":
        fast = [Contender("minibert, fast products", "packed", our_block_for_inference)]
        if not forward or kernels.choose(_precision(cell.dtype), inputs.device).note:
            fast = []  # inference only, and only in the cell's own number format
        return [
            Contender("minibert", "packed", our_block("auto")),
            *fast,
            Contender("minibert readable", "packed", our_block("readable"), (3, 5)),
            Contender(
                "transformers eager", "padded", huggingface_block("eager"), (3, 5), no_transformers
            ),
            Contender(
                "transformers sdpa", "padded", huggingface_block("sdpa"), (0, 0), no_transformers
            ),
            Contender("nn.MultiheadAttention", "padded", torch_block, (1, 5)),
        ]
    query, key, value = heads_first(inputs.padded)
    mask = None if inputs.mask is None else inputs.mask[:, None, None, :]
    kernel = [
        Contender("minibert", "packed", varlen if packed and forward else grouped),
        Contender(
            "minibert readable", "padded", on_padded(lambda *a: readable_attention(*a)[0]), (3, 5)
        ),
        Contender("minibert fused", "padded", on_padded(lambda *a: fused_attention(*a)[0])),
    ]
    for name, backend in device.sdpa_backends(query, key, value, mask).items():
        squares = (3, 5) if backend == SDPBackend.MATH else (0, 0)
        kernel.append(Contender(f"SDPA {name}", "padded", sdpa(backend), squares))
    if packed:
        kernel.append(Contender("varlen", "packed", varlen))
    if device.type == "cuda" or forward:
        kernel.append(Contender("flex, compiled", "padded", flex, (0, 0), _no_compiler(device)))
    kernel += [
        Contender("transformers eager", "padded", huggingface("eager"), (3, 5), no_transformers),
        Contender("transformers sdpa", "padded", huggingface("sdpa"), (0, 0), no_transformers),
    ]
    return kernel


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def _no_compiler(device: devices.Cpu) -> str:
    if device.type == "cuda":
        return "" if _installed("triton") else "needs triton"
    return "" if shutil.which("g++") or shutil.which("clang++") else "needs a C++ compiler"


# --- measuring -----------------------------------------------------------------------------------


@dataclass
class Result:
    """A contender in a cell. status: "ok", or why there are no times."""

    cell: Cell
    name: str
    status: str = "ok"
    error: float = 0.0  # largest, as a share of the reference's largest number
    peak_bytes: int = 0
    milliseconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


class Job:
    """A contender with its inputs, ready to be run many times."""

    def __init__(self, contender: Contender, inputs: Inputs) -> None:
        self.name, self.inputs, self.layout = contender.name, inputs, contender.layout
        self.direction = inputs.cell.direction
        given, self.gradient = inputs.given(contender.layout)
        self.given = given.requires_grad_(self.direction != "forward")
        self.call, parameters = contender.build(inputs)
        self.leaves = [self.given, *parameters]
        self.result: Tensor | None = None  # of the forward before a backward that is timed

    def prepare(self) -> None:
        """What comes before the clock starts."""
        if self.direction == "backward":
            self.result = self.call(self.given)

    def run(self) -> tuple[Tensor | None, Tensor | None]:
        """What is timed. Returns the result and the gradient of the input, if it computes them."""
        if self.direction == "forward":
            with torch.inference_mode():
                return self.call(self.given), None
        result = self.call(self.given) if self.result is None else self.result
        self.result = None
        return result, torch.autograd.grad(result, self.leaves, self.gradient)[0]

    def error(self, run: tuple[Tensor | None, Tensor | None]) -> float:
        """Largest difference of what a run returned to the reference, at real tokens, as a share of
        the reference's largest number."""
        worst = 0.0
        for found, wanted in zip(run, self.inputs.wanted, strict=True):
            if found is not None and wanted is not None:
                real = found if self.layout == "packed" else self.inputs.packing.pack(found)
                difference = (real.detach().double() - wanted).abs().max() / wanted.abs().max()
                worst = max(worst, float(difference))
        return worst


def measure(
    cell: Cell, device: devices.Cpu, names: list[str], turns: int, seconds: float, warm: bool
) -> list[Result]:
    """All contenders of a cell: what agrees with the reference is timed, in turns."""
    inputs = Inputs(cell, device.device)
    results: list[Result] = []
    jobs: list[tuple[Job, Result]] = []
    for contender in contenders(device, inputs):
        if not any(contender.name.startswith(name) for name in names):
            continue
        result = Result(cell, contender.name)
        results.append(result)
        need = _memory_needed(cell, contender)
        if contender.missing:
            result.status = contender.missing
        elif need > device.free_bytes():
            result.status = (
                f"skipped: needs about {need / 2**30:.1f} GB, "
                f"{device.free_bytes() / 2**30:.1f} GB are free"
            )
        else:
            try:
                job = Job(contender, inputs)
                job.prepare()
                found, result.peak_bytes = device.peak_bytes(job.run)
                result.error = job.error(found)
                if result.error <= TOLERANCES[cell.dtype]:
                    jobs.append((job, result))
                else:
                    result.status = f"wrong by {result.error:.1e}"
            except RuntimeError as error:
                if not device.is_out_of_memory(error):
                    raise
                result.status = "out of memory"
    spent = {job.name: 0.0 for job, _ in jobs}
    for turn in range(turns):
        for job, result in jobs:
            # As long as its share of the time lasts; three times if that is not much longer.
            if spent[job.name] > (seconds if turn >= 3 else 5 * seconds + 1):
                continue
            start = time.perf_counter()
            job.prepare()
            if not warm:
                device.flush()
            result.milliseconds.append(device.milliseconds(job.run))
            spent[job.name] += time.perf_counter() - start
    return results


def _memory_needed(cell: Cell, contender: Contender) -> int:
    """An estimate in bytes: inputs, results and gradients, and the squares of scores."""
    width = cell.heads * HEAD_SIZE
    copies = 12 if cell.direction == "forward" else 24
    linear = copies * len(cell.lengths) * cell.length * width * cell.dtype.itemsize
    return linear + contender.squares[cell.direction != "forward"] * cell.square_bytes


# --- what is told --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ceilings:
    """What the device reached on a large product and a large copy, a second."""

    flops: dict[torch.dtype, float]
    bytes: float

    def of(self, cell: Cell) -> float:
        """The roofline: the rate that compute or, with little work a byte, memory allows."""
        return min(self.flops[cell.dtype], cell.flops / cell.bytes * self.bytes)


def record(result: Result, ceilings: Ceilings) -> dict[str, Any]:
    """A result as one flat row, for JSON and CSV."""
    cell = result.cell
    row: dict[str, Any] = {
        "work": cell.work,
        "direction": cell.direction,
        "dtype": next(name for name, dtype in DTYPES.items() if dtype == cell.dtype),
        "heads": cell.heads,
        "rows": len(cell.lengths),
        "length": cell.length,
        "filling": cell.filling,
        "padding": round(cell.padding, 4),
        "contender": result.name,
        "status": result.status,
        "error": result.error,
        "peak_mb": round(result.peak_bytes / 2**20, 2),
    }
    if result.milliseconds:
        seconds = result.median / 1e3
        flops, moved = cell.flops / seconds, cell.bytes / seconds
        row |= {
            "median_ms": round(result.median, 4),
            "fastest_ms": round(min(result.milliseconds), 4),
            "slowest_ms": round(max(result.milliseconds), 4),
            "runs": len(result.milliseconds),
            "tflops": round(flops / 1e12, 4),
            "gb_per_s": round(moved / 1e9, 3),
            "of_compute": round(flops / ceilings.flops[cell.dtype], 4),
            "of_bandwidth": round(moved / ceilings.bytes, 4),
            "of_roofline": round(flops / ceilings.of(cell), 4),
            "flops_per_byte": round(cell.flops / cell.bytes, 2),
            "real_tokens_per_s": round(cell.tokens / seconds, 1),
        }
    return row


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A cell as Markdown."""
    lines = [
        "| contender | ms (fastest-slowest) | TFLOP/s | GB/s | of compute, bandwidth, roofline "
        "| peak MB | error |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row["status"] != "ok":
            lines.append(f"| {row['contender']} | {row['status']} | | | | | |")
            continue
        lines.append(
            f"| {row['contender']} | {row['median_ms']:.2f} ({row['fastest_ms']:.2f}-"
            f"{row['slowest_ms']:.2f}) | {row['tflops']:.3f} | {row['gb_per_s']:.1f} | "
            f"{row['of_compute']:.0%}, {row['of_bandwidth']:.0%}, {row['of_roofline']:.0%} | "
            f"{row['peak_mb']:.1f} | {row['error']:.0e} |"
        )
    return lines


OURS = ("minibert", "minibert, fast products")  # what a user gets


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """In how many cells our chosen path is within 10 % of the fastest, and where it is not. A
    block's forward counts with or without the products of `optimize`, whichever was faster."""
    cells: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        if row["status"] == "ok":
            names = ("work", "direction", "dtype", "heads", "rows", "length", "filling")
            key = tuple(row[name] for name in names)
            cells.setdefault(key, {})[row["contender"]] = row["median_ms"]
    slower = []
    total = 0
    for key, times in cells.items():
        mine = min((times[name] for name in OURS if name in times), default=None)
        if mine is None:
            continue
        total += 1
        best = min(times, key=lambda name: times[name])
        if mine > 1.1 * times[best]:
            slower.append(f"- {' '.join(map(str, key))}: {mine / times[best]:.2f}x {best}")
    lines = [
        f"Our chosen path is the fastest or within 10 % of it in {total - len(slower)} of {total} "
        "cells."
    ]
    return [*lines, *(["Slower:", *slower] if slower else [])]


def draw(rows: list[dict[str, Any]], ceilings: Ceilings, title: str, folder: Path) -> None:
    """Four charts. Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    done = [row for row in rows if row["status"] == "ok"]
    dtype = done[0]["dtype"]
    done = [row for row in done if row["dtype"] == dtype and row["heads"] == done[0]["heads"]]
    works = list(dict.fromkeys((row["work"], row["direction"]) for row in done))
    names = list(dict.fromkeys(row["contender"] for row in done))
    palette = pyplot.get_cmap("tab10")
    style = {
        name: {
            "color": palette(i % 10),
            "linewidth": 2.5 if name in OURS else 1.2,
            "marker": "o" if name in OURS else ".",
            "linestyle": "-" if i < 10 else "--",
            "label": name,
        }
        for i, name in enumerate(names)
    }

    def panels(what: str, y_label: str) -> tuple[Any, list[Any]]:
        figure, axes = pyplot.subplots(
            *(1, len(works)), figsize=(5.2 * len(works), 4.2), layout="constrained", squeeze=False
        )
        figure.suptitle(f"{what}\n{title}, {dtype}", fontsize=10)
        for panel, (work, direction) in zip(axes[0], works, strict=True):
            direction = {"both": "forward and backward"}.get(direction, direction)
            panel.set_title(f"{work}, {direction}", fontsize=10)
            panel.set_ylabel(y_label)
            panel.grid(alpha=0.3)
        return figure, list(axes[0])

    def save(figure: Any, panels: list[Any], name: str) -> None:
        handles: dict[str, Any] = {}
        for panel in panels:
            handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
        figure.legend(
            *(handles.values(), handles.keys()), loc="outside lower center", ncols=4, fontsize=8
        )
        figure.savefig(folder / name, dpi=110)
        pyplot.close(figure)

    def lines(
        panel: Any, work: tuple[str, str], x: str, y: str, chosen: Callable[..., bool]
    ) -> None:
        for name in names:
            points = sorted(
                (row[x], row[y])
                for row in done
                if (row["work"], row["direction"]) == work and row["contender"] == name
                if chosen(row)
            )
            if points:
                panel.plot(*zip(*points, strict=True), **style[name])

    figure, axes = panels("Speed against length, nothing padded", "TFLOP/s (higher is better)")
    for panel, work in zip(axes, works, strict=True):
        lines(panel, work, "length", "tflops", lambda row: row["filling"] == "full")
        panel.set_xscale("log", base=2)
        panel.set_xlabel("tokens of a row, T")
        panel.set_ylim(bottom=0)
    save(figure, axes, "attention_speed.png")

    figure, axes = panels(
        "Memory against length, nothing padded", "peak memory, MB (lower is better)"
    )
    for panel, work in zip(axes, works, strict=True):
        lines(panel, work, "length", "peak_mb", lambda row: row["filling"] == "full")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel("tokens of a row, T")
    save(figure, axes, "attention_memory.png")

    figure, axes = panels(
        f"Speed against padding, rows of {PADDING_LENGTH} slots", "real tokens a second"
    )
    for panel, work in zip(axes, works, strict=True):
        lines(
            *(panel, work, "padding", "real_tokens_per_s"),
            lambda row: row["length"] == PADDING_LENGTH and row["filling"] != "masked",
        )
        panel.set_xlabel("share of padding")
        panel.set_ylim(bottom=0)
    save(figure, axes, "attention_padding.png")

    figure, axes = panels("Roofline: each point is a length, nothing padded", "TFLOP/s")
    peak = ceilings.flops[DTYPES[dtype]] / 1e12
    for panel, work in zip(axes, works, strict=True):
        lines(panel, work, "flops_per_byte", "tflops", lambda row: row["filling"] == "full")
        ridge = peak * 1e12 / ceilings.bytes
        edges = [*sorted({min(8.0, ridge / 4), ridge}), max(4096.0, ridge * 4)]
        heights = [min(peak, x * ceilings.bytes / 1e12) for x in edges]
        panel.plot(edges, heights, "k--", linewidth=1, label="measured ceiling")
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xlabel("FLOP a byte that must be moved")
    save(figure, axes, "attention_roofline.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtypes", help="some of fp32, bf16, fp16; default: what the device has")
    parser.add_argument("--lengths", help="T, such as 64,512; default: 64 to 4096, CUDA 16384")
    parser.add_argument("--heads", help="default: 12, on CUDA 12,16")
    parser.add_argument("--tokens", type=int, help="slots of a batch; default: 2048, CUDA 16384")
    parser.add_argument("--contenders", default="", help="by the beginnings of their names")
    parser.add_argument("--threads", type=int, help="of the CPU; default: PyTorch's")
    parser.add_argument("--turns", type=int, default=15, help="at most so many times each")
    parser.add_argument("--seconds", type=float, default=0.3, help="about so long in a cell")
    parser.add_argument("--warm", action="store_true", help="do not empty the caches before a run")
    parser.add_argument("--quick", action="store_true", help="two lengths, few turns, no compiling")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--plots", type=Path, help="a folder for the charts; needs matplotlib")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except (ValueError, OSError) as error:
        print(f"attention.py: error: {error}", file=sys.stderr)
        sys.exit(2)


def run(arguments: argparse.Namespace) -> None:
    device = devices.find(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    quick = arguments.quick
    names = (arguments.dtypes or ("fp32" if quick else "")).split(",")
    dtypes = [_parsed(name, DTYPES) for name in names if name] or device.dtypes()
    default = [64, 128] if quick else list(LENGTHS[device.type])
    lengths = _numbers("lengths", arguments.lengths) or default
    heads = _numbers("heads", arguments.heads) or list(HEADS[device.type])
    tokens = arguments.tokens or (512 if quick else TOKENS[device.type])
    turns, seconds = (3, 0.0) if quick else (arguments.turns, arguments.seconds)
    chosen = [name.strip() for name in arguments.contenders.split(",")]
    if quick and not arguments.contenders:
        chosen = ["minibert", "SDPA", "transformers", "nn.", "varlen"]
    # What cannot be written is found before the work, not after.
    if arguments.plots and not _installed("matplotlib"):
        raise ValueError("--plots needs matplotlib: pip install -e '.[viz]'")
    for path in (arguments.json, arguments.csv):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    ceilings = Ceilings(
        {dtype: devices.compute_ceiling(device, dtype) for dtype in dtypes},
        devices.bandwidth_ceiling(device),
    )
    conditions = (
        f"{device.describe()}, torch {torch.__version__}, {datetime.date.today()}, "
        f"{'warm' if arguments.warm else 'cold'} cache, B * T = {tokens}, head size {HEAD_SIZE}"
    )
    print(conditions)
    for dtype, flops in ceilings.flops.items():
        emulated = ", emulated: T = 64 and 256 only, and forward" if device.emulates(dtype) else ""
        print(f"Ceiling: {flops / 1e12:.3f} TFLOP/s in {dtype}{emulated}")
    print(f"Ceiling: {ceilings.bytes / 1e9:.1f} GB/s", flush=True)
    rows: list[dict[str, Any]] = []
    for cell in grid(device, dtypes, lengths, tokens, heads):
        results = measure(cell, device, chosen, turns, seconds, arguments.warm)
        part = [record(result, ceilings) for result in results]
        rows += part
        print("\n".join(["", f"{cell}", "", *table(part)]), flush=True)
    if not rows:
        raise ValueError(f"nothing to measure: no contender's name begins with {chosen}")
    minutes = (time.perf_counter() - started) / 60
    print("\n".join(["", *summary(rows), "", f"{len(rows)} results in {minutes:.1f} minutes"]))
    if arguments.json:
        found = {"conditions": conditions, "bandwidth": ceilings.bytes, "results": rows}
        arguments.json.write_text(json.dumps(found, indent=1))
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            fields = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerows(rows)
    if arguments.plots:
        draw(rows, ceilings, conditions.split(", torch")[0], arguments.plots)


def _parsed(name: str, known: dict[str, Any]) -> Any:
    if name not in known:
        raise ValueError(f"{name!r} is none of {', '.join(known)}")
    return known[name]


def _numbers(name: str, text: str | None) -> list[int]:
    try:
        found = [int(part) for part in (text or "").split(",") if part]
    except ValueError as error:
        raise ValueError(f"--{name} {text!r}: give whole numbers, such as 64,512") from error
    if any(number < 1 for number in found):
        raise ValueError(f"--{name} {text!r}: numbers must be at least 1")
    return found


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*nested tensors.*")
    main()

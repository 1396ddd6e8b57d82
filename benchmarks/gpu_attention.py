"""The section of `gpu.py` that measures the attention core: the grid of `attention.py`, in little
time, the most telling cells first."""

from __future__ import annotations

import warnings
from functools import partial

import attention
import torch
from attention_cells import Cell, grid
from attention_report import record
from gpu_cells import Bench, LeftOut
from gpu_cells import Cell as Part
from gpu_results import Json

SECONDS = 0.15  # of a contender in a cell, about
FLEX_SECONDS = 25.0  # of a cell in which flex_attention is compiled
WORKS = (("kernel", "forward"), ("kernel", "both"), ("block", "forward"), ("block", "both"))
FILLINGS = ("full", "50% padding", "SST-2")
EVERYBODY = ["minibert", "SDPA", "varlen", "transformers", "nn."]
FLEX = ["flex", "minibert"]


def cells(bench: Bench) -> list[Part]:
    warnings.filterwarnings("ignore", message=".*nested tensors.*")
    chosen = planned(bench)
    parts = [Part(str(cell), partial(measured, bench, cell, EVERYBODY)) for cell in chosen]
    for cell in with_flex(chosen):
        run = partial(flex, bench, cell)
        parts.append(Part(f"{cell}, with flex", run, FLEX_SECONDS))
    return parts


def planned(bench: Bench) -> list[Cell]:
    """The cells of the grid, the most telling first: half precision, kernels, nothing padded."""
    scale = bench.scale
    half = torch.bfloat16 if torch.bfloat16 in bench.device.dtypes() else torch.float16
    dtypes = [half, torch.float32]
    found = [
        cell
        for cell in grid(bench.device, dtypes, list(scale.lengths), scale.slots, [scale.heads])
        if (cell.work, cell.direction) in WORKS and cell.filling in FILLINGS
    ]
    return sorted(
        found,
        key=lambda cell: (
            dtypes.index(cell.dtype),
            WORKS.index((cell.work, cell.direction)),
            FILLINGS.index(cell.filling),
        ),
    )


def with_flex(chosen: list[Cell]) -> list[Cell]:
    """The few cells in which flex_attention is measured: each costs a compilation."""
    half = [cell for cell in chosen if cell.dtype != torch.float32 and cell.work == "kernel"]
    wanted = [("forward", "full", 512), ("both", "full", 4096), ("forward", "50% padding", 512)]
    return [
        cell
        for key in wanted
        for cell in half
        if (cell.direction, cell.filling, cell.length) == key
    ]


def flex(bench: Bench, cell: Cell) -> Json:
    if not bench.scale.compiled:
        raise LeftOut("nothing is compiled in a tiny run")
    return measured(bench, cell, FLEX)


def measured(bench: Bench, cell: Cell, names: list[str]) -> Json:
    results = attention.measure(
        cell, bench.device, names, bench.scale.turns, SECONDS, warm=False, forgiven=(Exception,)
    )
    return {"rows": [record(result, bench.ceilings) for result in results]}

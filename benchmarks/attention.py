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
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import devices
import plotting
import torch
from attention_cells import DTYPES, HEAD_SIZE, HEADS, LENGTHS, TOKENS, Cell, Inputs, grid
from attention_charts import draw
from attention_contenders import Contender, contenders
from attention_report import Ceilings, Result, record, summary, table, write_csv, write_json
from devices import at_least_one
from torch import Tensor

from minibert._programs import run_program

# Largest error, as a share of the largest number of the reference. Half precision rounds at every
# step of the block.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


# --- measuring -----------------------------------------------------------------------------------


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


Errors = tuple[type[Exception], ...]


def measure(
    cell: Cell,
    device: devices.Cpu,
    names: list[str],
    turns: int,
    seconds: float,
    warm: bool,
    forgiven: Errors = (),
) -> list[Result]:
    """All contenders of a cell: what agrees with the reference is timed, in turns. forgiven: errors
    that put out the contender and nobody else, as running out of memory does."""
    inputs = Inputs(cell, device.device)
    chosen = [c for c in contenders(device, inputs) if c.name.startswith(tuple(names))]
    results = [Result(cell, contender.name) for contender in chosen]
    jobs = []
    for contender, result in zip(chosen, results, strict=True):
        job = check(contender, inputs, device, result, forgiven)
        if job is not None:
            jobs.append((job, result))
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


def check(
    contender: Contender,
    inputs: Inputs,
    device: devices.Cpu,
    result: Result,
    forgiven: Errors = (),
) -> Job | None:
    """Run a contender once: its error and memory. None, and why, if it is not to be timed."""
    need, free = _memory_needed(inputs.cell, contender), device.free_bytes()
    if contender.missing:
        result.status = contender.missing
        return None
    if need > free:
        result.status = (
            f"skipped: needs about {need / 2**30:.1f} GB, {free / 2**30:.1f} GB are free"
        )
        return None
    try:
        job = Job(contender, inputs)
        job.prepare()
        found, result.peak_bytes = device.peak_bytes(job.run)
        result.error = job.error(found)
    except Exception as error:
        if device.is_out_of_memory(error):
            result.status = "out of memory"
        elif isinstance(error, forgiven) and not device.is_lost():
            result.status = f"failed: {type(error).__name__}: {error}".splitlines()[0][:300]
        else:
            raise
        return None
    if result.error > TOLERANCES[inputs.cell.dtype]:
        result.status = f"wrong by {result.error:.1e}"
        return None
    return job


def _memory_needed(cell: Cell, contender: Contender) -> int:
    """An estimate in bytes: inputs, results and gradients, and the squares of scores."""
    width = cell.heads * HEAD_SIZE
    copies = 12 if cell.direction == "forward" else 24
    linear = copies * len(cell.lengths) * cell.length * width * cell.dtype.itemsize
    return linear + contender.squares[cell.direction != "forward"] * cell.square_bytes


# --- the command ---------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtypes", help="some of fp32, bf16, fp16; default: what the device has")
    parser.add_argument("--lengths", help="T, such as 64,512; default: 64 to 4096, CUDA 16384")
    parser.add_argument("--heads", help="default: 12, on CUDA 12,16")
    parser.add_argument(
        "--tokens", type=at_least_one, help="slots of a batch; default: 2048, CUDA 16384"
    )
    parser.add_argument("--contenders", default="", help="by the beginnings of their names")
    parser.add_argument("--threads", type=at_least_one, help="of the CPU; default: PyTorch's")
    parser.add_argument("--turns", type=at_least_one, default=15, help="at most so many times each")
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


@dataclass(frozen=True)
class Plan:
    """What the arguments ask for."""

    dtypes: list[torch.dtype]
    lengths: list[int]
    heads: list[int]
    tokens: int  # slots of a batch
    turns: int
    seconds: float
    names: list[str]  # how the names of contenders begin


def plan(arguments: argparse.Namespace, device: devices.Cpu) -> Plan:
    """Defaults filled in. Raises `ValueError` for what cannot be measured."""
    quick = arguments.quick
    dtypes = (arguments.dtypes or ("fp32" if quick else "")).split(",")
    names = [name.strip() for name in arguments.contenders.split(",")]
    if quick and not arguments.contenders:
        names = ["minibert", "SDPA", "transformers", "nn.", "varlen"]
    lengths = [64, 128] if quick else list(LENGTHS[device.type])
    return Plan(
        dtypes=[_parsed(name, DTYPES) for name in dtypes if name] or device.dtypes(),
        lengths=_numbers("lengths", arguments.lengths) or lengths,
        heads=_numbers("heads", arguments.heads) or list(HEADS[device.type]),
        tokens=arguments.tokens or (512 if quick else TOKENS[device.type]),
        turns=3 if quick else arguments.turns,
        seconds=0.0 if quick else arguments.seconds,
        names=names,
    )


def check_outputs(arguments: argparse.Namespace) -> None:
    """What cannot be written is found before the work, not after."""
    if arguments.plots and not devices.is_installed("matplotlib"):
        raise ValueError(f"--plots: {plotting.MISSING}")
    plotting.check_outputs(arguments.json, arguments.csv)
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)


def run(arguments: argparse.Namespace) -> None:
    device = devices.find(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    asked = plan(arguments, device)
    check_outputs(arguments)
    started = time.perf_counter()
    ceilings = Ceilings(
        {dtype: devices.compute_ceiling(device, dtype) for dtype in asked.dtypes},
        devices.bandwidth_ceiling(device),
    )
    versions = devices.versions(["transformers"])
    cache = "warm" if arguments.warm else "cold"
    sizes = f"{cache} cache, B * T = {asked.tokens}, head size {HEAD_SIZE}"
    conditions = f"{device.describe()}, {versions}, {sizes}"
    print(conditions)
    for dtype, flops in ceilings.flops.items():
        emulated = ", emulated: T = 64 and 256 only, and forward" if device.emulates(dtype) else ""
        print(f"Ceiling: {flops / 1e12:.3f} TFLOP/s in {dtype}{emulated}")
    print(f"Ceiling: {ceilings.bytes / 1e9:.1f} GB/s", flush=True)
    rows: list[dict[str, Any]] = []
    for cell in grid(device, asked.dtypes, asked.lengths, asked.tokens, asked.heads):
        results = measure(cell, device, asked.names, asked.turns, asked.seconds, arguments.warm)
        part = [record(result, ceilings) for result in results]
        rows += part
        print("\n".join(["", f"{cell}", "", *table(part)]), flush=True)
    if not rows:
        raise ValueError(f"nothing to measure: no contender's name begins with {asked.names}")
    minutes = (time.perf_counter() - started) / 60
    print("\n".join(["", *summary(rows), "", f"{len(rows)} results in {minutes:.1f} minutes"]))
    if arguments.json:
        write_json(rows, conditions, ceilings, arguments.json)
    if arguments.csv:
        write_csv(rows, arguments.csv)
    if arguments.plots:
        draw(rows, ceilings, device.describe(), arguments.plots)


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
    run_program(main)

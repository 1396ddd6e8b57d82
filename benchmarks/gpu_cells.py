"""How a section of `gpu.py` works in its process: cell by cell, each written down when it is done.

A cell is one measurement with a name. One that fails, or is late, is written down with its reason
and the next one begins. After an error that a GPU does not recover from, such as an illegal memory
access, everything else in the process fails as well: it ends, and a new one goes on with the cells
after that.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import devices
from attention_cells import DTYPES
from attention_report import Ceilings
from gpu_results import Json, Results

DONE, LOST = 0, 3  # exit codes of a section's process; LOST: the GPU no longer answers it


class Late(BaseException):
    """The time of a cell is over. No `Exception`, so that no library takes it for its own."""


class LeftOut(Exception):
    """This cell cannot be measured here; the message says why."""


class Cell(NamedTuple):
    """seconds: how long it may take, or None for as long as its section."""

    name: str
    run: Callable[[], Json]
    seconds: float | None = None


@dataclass(frozen=True)
class Scale:
    """The sizes of a run: everything in which `--tiny` differs."""

    square: int | None  # of the products of the ceilings; None: the device's own
    copied_bytes: int | None
    flush_bytes: int | None
    lengths: tuple[int, ...]  # of the attention grid
    slots: int  # B * T of the grid
    heads: int
    turns: int  # of everything that is timed
    compiled: bool  # whether anything is compiled
    base: dict[str, int]  # how the large model differs from bert-base-cased's shape
    small: dict[str, int]  # and the small one
    rows: int  # of the stream
    sweep_tokens: tuple[int, ...]  # our batches, the likeliest first
    sweep_rows: tuple[int, ...]  # theirs
    latencies: tuple[tuple[int, int], ...]
    calls: int  # of a small batch
    batch_sizes: tuple[int, ...]  # of fine-tuning
    steps: int  # of a turn
    check_steps: int  # whose losses are compared
    accuracy_texts: int | None  # None: all
    accuracy_batch: int
    epochs: int
    seeds: int


MINILM = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "intermediate_size": 1536,
    "vocab_size": 30522,
}
FULL = Scale(
    square=None,
    copied_bytes=None,
    flush_bytes=None,
    lengths=(512, 128, 2048, 8192, 64, 256, 1024, 4096),
    slots=32768,
    heads=12,
    turns=7,
    compiled=True,
    base={},
    small=MINILM,
    rows=32768,
    sweep_tokens=(16384, 32768, 65536, 8192, 4096),
    sweep_rows=(256, 64, 1024),
    latencies=((1, 16), (1, 128), (8, 128), (32, 128), (8, 512)),
    calls=30,
    batch_sizes=(32, 256),
    steps=8,
    check_steps=20,
    accuracy_texts=None,
    accuracy_batch=128,
    epochs=3,
    seeds=20,
)
_TINY_SHAPE = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 4096,
}
TINY = Scale(
    square=128,
    copied_bytes=1 << 20,
    flush_bytes=1 << 20,
    lengths=(64, 128),
    slots=512,
    heads=2,
    turns=2,
    compiled=False,
    base=_TINY_SHAPE,
    small=_TINY_SHAPE,
    rows=64,
    sweep_tokens=(512, 1024),
    sweep_rows=(16,),
    latencies=((1, 16), (2, 32)),
    calls=2,
    batch_sizes=(4,),
    steps=1,
    check_steps=2,
    accuracy_texts=64,
    accuracy_batch=16,
    epochs=1,
    seeds=2,
)


@dataclass(frozen=True, eq=False)
class Bench:
    """What a section is given. data: GLUE's SST-2; model: the folder of a small encoder; scratch:
    a folder for models, shared by all sections of a run."""

    device: devices.Cpu
    scale: Scale
    results: Results
    scratch: Path
    data: Path | None = None
    model: Path | None = None

    def __post_init__(self) -> None:
        for name in ("square", "copied_bytes", "flush_bytes"):
            size = getattr(self.scale, name)
            if size is not None:
                setattr(self.device, name, size)

    @cached_property
    def ceilings(self) -> Ceilings:
        """What the first section measured, or measured now where it failed."""
        found = self.results.results_of("device")
        rates = {}
        for name, dtype in DTYPES.items():
            if dtype in self.device.dtypes():
                known = found.get(f"products in {name}", {}).get("flops_per_s")
                rates[dtype] = known or devices.compute_ceiling(self.device, dtype)
        moved = found.get("copies", {}).get("bytes_per_s")
        return Ceilings(rates, moved or devices.bandwidth_ceiling(self.device))

    def ceiling(self, precision: str) -> float:
        """The measured rate of products in "fp32", "bf16" or "fp16", FLOP/s."""
        return self.ceilings.flops[DTYPES[precision]]


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Inside, `Late` is raised once this time is over; in the main thread only."""

    def late(*_: Any) -> None:
        raise Late(f"stopped after {seconds:.0f} s")

    if seconds <= 0:
        raise Late("there was no time left")
    handler = signal.signal(signal.SIGALRM, late)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def last_line(error: BaseException) -> str:
    """The last line of a traceback, which says what went wrong; at most 300 characters."""
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    kind = type(error).__name__
    told = next((line for line in lines if line.startswith((kind, "torch."))), lines[-1])
    return told.strip()[:300]


def run_cells(name: str, cells: Iterable[Cell], bench: Bench, seconds: float) -> int:
    """Measure the cells that the results do not have yet, until the time is over; an exit code."""
    end = time.monotonic() + seconds
    planned = list(cells)
    with bench.results.section(name) as section:
        section["planned"] = [cell.name for cell in planned]
        known = set(section["cells"])
    for cell in planned:
        left = end - time.monotonic()
        if cell.name in known:
            continue  # a process before this one had it, or ended in it
        if left <= 0:
            break
        with bench.results.section(name) as section:
            section["cells"][cell.name] = {"status": "begun"}
        found = _run(cell, min(left, cell.seconds or left))
        with bench.results.section(name) as section:
            section["cells"][cell.name] = found
        if found["status"] in ("failed", "late") and bench.device.is_lost():
            return LOST
        bench.device.empty()
    return DONE


def _run(cell: Cell, seconds: float) -> Json:
    start = time.monotonic()
    found: Json = {}
    try:
        with time_limit(seconds):
            found = {"status": "done", "result": cell.run()}
    except LeftOut as reason:
        found = {"status": "left out", "error": str(reason)}
    except Late as error:
        found = {"status": "late", "error": str(error), "traceback": traceback.format_exc()}
    except Exception as error:
        found = {
            "status": "failed",
            "error": last_line(error),
            "traceback": traceback.format_exc(),
        }
    return found | {"seconds": round(time.monotonic() - start, 2)}


def synchronized(device: devices.Cpu, run: Callable[[], Any]) -> float:
    """Seconds by the wall clock of something that may still be at work when it returns."""
    device.wait()
    start = time.perf_counter()
    run()
    device.wait()
    return time.perf_counter() - start

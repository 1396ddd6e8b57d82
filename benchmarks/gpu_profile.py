"""The section of `gpu.py` that says where the time goes: the kernels that take most of it, and how
long the GPU had nothing to do. It is a section of its own, because the profiler slows what comes
after it in a process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from arena import Finished
from finetune_contenders import CONTENDERS
from gpu_cells import Bench, Cell
from gpu_finetune import WARM, setup_for
from gpu_model import batches_of, our_logits, ours, rows_of, small_batch
from gpu_results import Json
from gpu_setup import tokenizer_of
from torch.autograd import DeviceType

from minibert.engine.host import placed

KERNELS = 15  # that are named
STEPS = 4  # of training
ROWS = 8192  # of the stream


def cells(bench: Bench) -> list[Cell]:
    b, t = bench.scale.latencies[0]
    return [
        Cell("stream", partial(stream, bench)),
        Cell(f"({b}, {t})", partial(small, bench, b, t)),
        *(
            Cell(f"training, batches of {size}", partial(training, bench, size))
            for size in bench.scale.batch_sizes
        ),
    ]


def stream(bench: Bench) -> Json:
    """Ours, as in the section of the model."""
    rows = rows_of(bench)[:ROWS]
    with batches_of(bench, bench.scale.sweep_tokens[0]):
        our_logits(bench, "bf16", rows)
        return profiled(bench, lambda: our_logits(bench, "bf16", rows))


def small(bench: Bench, b: int, t: int) -> Json:
    """One small batch, several times."""
    model, batch = ours(bench, "bf16"), tokenizer_of(bench).pad(small_batch(bench, b, t))

    @torch.inference_mode()
    def run() -> None:
        for _ in range(bench.scale.calls):
            model(**placed(model, batch)).logits.float().cpu()

    run()
    return profiled(bench, run)


def training(bench: Bench, size: int) -> Json:
    """A few steps of ours."""
    setup = setup_for(bench, "base", size, WARM + STEPS + 1)
    recorder = torch.profiler.profile(activities=activities(bench))
    done = 0
    start = seconds = 0.0

    def wait() -> None:
        nonlocal done, start, seconds
        if done == WARM:
            bench.device.wait()
            recorder.start()
            start = time.perf_counter()
        elif done == WARM + STEPS:
            bench.device.wait()
            seconds = time.perf_counter() - start
            recorder.stop()
            raise Finished
        done += 1

    with suppress(Finished):
        CONTENDERS["minibert bf16"](setup, wait)
    return told(bench, recorder, seconds) | {"steps": STEPS}


def activities(bench: Bench) -> list[Any]:
    kinds = torch.profiler.ProfilerActivity
    return [kinds.CPU, kinds.CUDA] if bench.device.type == "cuda" else [kinds.CPU]


def profiled(bench: Bench, run: Callable[[], Any]) -> Json:
    with torch.profiler.profile(activities=activities(bench)) as recorder:
        start = time.perf_counter()
        run()
        bench.device.wait()
        seconds = time.perf_counter() - start
    return told(bench, recorder, seconds)


def told(bench: Bench, recorder: Any, seconds: float) -> Json:
    """The kernels by their time, and the share of it in which none ran. On a CPU its operators
    stand for kernels."""
    kind = DeviceType.CUDA if bench.device.type == "cuda" else DeviceType.CPU
    spans = [
        (event.name, event.time_range.start, event.time_range.end)
        for event in recorder.events() or []
        if event.device_type == kind and not event.is_user_annotation
    ]
    spent: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for name, start, end in spans:
        spent[name] += (end - start) / 1e6
        count[name] += 1
    busy = covered((start, end) for _, start, end in spans) / 1e6
    largest = sorted(spent, key=lambda name: -spent[name])[:KERNELS]
    return {
        "seconds": seconds,
        "launched": len(spans),
        "busy_seconds": busy,
        "idle": max(0.0, 1 - busy / seconds),
        "kernels": [
            {"name": name[:120], "seconds": spent[name], "count": count[name]} for name in largest
        ],
    }


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of what these spans cover together."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total

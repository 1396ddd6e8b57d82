"""The section of `gpu.py` that fine-tunes: examples a second beside transformers' bf16 loop and its
Trainer, and whether the losses of the first steps agree.

The contenders are those of `finetune_contenders.py`, on the GPU and in one process, one after the
other: a GPU is not slowed by who worked before, as a CPU's threads and memory are.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import ceiling
from arena import Finished
from finetune_contenders import CONTENDERS, PLAIN, Setup
from finetune_start import choose
from gpu_cells import Bench, Cell
from gpu_results import Json
from gpu_setup import classifier, config_of, texts_of

WARM = 4  # steps that are not counted
TIMED = ("minibert bf16", "transformers bf16", "transformers Trainer")
TOLERANCE = 1e-4  # of the losses of ours and transformers' in fp32
CHECK_BATCH = 16
COMPARED = ("minibert fp32", PLAIN, "minibert bf16", "transformers bf16")


def cells(bench: Bench) -> Iterator[Cell]:
    sizes = bench.scale.batch_sizes
    for name, size in [("base", size) for size in sizes] + [("small", size) for size in sizes]:
        for contender in TIMED:
            run = partial(steps, bench, contender, name, size)
            yield Cell(f"{name}, batches of {size}, {contender}", run)
        if (name, size) == ("base", sizes[0]):
            yield Cell("losses", partial(losses, bench))


def steps(bench: Bench, contender: str, name: str, size: int) -> Json:
    """Turns of a few steps, by the wall clock, between two looks at whether the GPU is done."""
    scale, device = bench.scale, bench.device
    last = WARM + scale.turns * scale.steps
    setup = setup_for(bench, name, size, last + 1)  # after the last one nobody would wait
    times: list[float] = []
    done = 0

    def wait() -> None:
        nonlocal done
        if done >= WARM and (done - WARM) % scale.steps == 0:
            device.wait()
            times.append(time.perf_counter())
        if done == last:
            raise Finished
        done += 1

    gc.collect()  # the Trainer before may be a circle
    device.empty()
    device.begin_peak()
    with suppress(Finished):
        CONTENDERS[contender](setup, wait)
    seconds = [end - start for start, end in zip(times, times[1:], strict=False)]
    lengths = lengths_of(setup, range(WARM, last))
    middle = statistics.median(seconds)
    # Forward, and twice that backward; of the products that a classifier needs.
    work = 3 * ceiling.flops(config_of(bench, name), lengths) / scale.turns
    return {
        "seconds": seconds,
        "steps": scale.steps,
        "batch": size,
        "tokens_per_step": sum(lengths) / (scale.turns * scale.steps),
        "examples_per_s": scale.steps * size / middle,
        "ms_per_step": 1e3 * middle / scale.steps,
        "flops_per_s": work / middle,
        "of_ceiling": work / middle / bench.ceiling("bf16"),
        "peak_bytes": device.peak_memory(),
    }


def setup_for(bench: Bench, name: str, size: int, number: int, dropout: bool = True) -> Setup:
    """Texts for so many steps."""
    part = choose(texts_of(bench).train, number * size)
    folder = classifier(bench, name, dropout)
    return Setup(folder, part.texts, part.labels, size, device=bench.device.type)


def lengths_of(setup: Setup, chosen: range) -> list[int]:
    """Tokens of each row that these steps take."""
    task = setup.task(setup.examples())
    return [len(example.row.ids) for step in chosen for example in task.batch(step)]


def losses(bench: Bench) -> Json:
    """The losses of the first steps without dropout, of ours and of transformers' plain loop."""
    size = min(CHECK_BATCH, bench.scale.batch_sizes[0])
    setup = setup_for(bench, "small", size, bench.scale.check_steps, dropout=False)
    curves = {name: CONTENDERS[name](setup, lambda: None).losses for name in COMPARED}
    right = curves[PLAIN]

    def difference(name: str) -> float:
        return max(abs(one - other) for one, other in zip(curves[name], right, strict=True))

    differences = {name: difference(name) for name in COMPARED if name != PLAIN}
    agrees = differences["minibert fp32"] <= TOLERANCE  # NaN is no agreement
    return {"curves": curves, "differences": differences, "agrees": agrees}

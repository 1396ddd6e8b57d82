"""Where the time of one of our training steps goes, for `finetune.py`, by PyTorch's profiler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest import mock

import torch
from arena import Finished
from finetune_contenders import CONTENDERS, Setup
from torch import nn

from minibert import attention
from minibert.training import speed

WARM = 2  # steps that are not measured: the first ones make the optimizer's state
PRODUCTS = ("mm", "addmm", "linear", "conv", "_slow_conv", "mkldnn", "bmm")
ELEMENTWISE = ("gelu", "tanh", "layer_norm", "add", "mul", "div", "sum", "sub", "copy_", "fill_")
KINDS = ("products", "attention", "dropout", "optimizer", "clipping", "element-wise", "rest")
BACKWARD = "autograd::engine::evaluate_function"


@contextmanager
def named_parts() -> Iterator[None]:
    """Inside, the profiler sees the names of parts whose operators others use, too."""
    parts: list[tuple[Any, str, str]] = [
        (attention, "grouped_attention", "attention"),
        (speed, "grouped_attention", "attention"),
        (nn.Dropout, "forward", "dropout"),
        (speed.SharedBitsDropout, "forward", "dropout"),
        (nn.utils, "get_total_norm", "clipping"),
        (nn.utils, "clip_grads_with_norm_", "clipping"),
    ]

    def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            with torch.profiler.record_function(name):
                return function(*arguments, **more)

        return call

    with ExitStack() as stack:
        for owner, attribute, name in parts:
            function = named(getattr(owner, attribute), name)
            stack.enter_context(mock.patch.object(owner, attribute, function))
        yield


def part_of(event: Any, made_by: dict[int, str]) -> tuple[str, bool]:
    """Which named part an operator belongs to, "" for none, and whether it runs backward."""
    while event is not None:
        if event.name in KINDS:
            return event.name, False
        if event.name.startswith("Optimizer."):
            return "optimizer", False
        if event.name.startswith(BACKWARD):
            return made_by.get(event.sequence_nr, ""), True
        event = event.cpu_parent
    return "", False


def profile(setup: Setup) -> list[str]:
    """Milliseconds of each kind of work in one of our steps in fp32."""
    events, total = record(setup)
    spent = sort(events)
    spent["rest"] = total - sum(ms for kind, ms in spent.items() if kind != "rest")
    lines = [f"| one step of minibert fp32, {total:.0f} ms | ms | share |", "|---|---|---|"]
    lines += [f"| {kind} | {ms:.1f} | {ms / total:.1%} |" for kind, ms in spent.items()]
    return lines


def record(setup: Setup) -> tuple[list[Any], float]:
    """The profiler's events of one step, by their beginnings, and its milliseconds."""
    recorded = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    times: list[float] = []

    def wait() -> None:
        times.append(time.perf_counter())
        if len(times) == WARM + 1:
            recorded.start()
            times[-1] = time.perf_counter()
        elif len(times) == WARM + 2:
            recorded.stop()
            raise Finished

    with named_parts(), suppress(Finished):
        CONTENDERS["minibert fp32"](setup, wait)
    events = sorted(recorded.events() or [], key=lambda event: event.time_range.start)
    return events, 1e3 * (times[WARM + 1] - times[WARM])


def sort(events: list[Any]) -> dict[str, float]:
    """Kind of work -> milliseconds."""
    made_by: dict[int, str] = {}  # the number of a node of the graph -> the part that made it
    spent = dict.fromkeys(KINDS, 0.0)
    for event in events:
        kind, backward = part_of(event, made_by)
        if not backward and event.sequence_nr >= 0:
            # The last operator with a node's number made it; those before only saw it coming.
            made_by[event.sequence_nr] = kind
        operator = event.name.removeprefix("aten::")
        if not kind and operator.startswith(PRODUCTS):
            kind = "products"
        elif not kind and any(name in operator for name in ELEMENTWISE):
            kind = "element-wise"
        spent[kind or "rest"] += event.self_cpu_time_total / 1e3
    return spent

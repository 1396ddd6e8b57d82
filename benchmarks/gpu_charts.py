"""The four charts of `gpu.py`, drawn from results.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotting
from gpu_cells import last_line
from gpu_results import Json, done_cells


def draw(found: Json, folder: Path) -> list[str]:
    """Write those there are figures for; what could not be drawn, and why."""
    failures = []
    for name, chart in CHARTS.items():
        try:
            figure = chart(found)
            if figure is not None:
                plotting.save(figure, folder / f"{name}.png")
        except Exception as error:  # a chart is not worth a run
            failures.append(f"the chart {name} could not be drawn: {last_line(error)}")
    return failures


def title(found: Json, what: str) -> str:
    card = done_cells(found, "device").get("versions", {}).get("device", found["device"])
    return f"{what}\n{card}, {found['date']}"


def attention(found: Json) -> Any:
    """Useful work a second against the length, nothing padded: forward, and with backward."""
    rows = [row for cell in done_cells(found, "attention").values() for row in cell["rows"]]
    rows = [row for row in rows if row["status"] == "ok" and row["filling"] == "full"]
    half = [row for row in rows if row["dtype"] != "fp32"]
    directions = [d for d in ("forward", "both") if any(row["direction"] == d for row in half)]
    kinds = [(w, d) for w in ("kernel", "block") for d in directions]
    kinds = [k for k in kinds if any((row["work"], row["direction"]) == k for row in half)]
    if not kinds:
        return None
    figure, panels = plotting.new_figure(len(kinds), size=(4.6 * len(kinds), 4.2))
    figure.suptitle(title(found, "Attention in half precision, nothing padded"), fontsize=10)
    names = list(dict.fromkeys(row["contender"] for row in half))
    for panel, kind in zip(panels, kinds, strict=True):
        for i, name in enumerate(names):
            points = {
                row["length"]: row["tflops"]
                for row in half
                if (row["work"], row["direction"]) == kind and row["contender"] == name
            }
            if points:
                ours = name in ("minibert", "minibert, fast products")
                panel.plot(
                    sorted(points),
                    [points[length] for length in sorted(points)],
                    color=f"C{i % 10}",
                    linewidth=2.5 if ours else 1.2,
                    linestyle="-" if i < 10 else "--",
                    marker="o" if ours else ".",
                    label=name,
                )
        panel.set_title(", ".join(kind).replace("both", "forward and backward"), fontsize=10)
        panel.set_xscale("log", base=2)
        panel.set_xlabel("tokens of a row, T")
        panel.set_ylabel("TFLOP/s (higher is better)")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    handles: dict[str, Any] = {}
    for panel in panels:
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def bars(rates: dict[str, float], label: str, heading: str) -> Any:
    if not rates:
        return None
    figure, (panel,) = plotting.new_figure(size=(9, 0.4 * len(rates) + 1.4))
    plotting.rates(panel, rates, label)
    figure.suptitle(heading, fontsize=10)
    return figure


def model(found: Json) -> Any:
    """The stream: real tokens a second, with the share of the measured ceiling."""
    rates = {
        f"{name} ({cell['of_ceiling']:.0%} of the ceiling)": cell["tokens_per_s"] / 1e3
        for name, cell in done_cells(found, "model").items()
        if "rows_per_s" in cell
    }
    heading = title(found, "BERT-base, a stream of SST-2's lengths")
    return bars(rates, "thousand real tokens a second (longer is better)", heading)


def finetune(found: Json) -> Any:
    """Examples a second of every model, batch size and contender."""
    cells = done_cells(found, "finetune").items()
    rates = {}
    for name, cell in cells:
        if "examples_per_s" in cell:
            what, _, who = name.rpartition(", ")
            rates[f"{who}, {what}"] = cell["examples_per_s"]
    heading = title(found, "Fine-tuning on SST-2's lengths, bf16")
    return bars(rates, "examples a second (longer is better)", heading)


def latency(found: Json) -> Any:
    """Calls a second with small batches."""
    rates = {}
    for name, cell in done_cells(found, "model").items():
        size, _, who = name.partition(") ")
        if "median_ms" in cell:
            rates[f"{who} {size})"] = 1e3 / cell["median_ms"]
    heading = title(found, "BERT-base, one call with B rows of T tokens")
    return bars(rates, "calls a second (longer is better)", heading)


CHARTS: dict[str, Callable[[Json], Any]] = {
    "attention": attention,
    "model": model,
    "finetune": finetune,
    "latency": latency,
}

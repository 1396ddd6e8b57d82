"""What `attention.py` tells of its results: rows for JSON and CSV, tables and the verdict."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from attention_cells import DTYPES, Cell


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


def standings(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], tuple[float, str]]:
    """For each cell that we are timed in, how many times as long as the fastest our chosen path
    takes, and who that is. A block's forward counts with or without the products of `optimize`,
    whichever was faster."""
    cells: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        if row["status"] == "ok":
            names = ("work", "direction", "dtype", "heads", "rows", "length", "filling")
            key = tuple(row[name] for name in names)
            cells.setdefault(key, {})[row["contender"]] = row["median_ms"]
    found = {}
    for key, times in cells.items():
        mine = min((times[name] for name in OURS if name in times), default=None)
        if mine is not None:
            best = min(times, key=lambda name: times[name])
            found[key] = (mine / times[best], best)
    return found


def summary(rows: list[dict[str, Any]], within: float = 0.1) -> list[str]:
    """In how many cells our chosen path is within this share of the fastest, and where not."""
    found = standings(rows)
    slower = [
        f"- {' '.join(map(str, key))}: {times:.2f}x {best}"
        for key, (times, best) in found.items()
        if times > 1 + within
    ]
    lines = [
        f"Our chosen path is the fastest or within {within:.0%} of it in "
        f"{len(found) - len(slower)} of {len(found)} cells.".replace("%", " %")
    ]
    return [*lines, *(["Slower:", *slower] if slower else [])]


def write_json(rows: list[dict[str, Any]], conditions: str, ceilings: Ceilings, path: Path) -> None:
    found = {"conditions": conditions, "bandwidth": ceilings.bytes, "results": rows}
    path.write_text(json.dumps(found, indent=1))


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)

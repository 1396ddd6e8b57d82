"""What was asked of minibert on an H100 and what `gpu.py` measured: its report's first table."""

from __future__ import annotations

import statistics

from arena import ratio
from attention_report import standings
from gpu_results import Json, done_cells

WITHIN = 0.05  # of the fastest: that is as good
NOT_MEASURED = "not measured"


def verdict(found: Json) -> list[list[str]]:
    """Rows of (what, asked, measured)."""
    model = done_cells(found, "model")
    ours, theirs = best_streams(model, "bf16")
    return [
        [
            "cells of the attention grid in which our chosen path is within 5 % of the fastest",
            "95 %",
            attention(found),
        ],
        [
            "BERT-base, bf16, a stream of SST-2's lengths: times the best of transformers",
            "2",
            f"{model[ours]['rows_per_s'] / model[theirs]['rows_per_s']:.2f}"
            if ours and theirs
            else NOT_MEASURED,
        ],
        [
            "the same: share of the measured ceiling of products",
            "45 %",
            percent(model[ours]["of_ceiling"]) if ours else NOT_MEASURED,
        ],
        *(
            [
                f"fine-tuning BERT-base at batch {size}: times transformers bf16",
                "2",
                finetuning(found, f"base, batches of {size}, "),
            ]
            for size in (32, 256)
        ),
        [
            "accuracy on all of SST-2: mean difference to transformers', in standard errors",
            "at most 2",
            accuracy(found),
        ],
        [
            "fp32, TF32 off: largest difference of logits to a CPU",
            "1e-4",
            f"{model['outputs']['errors']['minibert fp32']:.1e}"
            if "outputs" in model
            else NOT_MEASURED,
        ],
    ]


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def attention(found: Json) -> str:
    rows = [row for cell in done_cells(found, "attention").values() for row in cell["rows"]]
    standing = standings(rows)
    if not standing:
        return NOT_MEASURED
    good = sum(times <= 1 + WITHIN for times, _ in standing.values())
    return f"{percent(good / len(standing))}, {good} of {len(standing)}"


def best_streams(cells: dict[str, Json], precision: str) -> tuple[str, str]:
    """The fastest of ours and of the others from rows of ids, or "" for either."""

    def best(begins: str) -> str:
        chosen = [
            name
            for name, cell in cells.items()
            if name.startswith(begins) and f" {precision}, batches" in name and "rows_per_s" in cell
        ]
        return max(chosen, key=lambda name: cells[name]["rows_per_s"], default="")

    return best("minibert"), best("transformers")


def finetuning(found: Json, cell: str) -> str:
    cells = done_cells(found, "finetune")
    pair = [cells.get(f"{cell}{who} bf16") for who in ("minibert", "transformers")]
    ours, theirs = pair
    if ours is None or theirs is None:
        return NOT_MEASURED
    return str(ratio(ours["seconds"], theirs["seconds"]))


def pairs(found: Json) -> dict[int, dict[str, float]]:
    """Seed -> accuracy of each, for those that both have ended."""
    seeds: dict[int, dict[str, float]] = {}
    for cell in done_cells(found, "accuracy").values():
        seeds.setdefault(cell["seed"], {})[cell["contender"]] = cell["accuracy"]
    return {seed: both for seed, both in seeds.items() if len(both) == 2}


def difference(both: list[dict[str, float]]) -> tuple[float, float]:
    """Of two pairs or more: the mean in points, ours less theirs, and its standard error."""
    points = [100 * (pair["minibert"] - pair["transformers"]) for pair in both]
    return statistics.mean(points), statistics.stdev(points) / len(points) ** 0.5


def accuracy(found: Json) -> str:
    known = list(pairs(found).values())
    if len(known) < 2:
        return NOT_MEASURED
    mean, error = difference(known)
    errors = abs(mean) / error if error else float(mean != 0) and float("inf")
    return f"{errors:.1f} ({mean:+.2f} points, {len(known)} seeds)"

"""report.md of `gpu.py`, made of results.json: the tables, and what failed or was not reached.

It is made again after every section. A table or a chart that cannot be made says why, and the rest
is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gpu_charts
from arena import ratio
from attention_report import OURS, summary
from gpu_cells import last_line
from gpu_results import Json, Results, done_cells
from gpu_verdict import WITHIN, best_streams, difference, pairs, verdict


def make(folder: Path) -> None:
    """Report and charts of the results in a folder."""
    found = Results(folder).read()
    failures = gpu_charts.draw(found, folder)
    beside = folder / "report.part"
    beside.write_text("\n".join(report(found, failures)) + "\n", encoding="utf-8")
    os.replace(beside, folder / "report.md")


def report(found: Json, failures: list[str]) -> list[str]:
    """The lines of the report. failures: charts that could not be drawn."""
    lines = ["# On a GPU", "", *conditions(found), "", *endings(found)]
    for title, section, tables in PARTS:
        if section not in found["sections"]:
            continue
        lines += ["", f"## {title}", ""]
        try:
            lines += tables(found)
        except Exception as error:  # whatever it is, the other tables are wanted
            failures = [*failures, f"{title}: the table could not be made: {last_line(error)}"]
    return [*lines, *problems(found, failures)]


def conditions(found: Json) -> list[str]:
    """What the figures depend on."""
    known = done_cells(found, "device").get("versions", {})
    names = ("torch", "cuda", "cudnn", "transformers", "accelerate", "triton", "tokenizers")
    versions = [f"{name} {known[name]}" for name in names if name in known]
    lines = [f"`{found['command']}`", ""]
    if found["tiny"]:
        lines += ["A tiny run: it shows that everything works, and its figures mean nothing.", ""]
    return [
        *lines,
        f"{known.get('device', found['device'])}; {', '.join(versions)}; Python "
        f"{known.get('python', '?')}; {known.get('cores', '?')} cores, {known.get('cpu', '?')}; "
        f"minibert {known.get('commit', '?')}; {found['date']}.",
    ]


def endings(found: Json) -> list[str]:
    lines = ["| section | seconds | how it ended |", "|---|---|---|"]
    for name in found["chosen"]:
        section = found["sections"].get(name)
        told = ending(section) if section else "not begun"
        lines.append(f"| {name} | {(section or {}).get('seconds', '')} | {told} |")
    return lines


def ending(section: Json) -> str:
    """How a section ended, in a few words."""
    states = [cell["status"] for cell in section["cells"].values()]
    counts = [f"{states.count('done')} of {len(section['planned'])} cells"]
    counts += [f"{states.count(s)} {s}" for s in ("failed", "late", "left out") if s in states]
    error = f": {section['error']}" if "error" in section else ""
    return f"{section['status']}{error}, {', '.join(counts)}"


def problems(found: Json, failures: list[str]) -> list[str]:
    """Everything that did not go as it should."""
    lines = [f"- {failure}" for failure in failures]
    for name, section in found["sections"].items():
        if "error" in section:
            lines.append(f"- {name}: {section['error']}")
        for cell, state in section["cells"].items():
            if state["status"] != "done":
                lines.append(f"- {name}, {cell}: {state['status']}: {state.get('error', '')}")
        missing = [cell for cell in section["planned"] if cell not in section["cells"]]
        if missing:
            told = "; ".join(missing[:6]) + ("; ..." if len(missing) > 6 else "")
            lines.append(f"- {name}: not reached: {len(missing)} cells: {told}")
        lines += [f"- {name} said: {line}" for line in section.get("warnings", [])]
    return ["", "## What did not go as it should", "", *lines] if lines else []


# --- tables ---------------------------------------------------------------------------------------


def table(head: str, rows: Sequence[Sequence[Any]], between: str = ", ") -> list[str]:
    """head: the columns' names, with commas or what is said between them."""
    names = head.split(between)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return [*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)]


def share(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.0%}"


def device_tables(found: Json) -> list[str]:
    cells = done_cells(found, "device")
    rows = [
        [name, f"{cell['flops_per_s'] / 1e12:.1f} TFLOP/s"]
        for name, cell in cells.items()
        if "flops_per_s" in cell
    ]
    if "copies" in cells:
        rows.append(
            ["copies, read and written", f"{cells['copies']['bytes_per_s'] / 1e9:.0f} GB/s"]
        )
    lines = table("ceiling, measured", rows)
    card = cells.get("the card after work", {})
    told = ", ".join(f"{name} {value}" for name, value in card.items())
    precision = cells.get("versions", {}).get("fp32 products", "?")
    return [*lines, "", f"fp32 products: {precision} (highest: TF32 is off). {told}"]


def test_tables(found: Json) -> list[str]:
    ran = done_cells(found, "tests").get("pytest")
    if ran is None:
        return ["The tests did not run."]
    counts = ", ".join(f"{number} {end.lower()}" for end, number in ran["counts"].items())
    lines = [f"{counts or 'no test'}{', ' + ran['late'] if 'late' in ran else ''}."]
    if ran["failures"]:
        rows = [[f"`{name}`", why] for name, why in ran["failures"].items()]
        lines += ["", *table("failed, why", rows)]
    return [*lines, "", *(f"- {line}" for line in [*ran["skipped"], *ran["measured"]])]


def attention_rows(found: Json) -> list[Json]:
    return [row for cell in done_cells(found, "attention").values() for row in cell["rows"]]


def attention_tables(found: Json) -> list[str]:
    """A table for each work, direction and number format: TFLOP/s by length."""
    rows = attention_rows(found)
    lines: list[str] = []
    kinds = dict.fromkeys((r["dtype"], r["work"], r["direction"]) for r in rows)
    for kind in kinds:
        chosen = [r for r in rows if (r["dtype"], r["work"], r["direction"]) == kind]
        lines += ["", f"TFLOP/s, {' '.join(kind)}", "", *speeds(chosen)]
    told = [
        f"- {r['contender']}, {r['dtype']} {r['work']} {r['direction']}, T {r['length']}, "
        f"{r['filling']}: {r['status']}"
        for r in rows
        if r["status"] != "ok"
    ]
    return [*summary(rows, WITHIN), *lines, "", *dict.fromkeys(told)]


def speeds(rows: list[Json]) -> list[str]:
    """A line for each filling and length, a column for each contender."""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    lines = []
    for filling, length in sorted({(row["filling"], row["length"]) for row in rows}):
        here = {r["contender"]: r for r in rows if (r["filling"], r["length"]) == (filling, length)}
        rates = [f"{here[n]['tflops']:.3g}" if "tflops" in here.get(n, {}) else "-" for n in names]
        best = max((here[n].get("of_roofline", 0) for n in OURS if n in here), default=None)
        lines.append([filling, length, *rates, share(best)])
    return table("; ".join(["filling", "T", *names, "ours of the roofline"]), lines, "; ")


def model_tables(found: Json) -> list[str]:
    cells = done_cells(found, "model")
    lines: list[str] = []
    if "outputs" in cells:
        errors = cells["outputs"]["errors"].items()
        lines += [f"{'Agree' if all(cells['outputs']['agrees'].values()) else '**Do not agree**'}"]
        lines[0] += " with transformers in fp32 on a CPU; largest differences of logits: "
        lines[0] += ", ".join(f"{name} {error:.1e}" for name, error in errors) + "."
    rows = [
        [
            name,
            f"{cell['rows_per_s']:.0f}",
            f"{cell['tokens_per_s']:.0f}",
            f"{cell['flops_per_s'] / 1e12:.1f}",
            share(cell["of_ceiling"]),
            f"{cell['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in cell else "-",
        ]
        for name, cell in cells.items()
        if "rows_per_s" in cell
    ]
    lines += ["", *table("stream, rows/s, real tokens/s, TFLOP/s, of the ceiling, peak GB", rows)]
    for precision in ("bf16", "fp32"):
        ours, theirs = best_streams(cells, precision)
        if ours and theirs:
            times = cells[ours]["rows_per_s"] / cells[theirs]["rows_per_s"]
            lines += ["", f"{precision}: {ours} is {times:.2f}x {theirs}"]
    return [*lines, "", *latency_table(cells)]


def latency_table(cells: dict[str, Json]) -> list[str]:
    rows = []
    for name, cell in cells.items():
        size, _, who = name.partition(") ")
        if "median_ms" not in cell or not who.startswith("minibert"):
            continue
        others = [cells.get(f"{size}) transformers {kind} bf16") for kind in ("sdpa", "compiled")]
        times = [f"{other['median_ms']:.2f}" if other else "-" for other in others]
        speed = f"{others[0]['median_ms'] / cell['median_ms']:.2f}" if others[0] else "-"
        spread = f"{cell['fastest_ms']:.2f}-{cell['slowest_ms']:.2f}"
        rows.append([f"{size})", f"{cell['median_ms']:.2f} ({spread})", *times, speed])
    head = "one call, ms minibert, ms transformers sdpa, compiled, times as fast as sdpa"
    return table(head, rows)


def finetune_tables(found: Json) -> list[str]:
    cells = done_cells(found, "finetune")
    lines: list[str] = []
    if "losses" in cells:
        told = cells["losses"]["differences"].items()
        lines += ["Losses agree." if cells["losses"]["agrees"] else "**Losses do not agree.**"]
        lines[0] += " Largest difference to transformers fp32, without dropout: "
        lines[0] += ", ".join(f"{name} {value:.1e}" for name, value in told) + "."
    rows = []
    for name, cell in cells.items():
        if "examples_per_s" not in cell:
            continue
        rival = cells.get(f"{name.rpartition(', ')[0]}, transformers bf16")
        speed = ratio(cell["seconds"], rival["seconds"]) if rival else None
        rows.append(
            [
                name,
                f"{cell['examples_per_s']:.0f}",
                f"{cell['ms_per_step']:.1f}",
                f"{cell['flops_per_s'] / 1e12:.1f}",
                share(cell["of_ceiling"]),
                f"{cell['peak_bytes'] / 1e9:.2f}",
                str(speed or "-"),
            ]
        )
    head = "model, examples/s, ms a step, TFLOP/s, of the ceiling, peak GB"
    return [*lines, "", *table(f"{head}, times transformers bf16", rows)]


def profile_tables(found: Json) -> list[str]:
    lines = []
    for name, cell in done_cells(found, "profile").items():
        busy = cell["busy_seconds"] or float("nan")
        rows = [
            [
                f"`{kernel['name']}`",
                kernel["count"],
                f"{1e3 * kernel['seconds']:.2f}",
                share(kernel["seconds"] / busy),
            ]
            for kernel in cell["kernels"]
        ]
        lines += [
            f"{name}: {1e3 * cell['seconds']:.1f} ms, {cell['launched']} kernels, idle "
            f"{share(cell['idle'])} of the time",
            "",
            *table("kernel, launched, ms, of busy time", rows),
            "",
        ]
    return lines


def accuracy_tables(found: Json) -> list[str]:
    """Pairs that both have ended, their mean difference and its standard error."""
    both = pairs(found)
    rows = [
        [
            seed,
            f"{pair['minibert']:.2%}",
            f"{pair['transformers']:.2%}",
            f"{100 * (pair['minibert'] - pair['transformers']):+.2f}",
        ]
        for seed, pair in both.items()
    ]
    lines = table("seed, minibert, transformers, difference in points", rows)
    if len(both) < 2:
        return [*lines, "", "Too few pairs for a standard error."]
    mean, error = difference(list(both.values()))
    within = "within" if abs(mean) <= 2 * error else "**not within**"
    told = f"Mean difference {mean:+.2f} points, standard error {error:.2f}: {within} two of them."
    return [*lines, "", told]


def verdict_table(found: Json) -> list[str]:
    return table("what; asked of an H100; measured", verdict(found), "; ")


PARTS: list[tuple[str, str, Callable[[Json], list[str]]]] = [
    ("Asked and measured", "device", verdict_table),
    ("What the card can do", "device", device_tables),
    ("Tests", "tests", test_tables),
    ("Attention", "attention", attention_tables),
    ("The whole model", "model", model_tables),
    ("Fine-tuning", "finetune", finetune_tables),
    ("Where the time goes", "profile", profile_tables),
    ("Accuracy", "accuracy", accuracy_tables),
]

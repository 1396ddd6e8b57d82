"""How far are we from transformers? Every check of tests/parity with the largest value it saw.

    python benchmarks/parity.py            # a few minutes; writes benchmarks/PARITY.md
    python benchmarks/parity.py --fast     # without the slow tier

Runs the tests themselves, so a figure here is one that a test was held to. Needs
`pip install -e '.[test]'`.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import devices
import plotting
import pytest
import torch

from minibert._programs import run_program

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    "tests/parity",
    "tests/test_tokenizer.py",
    "tests/tasks/test_text_encoder.py",
    "tests/tasks/test_variants.py",
    "tests/test_golden.py",
]


class Collector:
    """A pytest plugin that keeps what the tests recorded, and counts how they ended."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self.outcomes: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.skipped or report.failed:
            self.outcomes[report.outcome] += 1
        if report.when == "call":
            records: list[Any] = [row for name, row in report.user_properties if name == "parity"]
            for record in records:
                self.rows[report.location[0]][record["check"]].append(record)


def title(path: str) -> str:
    """The first line of a test file's docstring."""
    return (ROOT / path).read_text(encoding="utf-8").split('"""')[1].split("\n")[0]


def table(checks: dict[str, list[Any]]) -> list[str]:
    """One row a check: how often it was made, its limit, the value nearest to failing."""
    lines = ["| check | made | must be | nearest to failing |", "|---|---|---|---|"]
    for check, records in checks.items():
        relation, limit = records[0]["relation"], records[0]["limit"]
        values = [record["value"] for record in records]
        worst = max(values) if relation == "at most" else min(values)
        shown = f"{worst:,}" if isinstance(worst, int) else f"{worst:.2g}"
        lines.append(f"| {check} | {len(values)} | {relation} {limit:,g} | {shown} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fast", action="store_true", help="leave out the slow tier")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "PARITY.md")
    arguments = parser.parse_args()
    plotting.check_outputs(arguments.output)
    tiers = "not golden" if not arguments.fast else "not golden and not slow"
    collector = Collector()
    sources = [str(ROOT / source) for source in SOURCES]
    code = pytest.main(
        ["--rootdir", str(ROOT), "-q", "-m", tiers, "-p", "no:cacheprovider", *sources],
        plugins=[collector],
    )
    if code != 0:
        sys.exit("a test failed; PARITY.md was not written")
    lines = [
        "# Parity with transformers",
        "",
        f"Written by `python benchmarks/parity.py{' --fast' if arguments.fast else ''}`: "
        f"{devices.conditions(torch.get_num_threads(), ['transformers', 'tokenizers'])}; "
        "fp32 on the CPU unless a row says otherwise.",
        "",
        f"{collector.outcomes['passed']} tests passed, {collector.outcomes['skipped']} skipped. "
        "Differences are the largest absolute ones at real tokens, unless a row says otherwise. "
        "A row of the controls is a mistake made on purpose: the difference it makes must be seen.",
    ]
    for path, checks in collector.rows.items():
        lines += ["", f"## {title(path)}", "", f"`{path}`", "", *table(checks)]
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    run_program(main)

"""What was done to minibert to break it, and what came of it: one table, RELIABILITY.md.

    python benchmarks/reliability.py            # 15 minutes at most; writes RELIABILITY.md
    python benchmarks/reliability.py --fast     # a minute, without the slow tier; prints only

Runs the tests themselves and the long runs of reliability_runs.py, each in a process of its own.
Needs `pip install -e '.[test]'`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from ast import literal_eval
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from minibert._programs import run_program
from minibert.golden import environment

ROOT = Path(__file__).resolve().parents[1]
ROBUSTNESS, FUZZERS = "tests/robustness", "tests/robustness/test_fuzz.py"
KILLS = "tests/training/test_crash_safety.py"
# Long runs: what each is called, its name, and its count where it is to be fast; None: not then.
RUNS: list[tuple[str, str, int | None]] = [
    ("one stream of many short texts", "texts", None),
    ("ever new lengths", "lengths", None),
    ("threads at once", "threads", 2),
    ("children by fork", "fork", 2),
    ("children by spawn", "spawn", 1),
    ("two writers, one folder", "writers", 5),
]


class Line(NamedTuple):
    """A row of the table."""

    what: str
    result: str
    command: str

    def __str__(self) -> str:
        return f"| {self.what} | {self.result} | `{self.command}` |"


class Tests(NamedTuple):
    """What a run of pytest says of each case: its file, how it ended, what it recorded."""

    cases: list[tuple[str, str, dict[str, str]]]
    seconds: float


def run_tests(path: str, slow: bool) -> tuple[Tests, str]:
    """Run the tests of a path; with the command for the table. Exits if one fails."""
    tiers = "not network and not cuda and not golden" + ("" if slow else " and not slow")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        own = ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junit-xml={report}"]
        command = [sys.executable, "-m", "pytest", "-q", path, "-m", tiers, *own]
        began = time.perf_counter()
        code = subprocess.run(command, cwd=ROOT).returncode
        seconds = time.perf_counter() - began
        if code != 0:
            sys.exit(f"{path}: a test failed; RELIABILITY.md was not written")
        cases = [read_case(case) for case in ET.parse(report).iter("testcase")]
    return Tests(cases, seconds), f"pytest {path}" + (' -m "slow or not slow"' if slow else "")


def read_case(case: ET.Element) -> tuple[str, str, dict[str, str]]:
    ended = "skipped" if case.find("skipped") is not None else "passed"
    recorded = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
    return case.attrib["file"], ended, recorded


def title(path: str) -> str:
    """The first sentence of a test file's docstring."""
    text = (ROOT / path).read_text(encoding="utf-8").split('"""')[1]
    return " ".join(text.split()).split(". ")[0].rstrip(".")


def robustness(slow: bool) -> list[Line]:
    """Cases by kind, a file each; and what the fuzzers count."""
    tests, _ = run_tests(ROBUSTNESS, slow)
    lines = []
    for path in sorted({file for file, _, _ in tests.cases}):
        ends = Counter(end for file, end, _ in tests.cases if file == path)
        skipped = f", {ends['skipped']} skipped" if ends["skipped"] else ""
        command = f"pytest {path}" + (' -m "slow or not slow"' if slow else "")
        lines.append(Line(title(path), f"{ends['passed']} cases hold{skipped}", command))
    drawn: Counter[str] = Counter()
    for _, _, recorded in tests.cases:
        drawn.update(literal_eval(recorded.get("fuzz", "{}")))
    ends_of = ", ".join(f"{name} {number:,}" for name, number in drawn.most_common())
    command = f"pytest {FUZZERS}" + (' -m "slow or not slow"' if slow else "")
    result = f"{sum(drawn.values()):,} inputs: {ends_of}; in other words than ours, or else: 0"
    return [*lines, Line("inputs drawn at random (fuzzing)", result, command)]


def kills(slow: bool) -> Line:
    """Training runs that were killed and resumed to the same bits."""
    tests, command = run_tests(KILLS, slow)
    number = sum(int(recorded.get("kills", 0)) for _, _, recorded in tests.cases)
    held = sum(end == "passed" for _, end, _ in tests.cases)
    result = f"{number} kills survived, every weight and loss the same; {held} cases hold"
    return Line("training killed and resumed", result, command)


def long_run(what: str, name: str, count: list[str]) -> Line:
    """One of reliability_runs.py; count: the option that makes it shorter, or nothing."""
    script = "benchmarks/reliability_runs.py"
    command = [sys.executable, "-W", "ignore", script, name, *count]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        sys.exit(f"{script} {name} did not hold; RELIABILITY.md was not written")
    return Line(what, ran.stdout.strip(), " ".join(["python", script, name, *count]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fast", action="store_true", help="a short run, which is not written")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "RELIABILITY.md")
    arguments = parser.parse_args()
    began = time.perf_counter()
    lines = [
        *robustness(slow=not arguments.fast),
        kills(slow=not arguments.fast),
        *(
            long_run(what, name, ["--count", str(fast)] if arguments.fast else [])
            for what, name, fast in RUNS
            if fast is not None or not arguments.fast
        ),
    ]
    minutes = (time.perf_counter() - began) / 60
    page = [
        "# Reliability",
        "",
        f"Written by `python benchmarks/reliability.py` in {minutes:.0f} minutes, "
        f"{time.strftime('%Y-%m-%d')}: {environment()}.",
        "",
        "Nothing is written here unless every line held.",
        "",
        "| what was tried | what came of it | command |",
        "|---|---|---|",
        *map(str, lines),
    ]
    text = "\n".join(page) + "\n"
    if arguments.fast:
        print(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")
        print(f"written to {arguments.output}")


if __name__ == "__main__":
    run_program(main)

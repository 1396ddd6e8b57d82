"""The section of `gpu.py` that runs the tests marked `cuda`, and says which fail, and how."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from arena import ROOT, environment
from gpu_cells import Bench, Cell, Late, LeftOut
from gpu_results import Json

FOLDER, MARK = "cuda", "mark.cuda"  # where such tests are: there, and where this stands
CHEAP = "minibert/wordpiece.py"  # its examples stand for them where there is no GPU
LINE = re.compile(r"^(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")
BAD = ("FAILED", "ERROR")
# After one of these everything else in the process fails as well.
FATAL = re.compile(r"CUDA error|device-side assert|CUBLAS_STATUS|CUDNN_STATUS|AcceleratorError")
PROCESSES = 4  # at most, each for what the one before it left unknown


def cells(bench: Bench) -> list[Cell]:
    return [Cell("pytest", partial(run_tests, bench))]


def run_tests(bench: Bench) -> Json:
    """Outcomes by test; also those of a run that is stopped."""
    if bench.device.type == "cuda":
        chosen, mark = marked_files(ROOT / "tests"), "cuda"
    else:
        chosen, mark = [CHEAP], "not cuda"
    if not chosen:
        raise LeftOut("there are no tests marked cuda")
    outcomes: dict[str, str] = {}
    output = ""
    late = ""
    for _ in range(PROCESSES):
        text, late = run_pytest(chosen, mark)
        output += text
        found = outcomes_in(text)
        outcomes |= found
        chosen = after_fatal(text, found)
        if late or not chosen:
            break
    bad = {name: reason(name, output) for name, end in outcomes.items() if end in BAD}
    counts = {end: list(outcomes.values()).count(end) for end in sorted(set(outcomes.values()))}
    result: Json = {
        "counts": counts,
        "failures": bad,
        "skipped": beginning(output, "SKIPPED ["),
        "measured": beginning(output, "measured: "),
    }
    if bad or not outcomes or late:
        result["output"] = output[-20000:]
    if late:
        result["late"] = late
    return result


def marked_files(folder: Path) -> list[str]:
    """Of the tests, so that the others need not be collected."""
    files = sorted(folder.rglob("test_*.py"))
    own = [file for file in files if file.parent.name == FOLDER]
    others = [f for f in files if f not in own and MARK in f.read_text(encoding="utf-8")]
    return [str(file.relative_to(folder.parent)) for file in [*own, *others]]


def run_pytest(chosen: list[str], mark: str) -> tuple[str, str]:
    """What it printed, and why it was stopped, if it was."""
    arguments = ["-m", mark, "-vv", "-rs", "--tb=short", "--no-header", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *arguments, "--continue-on-collection-errors"]
    late = ""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            [*command, *chosen],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**environment(ROOT), "COLUMNS": "300", "PYTHONUNBUFFERED": "1", **_NO_COLOR},
        )
        try:
            process.wait()
        except Late as error:  # what it has done by now is not lost
            late = str(error)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        return output.read(), late


_NO_COLOR = {"NO_COLOR": "1", "PYTEST_ADDOPTS": os.environ.get("PYTEST_ADDOPTS", "")}


def outcomes_in(text: str) -> dict[str, str]:
    """Name of a test -> its outcome, in the order they ran."""
    found = (LINE.match(line) for line in text.splitlines())
    outcomes = {match[1]: match[2] for match in found if match}
    for line in text.splitlines():  # a file that could not be imported
        if match := re.match(r"^ERROR (\S+\.py)\b", line):
            outcomes.setdefault(match[1], "ERROR")
    return outcomes


def after_fatal(text: str, outcomes: dict[str, str]) -> list[str]:
    """The tests that ran after one which left the GPU unusable: they are to be run again."""
    names = list(outcomes)
    for i, name in enumerate(names):
        if outcomes[name] in BAD and FATAL.search(section_of(name, text)):
            return [later for later in names[i + 1 :] if outcomes[later] in BAD]
    return []


def section_of(name: str, text: str) -> str:
    """What pytest tells of a test that failed: from its title to the next."""
    title = re.escape(name.partition("::")[2].replace("::", "."))
    match = re.search(rf"^_+ (?:ERROR at \w+ of )?{title} _+$(.*?)(?=^_+ |^=+ |\Z)", text, _LINES)
    return match[1] if match else ""


_LINES = re.MULTILINE | re.DOTALL


def reason(name: str, text: str) -> str:
    """The last line that says what went wrong."""
    lines = [line for line in section_of(name, text).splitlines() if line.startswith("E ")]
    return lines[-1].removeprefix("E").strip()[:300] if lines else "see the output"


def beginning(text: str, start: str) -> list[str]:
    """The lines that begin so."""
    return [line[:300] for line in text.splitlines() if line.startswith(start)]

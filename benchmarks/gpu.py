"""One command for whoever has a GPU: the tests, the attention core, the whole model, fine-tuning.

    python benchmarks/gpu.py --output results/
    python benchmarks/gpu.py --output results/ --data SST-2 --model FOLDER
    python benchmarks/gpu.py --output results/ --tiny --device cpu
    python benchmarks/gpu.py --report results/
    python benchmarks/gpu.py --pack carried --data SST-2

It takes at most --minutes. Each section has seconds of its own and a process of its own: one that
fails, hangs or takes the GPU with it is told of in the report, and the next one runs. Results are
written as they come: results.json holds everything, report.md the tables, and four charts are made
of it; --report makes these again. Whoever stops the command keeps what it had.

--data and --model add real texts, and the accuracy of pairs of runs; --pack writes both, small
enough to take along to a machine without a network. --tiny runs the same lines at sizes
that a CPU does in seconds. Never run on a GPU by us.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import devices
import gpu_pack
import gpu_report
import plotting
import torch
from gpu_cells import FULL, TINY, Bench, last_line, run_cells
from gpu_results import Results
from gpu_worker import Worker, leave, tell_where, wait_for_turn

import minibert
from minibert._programs import run_program
from minibert.checkpoint.hub import find_folder


class Section(NamedTuple):
    """seconds: of the default seven minutes; None: all that are left. gigabytes: of free memory.
    imports: what takes long to import, and is imported before its turn. extras: package -> the
    extra that installs it."""

    module: str
    seconds: float | None
    gigabytes: float
    bf16: bool
    imports: tuple[str, ...]
    extras: dict[str, str]


_BERT = ("transformers.models.bert.modeling_bert", "transformers.models.auto")
_BENCH = {"transformers": "bench"}
SECTIONS = {
    "device": Section("gpu_machine", 30, 3, False, (), {}),
    "tests": Section("gpu_tests", 75, 4, False, (), {"pytest": "test", "transformers": "test"}),
    "attention": Section("gpu_attention", 105, 4, False, _BERT, _BENCH),
    "model": Section("gpu_model", 95, 8, True, _BERT, _BENCH),
    "finetune": Section(
        "gpu_finetune", 65, 14, True, (*_BERT, "transformers.trainer"), {"accelerate": "bench"}
    ),
    "profile": Section("gpu_profile", 20, 8, True, (), {}),
    "accuracy": Section("gpu_accuracy", None, 4, True, _BERT, _BENCH),
}
STARTED = time.monotonic()
MINUTES = 7.0  # for which the seconds above were shared out
RESERVE = 10.0  # seconds kept for a section that has to be stopped and for the report
LEAST = 5.0  # seconds with which a section begins
LOG_LINES = 40  # of what a section printed last


# --- the process of a section ---------------------------------------------------------------------


def be_section(arguments: argparse.Namespace) -> None:
    """Import, wait for the turn, work, and end."""
    tell_where()
    results = Results(arguments.output)
    code = 1
    try:
        for name in SECTIONS[arguments.section].imports:
            importlib.import_module(name)
        module = importlib.import_module(SECTIONS[arguments.section].module)
        code = work(arguments, module, wait_for_turn())
    except BaseException as error:  # whatever it is, the report is to tell
        traceback.print_exc()
        with results.section(arguments.section) as found:
            found |= {"error": last_line(error), "traceback": traceback.format_exc()}
    leave(code)


def work(arguments: argparse.Namespace, module: Any, seconds: float) -> int:
    """Measure the cells of a section; an exit code."""
    bench = Bench(
        devices.find(arguments.device),
        TINY if arguments.tiny else FULL,
        Results(arguments.output),
        arguments.scratch,
        arguments.data,
        arguments.model,
    )
    return run_cells(arguments.section, module.cells(bench), bench, seconds)


# --- all of them ----------------------------------------------------------------------------------


class Run:
    """Sections one after another, the next one's process already waiting."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self.names: list[str] = arguments.only
        self.minutes: float = arguments.minutes
        self.output: Path = arguments.output
        self.results = Results(arguments.output)
        self.scratch = scratch
        self.arguments = section_arguments(arguments, scratch)
        self.waiting: dict[str, Worker] = {}

    def measure(self) -> None:
        end = STARTED + 60 * self.minutes - RESERVE
        try:
            for name, following in zip(self.names, [*self.names[1:], ""], strict=True):
                start = time.monotonic()
                self.section(name, self.seconds_of(name, end), following)
                self.tell(name, time.monotonic() - start)
        finally:
            for worker in self.waiting.values():
                worker.stop()
            self.report()

    def seconds_of(self, name: str, end: float) -> float:
        """Its share of the time, or what is left of all."""
        left = end - time.monotonic()
        share = SECTIONS[name].seconds
        return left if share is None else min(left, share * min(1.0, self.minutes / MINUTES))

    def section(self, name: str, seconds: float, following: str) -> None:
        """Let it work, in a new process where one died in a cell, until it is over."""
        deadline = time.monotonic() + seconds
        if seconds < LEAST:
            with self.results.section(name) as found:
                found |= {"status": "left out", "error": "there was no time left"}
            return
        while True:
            worker = self.waiting.pop(name, None) or self.start(name)
            if following and following not in self.waiting:
                self.waiting[following] = self.start(following)
            # The sections before it are reported while it works: the GPU need not wait for that.
            outcome = worker.work(deadline - time.monotonic(), self.report)
            if not self.close(name, outcome, worker) or deadline - time.monotonic() < LEAST:
                return

    def start(self, name: str) -> Worker:
        command = [sys.executable, __file__, "--section", name, *self.arguments]
        return Worker(command, self.scratch / f"{name}.log")

    def close(self, name: str, outcome: str, worker: Worker) -> bool:
        """Write down how a process ended. Whether another one should go on."""
        why = {"late": "it was stopped when its time was over", "lost": "the GPU was lost"}
        with self.results.section(name) as found:
            cells = found["cells"].values()
            begun = [cell for cell in cells if cell["status"] == "begun"]
            for cell in begun:
                status = "late" if outcome == "late" else "failed"
                cell |= {"status": status, "error": why.get(outcome, outcome)}
            reached = len(found["cells"]) == len(found["planned"])
            if outcome not in ("done", "late", "lost"):
                found.setdefault("error", outcome)
            found["status"] = "failed" if "error" in found else "done" if reached else "late"
            found["warnings"] = worker.warnings()
            found["log"] = worker.lines()[-LOG_LINES:]
        return not reached and (outcome == "lost" or bool(begun)) and outcome != "late"

    def report(self) -> None:
        try:
            gpu_report.make(self.output)
        except Exception as error:  # the results are there, and the next section can work
            print(f"the report could not be made: {last_line(error)}", file=sys.stderr)

    def tell(self, name: str, seconds: float) -> None:
        with self.results.section(name) as found:
            found["seconds"] = round(seconds, 1)
        print(f"{name}: {gpu_report.ending(found)}, {seconds:.0f} s", flush=True)


def section_arguments(arguments: argparse.Namespace, scratch: Path) -> list[str]:
    """Those with which the process of a section is started."""
    given = ["--output", arguments.output, "--scratch", scratch, "--device", arguments.device]
    for name in ("data", "model"):
        if getattr(arguments, name) is not None:
            given += [f"--{name}", getattr(arguments, name)]
    return [*map(str, given), *(["--tiny"] if arguments.tiny else [])]


# --- the command ----------------------------------------------------------------------------------


def read_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--output", type=Path, help="a folder for results.json, report.md and four charts")
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--minutes", type=float, default=MINUTES, help="for everything; default: 7")
    add("--only", default=",".join(SECTIONS), help="sections, with commas; default: all")
    add("--data", type=Path, help="the folder of GLUE's SST-2, with train.tsv and dev.tsv")
    add("--model", help="a small encoder such as minilm-l6, a folder with its tokenizer")
    add("--tiny", action="store_true", help="the same lines at sizes that take seconds")
    add("--report", type=Path, metavar="FOLDER", help="only make report and charts again")
    add("--pack", type=Path, metavar="FOLDER", help="only write model and data to take along")
    for hidden in ("--section", "--scratch"):  # for the processes of sections
        add(hidden, type=Path if hidden == "--scratch" else str, help=argparse.SUPPRESS)
    arguments = parser.parse_args(given)
    if arguments.section is None:
        arguments.only = chosen_sections(arguments.only)
    elif arguments.model is not None:
        arguments.model = Path(arguments.model)
    return arguments


def chosen_sections(text: str) -> list[str]:
    """In the order of work; the first is always among them, for figures need its versions."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in SECTIONS:
            raise ValueError(f"--only names {name!r}; the sections are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in names or name == "device"]


def check(arguments: argparse.Namespace) -> None:
    """Refuse, before the work, what cannot be done. Raises `ValueError` or `OSError`."""
    if arguments.output is None:
        raise ValueError("--output is missing: give a folder for the results")
    if not 0.5 <= arguments.minutes <= 600:
        raise ValueError(f"--minutes is {arguments.minutes:g}; it must be from 0.5 to 600")
    check_extras(arguments.only)
    if arguments.data is not None:
        for name in ("train.tsv", "dev.tsv"):
            if not (arguments.data / name).is_file():
                raise ValueError(
                    f"--data is {arguments.data}, which has no {name}; it must be the folder of "
                    "GLUE's SST-2"
                )
    if arguments.model is not None:
        arguments.model = find_folder(arguments.model)
        minibert.WordPieceTokenizer.from_pretrained(arguments.model)
    check_device(devices.find(arguments.device), arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    plotting.check_outputs(*(arguments.output / name for name in ("results.json", "report.md")))


def check_extras(names: list[str]) -> None:
    needed = {"matplotlib": "viz"}
    for name in names:
        needed |= SECTIONS[name].extras
    for package, extra in needed.items():
        if not devices.is_installed(package):
            raise ValueError(f"this needs {package}: pip install -e '.[{extra}]'")


def check_device(device: devices.Cpu, arguments: argparse.Namespace) -> None:
    """Every section must be possible: one that is not is to be left out by whoever asks."""
    bf16 = torch.bfloat16 in device.dtypes()
    free = device.free_bytes() / 2**30
    reasons = {}
    for name in arguments.only:
        need = 0 if arguments.tiny else SECTIONS[name].gigabytes
        if SECTIONS[name].bf16 and not bf16:
            reasons[name] = "computes in bfloat16, which this GPU cannot (it needs Ampere or later)"
        elif need > free:
            reasons[name] = f"needs about {need:g} GB, and {free:.1f} GB are free"
    if reasons:
        name, reason = next(iter(reasons.items()))
        possible = ",".join(other for other in arguments.only if other not in reasons)
        rest = f"; --only {possible} runs the others" if possible else ""
        raise ValueError(f"section {name} {reason}{rest}")


@contextmanager
def sigterm_ends() -> Iterator[None]:
    """Inside, SIGTERM ends the command as Ctrl-C does: with its processes, and a report."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    arguments = read_arguments()
    if arguments.section is not None:
        be_section(arguments)
    if arguments.report is not None:
        check_extras([])
        if not (arguments.report / "results.json").is_file():
            raise ValueError(
                f"--report is {arguments.report}, which has no results.json; give the folder that "
                "--output named"
            )
        gpu_report.make(arguments.report)
        return 0
    if arguments.pack is not None:
        gpu_pack.pack(arguments.pack, arguments.data)
        return 0
    check(arguments)
    results = Results(arguments.output)
    described: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/gpu.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "device": arguments.device,
        "tiny": arguments.tiny,
        "minutes": arguments.minutes,
        "chosen": arguments.only,
    }
    results.write({**described, "sections": {}})
    with sigterm_ends(), tempfile.TemporaryDirectory(prefix="minibert-gpu-") as scratch:
        Run(arguments, Path(scratch)).measure()
    print(f"report: {arguments.output / 'report.md'}")
    return 0


if __name__ == "__main__":
    run_program(main)

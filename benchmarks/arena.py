"""Contenders in processes of their own, one working at a time, in alternating turns.

Each has a process of its own: the threads of one engine go on spinning after its work is done, what
one does to the allocator must not help another, and its peak memory is to be told. A process can
import minibert from another checkout, a git worktree for instance, so that a change is measured
against the commit before it in one run. Ratios are taken within a turn: a machine that slows down
slows both.

A contender is a function of a module that imports nothing of minibert at its top, and only public
names inside, since it runs with other checkouts as well:

    def contend(turns: Turns, *arguments) -> None:
        ...                             # load
        work = turns.next()             # ready; the clock starts when the first work arrives
        while True:
            work = turns.next(result)   # the clock stops, and starts for the next work

This file is also the program of these processes. Works and results are pickled through its standard
input and output; what a contender prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

ROOT = Path(__file__).resolve().parent.parent  # this checkout
PAUSE = 0.2  # seconds between turns, in which the threads of the last one go to sleep

T = TypeVar("T")


class Finished(Exception):
    """Raised by `Turns.next`: there is no more work."""


class Turns:
    """The contender's side: it hands over a result and waits for the next work."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._start = time.perf_counter()

    def next(self, result: Any = None) -> Any:
        """The next work. Raises `Finished` when there is none."""
        _send(self._answers, (time.perf_counter() - self._start, result))
        requests = _receive(self._requests)
        if not requests:
            raise Finished
        self._start = time.perf_counter()
        return requests[0]


class Turn(NamedTuple):
    """What a contender did in its turn."""

    seconds: float
    result: Any


class Process:
    """A contender that waits for its turn.

    contend: a function of a module, called in the new process with a `Turns` and the arguments.
    checkout: whose minibert it imports. seconds: what the caller keeps of its turns. loading: how
    long it took until it was ready, in seconds. failure: why it is out, or "". memory: its peak in
    MB, after `stop`.
    """

    def __init__(
        self,
        name: str,
        contend: Callable[..., None],
        *arguments: Any,
        threads: int,
        checkout: Path = ROOT,
    ) -> None:
        self.name, self.failure = name, ""
        self.seconds: list[float] = []
        self.memory: dict[str, float] = {}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment(checkout), "OMP_NUM_THREADS": str(threads)},
        )
        assert self._process.stdin and self._process.stdout
        self._requests: Any = self._process.stdin
        self._answers: Any = self._process.stdout
        self._send((threads, contend.__module__, contend.__name__, arguments))
        ready = self._answer()
        self.loading = ready[0] if ready else float("nan")

    def turn(self, request: Any) -> Turn | None:
        """Its work on a request; None when it failed."""
        if self.failure:
            return None
        time.sleep(PAUSE)
        self._send((request,))
        answer = self._answer()
        return Turn(*answer) if answer else None

    def stop(self) -> None:
        if not self.failure:
            self._send(())  # no more work
            self.memory = self._answer() or {}
        self._requests.close()
        self._answers.close()
        self._process.wait()

    def _send(self, request: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died; the answer says so
            _send(self._requests, request)

    def _answer(self) -> Any:
        try:
            answer = _receive(self._answers)
        except (EOFError, pickle.UnpicklingError):
            answer = "its process died; is there too little memory?"
        if not isinstance(answer, str):
            return answer
        self.failure = answer
        print(f"{self.name}: left out, {answer}", file=sys.stderr)
        return None


def environment(checkout: Path) -> dict[str, str]:
    """Environment variables with which Python imports the minibert of a checkout."""
    paths = [str(checkout.resolve()), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def find_checkout(path: Path) -> Path:
    """The folder of another checkout, or `ValueError` saying why it is none."""
    if not (path / "minibert" / "__init__.py").is_file():
        raise ValueError(
            f"{path} is no checkout of minibert: it has no minibert/__init__.py; "
            "`git worktree add PATH COMMIT` makes one"
        )
    return path.resolve()


def serve(turns: Turns, run: Callable[[Any], Any]) -> None:
    """Be a contender whose result follows from its work alone."""
    result = None
    while True:
        result = run(turns.next(result))


def in_turns(contenders: Sequence[T], turns: int) -> Iterator[tuple[int, T]]:
    """(number of the turn, who works): each once a turn. Who begins changes, and every second turn
    goes backwards, so that of two neighbours each is as often the first."""
    for turn in range(turns):
        start = turn // 2 % len(contenders) if contenders else 0
        order = [*contenders[start:], *contenders[:start]]
        for contender in reversed(order) if turn % 2 else order:
            yield turn, contender


# --- ratios --------------------------------------------------------------------------------------


class Ratio(NamedTuple):
    """Of the speeds of two contenders: the median over turns, the least and the largest."""

    median: float
    least: float
    largest: float
    turns: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.largest:.2f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """How many times as fast as theirs ours is, by the seconds of the turns that both had."""
    ratios = [their / our for our, their in zip(ours, theirs, strict=False)]
    if not ratios:
        return None
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), len(ratios))


OURS, BESIDE = "minibert ", "beside "  # what the names of our contenders begin with


def with_beside(names: Sequence[str], checkout: Path | None) -> list[str]:
    """After each contender of ours the same one of the other checkout, if there is one."""
    if checkout is None:
        return list(names)
    pairs = {name: BESIDE + name.removeprefix(OURS) for name in names if name.startswith(OURS)}
    return [each for name in names for each in (name, pairs.get(name)) if each is not None]


def pairs_beside(names: Sequence[str]) -> list[tuple[str, str]]:
    """Each contender of ours with the same one of the other checkout."""
    pairs = [(name, BESIDE + name.removeprefix(OURS)) for name in names if name.startswith(OURS)]
    return [pair for pair in pairs if pair[1] in names]


def pairs_table(
    found: dict[str, dict[str, Any]], pairs: Sequence[tuple[str, str]], what: str
) -> list[str]:
    """The speed of the first of a pair over that of the second, turn by turn; none without pairs.

    found: name -> {"seconds": those of its turns}. what: the work.
    """
    lines = ["| work | contender | beside | times as fast | turns |", "|---|---|---|---|---|"]
    for name, other in pairs:
        if name in found and other in found:
            speed = ratio(found[name]["seconds"], found[other]["seconds"])
            if speed:
                lines.append(f"| {what} | {name} | {other} | {speed} | {speed.turns} |")
    return lines if len(lines) > 2 else []


# --- the program of a process --------------------------------------------------------------------


def _send(pipe: BinaryIO, message: Any) -> None:
    pickle.dump(message, pipe)
    pipe.flush()


def _receive(pipe: BinaryIO) -> Any:
    return pickle.load(pipe)


def memory() -> dict[str, float]:
    """Peak memory of this process in MB; what is anonymous only where /proc tells."""
    status = Path("/proc/self/status")
    if not status.is_file():
        import resource

        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    lines = (line.split() for line in status.read_text().splitlines())
    sizes = {words[0]: int(words[1]) / 1024 for words in lines if words[-1] == "kB"}
    # Files are mapped when the process starts and stay so: what is above them is anonymous.
    return {"peak": sizes["VmHWM:"], "anonymous": sizes["VmHWM:"] - sizes["RssFile:"]}


def main() -> None:
    """Be a contender."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that what a library prints is no answer
    requests = sys.stdin.buffer
    import importlib

    import torch

    try:
        threads, module, function, arguments = _receive(requests)
        torch.set_num_threads(threads)
        contend = getattr(importlib.import_module(module), function)
        contend(Turns(requests, answers), *arguments)
    except Finished:
        _send(answers, memory())
    except EOFError:
        pass  # the one who asks is gone
    except Exception as error:
        message = (str(error).splitlines() or [""])[0][:200]
        _send(answers, f"{type(error).__name__}: {message}")


if __name__ == "__main__":
    # By its own name, so that the classes here are those that contenders import.
    import arena

    arena.main()

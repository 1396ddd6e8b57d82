"""The process of a section of `gpu.py`, as the command sees it.

It is started ahead, imports what it needs and waits for its turn, so that PyTorch's imports cost
the run nothing. It is in a process group of its own, so that what it starts can be stopped with it.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from arena import ROOT, environment
from gpu_cells import LOST

GRACE = 4.0  # seconds beyond its time in which a section may end by itself
WARNING = re.compile("[Ww]arning: ")
TELLING = 0.3  # seconds in which it says where it hangs
# Everything is here; and the log is for what matters.
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}


class Worker:
    """A section that waits in a process of its own until it is told to work.

    command: its program, which calls `wait_for_turn`. log: a file for what it prints.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,
                env={**environment(ROOT), **QUIET, "CUDA_VISIBLE_DEVICES": first_gpu()},
            )

    def work(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> str:
        """Let it work so long: "done", "lost" (its GPU does not answer it any more), "late" if it
        had to be stopped, or how it died. meanwhile: what the caller does, once it has begun."""
        end = time.monotonic() + seconds + GRACE
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died while it waited; its exit code tells
            self._process.stdin.write(f"{seconds}\n".encode())
            self._process.stdin.flush()
        try:
            meanwhile()
            code = self._process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGUSR1)  # see `tell_where`
            time.sleep(TELLING)
            return "late"
        finally:
            self.stop()
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return {0: "done", LOST: "lost"}.get(code, f"its process ended with exit code {code}")

    def stop(self) -> None:
        """End it and whatever it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def lines(self) -> list[str]:
        """What it printed, and what those before it did."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [line[:300] for line in text.splitlines()]

    def warnings(self) -> list[str]:
        """Of these the warnings, each once."""
        return list(dict.fromkeys(line for line in self.lines() if WARNING.search(line)))[:20]


def first_gpu() -> str:
    """Of those that can be seen, as CUDA names it: with several the Trainer would take all."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]


def tell_where() -> None:
    """In the process itself: print where each thread is when it crashes, and when it is asked."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)


def wait_for_turn() -> float:
    """In the process itself: how many seconds it has, once it is its turn. It ends when the command
    that started it is gone."""
    # Read below Python's own streams, whose locks a process that is forked would inherit.
    pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(pipe, 1)
        if not more:
            leave(1)
        line += more

    def watch() -> None:
        os.read(pipe, 1)
        leave(1)

    threading.Thread(target=watch, daemon=True).start()
    return float(line)


def leave(code: int) -> NoReturn:
    """End the process at once: after an error of the GPU its libraries may hang as they end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)

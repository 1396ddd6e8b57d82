"""Ctrl-C and SIGTERM, noted so that a run can end between two steps, with its state saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def noted_signals(wanted: bool) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM only leave their number in the list, the first time; the second time they
    do what they always did. A signal that is ignored, as Ctrl-C is by what a shell runs in the
    background, stays so, and so does one whose handler Python did not set and could not put back.
    Without effect outside of the main thread, where Python has them."""
    noted: list[int] = []
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {n: old for n, old in before.items() if old not in (signal.SIG_IGN, None)}

    def note(number: int, _: Any) -> None:
        noted.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        for number in before:
            signal.signal(number, note)
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

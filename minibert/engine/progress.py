"""What long work shows while it runs: a progress bar, and lines that somebody will see.

A terminal has a bar and a log file has none. A notebook is no terminal, but somebody looks at it.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any


def progress_bar(
    unit: str, *, total: int | None, initial: int = 0, delay: float = 0, silent: bool = False
) -> Any:
    """A bar of `tqdm.auto` on a terminal and in a notebook, nothing elsewhere or if `silent`.

    delay: seconds before it appears. With a delay it is for work that leaves nothing to read, and
    goes when that is done.
    """
    with warnings.catch_warnings():  # it draws in text where ipywidgets is missing, and says so
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    # A program without a console has no stderr, or a closed one.
    silent = silent or sys.stderr is None or getattr(sys.stderr, "closed", False)
    # None: off unless the output is a terminal, which that of a notebook is not.
    off = True if silent else False if in_notebook() else None
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        delay=delay,
        leave=not delay,
        dynamic_ncols=True,
        disable=off,
    )


@contextmanager
def lines_above_bar() -> Iterator[None]:
    """Inside, what is logged to a terminal appears above the bar.

    The handlers of logging are everybody's: two threads that exchanged them at once would put back
    each other's. So only the main thread does.
    """
    from tqdm.contrib.logging import logging_redirect_tqdm

    main = threading.current_thread() is threading.main_thread()
    with logging_redirect_tqdm() if main else nullcontext():
        yield


def announce(logger: logging.Logger, line: str) -> None:
    """Log a line at level INFO; print it if an interactive session would not see it otherwise.

    A session is interactive if it has a prompt: a notebook, IPython, Python's own. There hardly
    anybody sets up logging, and whoever did gets the line from there.
    """
    logger.info(line)
    if hasattr(sys, "ps1") and not _is_shown(logger):
        from tqdm.std import tqdm

        if sys.stdout is not None:
            with suppress(OSError, ValueError):  # it is closed, or cannot write these letters
                tqdm.write(line)  # above a bar, where there is one


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return "IPKernelApp" in getattr(shell, "config", ())


def _is_shown(logger: logging.Logger) -> bool:
    """Whether some handler writes what this logger is told at level INFO."""
    if not logger.isEnabledFor(logging.INFO):
        return False
    place: logging.Logger | None = logger
    while place is not None:
        for handler in place.handlers:
            if handler.level <= logging.INFO and not isinstance(handler, logging.NullHandler):
                return True
        place = place.parent if place.propagate else None
    return False

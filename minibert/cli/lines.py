"""Lines in from standard input, lines out to standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress


def read_lines() -> Iterator[str]:
    """The lines of standard input, in UTF-8, without their ends.

    Raises `ValueError` where there is no standard input, and for bytes that are not UTF-8, naming
    the line.
    """
    if sys.stdin is None:
        raise ValueError("there is no standard input; give texts, one a line:  ... < texts.txt")
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"line {number} of the input is not UTF-8 (0x{line[error.start]:02x} at byte "
                f"{error.start}); convert it:  iconv -f cp1252 -t utf-8  for example"
            ) from error
        yield text.rstrip("\r\n")


def answers_at_once() -> bool:
    """Whether somebody types the lines, and waits for each answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def prepare_output() -> None:
    """Let every text be written, whatever encoding the terminal has.

    Raises `ValueError` where there is no standard output.
    """
    if sys.stdout is None:
        raise ValueError("there is no standard output to write to")
    with suppress(AttributeError):  # a stand-in, as tests have
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def write_line(line: str) -> None:
    """Write at once, so that answers do not wait for others. Raises `OSError` where it cannot be
    written, a `BrokenPipeError` if the reader has gone."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(f"standard output cannot be written: {error}") from error


def give_up_output() -> None:
    """Drop what could not be written, or Python would try it again as it ends, and complain."""
    with suppress(OSError, AttributeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Lines in from standard input or a file, lines out to standard output."""

from __future__ import annotations

import codecs
import select
import sys
from collections import deque
from contextlib import suppress
from typing import BinaryIO

from minibert.checkpoint.places import path_of
from minibert.engine.reading import Arriving

_CHUNK = 1 << 16  # bytes; what a pipe holds


class Lines(Arriving[str]):
    """The lines of a binary stream, in UTF-8, without their ends, as they come.

    name: what errors call the stream. `ready` says whether the next one is there. Raises
    `ValueError` for bytes that are not UTF-8, naming the line, and `OSError` where the stream
    cannot be read.
    """

    def __init__(self, source: BinaryIO, name: str = "standard input") -> None:
        self._source = source
        self._name = name
        self._whole: deque[bytes] = deque()  # lines that are read and not taken
        self._part: list[bytes] = []  # of the line that is not read to its end
        self._ended = False
        self._number = 0  # of the line taken last

    def ready(self) -> bool:
        """Whether the next line, or the end, can be had without waiting for whoever writes it."""
        try:
            while not (self._whole or self._ended) and self._arrived(wait=False):
                self._read()
        except OSError:  # for whoever takes the next line
            return True
        return bool(self._whole) or self._ended

    def __next__(self) -> str:
        while not (self._whole or self._ended):
            self._read()
        if not self._whole:
            raise StopIteration
        self._number += 1
        return self._decoded(self._whole.popleft())

    def _read(self) -> None:
        """Read what has arrived, or wait for something."""
        try:
            self._arrived(wait=True)  # some streams answer that they have nothing yet
            chunk = self._source.read1(_CHUNK)  # type: ignore[attr-defined]
        except OSError as error:
            raise OSError(
                f"{self._name} cannot be read: {error.strerror or error}; give texts, one a line:  "
                "... < texts.txt"
            ) from error
        first, *others = chunk.split(b"\n")
        self._part.append(first)
        for line in others:
            self._whole.append(b"".join(self._part))
            self._part = [line]
        if not chunk:
            self._ended = True
            if any(self._part):  # the last line has no end
                self._whole.append(b"".join(self._part))

    def _arrived(self, wait: bool) -> bool:
        try:
            return bool(select.select([self._source], [], [], None if wait else 0)[0])
        except (OSError, ValueError):  # no real file; on Windows, no socket
            return not self._source.isatty()

    def _decoded(self, line: bytes) -> str:
        number = self._number
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return line.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            utf16 = number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            raise ValueError(
                f"line {number} of {self._name} is not UTF-8 (0x{line[error.start]:02x} at byte "
                f"{error.start}); convert it:  iconv -f {'utf-16' if utf16 else 'cp1252'} -t utf-8"
                f"{'' if utf16 else '  for example'}"
            ) from error


def input_lines() -> Lines:
    """The lines of standard input. Raises `ValueError` where there is none."""
    if sys.stdin is None:
        raise ValueError("there is no standard input; give texts, one a line:  ... < texts.txt")
    return Lines(sys.stdin.buffer)


def file_lines(file: str) -> Lines:
    """The lines of a file. Raises `OSError` where it cannot be read."""
    path = path_of(file, "file of texts")
    try:
        return Lines(open(path, "rb"), str(path))
    except OSError as error:
        raise type(error)(
            f"{path} cannot be read: {error.strerror or error}; give a file of texts, one a line"
        ) from error


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

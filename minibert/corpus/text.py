"""Text files as sentences, read line by line.

A blank line ends a document, and so does a heading as WikiText has them, ` = Title = `. A sentence
ends with `.`, `!` or `?` and a space. That cuts behind "Mr." as well, which does no harm: what is
called a sentence need not be one in pre-training (Devlin et al. 2019, section 3).
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from minibert.checkpoint.places import path_of
from minibert.data import read_texts
from minibert.data.table import SUFFIXES

# The most that is read at a time, in characters: a longer line is cut, and with it perhaps a word.
LINE = 1 << 20
UNKNOWN = "[UNK]"  # in a sentence: a word that nobody knows, by BERT's name for it

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HEADING = re.compile(r"(= )+.+( =)+")
_REJOINED = re.compile(r" @([-,.])@ ")


class Sentence(NamedTuple):
    """text: one sentence. begins: whether it is the first of its document."""

    text: str
    begins: bool


@dataclass(frozen=True)
class TextFile:
    """A UTF-8 text, or a table with a text column (see `minibert.data`), each text of which is a
    document of its own; a table is read as a whole. size in bytes and mtime_ns: as they were
    when work on it began."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: str | Path) -> TextFile:
        """Raises `OSError` if there is no such file, and `ValueError` if it is empty."""
        path = path_of(path, "text")
        if not os.path.isfile(path):
            there = os.path.exists(path)
            raise FileNotFoundError(
                f"{path} is no file; give files of text" if there else f"there is no file {path}"
            )
        status = Path(path).stat()
        if status.st_size == 0:
            raise ValueError(f"{path} is empty; give a file with text")
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)

    def check_unchanged(self) -> None:
        """Raise `ValueError` if the file is no longer what it was."""
        status = Path(self.path).stat()
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            raise ValueError(
                f"{self.path} changed while it was in use: it had {self.size} bytes, of "
                f"{self.mtime_ns} ns, and now has {status.st_size}, of {status.st_mtime_ns} ns; "
                "begin again once nobody writes to it"
            )

    def sentences(self) -> Iterator[Sentence]:
        """The sentences in order. Raises `ValueError` for a file that is not UTF-8, or changed."""
        begins = True
        for line in self._lines():
            line = clean(line)
            if not line or _HEADING.fullmatch(line):
                begins = True
                continue
            for text in _SENTENCE_END.split(line):
                yield Sentence(text, begins)
                begins = False
        self.check_unchanged()

    def _lines(self) -> Iterator[str]:
        if Path(self.path).suffix.lower() in SUFFIXES:
            for text in map(str, read_texts(Path(self.path))):
                yield from (" ".join(text.split()), "")
            return
        try:
            with open(self.path, encoding="utf-8-sig") as file:
                number = 1
                while line := file.readline(LINE):
                    if "\0" in line:
                        raise ValueError(
                            f"{self.path}: line {number} has a NUL character, so it is not text; "
                            "save it as UTF-8"
                        )
                    yield line
                    number += line.endswith("\n")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path}: {_first_other(self.path)}. Save it as UTF-8; a text from an "
                "old Windows program is converted by  iconv -f cp1252 -t utf-8 old.txt > new.txt"
            ) from error


def _first_other(path: str) -> str:
    """The first byte of a file that is not UTF-8, and its line. Python's own error counts from the
    beginning of what was read last."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, position = 1, 0
    with open(path, "rb") as file:
        while True:
            begun = len(decoder.getstate()[0])  # bytes of a character that ends in what comes
            data = file.read(LINE)
            try:
                decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                line += data.count(b"\n", 0, max(0, error.start - begun))
                position += error.start - begun
                return (
                    f"line {line} is not UTF-8 (byte {position}, 0x{error.object[error.start]:02x})"
                )
            if not data:
                return "it is not UTF-8"  # another program has just changed it
            line += data.count(b"\n")
            position += len(data)


def clean(line: str) -> str:
    """A line without the marks of WikiText, whose makers cut `two-part` into `two @-@ part` and put
    `<unk>` in place of rare words. [UNK] is BERT's name for the same, and is never to be guessed.

    >>> from minibert.corpus.text import clean
    >>> clean("a two @-@ part story of <unk> with 1 @,@ 000 pages ")
    'a two-part story of [UNK] with 1,000 pages'
    """
    return _REJOINED.sub(r"\1", line).replace("<unk>", UNKNOWN).strip()

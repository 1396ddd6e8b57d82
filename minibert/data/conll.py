"""Sentences of tagged words, as CoNLL's shared tasks write them.

    -DOCSTART- -X- O O          a line that only says where a document begins

    EU NNP I-NP B-ORG           a word in a line with its columns, apart by spaces or tabs
    rejects VBZ I-VP O

    Peter NNP I-NP B-PER        an empty line between sentences

Source: Tjong Kim Sang & De Meulder 2003, arXiv cs/0306050, the shared task of CoNLL-2003.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.places import path_of
from minibert.checkpoint.schema import in_file
from minibert.data.decoding import file_text

_DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True)
class TaggedWords:
    """The words of each sentence, and a tag for each word."""

    words: list[list[str]]
    tags: list[list[str]]

    def __len__(self) -> int:
        return len(self.words)


def read_conll(path: str | Path, *, word: int = 1, tag: int | None = None) -> TaggedWords:
    """Read a file with a word and its columns in each line, an empty line between sentences.

    word, tag: which columns, counted from 1; None: the last. Columns are apart by tabs, if the file
    has any, and otherwise by spaces. In a file with tabs a line that begins with # and has none is
    a comment, as in CoNLL-U.

    Raises `OSError` for a file that cannot be read, and `ValueError` naming the file and the line.
    """
    path = path_of(path, "file of tagged words")
    word = whole_number("word", word, 1)
    tag = None if tag is None else whole_number("tag", tag, 1)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; give one with a word and its tag a line")
    text = file_text(path)
    with in_file(path):
        found = TaggedWords([], [])
        for sentence in _sentences(text):
            found.words.append([_cell(line, cells, word, "word") for line, cells in sentence])
            found.tags.append(
                [_cell(line, cells, tag or len(cells), "tag") for line, cells in sentence]
            )
        if not len(found):
            raise ValueError("it has no words; each needs a line, with its tag behind it")
        return found


def _sentences(text: str) -> Iterator[list[tuple[int, list[str]]]]:
    """The lines of each sentence: their numbers, from 1, and their cells."""
    tabs = "\t" in text
    first = (0, 0)  # the number of the first line with a word, and how many columns it has
    sentence: list[tuple[int, list[str]]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = line.strip(" ")
        if not line.strip() or line.startswith(_DOCUMENT):
            if sentence:
                yield sentence
            sentence = []
            continue
        if tabs and line.startswith("#") and "\t" not in line:
            continue
        # Not at any white space, of which some may belong to words.
        cells = [cell.strip(" ") for cell in line.split("\t")] if tabs else re.split(" +", line)
        if not first[0]:
            first = (number, len(cells))
        if len(cells) != first[1] or len(cells) < 2:
            raise ValueError(
                f"line {number} has {len(cells)} column(s), and line {first[0]} has "
                f"{first[1]}; each word needs a line with the same columns, two at least, and "
                "sentences an empty line between them"
            )
        sentence.append((number, cells))
    if sentence:
        yield sentence


def _cell(line: int, cells: list[str], column: int, name: str) -> str:
    if column > len(cells):
        raise ValueError(f"line {line} has {len(cells)} columns and no column {column}; set {name}")
    if not cells[column - 1]:
        raise ValueError(f"line {line}: the {name} in column {column} is empty: {shown(cells)}")
    return cells[column - 1]

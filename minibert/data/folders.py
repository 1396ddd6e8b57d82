"""Folders: of .txt files, one folder for each label, as IMDB's reviews come; of train and dev."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from minibert._checks import shown, warn
from minibert.data.decoding import file_text

# What the part to evaluate on is called, the most fitting first. MNLI has two of them.
DEVELOPMENT = ("dev", "validation", "valid", "val", "dev_matched", "test")

SOURCES = (
    "data can be 'sample', a folder with train.tsv and dev.tsv or the like, a folder with a folder "
    "of .txt files for each label, or one table: CSV, TSV, JSON lines, Parquet"
)

_NO_LABELS = ("unsup", "unsupervised", "unlabeled", "unlabelled")


class TextFiles(NamedTuple):
    """The rows of a table: the text of each file, and its label, the name of its folder."""

    columns: tuple[str, ...]
    rows: list[tuple[str, str]]
    files: list[str]


def text_files(folder: Path) -> TextFiles:
    """The .txt files in the folders of a folder, in sorted order.

    IMDB's `unsup`, whose texts have no label, is left out with a warning, as is what is no .txt
    file. Raises `OSError` for files that cannot be read, and `ValueError` for a folder without
    folders, or a label without texts.
    """
    named = sorted(entry.name for entry in _entries(folder) if entry.is_dir())
    labels = [name for name in named if name.lower() not in _NO_LABELS]
    if not labels:
        raise FileNotFoundError(
            f"{folder} has no folders with the texts of each label, and no train.tsv or the like; "
            f"{SOURCES}"
        )
    rows, files, other = [], [], 0
    for label in labels:
        inside = sorted(entry.name for entry in _entries(folder / label))
        texts = [name for name in inside if name.lower().endswith(".txt")]
        if not texts:
            raise ValueError(f"{folder}: the folder {shown(label)} has no .txt files; take it out")
        other += len(inside) - len(texts)
        rows += [(file_text(folder / label / name), label) for name in texts]
        files += [f"{label}/{name}" for name in texts]
    if len(labels) < len(named):
        without = ", ".join(name for name in named if name not in labels)
        warn(f"{folder}: {without} is no label, so the texts in it are left out")
    if other:
        warn(f"{folder}: {other} entries of its folders are no .txt files and are left out")
    return TextFiles(("text", "label"), rows, files)


def find_part(folder: Path, names: Sequence[str], suffixes: Sequence[str]) -> Path | None:
    """The table or the folder called by the first of these names that is there.

    Raises `ValueError` if there are several of one name.
    """
    for name in names:
        found = [folder / name] if (folder / name).is_dir() else []
        found += [path for s in suffixes if (path := folder / f"{name}{s}").is_file()]
        if len(found) > 1:
            both = " and ".join(path.name for path in found)
            raise ValueError(f"{folder} has {both}; keep one of them")
        if found:
            return found[0]
    return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in it and not hidden."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise type(error)(f"{folder} cannot be read: {error.strerror or error}") from error

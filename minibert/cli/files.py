"""A file of answers, which appears when all of them are in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from minibert._programs import say
from minibert.checkpoint.places import check_parent, destination, in_words
from minibert.checkpoint.replacing import flush


def check_new_file(file: str | Path, overwrite: bool) -> Path:
    """Where `new_file` will write; to be asked before long work. Raises `OSError` where it cannot,
    and `FileExistsError` for a file that is there, unless `overwrite`."""
    path = destination(file)
    with in_words(path):
        check_parent(path)
        if path.exists() and not path.is_file():  # a folder, a device
            raise FileExistsError(f"{path} is no ordinary file; give the name of one")
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; choose another name, or replace it: --overwrite")
    return path


@contextmanager
def new_file(file: str | Path, overwrite: bool) -> Iterator[BinaryIO]:
    """A file to write, which becomes `file` when the block ends.

    It is written beside its place, as `<name>.<8 hexadecimal digits>.unfinished`. After an error,
    or Ctrl-C, what was finished stays there, and that is said.
    """
    path = check_new_file(file, overwrite)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.unfinished")
    with in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(unfinished, "xb")
    try:
        yield stream
        with in_words(path):
            stream.close()
            flush(unfinished)
            check_new_file(path, overwrite)  # again, for others may have been at work
            unfinished.replace(path)
    except BaseException:
        _keep(stream, unfinished)
        raise


def _keep(stream: BinaryIO, unfinished: Path) -> None:
    """Say where the beginning is, if there is any."""
    with suppress(OSError):
        stream.close()
    if unfinished.stat().st_size:
        say(f"minibert: the answers that were finished are in {unfinished}")
    else:
        unfinished.unlink()

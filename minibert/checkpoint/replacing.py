"""A finished file or folder takes the place of an old one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
from pathlib import Path


def put_in_place(finished: Path, path: Path, replace: bool) -> None:
    """The folder `finished` becomes `path`, over an empty folder or, with `replace`, any other.

    Linux lets the two folders change their names in one step, so that one of them is always at
    `path`. Elsewhere, and on file systems that cannot, there is a moment without either, and a
    process killed in it leaves the old folder as `<finished>.old`. Raises `OSError` if it cannot be
    done; then all is as before.
    """
    if path.is_dir():
        shutil.copymode(path, finished)  # who may read the old one may read the new one
    with contextlib.suppress(OSError):  # Windows does not rename to the name of an empty folder
        path.rmdir()
    try:
        finished.rename(path)  # refused if there is something, whoever put it there
        flush(path.parent)
    except OSError:
        if not replace:
            raise
        old = _swap(finished, path)
        flush(path.parent)
        shutil.rmtree(old, ignore_errors=True)


def flush(path: Path) -> None:
    """fsync a file or folder, so that the rename cannot reach the disk before the contents."""
    if path.is_dir():
        # Windows and some network file systems cannot; then the rename is as safe as they make it.
        with contextlib.suppress(OSError):
            _fsync(path, os.O_RDONLY)
    else:
        _fsync(path, os.O_RDWR)


def _swap(finished: Path, path: Path) -> Path:
    """Put one folder in the place of the other; where the other is now."""
    if _exchange(finished, path):
        return finished
    old = finished.with_name(f"{finished.name}.old")
    path.rename(old)
    try:
        finished.rename(path)
    except OSError:
        old.rename(path)
        raise
    return old


def _exchange(one: Path, other: Path) -> bool:
    """Whether the two have changed their names: Linux's renameat2 with RENAME_EXCHANGE."""
    if sys.platform != "linux":
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # an old C library
        return False
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""One writer at a time: a lock that the system gives up when its process ends, however it ends."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minibert.checkpoint.places import in_words

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

logger = logging.getLogger(__name__)


@contextmanager
def only_writer(folder: Path, name: str) -> Iterator[None]:
    """Inside, no other process or thread that asks for the lock `name` of this folder gets it.

    The lock is a file that is there as long as it is held; what a killed process left of it is
    taken over. Raises `BlockingIOError` if somebody holds it, naming the process. On file systems
    without locks that is logged, and nothing is locked.
    """
    path = folder / name
    with in_words(path):
        descriptor = _open_locked(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        with suppress(OSError):  # Windows does not remove what is open
            path.unlink()
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    while True:
        # A link is not followed, for what it leads to would be overwritten.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
        try:
            _lock(descriptor, path)
            # Whoever held it may have removed the file after it was opened here.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond the text, which others may read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder = os.read(descriptor, 200).decode(errors="replace") or "another process"
        raise BlockingIOError(
            f"{path.parent} is being written by {holder}; wait until it ends, or give another "
            "folder"
        ) from error
    except OSError as error:
        logger.warning("%s cannot be locked (%s); see that one program writes it", path, error)

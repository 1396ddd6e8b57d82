"""Where something is to be written: what can be known to fail is said before the work.

Errors are one line that names the place and the next step. Python raises its own with an errno;
those of ours have none, and pass `in_words` unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minibert._checks import shown


def path_of(place: str | Path, what: str) -> Path:
    """The place itself. Raises `ValueError` for what is no name of a file or folder."""
    try:
        name = os.fspath(place)
        named = isinstance(name, str) and name != "" and b"\0" not in os.fsencode(name)
    except (TypeError, UnicodeEncodeError):  # of None, of a lone surrogate
        named = False
    if not named:
        raise ValueError(f"the {what} is {shown(place)}; give its path, a string or a pathlib.Path")
    return Path(place)


def absolute(place: str | Path, what: str = "folder") -> Path:
    """The place as it is to be found from every folder, with its symbolic links as they are.

    Raises the error of `path_of`, and `FileNotFoundError` for a relative place when the folder that
    this process stands in was deleted.
    """
    path_of(place, what)
    try:
        return Path(os.path.abspath(place))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{shown(str(place))} is relative to the folder this program was started in, and that "
            "was deleted; give an absolute path"
        ) from error


def destination(folder: str | Path) -> Path:
    """The real place of a folder, there or not: where its symbolic links lead.

    Raises the errors of `absolute`, and `OSError` for a name that this system cannot give: it is
    too long, or its links go in a circle.
    """
    # Not from `absolute`: it takes "link/.." for the folder of the link.
    absolute(folder)
    path = Path(os.path.realpath(folder))
    there = next((place for place in (path, *path.parents) if os.path.exists(place)), path)
    # The longest name of what is written beside it, and every name that is still to be made.
    beside = path.with_name(f".{path.name}.00000000.old") if path.name else path
    for probe in (path, beside, *(there / name for name in path.relative_to(there).parts)):
        try:
            probe.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            message = f"{shown(str(folder))} cannot be made or reached: {error.strerror}"
            raise type(error)(f"{message}; give another folder") from error
    return path


def make_folder(folder: str | Path) -> Path:
    """The folder, made with its parents where it is not there yet. Raises the errors of
    `destination`, and `OSError` where it cannot be made."""
    path = destination(folder)
    with in_words(path):
        if not path.exists():
            check_parent(path)
            path.mkdir(parents=True, exist_ok=True)
        elif not path.is_dir():
            raise NotADirectoryError(f"{path} is a file; give the name of a folder")
    return path


def check_parent(path: Path) -> None:
    """Raise `OSError` if nothing can be made beside `path`."""
    parent = next((folder for folder in path.parents if folder.exists()), path)
    if not parent.is_dir():
        raise NotADirectoryError(f"{path} cannot be made: {parent} is a file")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be made: there is no permission to write in {parent}")


def is_underfoot(path: Path) -> bool:
    """Whether this process stands in this folder or in one that lies in it."""
    try:
        here = Path(os.getcwd())
        return any(path.samefile(folder) for folder in (here, *here.parents))
    except FileNotFoundError:  # one of the two is not there
        return False


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """The system's errors inside say that `path` could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(f"{path} could not be written: {error}") from error

"""What a run needs to go on after a crash, and the folder that keeps it.

    run/step-00000500.3f9c2a81d0b4e657.state      the newest two, each whole or not there
    run/step-00001000.91be07c5a2d84f30.state
    run/log.jsonl                                 a line for each step and each evaluation

A state is written beside its place, flushed to the disk and renamed, so that no crash leaves half
of one. Its name carries the start of its SHA-256: a state that was damaged later is known by that,
and the one before it is taken. While a run goes on its folder is locked: a second one would remove
the states of the first.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from minibert._checks import shown
from minibert.checkpoint.files import sha256
from minibert.checkpoint.locks import only_writer
from minibert.checkpoint.places import absolute, make_folder
from minibert.checkpoint.replacing import flush

logger = logging.getLogger(__name__)

KEPT = 2  # states; with one, damage to it would cost the whole run
LOG = "log.jsonl"


def save_state(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write the state after `step` steps and remove all but the newest `KEPT`.

    state: what `torch.save` takes and `torch.load(weights_only=True)` reads: tensors, numbers,
    strings, lists and dicts. Raises `OSError` where it cannot be written, on a full disk for
    example; earlier states are then untouched.
    """
    unfinished = folder / f".unfinished.{secrets.token_hex(4)}"
    try:
        torch.save(dict(state), unfinished)
        flush(unfinished)
        path = folder / f"step-{step:08}.{sha256(unfinished)[:16]}.state"
        unfinished.replace(path)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        # torch's writer reports a full disk as a RuntimeError.
        if isinstance(error, RuntimeError):
            raise OSError(
                f"the state after step {step} could not be written (is the disk full?): {error}"
            ) from error
        raise
    flush(folder)
    for old in states(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def states(folder: Path) -> list[Path]:
    """The states of a folder, the newest first."""
    return sorted(folder.glob("step-*.state"), reverse=True)


def newest_state(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest state that is whole, and where it stood. Damaged ones are reported and skipped.

    Raises `ValueError` for one that is whole and nothing that this version of minibert wrote.
    """
    _remove_files(folder, ".unfinished.*")  # of a process that was killed while writing
    for path in states(folder):
        try:
            trouble = "is damaged" if path.name.split(".")[1] != sha256(path)[:16] else ""
        except OSError as error:
            trouble = f"cannot be read ({error.strerror})"
        if not trouble:
            with readable(path):
                return path, dict(torch.load(path, map_location="cpu", weights_only=True))
        logger.warning("%s %s; looking for the state before it", path, trouble)
        with suppress(OSError):  # or it would count as one of the newest
            path.rename(path.with_suffix(".damaged"))
    return None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong inside, while a state is taken apart, is that another version wrote it."""
    try:
        yield
    except Exception as error:  # the bytes of a stranger can ask the unpickler for anything
        found = f"{type(error).__name__}: {shown(str(error))}"
        raise ValueError(
            f"{path} is not a state that this version of minibert can resume ({found}); resume "
            "with the version that wrote it, or begin a new run in another folder"
        ) from error


def check_same(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `ValueError` naming every setting in which a run differs from the one to be resumed."""
    differences = [
        f"{name} was {shown(then.get(name))} and is now {shown(now.get(name))}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if differences:
        raise ValueError(
            "this is not the run that was interrupted, so it cannot be resumed: "
            + "; ".join(differences)
            + ". Restore that, or begin a new run in another folder"
        )


def run_folder(output: str | Path) -> Path:
    """Where a program keeps its states while it makes the model folder `output`: `<output>.run`."""
    path = absolute(output)  # "mine/" and "." have a name, too
    return path.with_name(f"{path.name or 'root'}.run")


@contextmanager
def held_run_folder(output: str | Path, rank: int = 0) -> Iterator[Path]:
    """`run_folder(output)`, which is this program's alone inside the block; only rank 0 of several
    processes makes and locks it. Raises `BlockingIOError` if another program is at work there."""
    folder = run_folder(output)
    if rank:
        yield folder
        return
    folder = make_folder(folder)
    try:
        with only_writer(folder, ".program.lock"):
            yield folder
    finally:
        with suppress(OSError):  # it stays if a run has left states there
            folder.rmdir()


@contextmanager
def told_of_states(folder: Path) -> Iterator[None]:
    """A finished model that cannot be saved is not lost: the error says how to save it later."""
    try:
        yield
    except OSError as error:
        raise type(error)(
            f"{error}. The trained model is not lost: once that is mended, the same command with "
            f"--resume goes on from its state in {folder}"
        ) from error


def remove_run(folder: Path, *also: str) -> None:
    """Remove what a run left in its folder, and folders of its owner's by a pattern; the folder
    itself stays if something else is in it. What cannot be removed is logged."""
    for pattern in ("step-*.state", "step-*.damaged", ".unfinished.*", LOG):
        _remove_files(folder, pattern)
    for pattern in also:
        for path in folder.glob(pattern):
            try:
                shutil.rmtree(path)
            except OSError as error:
                logger.warning("%s could not be removed (%s)", path, error)
    with suppress(OSError):
        folder.rmdir()


def _remove_files(folder: Path, pattern: str) -> None:
    """Folders of such a name are not ours."""
    for path in folder.glob(pattern):
        if path.is_symlink() or not path.is_dir():
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s could not be removed (%s)", path, error)


def prepare_run_folder(folder: str | Path, resume: bool) -> Path:
    """Make the folder of a run, or raise the `OSError` or `ValueError` that would end the run
    later: it cannot be written, or has states of a run that nobody asked to resume."""
    folder = _writable(folder)
    if states(folder) and not resume:
        raise FileExistsError(
            f"{folder} has the states of an earlier run; resume it (resume=True, --resume), delete "
            "them, or give another folder"
        )
    return folder


@contextmanager
def held_for_run(folder: str | Path, resume: bool) -> Iterator[Path]:
    """The folder as `prepare_run_folder` leaves it, which is this run's alone inside the block.

    Raises its errors, and `BlockingIOError` if another run is at work there.
    """
    folder = _writable(folder)
    with only_writer(folder, ".run.lock"):
        yield prepare_run_folder(folder, resume)


def _writable(folder: str | Path) -> Path:
    try:
        folder = make_folder(folder)
        probe = folder / f".unfinished.{secrets.token_hex(4)}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        name = shown(str(folder))
        raise type(error)(f"{name} cannot hold the states of a run: {error}") from error
    return folder


class Log:
    """The run's log, opened to go on after `step` steps: what a run wrote after its last state is
    taken out, for those steps are made again. A log that cannot be written does not end a run, and
    a file of that name that is no log is kept, under another name."""

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / LOG
        unfinished = folder / f".unfinished.{secrets.token_hex(4)}"
        self.file: BinaryIO | None = None
        try:
            unfinished.write_text("".join(_kept_lines(path, step)), encoding="utf-8")
            flush(unfinished)
            unfinished.replace(path)
            # Unbuffered: what a full disk refused is not tried again when the file is closed.
            self.file = open(path, "ab", buffering=0)
        except OSError as error:
            logger.warning("%s cannot be written (%s); the run goes on without it", path, error)
            with suppress(OSError):
                unfinished.unlink()

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line. It has a "step"."""
        if self.file is not None:
            try:
                self.file.write(json.dumps(line).encode() + b"\n")
            except OSError as error:
                logger.warning("the log ends here: %s; the run goes on", error)
                self._close()

    def flush(self) -> None:
        """Bring what was written to the disk."""
        if self.file is not None:
            with suppress(OSError):
                os.fsync(self.file.fileno())

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def _kept_lines(path: Path, step: int) -> list[str]:
    """The whole lines of a log up to a step; a file that is no log is moved out of the way."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    steps = [_step(line) for line in lines]
    # A crash may have cut the last line.
    cut = bool(lines) and _FIRST.startswith(lines[-1][: len(_FIRST)])
    if None in (steps[:-1] if cut else steps):
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.damaged")
        path.rename(aside)
        logger.warning("%s is not the log of a run; it is now %s", path, aside.name)
    return [
        line.rstrip("\n") + "\n"
        for line, logged in zip(lines, steps, strict=True)
        if logged is not None and step and logged <= step
    ]


_FIRST = '{"step": '  # how each line begins


def _step(line: str) -> int | None:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None

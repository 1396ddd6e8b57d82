"""What a run needs to go on after a crash, and the folder that keeps it.

    run/step-00000500.3f9c2a81d0b4e657.state      the newest two, each whole or not there
    run/step-00001000.91be07c5a2d84f30.state
    run/log.jsonl                                 a line for each step and each evaluation

A state is written beside its place, flushed to the disk and renamed, so that no crash leaves half
of one. Its name carries the start of its SHA-256: a state that was damaged later is known by that,
and the one before it is taken.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch

from minibert._checks import shown
from minibert.checkpoint.files import sha256
from minibert.checkpoint.folders import flush

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
    """The newest state that is whole, and where it stood. Damaged ones are reported and skipped."""
    for leftover in folder.glob(".unfinished.*"):  # of a process that was killed while writing
        leftover.unlink(missing_ok=True)
    for path in states(folder):
        if path.name.split(".")[1] != sha256(path)[:16]:
            logger.warning("%s is damaged; looking for the state before it", path)
            with suppress(OSError):  # or it would count as one of the newest
                path.rename(path.with_suffix(".damaged"))
            continue
        return path, torch.load(path, map_location="cpu", weights_only=True)
    return None


def check_same(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `ValueError` naming every setting in which a run differs from the one to be resumed."""
    differences = [
        f"{name} was {then.get(name)!r} and is now {now.get(name)!r}"
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
    path = Path(os.path.abspath(output))  # "mine/" and "." have a name, too
    return path.with_name(f"{path.name}.run")


def remove_run(folder: Path, *also: str) -> None:
    """Remove what a run left in its folder, and folders of its owner's by a pattern; the folder
    itself stays if something else is in it."""
    for pattern in ("step-*.state", "step-*.damaged", ".unfinished.*", LOG):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for pattern in also:
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    with suppress(OSError):
        folder.rmdir()


def prepare_run_folder(folder: str | Path, resume: bool) -> Path:
    """Make the folder of a run, or raise the `OSError` or `ValueError` that would end the run
    later: it cannot be written, or has states of a run that nobody asked to resume."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".unfinished.{secrets.token_hex(4)}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        name = shown(str(folder)) if error.errno == errno.ENAMETOOLONG else folder
        raise OSError(f"{name} cannot hold the states of a run: {error.strerror}") from error
    if states(folder) and not resume:
        raise FileExistsError(
            f"{folder} has the states of an earlier run; resume it (resume=True, --resume), delete "
            "them, or give another folder"
        )
    return folder


class Log:
    """The run's log, opened to go on after `step` steps: what a run wrote after its last state is
    taken out, for those steps are made again. A log that cannot be written does not end a run."""

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / LOG
        kept = [line for logged, line in _lines(path) if step and logged <= step]
        unfinished = folder / f".unfinished.{secrets.token_hex(4)}"
        unfinished.write_text("".join(kept), encoding="utf-8")
        flush(unfinished)
        unfinished.replace(path)
        # Unbuffered: what a full disk refused is not tried again when the file is closed.
        self.file: BinaryIO | None = open(path, "ab", buffering=0)

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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The step and the text of each whole line of a log; a crash may have cut the last one."""
    if path.is_file():
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with suppress(json.JSONDecodeError, KeyError, TypeError):
                    yield int(json.loads(line)["step"]), line.rstrip("\n") + "\n"

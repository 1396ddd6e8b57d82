"""Writing a model folder, so that a crash never leaves half of one."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from minibert.checkpoint.files import CONFIG, SAFETENSORS, TOKENIZER_FILES, check_utf8
from minibert.checkpoint.places import (
    check_parent,
    destination,
    in_words,
    is_underfoot,
    make_folder,
)
from minibert.checkpoint.replacing import flush, put_in_place

# What a model folder may hold and still be replaced: the files of ours and of transformers.
_MODEL_FILES = (
    CONFIG,
    "*.safetensors",
    "*.safetensors.index.json",
    "*.bin",
    "*.bin.index.json",
    *TOKENIZER_FILES,
    "generation_config.json",
    "README.md",
    "learning_curve.png",
    "confusion.png",
    "calibration.png",
    "log.jsonl",
)
_LEFTOVER = re.compile(r"\.unfinished\.[0-9a-f]{8}")  # of `new_files` that were killed


@contextmanager
def new_model_folder(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, which becomes `path` when the block ends and all is on the disk.

    It is written beside its place, as `.<name>.<8 hexadecimal digits>`, flushed and renamed, so
    that `path` never holds half a model, or files of two that were written at once. A process that
    is killed leaves that folder behind; it is in nobody's way and may be deleted. If the last step
    fails, the new model stays there and the error says so: somebody else has made `path` meanwhile,
    for example.

    Raises the errors of `check_new_folder`, and `OSError` where it cannot be written.
    """
    path = check_new_folder(path, overwrite)
    with in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with _written(unfinished):
            yield unfinished
    try:
        check_new_folder(path, overwrite)  # again, for others may have been at work
        put_in_place(unfinished, path, overwrite)
    except OSError as error:
        raise type(error)(
            f"{path} could not be put in place ({error}); the new model is whole, in {unfinished}"
        ) from error


@contextmanager
def new_files(folder: str | Path) -> Iterator[Path]:
    """A folder to write files into, which take their places in `folder` when the block ends.

    In a folder that is there each file replaces its namesake, whole or not at all, and a process
    that is killed leaves `.unfinished.<8 hexadecimal digits>` there, which may be deleted; a new
    folder appears with all of its files. Raises `OSError` where they cannot be written.
    """
    path = destination(folder)
    if not path.exists():
        with new_model_folder(path) as unfinished:
            yield unfinished
        return
    path = make_folder(path)
    with in_words(path):
        unfinished = path / f".unfinished.{secrets.token_hex(4)}"
        with _written(unfinished):
            yield unfinished
        try:
            files = sorted(unfinished.iterdir())
            for file in files:  # before any of them is put in place
                if (path / file.name).is_dir():
                    raise IsADirectoryError(f"{path / file.name} is a folder; remove or rename it")
            for file in files:
                file.replace(path / file.name)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        flush(path)


def check_new_folder(path: str | Path, overwrite: bool = False) -> Path:
    """Where `new_model_folder` will write; to be asked before long work.

    Raises `ValueError` for what is no path, and an `OSError` where no folder can be made. Raises
    `FileExistsError` for a folder that is there, unless it is empty, or is a model folder and
    `overwrite` is true; and always for one that this process stands in, for it would be replaced by
    another, and for a mount point, which cannot be.
    """
    path = destination(path)
    check_utf8(path)
    with in_words(path):
        check_parent(path)
        if path.exists():
            _check_replaceable(path, overwrite)
    return path


def _check_replaceable(path: Path, overwrite: bool) -> None:
    if path.is_mount():
        raise FileExistsError(f"{path} is a mount point; give a folder inside it")
    if is_underfoot(path):
        raise FileExistsError(
            f"{path} is the folder this program runs in, or one around it, and cannot be replaced "
            f"from inside; give a new folder in it, {path / 'model'} for example, or run the "
            "program from another folder"
        )
    if path.is_dir() and not any(path.iterdir()):
        return
    if not path.is_dir() or not (path / CONFIG).is_file():
        raise FileExistsError(f"{path} exists and is not a model folder; choose another name")
    if not overwrite:
        raise FileExistsError(
            f"{path} exists; choose another name, or overwrite it (overwrite=True, --overwrite)"
        )
    for entry in path.iterdir():
        expected = any(entry.match(pattern) for pattern in _MODEL_FILES) and not entry.is_dir()
        if not expected and not _LEFTOVER.fullmatch(entry.name):
            raise FileExistsError(
                f"{path} holds {entry.name}, which is not part of a model, so it is not "
                "overwritten; choose another name"
            )


def write_weights(tensors: dict[str, Tensor], folder: Path) -> None:
    """Write `model.safetensors`. Raises `OSError` where it cannot be written."""
    path = folder / SAFETENSORS
    path.touch()
    mode = path.stat().st_mode  # what new files here may be read by
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}; is the disk full?") from error
    path.chmod(mode)  # safetensors writes for the owner alone


@contextmanager
def _written(unfinished: Path) -> Iterator[None]:
    """A folder that is made, written inside the block and flushed, or removed after an error."""
    unfinished.mkdir()
    try:
        yield
        for file in [*unfinished.rglob("*"), unfinished]:
            flush(file)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise

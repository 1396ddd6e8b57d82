"""Writing a model folder, so that a crash never leaves half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from minibert.checkpoint.files import CONFIG, SAFETENSORS, TOKENIZER_FILES

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
    "log.jsonl",
)


@contextlib.contextmanager
def new_model_folder(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, which becomes `path` when the block ends and all is on the disk.

    It is written beside its place, flushed and renamed, so that `path` never holds half a model. If
    the last step fails, the new model stays where it is and the error says where.
    Raises `FileExistsError` if `path` exists, unless it is empty, or is a model folder and
    `overwrite` is true.
    """
    path = Path(path).resolve()  # a link stays a link to the new model
    check_new_folder(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    unfinished.mkdir()
    try:
        yield unfinished
        for file in [*unfinished.rglob("*"), unfinished]:
            flush(file)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    old = unfinished.with_name(f"{unfinished.name}.old")
    try:
        if path.exists():
            path.rename(old)
        unfinished.rename(path)
    except OSError as error:
        if old.exists() and not path.exists():
            old.rename(path)
        raise OSError(
            f"{path} could not be put in place; it was written to {unfinished}"
        ) from error
    flush(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def check_new_folder(path: str | Path, overwrite: bool = False) -> None:
    """Raise the `OSError` that `new_model_folder` would; to be asked before long work."""
    path = Path(path).resolve()
    parent = next((folder for folder in path.parents if folder.exists()), path)
    if not parent.is_dir():
        raise NotADirectoryError(f"{path} cannot be made: {parent} is a file")
    if not os.access(parent, os.W_OK):
        raise PermissionError(f"{path} cannot be made: there is no permission to write in {parent}")
    if not path.exists():
        return
    if os.path.ismount(path):
        raise FileExistsError(f"{path} is a mount point; give a folder inside it")
    if path.is_dir() and not any(path.iterdir()):
        return
    if not path.is_dir() or not (path / CONFIG).is_file():
        raise FileExistsError(f"{path} exists and is not a model folder; choose another name")
    if not overwrite:
        raise FileExistsError(
            f"{path} exists; choose another name, or overwrite it (overwrite=True, --overwrite)"
        )
    for entry in path.iterdir():
        if entry.is_dir() or not any(entry.match(pattern) for pattern in _MODEL_FILES):
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


def flush(path: Path) -> None:
    """fsync a file or folder, so that the rename cannot reach the disk before the contents."""
    if path.is_dir():
        # Windows and some network file systems cannot; then the rename is as safe as they make it.
        with contextlib.suppress(OSError):
            _fsync(path, os.O_RDONLY)
    else:
        _fsync(path, os.O_RDWR)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Model folders as Hugging Face lays them out: `config.json`, the weights, the tokenizer's files.

Reads the weights without running code from a file, and writes folders so that a crash never leaves
half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from minibert.config import BertConfig

CONFIG, SAFETENSORS, PICKLE = "config.json", "model.safetensors", "pytorch_model.bin"
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"),
    "added_tokens.json",
)
# The hub's cache holds files once: as long as one is there, it is not fetched again.
_AGAIN = "fetch it again; if it came from the hub, delete the model from the hub's cache first"


def read_json(path: Path, kind: type = dict) -> Any:
    """A JSON object (dict) or array (list) from a file, with the file's name in every error."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, kind):
        raise ValueError(f"{path} holds a {type(data).__name__}; it must be a {kind.__name__}")
    return data


def read_config(folder: Path) -> BertConfig:
    """The config of a model folder."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}, so it is not a model folder")
    try:
        return BertConfig.from_dict(read_json(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder, under the file's names, mapped from disk and not yet copied.

    safetensors is preferred. A pickle is opened with `weights_only=True`, which builds tensors and
    refuses to run code. Shards are found through their index.
    """
    for name, read in ((SAFETENSORS, _read_safetensors), (PICKLE, _read_pickle)):
        if (folder / name).is_file():
            _check_content(folder / name)
            return read(folder / name)
        index = folder / f"{name}.index.json"
        if index.is_file():
            return {key: tensor for file in _shards(index) for key, tensor in read(file).items()}
    raise FileNotFoundError(f"{folder} has no weights: neither {SAFETENSORS} nor {PICKLE}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_content(path: Path) -> None:
    """Raise `ValueError` for the few lines that git has in place of a large file."""
    with open(path, "rb") as file:
        if file.read(20) == b"version https://git-":
            raise ValueError(f"{path} is only git-lfs's pointer to the file; run  git lfs pull")


def _shards(index: Path) -> list[Path]:
    """The files that an index names, all of them there and beside it."""
    where = read_json(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise ValueError(f"{index} has no weight_map from tensors to files")
    for file in where.values():
        if not isinstance(file, str) or Path(file).name != file:
            raise ValueError(f"{index} names {file!r}, which is not a file of its folder")
        if not (index.parent / file).is_file():
            raise FileNotFoundError(f"{index} names {file}, which is not there; fetch it as well")
    return [index.parent / file for file in sorted(set(where.values()))]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); {_AGAIN}") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with open(path, "rb") as file:
            is_zip = file.read(2) == b"PK"  # only the format of torch >= 1.6 can be mapped
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} is damaged, or asks to run code while it is read, which minibert does not "
            "allow; use a safetensors file of the same model"
        ) from error
    except Exception as error:  # damaged bytes can ask the unpickler for anything
        raise ValueError(f"{path} is damaged or cut short ({error!r}); {_AGAIN}") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        keys = f": it has the keys {', '.join(map(str, state))}"[:200] if state else ""
        raise ValueError(f"{path} does not hold a state dict, names and tensors{keys}")
    return state


# --- writing -------------------------------------------------------------------------------------


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


# What a model folder may hold and still be replaced: the files of ours and of transformers.
_MODEL_FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json"),
    *TOKENIZER_FILES,
    *("generation_config.json", "README.md", "learning_curve.png", "log.jsonl"),
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

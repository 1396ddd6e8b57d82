"""The files of a model as Hugging Face lays them out: `config.json` and the weights.

Reads them without running code from a file; an error names the file and what to do.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minibert.checkpoint.schema import in_file

CONFIG, SAFETENSORS, PICKLE = "config.json", "model.safetensors", "pytorch_model.bin"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
# The hub's cache holds files once: as long as one is there, it is not fetched again.
_AGAIN = "fetch it again; if it came from the hub, delete the model from the hub's cache first"

T = TypeVar("T")


def read_json(path: Path, kind: type = dict) -> Any:
    """A JSON object (dict) or array (list) from a file, with the file's name in every error."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, kind):
        raise ValueError(f"{path} holds a {type(data).__name__}; it must be a {kind.__name__}")
    return data


def json_or_empty(path: Path) -> dict[str, Any]:
    """The JSON object of a file, or an empty one if there is no such file."""
    return read_json(path) if path.is_file() else {}


def read_config(folder: Path, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """What `parse` makes of a model folder's config.json: `BertConfig.from_dict`, for example."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {CONFIG}, so it is not a model folder")
    data = read_json(path)
    with in_file(path):
        return parse(data)


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

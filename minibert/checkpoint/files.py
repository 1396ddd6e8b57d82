"""The files of a model as Hugging Face lays them out: `config.json` and the weights.

Reads them without running code from a file; an error names the file and what to do.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from minibert._checks import shown
from minibert.checkpoint.json_text import parse_json
from minibert.checkpoint.schema import LIST, OBJECT, TEXT, get, in_file, mapping_of

CONFIG, SAFETENSORS, PICKLE = "config.json", "model.safetensors", "pytorch_model.bin"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "special_tokens_map.json",
    "added_tokens.json",
)
# The hub's cache holds files once: as long as one is there, it is not fetched again.
_AGAIN = "fetch it again; if it came from the hub, delete the model from the hub's cache first"

T = TypeVar("T")


def read_json(path: Path, kind: type = dict) -> Any:
    """A JSON object (dict) or array (list) from a file, with the file's name in every error."""
    rule = OBJECT if kind is dict else LIST
    with in_file(path):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"it is not JSON, which is in UTF-8: {error}") from error
        return rule.check("its content", parse_json(text))


def is_there(path: Path) -> bool:
    """Whether a file of this name exists. Raises `OSError` if something else has its name."""
    if os.path.isfile(path):
        return True
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; there must be a file of this name")
    if os.path.lexists(path):
        raise FileNotFoundError(f"{path} is a link that leads to no file; fetch the file again")
    return False


def json_or_empty(path: Path) -> dict[str, Any]:
    """The JSON object of a file, or an empty one if there is no such file."""
    return read_json(path) if is_there(path) else {}


def read_config(folder: Path, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """What `parse` makes of a model folder's config.json: `BertConfig.from_dict`, for example."""
    path = folder / CONFIG
    if not is_there(path):
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
        if is_there(folder / name):
            _check_content(folder / name)
            return read(folder / name)
        index = folder / f"{name}.index.json"
        if is_there(index):
            return _together({file: read(file) for file in _shards(index)})
    raise FileNotFoundError(f"{folder} has no weights: neither {SAFETENSORS} nor {PICKLE}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_utf8(path: Path) -> None:
    """Raise `ValueError` for a place that safetensors could not open."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{shown(str(path))} is not UTF-8, and safetensors opens no other files; rename the "
            "folder, or give another one"
        ) from error


def _check_content(path: Path) -> None:
    """Raise `ValueError` for the few lines that git has in place of a large file."""
    with open(path, "rb") as file:
        if file.read(20) == b"version https://git-":
            raise ValueError(f"{path} is only git-lfs's pointer to the file; run  git lfs pull")


def _shards(index: Path) -> list[Path]:
    """The files that an index names, all of them there and beside it."""
    data = read_json(index)
    with in_file(index):
        where = get(data, "weight_map", mapping_of(TEXT), {})
        if not where:
            raise ValueError("it has no weight_map from tensors to files")
        files = sorted(set(where.values()))
        for file in files:
            if Path(file).name != file or file == "..":
                raise ValueError(f"it names {shown(file)}, which is not a file of its folder")
    for file in files:
        if not os.path.isfile(index.parent / file):
            raise FileNotFoundError(
                f"{index} names {shown(file)}, which is not there; fetch it as well"
            )
        _check_content(index.parent / file)
    return [index.parent / file for file in files]


def _together(shards: Mapping[Path, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of all shards. Raises `ValueError` if two have one of the same name."""
    found: dict[str, Path] = {}
    for file, tensors in shards.items():
        for name in tensors:
            if name in found:
                raise ValueError(
                    f"{file} and {found[name].name} both hold {shown(name)}; keep the one that "
                    "belongs to the model"
                )
            found[name] = file
    return {name: tensor for tensors in shards.values() for name, tensor in tensors.items()}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    check_utf8(path)
    try:
        # Old versions of safetensors make tensors on PyTorch's default device.
        with torch.device("cpu"), safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); {_AGAIN}") from error
    except OSError as error:
        raise OSError(f"{path} could not be read: {error}") from error
    with open(path, "rb") as binary, in_file(path):
        header = binary.read(int.from_bytes(binary.read(8), "little"))
        parse_json(header.decode("utf-8"))  # above, the last of two equal names has won
    return tensors


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
        raise ValueError(f"{path} is damaged or cut short ({shown(error)}); {_AGAIN}") from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        keys = " ".join(", ".join(map(str, list(state)[:10])).split())[:200] if state else "none"
        raise ValueError(
            f"{path} does not hold a state dict, names and tensors: it has the keys {keys}"
        )
    return state

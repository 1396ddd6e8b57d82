"""Vocabulary: what the tokenizer's files say, in one plain object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minibert._checks import shown
from minibert.checkpoint.files import json_or_empty
from minibert.checkpoint.schema import SWITCH, TEXT, Rule, get, in_file, optional, whole
from minibert.text.added import ID, TOKEN, check_none_overlooked, content, sort_added
from minibert.text.kind import (
    TOKENIZER_CONFIG,
    check_kind,
    check_never_split,
    check_taken_whole,
)
from minibert.text.reading import read_source

# The special tokens that BERT gives a role, by the names of the fields that hold them.
ROLES = (
    "cls_token",
    "sep_token",
    "pad_token",
    "unk_token",
    "mask_token",
)

_NO_LIMIT = 1_000_000  # a longest row above it means that there is none; transformers writes 1e30
_LENGTH = optional(
    Rule(
        lambda value: type(value) in (int, float) and value >= 1 and value == int(value),
        "a whole number of at least 1",
    )
)

_TABLE = Rule(lambda value: isinstance(value, Mapping), "a mapping of tokens to their ids")
_RULES = {
    **dict.fromkeys(("ids", "special", "added"), _TABLE),
    **dict.fromkeys(("lower_case", "split_cjk"), SWITCH),
    **dict.fromkeys(ROLES, TEXT),
    "strip_accents": optional(SWITCH),
    "model_max_length": optional(whole(least=1)),
}


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their ids, and the settings of the text that precedes them.

    ids: every token of the model. special: tokens recognised as they are inside a text, with their
    ids; the five of `ROLES` are among them. added: words added later, with their ids, recognised in
    the normalised text and taken whole. lower_case, strip_accents, split_cjk: as for `WordPiece`.
    model_max_length: the most tokens of a row that the model takes, where the files say so.

    Each token has one id and each id one token; `ValueError` names those of which that is not true.
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

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            rule.check(name, getattr(self, name))
        check_ids(self.ids, self.special, self.added)
        for role in ROLES:
            if getattr(self, role) not in self.special:
                raise ValueError(
                    f"its special tokens lack {shown(getattr(self, role))}, which is its {role}"
                )

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
        rebuilt = check_kind(folder, config)
        with in_file(folder / TOKENIZER_CONFIG):
            roles: dict[str, Any] = {
                role: content(get(config, role, optional(TOKEN)) or getattr(cls, role))
                for role in ROLES
            }
            longest = get(config, "model_max_length", _LENGTH)
        source = read_source(folder, config, rebuilt, roles.values())
        with in_file(source.path):
            for role, token in roles.items():
                if token not in source.ids:
                    raise ValueError(f"it has no token {shown(token)}, which is its {role}")
            special, added = sort_added(source.added)
            special = {**{token: source.ids[token] for token in roles.values()}, **special}
            vocabulary = cls(
                ids=source.ids,
                special=special,
                added=added,
                model_max_length=int(longest) if longest and longest <= _NO_LIMIT else None,
                **source.settings,
                **roles,
            )
            if source.whole is not None:
                cls_, sep = (
                    (token, special[token])
                    for token in (vocabulary.cls_token, vocabulary.sep_token)
                )
                check_taken_whole(source.whole, vocabulary.unk_token, cls_, sep)
        with in_file(folder / TOKENIZER_CONFIG):
            check_never_split(config, special)
        check_none_overlooked(folder, config, {**special, **added}, roles)
        return vocabulary


def check_ids(*tables: Mapping[str, int]) -> None:
    """Raise `ValueError` unless these tables together give each token one id and each id one token.

    A token may stand in several tables.
    """
    ids: dict[str, int] = {}
    tokens: dict[int, str] = {}
    for table in tables:
        for token, i in table.items():
            if not (TEXT.holds(token) and ID.holds(i)):  # the names cost more than the rules
                TEXT.check("a token", token)
                ID.check(f"the id of the token {shown(token)}", i)
            if ids.setdefault(token, i) != i:
                raise ValueError(
                    f"the token {shown(token)} has two ids, {ids[token]} and {i}; keep the right "
                    "one"
                )
            if tokens.setdefault(i, token) != token:
                raise ValueError(
                    f"the tokens {shown(tokens[i])} and {shown(token)} have the same id, {i}; each "
                    "needs its own"
                )

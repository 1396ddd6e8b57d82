"""Tokens that were added to a vocabulary later: found or refused, never overlooked.

An overlooked one would be cut into pieces that the model has never seen in its place. Files of
several kinds and ages name them: tokenizer.json, tokenizer_config.json, special_tokens_map.json and
added_tokens.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minibert._checks import enumerated, shown
from minibert.checkpoint.files import json_or_empty
from minibert.checkpoint.schema import (
    LIST,
    OBJECT,
    SWITCH,
    TEXT,
    Rule,
    get,
    in_file,
    mapping_of,
    need,
    optional,
    whole,
)
from minibert.text.kind import TOKENIZER_CONFIG

FLAGS = ("lstrip", "rstrip", "single_word")
_EXTRA = ("additional_special_tokens", "extra_special_tokens")
# Each id has its row in the table of embeddings, and memory is taken up to the highest.
ID = whole(most=2**24 - 1)
_NAME = Rule(lambda value: value != "" and TEXT.holds(value), "a string that is not empty")
TOKEN = Rule(
    lambda value: _NAME.holds(value.get("content") if isinstance(value, dict) else value),
    "a string that is not empty, or an object with it as its content",
)
_TOKENS = Rule(
    lambda value: (
        isinstance(value, dict | list)
        and all(map(TOKEN.holds, value.values() if isinstance(value, dict) else value))
    ),
    "a list of tokens, or an object with tokens as its values",
)


class Added(NamedTuple):
    """A token that was added. normalized: it is looked for in the normalised text. flags: those
    of `FLAGS` that are set; with lstrip it takes the spaces before it along, with rstrip those
    behind it, and with single_word it is found as a whole word only."""

    content: str
    id: int
    special: bool
    normalized: bool
    flags: tuple[str, ...] = ()


def content(token: str | Mapping[str, Any]) -> str:
    """A special token's text; some files wrap it in an object."""
    return token if isinstance(token, str) else token["content"]


def read_entries(data: Mapping[str, Any]) -> list[Added]:
    """The tokens that a tokenizer.json adds."""
    entries = get(data, "added_tokens", optional(LIST)) or []
    return [_read_entry(f"added_tokens[{n}]", entry) for n, entry in enumerate(entries)]


def read_decoder(config: Mapping[str, Any]) -> list[Added]:
    """The tokens that a tokenizer_config.json adds; its keys are their ids."""
    entries = get(config, "added_tokens_decoder", optional(OBJECT)) or {}
    return [
        _read_entry(f"added_tokens_decoder[{shown(key)}]", entry, _id_of(key))
        for key, entry in entries.items()
    ]


def _read_entry(name: str, entry: Any, i: int | None = None) -> Added:
    """One of them; i: its id, where it stands beside it.

    Raises `ValueError` for one of the wrong shape.
    """
    OBJECT.check(name, entry)
    try:
        token = need(entry, "content", _NAME)
        i = need(entry, "id", ID) if i is None else i
        special = get(entry, "special", SWITCH, False)
        normalized = get(entry, "normalized", SWITCH, not special)
        flags = tuple(key for key in FLAGS if get(entry, key, SWITCH, False))
    except ValueError as error:
        raise ValueError(f"in {name}, {error}") from error
    return Added(token, i, special, normalized, flags)


def check_plain(added: Iterable[Added]) -> None:
    """Raise `ValueError` for a token whose flags ask for rules that WordPiece in Python lacks."""
    for token in added:
        if token.flags or token.normalized == token.special:
            raise ValueError(
                f"it adds the token {shown(token.content)} with "
                f"{', '.join(token.flags) or 'special and normalized alike'}; minibert takes "
                "special tokens that are not normalized and other tokens that are"
            )


def check_no_other_flag(added: Iterable[Added], allowed: str) -> None:
    """Raise `ValueError` for a token with another flag than this one."""
    for token in added:
        odd = [flag for flag in token.flags if flag != allowed]
        if odd:
            raise ValueError(
                f"it adds the token {shown(token.content)} with {', '.join(odd)}; minibert takes "
                f"no flag but {allowed} in a byte-level BPE"
            )


def _id_of(key: str) -> int:
    # isdecimal holds for the digits of other scripts, too.
    i = int(key) if key.isascii() and key.isdecimal() and len(key) <= 10 else None
    if not ID.holds(i):
        raise ValueError(
            f"added_tokens_decoder has the key {shown(key)}; it must be an id, {ID.allowed}"
        )
    return i  # type: ignore[return-value]  # the rule excludes None


def sort_added(added: Iterable[Added]) -> tuple[dict[str, int], dict[str, int]]:
    """The added tokens with their ids: (special tokens, words)."""
    special: dict[str, int] = {}
    words: dict[str, int] = {}
    for token in added:
        if token.content in special or token.content in words:
            raise ValueError(f"it adds the token {shown(token.content)} twice; keep the right one")
        (special if token.special else words)[token.content] = token.id
    return special, words


def check_none_overlooked(
    folder: Path, config: Mapping[str, Any], known: Mapping[str, int], roles: Mapping[str, str]
) -> None:
    """Raise `ValueError` if other files or keys add tokens that are not known, or not as these.

    known: the tokens that are matched whole, with their ids. roles: the tokens of the roles.
    """
    path, older = folder / "special_tokens_map.json", folder / "added_tokens.json"
    named = json_or_empty(path)
    found: list[Any] = []
    for source, data in ((path, named), (folder / TOKENIZER_CONFIG, config)):
        with in_file(source):
            found += _named(data)
    with in_file(path):
        for role, token in roles.items():
            stated = get(named, role, optional(TOKEN))
            if stated is not None and content(stated) != token:
                raise ValueError(
                    f"{role} is {shown(content(stated))}, and {TOKENIZER_CONFIG} has "
                    f"{shown(token)}; one of the two must be mended"
                )
    additions = json_or_empty(older)
    with in_file(older):
        mapping_of(ID).check("its content", additions)
        for token, i in additions.items():
            if known.get(token, i) != i:
                raise ValueError(
                    f"the token {shown(token)} has two ids, {i} and, in another file, "
                    f"{known[token]}; keep the right one"
                )
    overlooked = sorted({*map(content, found), *additions} - known.keys())
    if overlooked:
        some = enumerated([shown(token) for token in overlooked], 6)
        raise ValueError(
            f"{folder} adds the tokens {some} in files of an older kind; open it "
            "with transformers.AutoTokenizer and save_pretrained it, which writes a "
            "tokenizer.json that has them"
        )


def _named(data: Mapping[str, Any]) -> Iterable[Any]:
    """The special tokens that the keys of a file name."""
    for key, value in data.items():
        # A switch such as add_bos_token is not a token.
        if key.endswith("_token") and not isinstance(value, bool) and value is not None:
            yield TOKEN.check(key, value)
    for key in _EXTRA:
        tokens = get(data, key, optional(_TOKENS)) or []
        yield from tokens.values() if isinstance(tokens, Mapping) else tokens

"""Reading Unigram, the tokenizer of XLM-R, CamemBERT and ALBERT: a tokenizer.json.

Unigram keeps pieces with the logarithms of their probabilities and cuts a word into the likeliest
pieces (Kudo 2018, arXiv 1804.10959). It is cut by Rust only: its one new idea over WordPiece is the
Viterbi algorithm, and the rest is a table of normalisations in a binary format of its own.

The classes of transformers take the pieces, the table and the added tokens of a tokenizer.json, and
make all else anew; so does this. Other tokenizers are taken as they are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from minibert._checks import shown, warn
from minibert.checkpoint.schema import (
    LIST,
    OBJECT,
    SWITCH,
    TEXT,
    Rule,
    get,
    in_file,
    need,
    optional,
    whole,
)
from minibert.text.added import FLAGS, TOKEN, Added, content, read_entries
from minibert.text.frame import Frame, read_frame
from minibert.text.kind import TOKENIZER_CONFIG, Files
from minibert.text.source import Source, added_by_both

# What transformers' classes ask tokenizer_config.json for, with what they take where it is silent.
_DEFAULTS = {
    "XLMRobertaTokenizer": {"add_prefix_space": True},
    "CamembertTokenizer": {"add_prefix_space": True},
    "AlbertTokenizer": {"add_prefix_space": True, "do_lower_case": True, "keep_accents": False},
}
# The id of the unknown piece that they have built in.
_UNKNOWN = {"XLMRobertaTokenizer": 3, "AlbertTokenizer": 1}
# The normalizers of published files that they make anew, or whose work the table does as well.
_NORMALIZERS = {"Precompiled", "Replace", "Strip"}
_ALBERTS_NORMALIZERS = _NORMALIZERS | {"NFKD", "StripAccents", "Lowercase"}
_UNUSED = ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED")  # special tokens of CamembertTokenizer
_AS_IT_IS = (
    'put {"tokenizer_class": "PreTrainedTokenizerFast"} into tokenizer_config.json to have the '
    "file taken as it is"
)


def _is_table(value: Any) -> bool:
    """In base64, the length of a trie, the trie, and the texts that it points to. The library would
    not refuse another, but end the program."""
    try:
        data = base64.b64decode(value, validate=True)
        size = int.from_bytes(data[:4], "little")
        data[4 + size :].decode("utf-8")
    except (TypeError, ValueError):
        return False
    return size > 0 and size % 4 == 0 and 4 + size <= len(data)


_TABLE = Rule(_is_table, "a table of normalisations in base64")


def read_unigram(files: Files, added: list[Added], roles: Mapping[str, str]) -> Source:
    """The vocabulary of a folder; see `Reader`."""
    assert files.whole is not None
    data, name = files.whole, files.tokenizer_class
    settings = {}
    if name is not None:
        with in_file(files.folder / TOKENIZER_CONFIG):
            settings = {k: get(files.config, k, SWITCH, v) for k, v in _DEFAULTS[name].items()}
            _check_ends(files.config, roles)
    with in_file(files.path):
        own, ids = read_entries(data), _ids(data["model"])
        added = added_by_both(files, own, added, ids, roles)
        source = Source(ids, _with_named(added, ids, roles, files), {"settings": settings})
        _check_unknown(data["model"]["unk_id"], source.role(roles, "unk_token"), name)
        frame = _frame(data, source, roles, name)
        if name is None:
            parts = {key: data.get(key) for key in ("normalizer", "pre_tokenizer", "decoder")}
        else:
            parts = _parts(data, name, settings)
        pipeline = {**parts, "model": dict(data["model"])}
        _check_opens(pipeline)
    source.fields.update(
        pipeline=pipeline,
        rules_of_added=[_rules(token) for token in source.added],
        separators=frame.separators,
        segments=frame.segments,
    )
    return source


def _with_named(
    added: list[Added], ids: Mapping[str, int], roles: Mapping[str, str], files: Files
) -> list[Added]:
    """The added tokens, and those that are special without being among them."""
    special = set(roles.values())
    stated = {*files.config} & {"additional_special_tokens", "extra_special_tokens"}
    if files.tokenizer_class == "CamembertTokenizer" and not stated:
        special |= {*_UNUSED}
    there = {token.content for token in added}
    found = [token._replace(special=token.special or token.content in special) for token in added]
    return found + [Added(t, ids[t], True, False) for t in sorted(special - there) if t in ids]


def _rules(token: Added) -> dict[str, Any]:
    flags = {flag: flag in token.flags for flag in FLAGS}
    return {
        "content": token.content,
        "special": token.special,
        "normalized": token.normalized,
        **flags,
    }


def _frame(
    data: Mapping[str, Any], source: Source, roles: Mapping[str, str], name: str | None
) -> Frame:
    """That of the file, or of a class of transformers that has its own."""
    cls, sep = source.role(roles, "cls_token"), source.role(roles, "sep_token")
    albert = name == "AlbertTokenizer"
    if name is None or (albert and data.get("post_processor") is not None):
        return read_frame(data.get("post_processor"), cls, sep)
    return Frame(separators=1, segments=2) if albert else Frame(separators=2, segments=1)


def _check_unknown(unk_id: int, unknown: tuple[str, int], name: str | None) -> None:
    built_in = _UNKNOWN.get(name or "", unk_id)
    if not unk_id == unknown[1] == built_in:
        raise ValueError(
            f"its model has unk_id {unk_id}, the unk_token beside it is {shown(unknown[0])} with "
            f"id {unknown[1]}, and {name or 'the model'} takes {built_in}; these must be the same"
        )


def _ids(model: Mapping[str, Any]) -> dict[str, int]:
    """The pieces with their ids, which are their places in the list."""
    ids: dict[str, int] = {}
    for i, piece in enumerate(need(model, "vocab", LIST)):
        if not (
            isinstance(piece, list)
            and len(piece) == 2
            and isinstance(piece[0], str)
            and type(piece[1]) in (int, float)
        ):
            raise ValueError(f"its piece {i} is {shown(piece)}; it must be a token and a number")
        if ids.setdefault(piece[0], i) != i:
            raise ValueError(
                f"the token {shown(piece[0])} has two ids, {ids[piece[0]]} and {i}; keep the right "
                "one"
            )
    unk_id = need(model, "unk_id", whole())
    if unk_id >= len(ids):
        raise ValueError(f"unk_id is {unk_id}, and the vocabulary has {len(ids)} pieces")
    return ids


def _check_ends(config: Mapping[str, Any], roles: Mapping[str, str]) -> None:
    """transformers frames some of these by bos_token and eos_token, which must be the same."""
    for key, role in (("bos_token", "cls_token"), ("eos_token", "sep_token")):
        stated = get(config, key, optional(TOKEN))
        if stated is not None and content(stated) != roles[role]:
            raise ValueError(
                f"{key} is {shown(content(stated))} and {role} is {shown(roles[role])}; rows would "
                "begin and end with either, depending on who reads them; make them the same"
            )


def _parts(data: Mapping[str, Any], name: str, settings: Mapping[str, bool]) -> dict[str, Any]:
    """normalizer, pre_tokenizer and decoder as the class of transformers makes them."""
    found = list(_normalizers(data))
    types = {normalizer.get("type") for normalizer in found}
    odd = types - (_ALBERTS_NORMALIZERS if name == "AlbertTokenizer" else _NORMALIZERS)
    if odd or data["model"].get("byte_fallback"):
        what = f"the normalizer {shown(min(map(str, odd)))}" if odd else "byte_fallback"
        raise ValueError(f"it has {what}, and {name} in transformers drops it; {_AS_IT_IS}")
    table = [part for part in found if part["type"] == "Precompiled"][:1]
    steps: list[Any] = list(table)
    if name == "AlbertTokenizer":
        _warn_of_other_letters(types, settings)
        accents = [] if settings["keep_accents"] else [{"type": "NFKD"}, {"type": "StripAccents"}]
        case = [{"type": "Lowercase"}] if settings["do_lower_case"] else []
        quotes = [
            {"type": "Replace", "pattern": {"String": quote}, "content": '"'}
            for quote in ("``", "''")
        ]
        steps = [*quotes, *accents, *case, *table]
    spaces = {
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": "always" if settings["add_prefix_space"] else "never",
        "split": True,
    }
    splitters = [{"type": "WhitespaceSplit"}, spaces]
    return {
        "normalizer": {"type": "Sequence", "normalizers": steps} if steps else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splitters},
        "decoder": spaces,
    }


def _normalizers(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    normalizer = get(data, "normalizer", optional(OBJECT))
    if normalizer is None:
        return
    several = normalizer.get("type") == "Sequence"
    for part in need(normalizer, "normalizers", LIST) if several else [normalizer]:
        OBJECT.check("a normalizer", part)
        if need(part, "type", TEXT) == "Precompiled":
            _TABLE.check("precompiled_charsmap", part.get("precompiled_charsmap"))
        yield part


def _warn_of_other_letters(types: set[Any], settings: Mapping[str, bool]) -> None:
    for key, does in (
        ("do_lower_case", "Lowercase" in types),
        ("keep_accents", "StripAccents" not in types),
    ):
        if settings[key] != does:
            warn(
                f"tokenizer.json and {TOKENIZER_CONFIG} beside it disagree: {key} is "
                f"{settings[key]} in the latter, or by its silence; it is followed, as "
                "transformers does"
            )


def _check_opens(pipeline: Mapping[str, Any]) -> None:
    """Raise `ValueError` for parts that the Rust library refuses; tried with a single piece."""
    from tokenizers import Tokenizer

    list(_normalizers(pipeline))
    model = {**pipeline["model"], "vocab": [["a", 0.0]], "unk_id": 0}
    try:
        Tokenizer.from_str(json.dumps({**pipeline, "model": model}))
    except Exception as error:
        raise ValueError(f"the tokenizers library refuses it: {shown(str(error))}") from error

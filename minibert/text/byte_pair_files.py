"""Reading byte-level BPE: a tokenizer.json, or GPT-2's vocab.json with merges.txt.

transformers' RobertaTokenizer takes vocabulary, merges and added tokens of a tokenizer.json and
makes all else anew, as tokenizer_config.json has it; so does this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minibert._checks import shown, warn
from minibert.checkpoint.files import read_json
from minibert.checkpoint.schema import LIST, OBJECT, SWITCH, get, in_file, need, optional
from minibert.text.added import Added, check_no_other_flag, read_entries
from minibert.text.byte_pairs import LETTERS
from minibert.text.frame import read_frame
from minibert.text.kind import INSTEAD, MERGES, TOKENIZER_CONFIG, Files
from minibert.text.source import Source, added_by_both

# What a model of this kind may have, beside its vocabulary and merges.
_MODEL: dict[str, tuple[Any, ...]] = {
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}
_DEFAULTS = {"add_prefix_space": False, "trim_offsets": True}


def read_byte_pairs(files: Files, added: list[Added], roles: Mapping[str, str]) -> Source:
    """The vocabulary of a folder; see `Reader`."""
    with in_file(files.folder / TOKENIZER_CONFIG):
        check_no_other_flag(added, "lstrip")
        settings = {key: get(files.config, key, SWITCH, _DEFAULTS[key]) for key in _DEFAULTS}
    if files.whole is None:
        merges_path = files.folder / MERGES
        fields = {"merges": _read_merges(merges_path), **settings}
        source = Source(read_json(files.path), added, fields)
        # transformers 5 puts the space before <mask> into a token of its own here, if no file says
        # otherwise; transformers 4 never did, nor did RoBERTa's pre-training.
        left_space = {roles["mask_token"]}
    else:
        source = _read_tokenizer_json(files, files.whole, added, settings, roles)
        left_space = set()
    named = {token.content for token in source.added}
    left_space = {t for t in left_space if t not in named}
    left_space |= {token.content for token in source.added if "lstrip" in token.flags}
    source.fields["left_space"] = frozenset(left_space)
    lacking = sum(letter not in source.ids for letter in LETTERS)
    if lacking:
        warn(
            f"{files.path} has no token for {lacking} of the 256 bytes, and what is spelled with "
            "them is left out of texts, as by transformers; it was not trained with the whole "
            "alphabet of bytes"
        )
    return source


def _read_tokenizer_json(
    files: Files,
    data: Mapping[str, Any],
    added: list[Added],
    settings: dict[str, bool],
    roles: Mapping[str, str],
) -> Source:
    with in_file(files.path):
        own = read_entries(data)
        check_no_other_flag(own, "lstrip")
        model = data["model"]
        ids = need(model, "vocab", OBJECT)
        merges = _pairs(need(model, "merges", LIST))
        for key, allowed in _MODEL.items():
            if model.get(key) not in allowed:
                raise ValueError(f"its model has {key} {shown(model[key])}: {INSTEAD}")
        normalizer = get(data, "normalizer", optional(OBJECT))
        if normalizer is not None:
            raise ValueError(
                f"it has the normalizer {shown(normalizer.get('type'))}, and RoBERTa's tokenizer "
                f"has none: {INSTEAD}"
            )
        splitter = need(data, "pre_tokenizer", OBJECT)
        if splitter.get("type") != "ByteLevel" or splitter.get("use_regex") is False:
            raise ValueError(
                f"its pre_tokenizer is {shown(dict(splitter))}; it must be ByteLevel with "
                f"use_regex: {INSTEAD}"
            )
        prefix = need(splitter, "add_prefix_space", SWITCH)
        source = Source(ids, added_by_both(files, own, added, ids, roles), {})
    if files.tokenizer_class is not None:
        _warn_of_other_space(files, prefix, settings["add_prefix_space"])
        source.fields.update(merges=merges, **settings)
        return source
    with in_file(files.path):
        cls, sep = source.role(roles, "cls_token"), source.role(roles, "sep_token")
        frame = read_frame(data.get("post_processor"), cls, sep)
        unknown = model.get("unk_token")
        if unknown is not None and not all(letter in ids for letter in LETTERS):
            raise ValueError(
                f"its model has unk_token {shown(unknown)} and no token for some of the 256 bytes: "
                f"{INSTEAD}"
            )
    source.fields.update(
        merges=merges,
        add_prefix_space=prefix,
        trim_offsets=bool(frame.trim_offsets),
        counts_as_put=bool(frame.add_prefix_space),
        separators=frame.separators,
        segments=frame.segments,
    )
    return source


def _warn_of_other_space(files: Files, stated: bool, followed: bool) -> None:
    if stated == followed:
        return
    if "add_prefix_space" in files.config:
        warn(
            f"{files.path} and {TOKENIZER_CONFIG} beside it disagree: add_prefix_space is "
            f"{followed} in the latter; the latter is followed, as transformers does"
        )
    else:
        warn(
            f"{files.path} has add_prefix_space {stated}, and {TOKENIZER_CONFIG} beside it does "
            f"not say; {followed} is taken, as transformers does. If {stated} is right, put "
            f'{{"add_prefix_space": {str(stated).lower()}}} into {TOKENIZER_CONFIG}'
        )


def _pairs(merges: list[Any]) -> list[tuple[str, str]]:
    """The merges of a tokenizer.json: pairs, or strings with a space in between."""
    pairs = []
    for rank, merge in enumerate(merges):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not (
            isinstance(parts, list)
            and len(parts) == 2
            and all(isinstance(part, str) and part for part in parts)
        ):
            raise ValueError(f"its merge {rank} is {shown(merge)}; it must be two tokens")
        pairs.append((parts[0], parts[1]))
    return pairs


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """One pair a line, in the order in which they were learned, after a line with the version."""
    with in_file(path):
        try:
            with open(path, encoding="utf-8-sig") as file:
                lines = [line.rstrip("\n") for line in file]
        except UnicodeDecodeError as error:
            raise ValueError(f"it is not UTF-8 text: {error}") from error
        return _pairs([line for line in lines if line and not line.startswith("#version")])

"""Reading WordPiece, in the three forms in which BERT vocabularies are published.

`tokenizer.json` says everything. `vocab.txt` needs the `tokenizer_config.json` beside it. Google's
first release has a bare `vocab.txt`, which leaves open whether the model is cased.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from minibert._checks import shown, warn
from minibert.checkpoint.schema import OBJECT, SWITCH, get, in_file, need, optional
from minibert.text.added import Added, check_plain, read_entries
from minibert.text.frame import BERT_FRAME, read_frame
from minibert.text.kind import TOKENIZER_CONFIG, Files
from minibert.text.source import Source, added_by_both
from minibert.wordpiece import CONTINUATION, MAX_CHARACTERS

# Our settings of the text and their keys in a tokenizer_config.json.
SETTINGS = {
    "lower_case": "do_lower_case",
    "strip_accents": "strip_accents",
    "split_cjk": "tokenize_chinese_chars",
}

# What transformers takes where the config of a tokenizer that it rebuilds is silent.
_DEFAULTS = {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}

# What makes a tokenizer.json WordPiece as BERT has it.
_BERT_PARTS = {
    ("model", "continuing_subword_prefix"): CONTINUATION,
    ("model", "max_input_chars_per_word"): MAX_CHARACTERS,
    ("normalizer", "type"): "BertNormalizer",
    ("normalizer", "clean_text"): True,
    ("pre_tokenizer", "type"): "BertPreTokenizer",
}


class TextSettings(TypedDict):
    """How a text is normalised, as in `Vocabulary`."""

    lower_case: bool
    strip_accents: bool | None
    split_cjk: bool


def read_wordpiece(files: Files, added: list[Added], roles: Mapping[str, str]) -> Source:
    """The vocabulary of a folder; see `Reader`."""
    with in_file(files.folder / TOKENIZER_CONFIG):
        check_plain(added)
        for theirs in SETTINGS.values():
            get(files.config, theirs, optional(SWITCH))
    if files.whole is None:
        return _read_vocab(files.path, files.config, added)
    return _read_tokenizer_json(files, files.whole, added, roles)


# --- tokenizer.json ------------------------------------------------------------------------------


def _read_tokenizer_json(
    files: Files, data: Mapping[str, Any], decoder: list[Added], roles: Mapping[str, str]
) -> Source:
    """Everything; but of a tokenizer that is rebuilt, the config has the last word on settings.

    The file's own padding and truncation, which some publishers left switched on, are not read: how
    long a row may be is the caller's choice.
    """
    rebuilt = files.tokenizer_class is not None
    with in_file(files.path):
        for (part, key), wanted in _BERT_PARTS.items():
            found = (get(data, part, optional(OBJECT)) or {}).get(key)
            if type(found) is not type(wanted) or found != wanted:
                raise ValueError(
                    f"it is not a BERT tokenizer: its {part} has {key} {shown(found)} and BERT's "
                    f"has {wanted!r}"
                )
        normalizer = data["normalizer"]
        stated = TextSettings(
            lower_case=need(normalizer, "lowercase", SWITCH),
            strip_accents=get(normalizer, "strip_accents", optional(SWITCH)),
            split_cjk=need(normalizer, "handle_chinese_chars", SWITCH),
        )
        ids = need(data["model"], "vocab", OBJECT)
        own = read_entries(data)
        check_plain(own)
        added = added_by_both(files, own, decoder, ids, roles)
    settings = _settled(stated, files.config, files.path, rebuilt)
    source = Source(ids, added, dict(settings))
    if not rebuilt:
        with in_file(files.path):
            _check_taken_whole(data, source, roles)
    return source


def _check_taken_whole(data: Mapping[str, Any], source: Source, roles: Mapping[str, str]) -> None:
    """Raise `ValueError` if a tokenizer.json that transformers takes as it is has another token for
    words without pieces, or makes other rows than [CLS] text [SEP] pair [SEP]."""
    unknown = data["model"].get("unk_token")
    if unknown != roles["unk_token"]:
        raise ValueError(
            f"its model has unk_token {shown(unknown)}, and the unk_token beside it is "
            f"{shown(roles['unk_token'])}; one of the two must be mended"
        )
    cls, sep = source.role(roles, "cls_token"), source.role(roles, "sep_token")
    read_frame(data.get("post_processor"), cls, sep, only=BERT_FRAME)


def _settled(
    stated: TextSettings, config: Mapping[str, Any], path: Path, rebuilt: bool
) -> TextSettings:
    """The settings of tokenizer.json, replaced where tokenizer_config.json contradicts them.

    The two files of a model should not differ; if they do, this is what transformers does.
    """
    settings = dict(stated)
    for ours, theirs in SETTINGS.items():
        says = config[theirs] if theirs in config else settings[ours]
        if rebuilt and theirs not in config and says != _DEFAULTS[theirs]:
            warn(
                f"{path} has {theirs} {says}, and {TOKENIZER_CONFIG} beside it does not say; it is "
                f"followed here, and transformers takes {_DEFAULTS[theirs]}. To settle it, put "
                f'{{"{theirs}": {json.dumps(says)}}} into {TOKENIZER_CONFIG}'
            )
        if says is None and ours != "strip_accents":  # for which null is a value: as lower_case
            continue
        if says != settings[ours]:
            warn(
                f"{path} and {TOKENIZER_CONFIG} beside it disagree: {theirs} is "
                f"{says} in the latter; the {'latter' if rebuilt else 'former'} is followed, "
                "as transformers does"
            )
            settings[ours] = says if rebuilt else settings[ours]
    return cast(TextSettings, settings)


# --- vocab.txt -----------------------------------------------------------------------------------


def _read_vocab(path: Path, config: Mapping[str, Any], added: list[Added]) -> Source:
    """One token a line, whose id is the number of the line, from 0; the rest is in the config.

    Blank lines at the end are no tokens, nor is the mark at the beginning that some editors put
    there, and no token ends in a space. A blank line in between counts as one, as in transformers:
    it has an id.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:  # not splitlines: tokens contain U+2028
            tokens = [line.rstrip(" \t\n") for line in file]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    while tokens and not tokens[-1]:
        tokens.pop()
    if not tokens:
        raise ValueError(f"{path} is empty")
    ids: dict[str, int] = {}
    for i, token in enumerate(tokens):
        if ids.setdefault(token, i) != i:
            raise ValueError(
                f"{path} has the token {shown(token)} twice, in lines {ids[token] + 1} and "
                f"{i + 1}, so it would have two ids"
            )
    settings = TextSettings(
        lower_case=_is_lower_case(config, ids, path),
        strip_accents=config.get("strip_accents"),
        split_cjk=config.get("tokenize_chinese_chars") is not False,
    )
    return Source(ids, added, dict(settings))


def _is_lower_case(config: Mapping[str, Any], ids: Mapping[str, int], path: Path) -> bool:
    """What the config says about case or, with a warning, what the tokens look like.

    A cased model that is fed lower-cased text still runs, only worse: so look, do not assume.
    """
    stated = config.get("do_lower_case")
    if stated is not None:
        return stated
    # Not with str.isupper: the uncased vocabulary has U+211D, a capital without a small letter.
    lower_case = not any(
        c != c.lower() for token in ids if not token.startswith("[") for c in token
    )
    warn(
        f"{path.parent} does not say whether its model is cased; its vocabulary has "
        f"{'no ' if lower_case else ''}upper-case tokens, so texts are "
        f"{'' if lower_case else 'not '}lower-cased. To settle it, put "
        f'{{"do_lower_case": {str(lower_case).lower()}}} into {TOKENIZER_CONFIG}'
    )
    return lower_case

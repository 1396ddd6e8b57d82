"""Reading a tokenizer's files, in the three forms in which BERT vocabularies are published.

`tokenizer.json` says everything. `vocab.txt` needs the `tokenizer_config.json` beside it. Google's
first release has a bare `vocab.txt`, which leaves open whether the model is cased.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from minibert._checks import shown, warn
from minibert.checkpoint.files import is_there, read_json
from minibert.checkpoint.schema import OBJECT, SWITCH, get, in_file, need, optional
from minibert.text.added import Added, read_decoder, read_entries
from minibert.text.kind import TOKENIZER_CONFIG
from minibert.wordpiece import CONTINUATION, MAX_CHARACTERS

TOKENIZER_JSON, VOCAB = "tokenizer.json", "vocab.txt"

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
    ("model", "type"): "WordPiece",
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


class Source(NamedTuple):
    """What the file with the vocabulary says.

    ids: not checked yet. added: the tokens that were added later. whole: the tokenizer.json, if
    transformers takes it as it is.
    """

    path: Path
    ids: dict[str, Any]
    added: list[Added]
    settings: TextSettings
    whole: dict[str, Any] | None = None


def read_source(
    folder: Path, config: Mapping[str, Any], rebuilt: bool, roles: Collection[str]
) -> Source:
    """The vocabulary of a folder.

    config: its tokenizer_config.json, empty if there is none. rebuilt: whether its settings have
    the last word, as of `kind.check_kind`. roles: the tokens that are special in any case.

    Raises `FileNotFoundError` if there is neither a tokenizer.json nor a vocab.txt.
    """
    with in_file(folder / TOKENIZER_CONFIG):
        for theirs in SETTINGS.values():
            get(config, theirs, optional(SWITCH))
        decoder = read_decoder(config)
    if is_there(folder / TOKENIZER_JSON):
        source = _read_tokenizer_json(folder / TOKENIZER_JSON, config, rebuilt)
        differing = set(decoder) ^ set(source.added) if "added_tokens_decoder" in config else ()
        odd = sorted(
            token
            for token in differing
            if not (token.content in roles and token.id == source.ids.get(token.content))
        )
        if odd:
            raise ValueError(
                f"{source.path} and {TOKENIZER_CONFIG} beside it do not add the same tokens: one "
                f"of them lacks {shown(odd[0].content)} with id {odd[0].id}"
            )
        return source
    if is_there(folder / VOCAB):
        return _read_vocab(folder / VOCAB, config, decoder)
    raise FileNotFoundError(f"{folder} has no tokenizer: neither {TOKENIZER_JSON} nor {VOCAB}")


# --- tokenizer.json ------------------------------------------------------------------------------


def _read_tokenizer_json(path: Path, config: Mapping[str, Any], rebuilt: bool) -> Source:
    """Everything; but of a tokenizer that is rebuilt, the config has the last word on settings.

    The file's own padding and truncation, which some publishers left switched on, are not read: how
    long a row may be is the caller's choice.
    """
    data = read_json(path)
    with in_file(path):
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
        added = read_entries(data)
    settings = _settled(stated, config, path, rebuilt)
    return Source(path, ids, added, settings, None if rebuilt else data)


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
    return Source(path, ids, added, settings)


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

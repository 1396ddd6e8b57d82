"""Reading a tokenizer's files, in the three forms in which BERT vocabularies are published.

`tokenizer.json` says everything. `vocab.txt` needs the `tokenizer_config.json` beside it. Google's
first release has a bare `vocab.txt`, which leaves open whether the model is cased. In all of them,
tokens that were added later are found or refused, never overlooked: an overlooked one would be cut
into pieces that the model has never seen in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, cast

from minibert._checks import warn
from minibert.checkpoint.files import json_or_empty, read_json
from minibert.wordpiece import CONTINUATION, MAX_CHARACTERS

TOKENIZER_JSON, TOKENIZER_CONFIG, VOCAB = "tokenizer.json", "tokenizer_config.json", "vocab.txt"

# Our settings of the text and their keys in a tokenizer_config.json.
SETTINGS = {
    "lower_case": "do_lower_case",
    "strip_accents": "strip_accents",
    "split_cjk": "tokenize_chinese_chars",
}

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

    added: the entries of tokens that were added later, each with its content, its id, and flags.
    """

    path: Path
    ids: dict[str, int]
    added: list[dict[str, Any]]
    settings: TextSettings


def read_source(folder: Path, config: Mapping[str, Any]) -> Source:
    """The vocabulary of a folder; config: its tokenizer_config.json, empty if there is none.

    Raises `FileNotFoundError` if there is neither a tokenizer.json nor a vocab.txt.
    """
    if (folder / TOKENIZER_JSON).is_file():
        return _read_tokenizer_json(folder / TOKENIZER_JSON, config)
    if (folder / VOCAB).is_file():
        return _read_vocab(folder / VOCAB, config)
    raise FileNotFoundError(f"{folder} has no tokenizer: neither {TOKENIZER_JSON} nor {VOCAB}")


def content(token: str | Mapping[str, Any]) -> str:
    """A special token's text; some files wrap it in an object."""
    return token if isinstance(token, str) else token["content"]


# --- tokenizer.json ------------------------------------------------------------------------------


def _read_tokenizer_json(path: Path, config: Mapping[str, Any]) -> Source:
    """Everything, except that tokenizer_config.json has the last word on the settings.

    The file's own padding and truncation, which some publishers left switched on, are not read: how
    long a row may be is the caller's choice.
    """
    data = read_json(path)
    for (part, key), wanted in _BERT_PARTS.items():
        found = (data.get(part) or {}).get(key)
        if found != wanted:
            raise ValueError(
                f"{path} is not a BERT tokenizer: its {part} has {key} {found!r} and BERT's has "
                f"{wanted!r}"
            )
    normalizer = data["normalizer"]
    stated = TextSettings(
        lower_case=normalizer["lowercase"],
        strip_accents=normalizer["strip_accents"],
        split_cjk=normalizer["handle_chinese_chars"],
    )
    settings = _overridden(stated, config, path)
    return Source(path, data["model"]["vocab"], data.get("added_tokens", []), settings)


def _overridden(stated: TextSettings, config: Mapping[str, Any], path: Path) -> TextSettings:
    """The settings of tokenizer.json, replaced where tokenizer_config.json contradicts them.

    The two files of a model should not differ; if they do, this is what transformers does.
    """
    settings = dict(stated)
    for ours, theirs in SETTINGS.items():
        if config.get(theirs) is not None and config[theirs] != settings[ours]:
            warn(
                f"{path} and {TOKENIZER_CONFIG} beside it disagree: {theirs} is {config[theirs]} "
                "in the latter, which is followed, as transformers does"
            )
            settings[ours] = config[theirs]
    return cast(TextSettings, settings)


# --- vocab.txt -----------------------------------------------------------------------------------


def _read_vocab(path: Path, config: Mapping[str, Any]) -> Source:
    """One token a line, whose id is the number of the line, from 0; the rest is in the config."""
    try:
        with open(path, encoding="utf-8") as lines:  # not splitlines: tokens contain U+2028
            ids = {line.rstrip("\n"): i for i, line in enumerate(lines)}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    if not ids:
        raise ValueError(f"{path} is empty")
    added = config.get("added_tokens_decoder", {})
    settings = TextSettings(
        lower_case=_is_lower_case(config, ids, path),
        strip_accents=config.get("strip_accents"),
        split_cjk=config.get("tokenize_chinese_chars", True),
    )
    return Source(path, ids, [{**entry, "id": int(i)} for i, entry in added.items()], settings)


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


# --- tokens added later --------------------------------------------------------------------------


def sort_added(source: Source) -> tuple[dict[str, int], dict[str, int]]:
    """The added tokens with their ids: (special tokens, words).

    Raises `ValueError` for a token whose flags ask for rules that our own tokenizer lacks.
    """
    special: dict[str, int] = {}
    words: dict[str, int] = {}
    for entry in source.added:
        odd = [key for key in ("lstrip", "rstrip", "single_word") if entry.get(key)]
        if odd or entry.get("normalized", False) == entry.get("special", False):
            raise ValueError(
                f"{source.path} adds the token {entry['content']!r} with "
                f"{', '.join(odd) or 'special and normalized alike'}; minibert takes special "
                "tokens that are not normalized and other tokens that are"
            )
        (special if entry.get("special") else words)[entry["content"]] = entry["id"]
    return special, words


def check_none_overlooked(folder: Path, config: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise `ValueError` if files or keys of an older kind add tokens that are not known."""
    roles = json_or_empty(folder / "special_tokens_map.json")
    found: list[Any] = [*json_or_empty(folder / "added_tokens.json")]
    found += [token for role, token in roles.items() if role.endswith("_token")]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        extra = {**roles, **config}.get(key) or []
        found += extra.values() if isinstance(extra, Mapping) else extra
    overlooked = sorted({content(token) for token in found} - set(known))
    if overlooked:
        raise ValueError(
            f"{folder} adds the tokens {', '.join(overlooked)} in files of an older kind; open it "
            "with transformers.AutoTokenizer and save_pretrained it, which writes a "
            f"{TOKENIZER_JSON} that has them"
        )

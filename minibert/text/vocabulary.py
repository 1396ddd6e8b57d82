"""Vocabulary: what the tokenizer's files say, in one plain object.

Reads the three forms in which BERT vocabularies are published: `tokenizer.json` (everything),
`vocab.txt` with `tokenizer_config.json`, and a bare `vocab.txt` from Google's first release.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minibert.checkpoint.files import read_json

TOKENIZER_JSON, TOKENIZER_CONFIG, VOCAB = "tokenizer.json", "tokenizer_config.json", "vocab.txt"

# Parts of a tokenizer.json that make it WordPiece as BERT has it.
_BERT_PARTS = {
    ("model", "type"): "WordPiece",
    ("model", "continuing_subword_prefix"): "##",
    ("model", "max_input_chars_per_word"): 100,
    ("normalizer", "type"): "BertNormalizer",
    ("normalizer", "clean_text"): True,
    ("pre_tokenizer", "type"): "BertPreTokenizer",
}


# Our settings and their keys in a tokenizer_config.json.
_CONFIG_KEYS = {
    "lower_case": "do_lower_case",
    "strip_accents": "strip_accents",
    "split_cjk": "tokenize_chinese_chars",
}


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their ids, and the settings of the text that precedes them.

    ids: every token of the model. special: tokens recognised as they are inside a text, with their
    ids; the five named ones are among them. added: words added later, with their ids, recognised in
    the normalised text and taken whole. lower_case, strip_accents, split_cjk: as for
    `WordPiece`. model_max_length: the longest row the model takes, where the files say so.
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
        """One more than the highest id: the rows an embedding table needs."""
        return max({**self.ids, **self.special, **self.added}.values()) + 1

    @classmethod
    def from_folder(cls, folder: Path) -> Vocabulary:
        """Read the tokenizer of a model folder.

        Raises `FileNotFoundError` without a vocabulary and `ValueError` for one that is not BERT's.
        """
        path = folder / TOKENIZER_CONFIG
        config = read_json(path) if path.is_file() else {}
        names: dict[str, Any] = {
            name: _content(config.get(name) or default)
            for name, default in (
                ("cls_token", "[CLS]"),
                ("sep_token", "[SEP]"),
                ("pad_token", "[PAD]"),
                ("unk_token", "[UNK]"),
                ("mask_token", "[MASK]"),
            )
        }
        if (folder / TOKENIZER_JSON).is_file():
            path = folder / TOKENIZER_JSON
            ids, added, text_settings = _read_tokenizer_json(path)
            text_settings = _override(text_settings, config, path)
        elif (folder / VOCAB).is_file():
            path = folder / VOCAB
            ids = _read_vocab(path)
            added = [
                {**entry, "id": int(i)}
                for i, entry in config.get("added_tokens_decoder", {}).items()
            ]
            text_settings = _settings_from_config(config, ids, path)
        else:
            raise FileNotFoundError(
                f"{folder} has no tokenizer: neither {TOKENIZER_JSON} nor {VOCAB}"
            )
        for role, name in names.items():
            if name not in ids:
                raise ValueError(f"{path} has no token {name!r}, which is its {role}")
        special = {name: ids[name] for name in names.values()}
        words: dict[str, int] = {}
        for entry in added:
            odd = [key for key in ("lstrip", "rstrip", "single_word") if entry.get(key)]
            if odd or entry.get("normalized", False) == entry.get("special", False):
                raise ValueError(
                    f"{path} adds the token {entry['content']!r} with "
                    f"{', '.join(odd) or 'special and normalized alike'}; minibert takes special "
                    "tokens that are not normalized and other tokens that are"
                )
            (special if entry.get("special") else words)[entry["content"]] = entry["id"]
        foreign = sorted(_added_elsewhere(folder, config) - special.keys() - words.keys())
        if foreign:
            raise ValueError(
                f"{folder} adds the tokens {', '.join(foreign)} in files of an older kind; open it "
                "with transformers.AutoTokenizer and save_pretrained it, which writes a "
                f"{TOKENIZER_JSON} that has them"
            )
        longest = config.get("model_max_length")
        if not isinstance(longest, int) or longest > 1_000_000:  # transformers writes 1e30 for none
            longest = None
        return cls(
            ids=ids,
            special=special,
            added=words,
            model_max_length=longest,
            **text_settings,
            **names,
        )


def _read_tokenizer_json(path: Path) -> tuple[dict[str, int], list[dict[str, Any]], dict[str, Any]]:
    """(ids, added tokens, text settings) of a tokenizer.json.

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
    settings = {
        "lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "split_cjk": normalizer["handle_chinese_chars"],
    }
    return data["model"]["vocab"], data.get("added_tokens", []), settings


def _read_vocab(path: Path) -> dict[str, int]:
    """The tokens of a vocab.txt, one a line; the id is the number of the line, from 0."""
    try:
        with open(path, encoding="utf-8") as lines:  # not splitlines: tokens contain U+2028
            ids = {line.rstrip("\n"): i for i, line in enumerate(lines)}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    if not ids:
        raise ValueError(f"{path} is empty")
    return ids


def _settings_from_config(
    config: Mapping[str, Any], ids: Mapping[str, int], path: Path
) -> dict[str, Any]:
    lower_case = config.get("do_lower_case")
    if lower_case is None:
        # A cased model fed lower-cased text still runs, only worse, so do not assume: look. (Not
        # with str.isupper: the uncased vocabulary has U+211D, a capital without a small letter.)
        lower_case = not any(
            c != c.lower() for token in ids if not token.startswith("[") for c in token
        )
        warnings.warn(
            f"{path.parent} does not say whether its model is cased; its vocabulary has "
            f"{'no ' if lower_case else ''}upper-case tokens, so texts are "
            f"{'' if lower_case else 'not '}lower-cased. To settle it, put "
            f'{{"do_lower_case": {str(lower_case).lower()}}} into {TOKENIZER_CONFIG}',
            stacklevel=4,
        )
    return {
        "lower_case": lower_case,
        "strip_accents": config.get("strip_accents"),
        "split_cjk": config.get("tokenize_chinese_chars", True),
    }


def _override(settings: dict[str, Any], config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Settings of a tokenizer.json, where tokenizer_config.json contradicts them the latter's.

    That is what transformers does; the two files of a model should not differ.
    """
    for ours, theirs in _CONFIG_KEYS.items():
        if config.get(theirs) is not None and config[theirs] != settings[ours]:
            warnings.warn(
                f"{path} and {TOKENIZER_CONFIG} beside it disagree: {theirs} is {config[theirs]} "
                "in the latter, which is followed, as transformers does",
                stacklevel=4,
            )
            settings = {**settings, ours: config[theirs]}
    return settings


def _added_elsewhere(folder: Path, config: Mapping[str, Any]) -> set[str]:
    """Tokens that transformers would add because of files or keys that are not read here."""
    found: list[Any] = []
    if (folder / "added_tokens.json").is_file():
        found += read_json(folder / "added_tokens.json")
    settings = dict(config)
    if (folder / "special_tokens_map.json").is_file():
        roles = read_json(folder / "special_tokens_map.json")
        found += [token for role, token in roles.items() if role.endswith("_token")]
        settings = {**roles, **settings}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        extra = settings.get(key) or []
        found += extra.values() if isinstance(extra, Mapping) else extra
    return {_content(token) for token in found}


def _content(token: str | Mapping[str, Any]) -> str:
    """A special token's text; some files wrap it in an object."""
    return token if isinstance(token, str) else token["content"]

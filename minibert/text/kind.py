"""Whether a tokenizer is WordPiece as BERT has it: what its settings say of it.

Other tokenizers keep their vocabulary in files of the same names. Read as BERT's they would cut
texts into other pieces than their model was trained on, and nobody would be told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from minibert._checks import shown, warn
from minibert.checkpoint.files import CONFIG, json_or_empty
from minibert.checkpoint.schema import TEXT, get, in_file, list_of, optional

TOKENIZER_CONFIG = "tokenizer_config.json"

# Classes of transformers that make BERT's tokenizer of the vocabulary and tokenizer_config.json,
# and those that take tokenizer.json as it is. Each may have "Fast" behind it.
_BERTS = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer")
_GENERAL = ("PreTrainedTokenizer", "TokenizersBackend")

# Keys of tokenizer_config.json that change the pieces, and the values that leave them as they are.
_USUAL: dict[str, tuple[Any, ...]] = {
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "do_word_tokenize": (None, True),
    "do_subword_tokenize": (None, True),
    "do_basic_tokenize": (None, True),
    "clean_text": (None, True),
    "split_special_tokens": (None, False),
    "wordpieces_prefix": (None, "##"),
}
_INSTEAD = "minibert has BERT's WordPiece only; use transformers.AutoTokenizer for this model"


def check_kind(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether tokenizer_config.json decides over tokenizer.json, as its class in transformers does.

    config: the tokenizer_config.json of the folder, empty if there is none. Raises `ValueError` for
    a tokenizer of another kind.
    """
    with in_file(folder / TOKENIZER_CONFIG):
        name = get(config, "tokenizer_class", optional(TEXT))
        rebuilt = name is None or _check_class(name)
        _check_no_code(config.get("auto_map"))
        for key, allowed in _USUAL.items():
            value = config.get(key)
            if not any(type(value) is type(usual) and value == usual for usual in allowed):
                some = " or ".join("null" if v is None else shown(v) for v in allowed)
                raise ValueError(f"{key} is {shown(value)}; it must be {some}: {_INSTEAD}")
        if get(config, "truncation_side", TEXT, "right") != "right":
            warn(
                f"{folder / TOKENIZER_CONFIG} has truncation_side "
                f"{shown(config['truncation_side'])}, and minibert cuts texts at their end; "
                "shorten long texts at their beginning yourself"
            )
    if name is None:  # then transformers asks the model's config
        with in_file(folder / CONFIG):
            name = get(json_or_empty(folder / CONFIG), "tokenizer_class", optional(TEXT))
            rebuilt = name is None or _check_class(name)
    return rebuilt


def check_never_split(config: Mapping[str, Any], special: Collection[str]) -> None:
    """Raise `ValueError` if words that are not special tokens are to stay whole."""
    words = get(config, "never_split", optional(list_of(TEXT))) or []
    others = [word for word in words if word not in special]
    if others:
        raise ValueError(
            f"never_split has {shown(others[0])}, which is no special token: {_INSTEAD}"
        )


def _check_class(name: str) -> bool:
    """Whether the class makes BERT's tokenizer anew. Raises `ValueError` for other tokenizers."""
    plain = name.removesuffix("Fast")
    if plain not in _BERTS + _GENERAL:
        raise ValueError(f"tokenizer_class is {shown(name)}: {_INSTEAD}")
    return plain in _BERTS


def _check_no_code(auto_map: Any) -> None:
    """Raise `ValueError` if the tokenizer is a program in the folder."""
    found = auto_map.get("AutoTokenizer") if isinstance(auto_map, Mapping) else auto_map
    if found is not None and found != [None, None]:
        raise ValueError(
            f"auto_map names {shown(found)}, a tokenizer with code of its own: {_INSTEAD}"
        )


def check_taken_whole(
    data: Mapping[str, Any], unknown: str, cls: tuple[str, int], sep: tuple[str, int]
) -> None:
    """Raise `ValueError` if a tokenizer.json makes other rows than [CLS] text [SEP] pair [SEP].

    For those that transformers takes as they are. unknown: the token for words without pieces.
    cls, sep: these tokens with their ids.
    """
    if data["model"].get("unk_token") != unknown:
        raise ValueError(
            f"its model has unk_token {shown(data['model'].get('unk_token'))}, and the unk_token "
            f"beside it is {shown(unknown)}; one of the two must be mended"
        )

    def token(of: tuple[str, int], segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": of[0], "type_id": segment}}

    def text(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [token(cls, 0), text("A", 0), token(sep, 0)]
    template = {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), token(sep, 1)],
        "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in (cls, sep)},
    }
    older = {"type": "BertProcessing", "cls": list(cls), "sep": list(sep)}
    if data.get("post_processor") not in (template, older):
        raise ValueError(
            f"its post_processor is {shown(data.get('post_processor'))}; it must put a text "
            f"between {cls[0]} and {sep[0]}, and its pair and another {sep[0]} behind: {_INSTEAD}"
        )

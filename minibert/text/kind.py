"""Which kind of tokenizer a folder holds, and the class of transformers that would open it.

The files decide, not the model beside them: a BERT may have XLM-R's tokenizer. Files of the same
names are used for tokenizers of many kinds. Read as one of ours, the others would cut texts into
other pieces than their model was trained on, and nobody would be told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from minibert._checks import shown, warn
from minibert.checkpoint.files import CONFIG, TOKENIZER_FILES, is_there, json_or_empty, read_json
from minibert.checkpoint.schema import OBJECT, TEXT, get, in_file, list_of, need, optional

TOKENIZER_JSON, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
VOCAB, VOCAB_JSON, MERGES = "vocab.txt", "vocab.json", "merges.txt"

Kind = Literal["WordPiece", "BPE", "Unigram"]  # the names of models in a tokenizer.json

# Classes of transformers that make the tokenizer anew of the vocabulary and tokenizer_config.json,
# the usual one of a kind first; and those that take tokenizer.json as it is. Each may have "Fast"
# behind it.
CLASSES: dict[Kind, tuple[str, ...]] = {
    "WordPiece": (
        "BertTokenizer",
        "DistilBertTokenizer",
        "ElectraTokenizer",
        "MobileBertTokenizer",
    ),
    "BPE": ("RobertaTokenizer",),
    "Unigram": ("XLMRobertaTokenizer", "CamembertTokenizer", "AlbertTokenizer"),
}
_GENERAL = ("PreTrainedTokenizer", "TokenizersBackend")
# The class where none is named, by the model's model_type.
_CLASS_OF_MODEL = {
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "albert": "AlbertTokenizer",
}

# Keys of tokenizer_config.json that change the pieces, and the values that leave them as they are.
_USUAL: dict[str, tuple[Any, ...]] = {"split_special_tokens": (None, False)}
_USUAL_WORDPIECE: dict[str, tuple[Any, ...]] = {
    "word_tokenizer_type": (None, "basic"),
    "subword_tokenizer_type": (None, "wordpiece"),
    "do_word_tokenize": (None, True),
    "do_subword_tokenize": (None, True),
    "do_basic_tokenize": (None, True),
    "clean_text": (None, True),
    "wordpieces_prefix": (None, "##"),
}
INSTEAD = (
    "minibert has the tokenizers of BERT and its variants only; use transformers.AutoTokenizer for "
    "this model"
)


class Files(NamedTuple):
    """A tokenizer's files.

    config: tokenizer_config.json, empty if there is none. whole: tokenizer.json, if there is one.
    tokenizer_class: that of transformers which makes the tokenizer anew, so that config decides
    over whole; None if whole is taken as it is. segments: how many the model beside them knows, 2
    or fewer.
    """

    folder: Path
    kind: Kind
    config: dict[str, Any]
    whole: dict[str, Any] | None
    tokenizer_class: str | None
    segments: int

    @property
    def path(self) -> Path:
        """The file that is read first; errors name it."""
        names: dict[Kind, str] = {"WordPiece": VOCAB, "BPE": VOCAB_JSON}
        return self.folder / (names[self.kind] if self.whole is None else TOKENIZER_JSON)


def find_files(folder: Path) -> Files:
    """The files of a folder.

    Raises `FileNotFoundError` without a vocabulary, and `ValueError` for a tokenizer of a kind that
    is not ours.
    """
    config = json_or_empty(folder / TOKENIZER_CONFIG)
    whole = read_json(folder / TOKENIZER_JSON) if is_there(folder / TOKENIZER_JSON) else None
    kind = _kind_of_folder(folder) if whole is None else _kind_of(whole, folder / TOKENIZER_JSON)
    name = _check_settings(folder, config, kind)
    model = json_or_empty(folder / CONFIG)
    if name is None:  # then transformers asks the model's config
        with in_file(folder / CONFIG):
            name = get(model, "tokenizer_class", optional(TEXT))
            _check_class(name, kind)
    if name is None:
        name = _CLASS_OF_MODEL.get(str(model.get("model_type")))
        if name not in CLASSES[kind]:  # of a model with a tokenizer of another family
            usual = kind == "WordPiece" or whole is None
            name = CLASSES[kind][0] if usual else None
    plain = name.removesuffix("Fast") if name is not None else None
    rebuilt_as = None if plain in _GENERAL else plain
    # DistilBERT has no segments, and no key that says so.
    few = model.get("model_type") == "distilbert" or model.get("type_vocab_size") in (0, 1)
    segments = 1 if few or rebuilt_as == "DistilBertTokenizer" else 2
    return Files(folder, kind, config, whole, rebuilt_as, segments)


def _kind_of(whole: Mapping[str, Any], path: Path) -> Kind:
    """The kind of a tokenizer.json; some old ones do not name it."""
    with in_file(path):
        model = need(whole, "model", OBJECT)
        signs = {"BPE": "merges", "WordPiece": "max_input_chars_per_word", "Unigram": "unk_id"}
        likely = next((kind for kind, key in signs.items() if key in model), None)
        kind = model.get("type", likely)
        if kind not in get_args(Kind):
            raise ValueError(
                f"its model has type {shown(kind)}; it must be one of {get_args(Kind)}: {INSTEAD}"
            )
    return kind


def _kind_of_folder(folder: Path) -> Kind:
    """The kind of a folder without a tokenizer.json."""
    if is_there(folder / VOCAB):
        return "WordPiece"
    if is_there(folder / VOCAB_JSON) and is_there(folder / MERGES):
        return "BPE"
    model = next(
        (n for n in TOKENIZER_FILES if n.endswith(".model") and is_there(folder / n)), None
    )
    if model is not None:
        raise ValueError(
            f"{folder} has its tokenizer in {model} only, which minibert does not read; open it "
            f"with transformers.AutoTokenizer and save_pretrained it, which writes a "
            f"{TOKENIZER_JSON}"
        )
    raise FileNotFoundError(
        f"{folder} has no tokenizer: neither {TOKENIZER_JSON} nor {VOCAB}, nor {VOCAB_JSON} with "
        f"{MERGES}"
    )


def _check_settings(folder: Path, config: Mapping[str, Any], kind: Kind) -> str | None:
    """The class that tokenizer_config.json names. Raises `ValueError` for what is not ours."""
    with in_file(folder / TOKENIZER_CONFIG):
        name = get(config, "tokenizer_class", optional(TEXT))
        _check_class(name, kind)
        _check_no_code(config.get("auto_map"))
        for key, allowed in {**_USUAL, **(_USUAL_WORDPIECE if kind == "WordPiece" else {})}.items():
            value = config.get(key)
            if not any(type(value) is type(usual) and value == usual for usual in allowed):
                some = " or ".join("null" if v is None else shown(v) for v in allowed)
                raise ValueError(f"{key} is {shown(value)}; it must be {some}: {INSTEAD}")
        if get(config, "truncation_side", TEXT, "right") != "right":
            warn(
                f"{folder / TOKENIZER_CONFIG} has truncation_side "
                f"{shown(config['truncation_side'])}, and minibert cuts texts at their end; "
                "shorten long texts at their beginning yourself"
            )
    return name


def check_never_split(config: Mapping[str, Any], special: Collection[str]) -> None:
    """Raise `ValueError` if words that are not special tokens are to stay whole."""
    words = get(config, "never_split", optional(list_of(TEXT))) or []
    others = [word for word in words if word not in special]
    if others:
        raise ValueError(
            f"never_split has {shown(others[0])}, which is no special token: {INSTEAD}"
        )


def _check_class(name: str | None, kind: Kind) -> None:
    """Raise `ValueError` for a class that does not make a tokenizer of this kind."""
    plain = None if name is None else name.removesuffix("Fast")
    if plain is None or plain in CLASSES[kind] + _GENERAL:
        return
    if any(plain in classes for classes in CLASSES.values()):
        raise ValueError(
            f"tokenizer_class is {shown(name)}, and the vocabulary beside it is one of {kind}; one "
            "of the two must be mended"
        )
    raise ValueError(f"tokenizer_class is {shown(name)}: {INSTEAD}")


def _check_no_code(auto_map: Any) -> None:
    """Raise `ValueError` if the tokenizer is a program in the folder."""
    found = auto_map.get("AutoTokenizer") if isinstance(auto_map, Mapping) else auto_map
    if found is not None and found != [None, None]:
        raise ValueError(
            f"auto_map names {shown(found)}, a tokenizer with code of its own: {INSTEAD}"
        )

"""`config.json`: Hugging Face's keys and the fields of our config, both directions.

Pure functions from dict to dict. Most fields have the name of their key. The labels are stored as
two mappings, and keys that no field has are kept as they are, in `extra`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from minibert._checks import shown
from minibert.checkpoint.schema import (
    OBJECT,
    SWITCH,
    TEXT,
    Rule,
    get,
    list_of,
    mapping_of,
    optional,
    whole,
)
from minibert.variants import find_variant
from minibert.variants.variant import Variant

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

# Switches that would make the model compute something else, and the values that do not. Every other
# key without a field is kept and written back.
FIXED: dict[str, tuple[object, ...]] = {
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({}, None),
}
# Fields that some families have (see variants/), and what they are in the others.
OPTIONAL = {"embedding_size": None, "num_hidden_groups": None, "qa_dropout": 0.0}
# Fields without a key of their name: the labels have two, the others are not stored.
WITHOUT_KEY = {"model_type", "labels", "attention", "extra"}
# Keys that have no field, and that saving writes anew.
WRITTEN = {
    "model_type",
    "position_embedding_type",
    "dtype",
    "torch_dtype",
    "id2label",
    "label2id",
    "num_labels",
    "_num_labels",
}
# What keys without a field may be, if something here reads them.
NUMBER_OF_LABELS = whole(least=1, most=1_000_000)
_NAMES = Rule(
    lambda value: TEXT.holds(value) or isinstance(value, int | float), "a string or a number"
)
RULES: dict[str, Rule] = {
    "architectures": optional(list_of(TEXT)),
    "tie_word_embeddings": optional(SWITCH),
    "id2label": optional(mapping_of(_NAMES)),
    "label2id": optional(OBJECT),
    "num_labels": optional(NUMBER_OF_LABELS),
    "_num_labels": optional(NUMBER_OF_LABELS),  # of old versions of transformers
}


def check_fixed(data: Mapping[str, Any]) -> Variant:
    """The family of the contents of a config.json; `ValueError` if they describe anything but
    BERT's encoder."""
    variant = find_variant(data.get("model_type", "bert"))
    for key, allowed in {**FIXED, **variant.only}.items():
        if key in data and data[key] not in allowed:
            raise ValueError(
                f"the config says {key} = {shown(data[key])}, which changes what the model "
                f"computes; minibert is BERT's encoder and takes {key} = {allowed[0]!r} only"
            )
    return variant


def keys_of(variant: Variant, fields: Iterable[str]) -> dict[str, str]:
    """Of these fields those that a family stores -> their keys."""
    absent = {*WITHOUT_KEY, *variant.fixed, *(OPTIONAL.keys() - variant.optional)}
    return {name: variant.keys.get(name, name) for name in fields if name not in absent}


def read_fields(data: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields of a config, of these names, from the contents of a config.json.

    Raises `ValueError` for a value that its key does not allow, besides what `find_variant` and
    `check_fixed` raise.

    >>> read_fields({"hidden_size": 64, "id2label": {"0": "no"}}, ["hidden_size", "labels"])
    {'vocab_size': 30522, 'hidden_size': 64, 'labels': ('no',), 'model_type': 'bert', 'extra': {}}
    """
    OBJECT.check("the config", data)
    variant = check_fixed(data)
    for key, rule in RULES.items():
        get(data, key, rule)
    keys = keys_of(variant, names)
    own = {*keys.values(), *WRITTEN}
    return {
        **variant.defaults,
        **variant.fixed,
        **{name: data[key] for name, key in keys.items() if key in data},
        "labels": stated_labels(data) or numbered_labels(2),
        "model_type": variant.model_type,
        "extra": {key: value for key, value in data.items() if key not in own},
    }


class FamilyFields(Protocol):
    """What `check_family` asks of a config."""

    @property
    def model_type(self) -> str: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def num_hidden_layers(self) -> int: ...
    @property
    def max_position_embeddings(self) -> int: ...
    @property
    def type_vocab_size(self) -> int: ...
    @property
    def pad_token_id(self) -> int | None: ...
    @property
    def embedding_size(self) -> int | None: ...
    @property
    def num_hidden_groups(self) -> int | None: ...


def check_family(config: FamilyFields) -> None:
    """Raise `ValueError` where a config contradicts its family, naming the field."""
    variant = find_variant(config.model_type)
    says = f"model_type is {config.model_type!r}"
    for name, value in variant.fixed.items():
        if getattr(config, name) != value:
            raise ValueError(
                f"{says}, which has {name} = {value!r}; {name} is {shown(getattr(config, name))}"
            )
    for name, value in OPTIONAL.items():
        if name not in variant.optional and getattr(config, name) != value:
            raise ValueError(f"{says}, which has no {name}; leave it out")
    if "type_vocab_size" not in variant.fixed and not config.type_vocab_size:
        raise ValueError(f"{says}, which has segments; type_vocab_size must be at least 1")
    if variant.positions_skip_padding:
        padding = config.pad_token_id
        if padding is None or padding + 1 >= config.max_position_embeddings:
            raise ValueError(
                f"{says}, whose positions begin after pad_token_id, which is {padding}; it must be "
                f"a number, and max_position_embeddings at least two more"
            )
    if "num_hidden_groups" in variant.optional:
        groups = config.num_hidden_groups
        if config.embedding_size == config.hidden_size or config.embedding_size is None:
            raise ValueError(
                f"{says}, whose embeddings have another width than its layers; embedding_size is "
                f"{config.embedding_size} and hidden_size {config.hidden_size}"
            )
        if groups is None or config.num_hidden_layers % groups:
            raise ValueError(
                f"num_hidden_groups is {groups}; it must be a number that divides "
                f"num_hidden_layers, {config.num_hidden_layers}"
            )


def stated_labels(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes in the order of their ids; None if the file says nothing of them.

    They come from id2label, or are numbered where there is only a number.
    """
    id2label, number = data.get("id2label"), data.get("num_labels")
    if not id2label:
        number = data.get("_num_labels") if number is None else number
        return None if number is None else numbered_labels(number)
    by_id = {}  # transformers' own dict has whole numbers where a file has strings
    for key, name in id2label.items():
        digits = str(key)[:9]
        if not digits.isdecimal() or str(key) != str(int(digits)) or str(key) in by_id:
            raise ValueError(
                f'id2label has the key {shown(key)}; it must map ids to names: {{"0": "name"}}'
            )
        by_id[str(key)] = str(name)
    ids = sorted(map(int, by_id))
    if ids != list(range(len(ids))):
        raise ValueError(f"id2label has the ids {shown(ids)}; they must run from 0 without gaps")
    if number not in (None, len(ids)):
        raise ValueError(
            f"num_labels is {number}, and id2label has {len(ids)} names; correct one of them"
        )
    return tuple(by_id[str(i)] for i in ids)


def numbered_labels(number: int) -> tuple[str, ...]:
    """The names that transformers gives to classes without one.

    >>> numbered_labels(2)
    ('LABEL_0', 'LABEL_1')
    """
    NUMBER_OF_LABELS.check("num_labels", number)
    return tuple(f"LABEL_{i}" for i in range(number))


def label_names(labels: Any) -> tuple[str, ...]:
    """Names of classes, as somebody gave them, in their order.

    Raises `ValueError` unless they are a list, a tuple or an array of strings, and not empty.
    """
    is_array = isinstance(labels, np.ndarray) and labels.ndim == 1
    ordered = is_array or (isinstance(labels, Sequence) and not isinstance(labels, str))
    if not ordered or not len(labels) or not all(map(TEXT.holds, labels)):
        raise ValueError(
            f"labels are {shown(labels)}; give a list of at least one name, all of them strings"
        )
    return tuple(map(str, labels))


def check_next_sentence(model_type: str) -> None:
    """Raise `ValueError` for a family that was not trained to tell whether texts are neighbours."""
    if model_type != "bert":
        raise ValueError(
            f"model_type is {model_type!r}, and next sentence prediction is BERT's; "
            "BertForMaskedLM serves every family"
        )


def write_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of a config.json that transformers reads as the same model."""
    variant = find_variant(fields["model_type"])
    stored = {key: fields[name] for name, key in keys_of(variant, fields).items()}
    own_rate = variant.keys.get("classifier_dropout")  # a key that knows no "as the others"
    if own_rate is not None and stored[own_rate] is None:
        stored[own_rate] = fields["hidden_dropout_prob"]
    return {
        **fields["extra"],
        **stored,
        "model_type": variant.model_type,
        "position_embedding_type": "absolute",
        "id2label": {str(i): label for i, label in enumerate(fields["labels"])},
        "label2id": {label: i for i, label in enumerate(fields["labels"])},
    }

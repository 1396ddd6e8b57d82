"""`config.json`: Hugging Face's keys and the fields of our config, both directions.

Pure functions from dict to dict. Most fields have the name of their key. The labels are stored as
two mappings, and keys that no field has are kept as they are, in `extra`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

# Switches that would make the model compute something else, and the values that do not. Every other
# key without a field is kept and written back.
FIXED: dict[str, tuple[object, ...]] = {
    "model_type": ("bert",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({}, None),
}
# Defaults of Hugging Face, for keys that a file leaves out, where ours differ.
DEFAULTS = {"vocab_size": 30522}
# Fields without a key of their name: the labels have two, the others are not stored.
WITHOUT_KEY = {"labels", "attention", "extra"}
# Keys that have no field, and that saving writes anew.
WRITTEN = {
    "model_type",
    "position_embedding_type",
    "dtype",
    "torch_dtype",
    "id2label",
    "label2id",
    "num_labels",
}


def check_fixed(data: Mapping[str, Any]) -> None:
    """Raise `ValueError` if the contents of a config.json describe anything but BERT's encoder."""
    for key, allowed in FIXED.items():
        if key in data and data[key] not in allowed:
            raise ValueError(
                f"the config says {key} = {data[key]!r}, which changes what the model "
                f"computes; minibert is BERT's encoder and takes {key} = {allowed[0]!r} only"
            )


def read_fields(data: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields of a config, of these names, from the contents of a config.json.

    Raises `ValueError` as `check_fixed` and `read_labels` do.

    >>> read_fields({"hidden_size": 64, "id2label": {"0": "no"}}, ["hidden_size", "labels"])
    {'vocab_size': 30522, 'hidden_size': 64, 'labels': ('no',), 'extra': {}}
    """
    check_fixed(data)
    own = set(names) - WITHOUT_KEY
    return {
        **DEFAULTS,
        **{key: value for key, value in data.items() if key in own},
        "labels": read_labels(data),
        "extra": {k: v for k, v in data.items() if k not in own and k not in WRITTEN},
    }


def read_labels(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in the order of their ids.

    They come from id2label, or are numbered where there is only num_labels, or two by default.
    """
    id2label, number = data.get("id2label"), data.get("num_labels")
    if not id2label:
        number = 2 if number is None else number
        if not isinstance(number, int):
            raise ValueError(f"num_labels is {number!r}; it must be a whole number")
        return numbered_labels(number)
    try:
        by_id = {int(i): str(label) for i, label in id2label.items()}
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f'id2label is {id2label!r}; it must map ids to names: {{"0": "name"}}'
        ) from error
    if sorted(by_id) != list(range(len(by_id))):
        raise ValueError(f"id2label has the ids {sorted(by_id)}; they must run from 0 without gaps")
    return tuple(by_id[i] for i in range(len(by_id)))


def numbered_labels(number: int) -> tuple[str, ...]:
    """The names that transformers gives to classes without one.

    >>> numbered_labels(2)
    ('LABEL_0', 'LABEL_1')
    """
    return tuple(f"LABEL_{i}" for i in range(number))


def write_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of a config.json that transformers reads as the same model."""
    return {
        **fields["extra"],
        **{name: value for name, value in fields.items() if name not in WITHOUT_KEY},
        "model_type": "bert",
        "position_embedding_type": "absolute",
        "id2label": {str(i): label for i, label in enumerate(fields["labels"])},
        "label2id": {label: i for i, label in enumerate(fields["labels"])},
    }

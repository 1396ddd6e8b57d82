"""What a classifier takes as labels: strings, integers or booleans, one for each text or several;
or numbers.

They come as a list, or in anything that is as good as one: an array, a column, a tensor of whole
numbers. Tables and sets are refused, and so is every value whose meaning would be a guess: a float
names a class to some and measures something to others, and values that are missing turn a column of
whole numbers into floats.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert._checks import shown
from minibert.text.inputs import check_text

Label = str | int | bool

LONGEST = 1000  # characters of a label; Python prints numbers of a few thousand digits at most
_GIVE = "give a list with one for each text"
_LARGEST = float(np.finfo(np.float32).max)  # what a model can say
REGRESSION = "to predict numbers, set problem_type='regression'"
_NUMBER = (
    f"a number from {-_LARGEST:g} to {_LARGEST:g}, which fp32 holds: float(label) of strings; "
    "leave out texts without one"
)
_SEVERAL = "for several labels a text, set problem_type='multi_label_classification'"


def checked_labels(labels: Iterable[Any], name: str) -> list[Label]:
    """The labels as Python's own strings, integers or booleans.

    name: what they are called in errors. Raises `ValueError` for what holds other than one label
    for each text, and for the first value that is none of these.

    >>> checked_labels(torch.tensor([1, 0]), "labels")
    [1, 0]
    """
    return [_plain(value, f"{name}: number {i}") for i, value in enumerate(_listed(labels, name))]


def checked_label_sets(labels: Iterable[Any], name: str) -> list[list[Label]]:
    """The labels of each text: a list, tuple or set of them, none twice; an empty one is allowed.

    Raises `ValueError` for the first text whose labels are not that.

    >>> checked_label_sets([{"late"}, ["broken", "late"], ()], "labels")
    [['late'], ['broken', 'late'], []]
    """
    shape = getattr(labels, "shape", ())
    if isinstance(shape, tuple) and len(shape) == 2:
        raise ValueError(
            f"{name} has shape {shown(tuple(shape))}; give a list of labels for each text: of rows "
            "of 0 and 1 those that MultiLabelBinarizer().inverse_transform(rows) gives"
        )
    found = []
    for i, each in enumerate(_listed(labels, name)):
        if not isinstance(each, list | tuple | set | frozenset | np.ndarray):
            raise ValueError(
                f"{name}: number {i} is {shown(each)}, of type {type(each).__name__}; give a list, "
                "tuple or set of labels for each text"
            )
        is_set = isinstance(each, set | frozenset)
        values = checked_labels(list(each) if is_set else each, f"{name}, number {i}")
        if is_set:  # which has no order
            values.sort(key=str)
        if len(set(values)) < len(values):
            raise ValueError(f"{name}: number {i} is {shown(each)}; give each label once")
        found.append(values)
    return found


def checked_numbers(labels: Iterable[Any], name: str, allowed: str = _NUMBER) -> list[float]:
    """The labels as Python's floats. Raises `ValueError` for the first that is no number or too
    large for fp32; allowed: what it must be."""
    found = []
    for i, value in enumerate(_listed(labels, name, tensors_of_floats=True)):
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
        try:
            number = float(value) if is_number else math.nan
        except OverflowError:  # of a whole number or a fraction
            number = math.inf
        if not abs(number) <= _LARGEST:  # of NaN, too
            raise ValueError(f"{name}: number {i} is {shown(value)}; each must be {allowed}")
        found.append(number)
    return found


def _listed(labels: Iterable[Any], name: str, tensors_of_floats: bool = False) -> list[Any]:
    """The labels in a list, none of them looked at yet."""
    kind = f"{name} is of type {type(labels).__name__}"
    shape = getattr(labels, "shape", None)  # of arrays, tensors, columns and tables alike
    if isinstance(shape, tuple) and len(shape) != 1:
        raise ValueError(
            f"{kind} and shape {shown(tuple(shape))}; {_GIVE}: one column of a table, or "
            "argmax(axis=1) of one-hot rows"
        )
    if isinstance(labels, str | bytes | bytearray):
        raise ValueError(f"{name} is {shown(labels)}; {_GIVE}")
    if isinstance(labels, Mapping):
        raise ValueError(f"{kind}; {_GIVE}: one of its values, or list(labels.values())")
    if isinstance(labels, set | frozenset):
        raise ValueError(f"{kind}, which has no order; {_GIVE}")
    if isinstance(labels, Tensor):
        dense = labels.layout == torch.strided and not labels.is_meta
        if not dense or not (_is_whole(labels) or tensors_of_floats):
            raise ValueError(
                f"{name} is a tensor of {_dtype(labels)}; it must hold whole numbers or booleans: "
                f"where they are ids of classes, give labels.long(); {REGRESSION}"
            )
        return labels.tolist()
    try:
        items = iter(labels)
    except TypeError as error:
        raise ValueError(f"{name} is {shown(labels)}; {_GIVE}") from error
    return list(items)


def _plain(value: Any, name: str) -> Label:
    """One label as a plain Python value; name: what it is called in errors."""
    if isinstance(value, np.bool_ | np.str_) or (
        getattr(value, "ndim", None) == 0 and _is_whole(value)
    ):
        value = value.item()
    if isinstance(value, Enum):
        raise ValueError(f"{name} is {shown(value)}, an Enum; give label.value or label.name")
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 10**LONGEST:
        return int(value)  # where its type is a subclass of int
    if isinstance(value, str) and len(value) <= LONGEST:
        return str.__str__(check_text(value, name))
    raise ValueError(f"{name} is {shown(value)}, {_why_not(value)}")


def _dtype(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.")


def _is_whole(array: Any) -> bool:
    """Whether a tensor or an array of numpy holds whole numbers or booleans."""
    return isinstance(array, Tensor | np.generic | np.ndarray) and _dtype(array).startswith(
        ("int", "uint", "bool")
    )


def _why_not(value: Any) -> str:
    """Why a value is refused as a label, and what to give instead."""
    kind = type(value).__name__
    is_float = isinstance(value, float | np.floating)
    has_nan = is_float or isinstance(value, np.datetime64 | np.timedelta64)
    if value is None or kind in ("NAType", "NaTType") or (has_nan and value != value):
        return "a missing value; leave out the texts without a label"
    if is_float:
        return (
            f"of type {kind}; give int(label) where whole numbers name classes (missing values "
            f"turn them into floats: leave these texts out); {REGRESSION}"
        )
    if isinstance(value, int | str):
        return f"which is longer than a name may be; give labels of at most {LONGEST} characters"
    if isinstance(value, bytes):
        return "bytes; give label.decode()"
    if isinstance(value, list | tuple | set | frozenset | Mapping | np.ndarray | Tensor):
        return (
            f"of type {kind}; give one label for each text, of a one-hot row the place of its 1; "
            f"{_SEVERAL}"
        )
    return f"of type {kind}; labels must be all str, all int or all bool; give str(label)"

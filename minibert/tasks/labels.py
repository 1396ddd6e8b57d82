"""The labels of a classifier: their order, their ids, how much each counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from minibert._checks import enumerated, shown, warn
from minibert.checkpoint.arguments import real_number
from minibert.checkpoint.schema import get, one_of
from minibert.config import BertConfig
from minibert.tasks.label_values import LONGEST, REGRESSION, Label, checked_labels
from minibert.training.batches import LARGEST_WEIGHT, SMALLEST_WEIGHT

# Key of config.json by which a saved classifier remembers that its labels were no strings. Other
# readers keep it and pay no attention.
KIND = "minibert_label_type"
_KINDS: dict[str, Callable[[str], Label]] = {
    "str": str,
    "int": int,
    "bool": lambda name: name == "True",
}
_IS_KIND = one_of(*_KINDS)

_MANY = 20  # labels; with more, and fewer than two texts for each, somebody may have given numbers


@dataclass(frozen=True, eq=False)
class Labels:
    """The distinct labels in the order of their ids, (L,): all str, all int or all bool.

    >>> labels = Labels.of(["good", "bad", "good"])
    >>> labels.names, labels.ids_of(["good"], 1, "labels")
    (['bad', 'good'], [1])
    """

    classes: np.ndarray

    @classmethod
    def of(cls, labels: Iterable[Label]) -> Labels:
        """Those of training data, sorted. Raises `ValueError` for labels nobody can learn, and
        warns where there are nearly as many as texts."""
        values = checked_labels(labels, "labels")
        kinds = sorted({type(value).__name__ for value in values})
        if len(kinds) > 1:
            raise ValueError(
                f"labels are of type {', '.join(kinds)}; they must be all str, all int or all "
                "bool: give str(label) for each, for example"
            )
        classes = sorted(set(values))
        if not classes:
            raise ValueError("there are no labels; a classifier needs at least two classes")
        if len(classes) < 2:
            raise ValueError(
                f"every label is {_quoted(classes)}; a classifier needs at least two classes"
            )
        if len(classes) > max(_MANY, len(values) / 2):
            warn(
                f"there are {len(classes)} different labels for {len(values)} texts, and each is "
                f"a class to learn; {REGRESSION}"
            )
        return cls(_array(classes))

    @classmethod
    def read(cls, config: BertConfig) -> Labels:
        """Those of a saved model, as they were given to `fit` if a TextClassifier wrote it.

        Raises `ValueError` where the config says that they are of an unknown kind.
        """
        convert = _KINDS[get(config.extra, KIND, _IS_KIND, "str")]
        try:
            values = [convert(name) for name in config.labels]
        except ValueError:
            values = []
        if [str(value) for value in values] != list(config.labels):  # somebody has renamed them
            values = list(config.labels)
        return cls(_array(values))

    @property
    def names(self) -> list[str]:
        """As config.json has them."""
        return [str(label) for label in self.classes.tolist()]

    def same_as(self, other: Labels) -> bool:
        """Whether both are the same labels, of the same kind and each once, in any order."""
        return self.kind == other.kind and sorted(self.names) == sorted(other.names)

    @property
    def kind(self) -> str:
        """The type of the labels: "str", "int" or "bool"."""
        return type(self.classes.tolist()[0]).__name__

    @cached_property
    def ids(self) -> dict[Label, int]:
        """label -> its place in `classes`."""
        return {label: i for i, label in enumerate(self.classes.tolist())}

    def ids_of(self, labels: Iterable[Label], texts: int, name: str) -> list[int]:
        """The ids of the labels of so many texts.

        Raises `ValueError` if there are more or fewer, none, or one that training did not have.
        """
        values = checked_labels(labels, name)
        check_as_many(texts, values, name)
        for position, label in enumerate(values):
            if label not in self.ids:
                raise ValueError(
                    f"{name}: number {position} is {shown(label)}, which is not in the training "
                    f"data; its labels are {_quoted(self.ids)}"
                )
        return [self.ids[label] for label in values]

    def most_probable(self, scores: np.ndarray) -> np.ndarray:
        """(texts, L) -> the label of each text, (texts,)."""
        return self.classes[scores.argmax(axis=1)]

    def weights(
        self, wanted: Literal["balanced"] | Mapping[Any, float] | None, ids: Sequence[int]
    ) -> Tensor | None:
        """(L,) the weight of each class in the loss; ids: those of the training data.

        "balanced" is scikit-learn's: examples / (L times the examples of the class), so that all
        classes weigh the same together.
        """
        if wanted is None:
            return None
        if not isinstance(wanted, Mapping):
            if not isinstance(wanted, str) or wanted != "balanced":
                raise ValueError(
                    f"class_weight is {shown(wanted)}; give 'balanced' or {{label: weight}}"
                )
            counts = torch.tensor(ids, device="cpu").bincount(minlength=len(self.ids))
            return len(ids) / (len(self.ids) * counts.float())
        labels = checked_labels(list(wanted), "the labels of class_weight")
        if set(labels) != set(self.ids):
            raise ValueError(
                f"class_weight has the labels {_quoted(labels)}, and the training data "
                f"{_quoted(self.ids)}; give a weight for each"
            )
        weights = torch.zeros(len(self.ids), dtype=torch.float32, device="cpu")
        for label, weight in zip(labels, wanted.values(), strict=True):
            weights[self.ids[label]] = real_number(
                f"class_weight of {shown(label)}", weight, _WEIGHT, is_weight
            )
        return weights


def check_as_many(texts: int, labels: Sequence[Any], name: str) -> None:
    """Raise `ValueError` unless there are as many labels as texts, and some."""
    if len(labels) != texts or not texts:
        raise ValueError(
            f"there are {texts or 'no'} texts and {len(labels) or 'no'} {name}; give as many, "
            "not none"
        )


def _array(values: Sequence[Label]) -> np.ndarray:
    """The values as scikit-learn has them, in numpy's own type if that holds each of them.

    Its strings lose a NUL at their end, and all take the room of the longest; whole numbers beyond
    64 bits, or beyond 63 beside negative ones, would be floats. Then the array holds Python's own.
    """
    if all(len(value) <= LONGEST for value in values if isinstance(value, str)):
        array = np.array(values)
        if array.dtype.kind in "Uiub" and array.tolist() == values:
            return array
    return np.array(values, dtype=object)


_WEIGHT = (
    f"above 0: from {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}, for losses times it must fit into "
    "fp32"
)


def is_weight(weight: float) -> bool:
    """Whether a class or a text may count so much: a loss times it is a number in fp32."""
    return SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT


def _quoted(labels: Iterable[Label], most: int = 10) -> str:
    """The labels for an error, which stays one line however many there are."""
    return enumerated([shown(label) for label in labels], most)

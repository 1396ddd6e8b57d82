"""The labels of a classifier: their order, their ids, how much each counts."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from minibert.config import BertConfig

# Key of config.json by which a saved classifier remembers that its labels were no strings. Other
# readers keep it and pay no attention.
KIND = "minibert_label_type"
_KINDS: dict[str, Callable[[str], Any]] = {"int": int, "bool": lambda name: name == "True"}


@dataclass(frozen=True, eq=False)
class Labels:
    """The distinct labels in the order of their ids, (L,): all str, all int or all bool.

    >>> labels = Labels.of(["good", "bad", "good"])
    >>> labels.names, labels.ids_of(["good"], 1, "labels")
    (['bad', 'good'], [1])
    """

    classes: np.ndarray

    @classmethod
    def of(cls, labels: Sequence[Hashable]) -> Labels:
        """Those of training data, sorted. Raises `ValueError` for labels nobody can learn."""
        values = [plain(label) for label in labels]
        kinds = {type(value) for value in values}
        if len(kinds) > 1 or not kinds <= {str, int, bool}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(
                f"labels are of type {names}; they must be all str, all int or all bool"
            )
        classes = np.unique(np.array(values))
        if len(classes) < 2:
            raise ValueError(
                f"every label is {values[0]!r}; a classifier needs at least two classes"
            )
        return cls(classes)

    @classmethod
    def read(cls, config: BertConfig) -> Labels:
        """Those of a saved model, as they were given to `fit` if a TextClassifier wrote it."""
        convert = _KINDS.get(str(config.extra.get(KIND)), str)
        try:
            values = [convert(name) for name in config.labels]
        except ValueError:
            values = []
        if [str(value) for value in values] != list(config.labels):  # somebody has renamed them
            values = list(config.labels)
        return cls(np.array(values))

    @property
    def names(self) -> list[str]:
        """As config.json has them."""
        return [str(label) for label in self.classes.tolist()]

    @property
    def kind(self) -> str:
        """The type of the labels: "str", "int" or "bool"."""
        return type(self.classes.tolist()[0]).__name__

    @cached_property
    def ids(self) -> dict[Hashable, int]:
        """label -> its place in `classes`."""
        return {label: i for i, label in enumerate(self.classes.tolist())}

    def ids_of(self, labels: Sequence[Hashable], texts: int, name: str) -> list[int]:
        """The ids of the labels of so many texts.

        Raises `ValueError` if there are more or fewer, none, or one that training did not have.
        """
        if len(labels) != texts or not texts:
            raise ValueError(
                f"there are {texts} texts and {len(labels)} {name}; give as many, not none"
            )
        for position, label in enumerate(labels):
            if plain(label) not in self.ids:
                raise ValueError(
                    f"{name}: number {position} is {plain(label)!r}, which is not in the training "
                    f"data; its labels are {', '.join(map(repr, self.ids))}"
                )
        return [self.ids[plain(label)] for label in labels]

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
                    f"class_weight is {wanted!r}; give 'balanced' or {{label: weight}}"
                )
            counts = torch.tensor(ids).bincount(minlength=len(self.ids))
            return len(ids) / (len(self.ids) * counts.float())
        if {plain(label) for label in wanted} != set(self.ids):
            raise ValueError(
                f"class_weight has the labels {', '.join(map(repr, wanted))}, and the training "
                f"data {', '.join(map(repr, self.ids))}; give a weight for each"
            )
        weights = torch.zeros(len(self.ids))
        for label, weight in wanted.items():
            if not isinstance(weight, numbers.Real) or not 0 < weight < math.inf:
                raise ValueError(f"class_weight of {label!r} is {weight!r}; it must be above 0")
            weights[self.ids[plain(label)]] = float(weight)
        return weights


def plain(label: Any) -> Hashable:
    """A label as a plain Python value, numpy's scalars included."""
    return label.item() if isinstance(label, np.generic) else label

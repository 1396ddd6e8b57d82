"""What a classifier is to say of a text: one label, several, or a number.

Each kind knows how the labels given to `fit` become targets of the loss, how the model's outputs
become scores, and what is predicted from them. `problem_type` is the word of config.json.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from minibert._checks import shown, warn
from minibert.checkpoint.config_json import ProblemType
from minibert.config import BertConfig
from minibert.tasks.label_values import checked_label_sets, checked_labels, checked_numbers
from minibert.tasks.labels import KIND, Labels, check_as_many


class Problem(ABC):
    """One kind of answer. labels: the names of the outputs, (L,), in their order.

    metric: by which `score` counts. made_to: what the model does, for its card.
    """

    problem_type: ClassVar[ProblemType]
    metric: ClassVar[str] = "accuracy"
    made_to: ClassVar[str] = "to tell apart"

    def __init__(self, labels: Labels) -> None:
        self.labels = labels

    @staticmethod
    @abstractmethod
    def listed(labels: Iterable[Any], name: str) -> list[Any]:
        """The labels in a list, each in plain Python. Raises `ValueError` for what is no label."""

    @classmethod
    def of(cls, labels: Iterable[Any]) -> Self:
        """From the labels of training data. Raises `ValueError` for what nobody can learn."""
        return cls(Labels.of(labels))

    @property
    def remembered(self) -> dict[str, Any]:
        """Keys and values for config.json."""
        return {KIND: self.labels.kind}

    def fits(self, other: Labels) -> bool:
        """Whether a trained head with these labels can be trained further."""
        return self.labels.same_as(other)

    @abstractmethod
    def targets(self, labels: Iterable[Any], texts: int, name: str) -> list[Any]:
        """What the loss takes for the labels of so many texts.

        Raises `ValueError` if there are more or fewer, and for labels that training did not have.
        """

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """The model's outputs -> probabilities, or numbers, both (texts, L)."""

    @abstractmethod
    def predictions(self, scores: np.ndarray, threshold: float) -> np.ndarray:
        """Scores, (texts, L) -> what is predicted of each text, (texts,)."""

    def truth(self, targets: Sequence[Any]) -> np.ndarray:
        """Targets as metrics take them: (texts,) or (texts, L)."""
        return np.array(targets)

    def in_labels(self, scores: np.ndarray) -> np.ndarray:
        """The scores of a model in training, which speaks in targets, as those of a trained one."""
        return scores

    def counts(self, targets: Sequence[Any]) -> Mapping[str, int]:
        """How many texts have each label, by its name."""
        return Counter(self.labels.names[i] for i in targets)

    def contents(self, targets: Sequence[Any]) -> str:
        """What the labels are, for the model card, where `counts` does not tell."""
        return ""

    def begin(self, head: nn.Linear) -> None:  # noqa: B027, where labels are targets
        """Change a trained head to speak in targets; `end` undoes it, for a new one too."""

    def end(self, head: nn.Linear) -> None:  # noqa: B027
        """Change a head that speaks in targets to speak in labels."""

    def warn_of_sameness(self, scores: np.ndarray, threshold: float) -> None:
        """Warn if every text is given the same answer."""
        found = {shown(answer) for answer in self.predictions(scores, threshold).tolist()}
        if len(found) == 1:
            warn_nothing_learned(f"calls every text {found.pop()}")


class OneLabel(Problem):
    """Each text has one of L labels: softmax."""

    problem_type = "single_label_classification"
    listed = staticmethod(checked_labels)

    def targets(self, labels: Iterable[Any], texts: int, name: str) -> list[int]:
        return self.labels.ids_of(labels, texts, name)

    def scores(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=-1)

    def predictions(self, scores: np.ndarray, threshold: float) -> np.ndarray:
        return self.labels.most_probable(scores)


class SeveralLabels(Problem):
    """Each text has any number of L labels: a sigmoid for each.

    Texts are given lists, tuples or sets of labels, and predictions are tuples, in the labels'
    order.
    """

    problem_type = "multi_label_classification"
    made_to = "to find any of"
    listed = staticmethod(checked_label_sets)

    @classmethod
    def of(cls, labels: Iterable[Any]) -> Self:
        sets = checked_label_sets(labels, "labels")
        return cls(Labels.of([label for each in sets for label in each]))

    def targets(self, labels: Iterable[Any], texts: int, name: str) -> list[list[float]]:
        sets = checked_label_sets(labels, name)
        check_as_many(texts, sets, name)
        targets = np.zeros((texts, len(self.labels.names)))
        for i, each in enumerate(sets):
            if each:
                targets[i, self.labels.ids_of(each, len(each), f"{name}, number {i}")] = 1
        return targets.tolist()

    def scores(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def predictions(self, scores: np.ndarray, threshold: float) -> np.ndarray:
        found = np.empty(len(scores), dtype=object)
        for i, chosen in enumerate(scores >= threshold):
            found[i] = tuple(self.labels.classes[chosen].tolist())
        return found

    def counts(self, targets: Sequence[Any]) -> Mapping[str, int]:
        sums = np.array(targets).sum(axis=0).astype(int).tolist()
        return dict(zip(self.labels.names, sums, strict=True))


class Numbers(Problem):
    """Each text has a number: the output itself.

    Heads learn fastest near 0 and 1, and a learning rate that fits stars of 1 to 5 would take for
    ever to reach prices. So the head learns (number - mean) / deviation of the training data, and
    is then scaled to say the numbers themselves: whoever opens the model needs to know nothing.
    """

    problem_type = "regression"
    metric = "r2"
    made_to = "to predict a number"
    listed = staticmethod(checked_numbers)

    def __init__(self, labels: Labels, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__(labels)
        self.mean, self.deviation = mean, deviation

    @classmethod
    def of(cls, labels: Iterable[Any]) -> Self:
        numbers = np.array(checked_numbers(labels, "labels"))
        mean, deviation = float(numbers.mean()), float(numbers.std())
        least, most = shown(numbers.min().item()), shown(numbers.max().item())
        if least == most:
            raise ValueError(f"labels are all {least}; there is nothing to learn")
        if len(set(numbers.astype(np.float32).tolist())) < 2 or not deviation:
            raise ValueError(
                f"labels are from {least} to {most}, which are the same number in fp32, and that "
                "is what a model says; subtract their mean, or divide by their standard deviation"
            )
        return cls(Labels(np.array(["LABEL_0"])), mean, deviation)

    @property
    def remembered(self) -> dict[str, Any]:
        return {}

    def fits(self, other: Labels) -> bool:
        return len(other.names) == 1

    def targets(self, labels: Iterable[Any], texts: int, name: str) -> list[list[float]]:
        numbers = checked_numbers(labels, name)
        check_as_many(texts, numbers, name)
        return [[(number - self.mean) / self.deviation] for number in numbers]

    def scores(self, logits: Tensor) -> Tensor:
        return logits

    def predictions(self, scores: np.ndarray, threshold: float) -> np.ndarray:
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def truth(self, targets: Sequence[Any]) -> np.ndarray:
        return np.array(targets) * self.deviation + self.mean

    def in_labels(self, scores: np.ndarray) -> np.ndarray:
        return scores * self.deviation + self.mean

    def counts(self, targets: Sequence[Any]) -> Mapping[str, int]:
        return {}

    def contents(self, targets: Sequence[Any]) -> str:
        numbers = self.truth(targets)
        return (
            f"numbers from {numbers.min():g} to {numbers.max():g}, their mean {self.mean:.4g}, "
            f"their standard deviation {self.deviation:.4g}"
        )

    @torch.no_grad()
    def begin(self, head: nn.Linear) -> None:
        head.weight.div_(self.deviation)
        head.bias.sub_(self.mean).div_(self.deviation)

    @torch.no_grad()
    def end(self, head: nn.Linear) -> None:
        head.weight.mul_(self.deviation)
        head.bias.mul_(self.deviation).add_(self.mean)

    def warn_of_sameness(self, scores: np.ndarray, threshold: float) -> None:
        if float(scores.astype(np.float64).std()) < 0.01 * self.deviation:  # squares need room
            warn_nothing_learned(f"predicts about {float(scores.mean()):.4g} for every text")


PROBLEMS: dict[str, type[Problem]] = {
    each.problem_type: each for each in (OneLabel, SeveralLabels, Numbers)
}


def warn_nothing_learned(sameness: str) -> None:
    """Warn of a trained model that gives everything the same answer."""
    warn(
        f"the trained model {sameness}, so it has learned nothing; try a lower lr, more epochs, "
        "another seed or more data"
    )


def read_problem(config: BertConfig) -> Problem:
    """That of a saved model. Raises `ValueError` where the config says what labels cannot be."""
    return PROBLEMS[config.problem](Labels.read(config))

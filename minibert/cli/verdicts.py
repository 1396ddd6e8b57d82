"""What a classifier says of a text: a label, several, or a number; in words, JSON and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minibert.checkpoint.config_json import ProblemType
from minibert.cli.answers import Answer, line_of
from minibert.tasks.text_classifier import TextClassifier
from minibert.text.inputs import Text

SEPARATOR = ";"  # between several labels in one field


@dataclass(frozen=True)
class Verdicts:
    """problem: what the classifier says. labels: the names of its outputs, (L,). threshold: of
    several labels, the probability from which one counts."""

    problem: ProblemType
    labels: tuple[str, ...]
    threshold: float

    @classmethod
    def of(cls, classifier: TextClassifier) -> Verdicts:
        """Those of a trained classifier."""
        config = classifier.model_.config
        return cls(config.problem, config.labels, classifier.threshold)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what is said."""
        return ("prediction",) if self.problem == "regression" else ("label", "score")

    def said(self, scores: np.ndarray) -> dict[str, Any]:
        """By these names what scores, (L,), mean; of several labels lists, the likeliest first."""
        rounded = [round(float(score), 6) for score in scores]
        if self.problem == "regression":
            return {"prediction": rounded[0] if len(rounded) == 1 else rounded}
        if self.problem == "single_label_classification":
            best = int(scores.argmax())
            return {"label": self.labels[best], "score": rounded[best]}
        chosen = [int(i) for i in np.argsort(-scores) if scores[i] >= self.threshold]
        return {
            "label": [self.labels[i] for i in chosen],
            "score": [rounded[i] for i in chosen],
        }

    def answer(self, text: Text, scores: np.ndarray, every: bool) -> Answer:
        """The same in each form. every: with the score of each label."""
        said = self.said(scores)
        listed = {}
        if every:
            listed = {
                label: round(float(score), 6)
                for label, score in zip(self.labels, scores, strict=True)
            }
        fields = [_field(value, 4) for value in said.values()]
        fields += [f"{label}={score:.4f}" for label, score in listed.items()]
        return Answer(
            lines=[line_of(*fields, text=text)],
            data=said | ({"scores": listed} if every else {}),
            rows=[cells(said) | {score_column(label): score for label, score in listed.items()}],
        )


def score_column(label: str) -> str:
    """The column of one label's score."""
    return f"score:{label}"


def cells(said: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a table: of lists one string."""
    return {name: cell(value) for name, value in said.items()}


def cell(value: Any) -> Any:
    """A field of a table: of a list one string."""
    return _field(value, 6) if isinstance(value, list) else value


def _field(value: Any, digits: int) -> str:
    if isinstance(value, list):
        return SEPARATOR.join(_field(each, digits) for each in value)
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)

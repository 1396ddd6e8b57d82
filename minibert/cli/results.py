"""How good a classifier's answers to labelled texts are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minibert._checks import shown
from minibert.tasks.text_classifier import TextClassifier
from minibert.text.inputs import Text
from minibert.training.results import Report


class Judged(NamedTuple):
    """truth: (n,) the places of the true labels among `labels`. scores: (n, L)."""

    labels: list[str]
    truth: np.ndarray
    scores: np.ndarray

    @property
    def report(self) -> Report:
        """Metrics, class by class, confusion and calibration."""
        return Report.of("single_label_classification", self.truth, self.scores, self.labels)


def judge(
    classifier: TextClassifier, texts: Sequence[Text], labels: Sequence[str], name: str
) -> Judged:
    """Classify the texts, whose labels are strings, as tables have them; name: what errors call
    the data. Raises `ValueError` for a label that the classifier does not know."""
    known = [str(label) for label in classifier.classes_.tolist()]
    places = {label: i for i, label in enumerate(known)}
    unknown = next((label for label in labels if label not in places), None)
    if unknown is not None:
        raise ValueError(
            f"{name} has the label {shown(unknown)}, which the model does not know; its labels "
            f"are {shown(known)}"
        )
    truth = np.array([places[label] for label in labels])
    return Judged(known, truth, classifier.predict_proba(texts))

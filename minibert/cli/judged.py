"""A classifier's answers to texts whose labels are known."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minibert._checks import shown
from minibert.cli.answers import Answer, write_answers
from minibert.cli.sources import Source
from minibert.cli.verdicts import Verdicts, cells
from minibert.data import Chosen
from minibert.tasks.text_classifier import TextClassifier
from minibert.training.results import Report

# Beside a column of labels, what the model says must not be taken for the truth.
_PREDICTED = {"label": "predicted_label", "score": "predicted_score"}


class Judged(NamedTuple):
    """truth: (n,) the places of the true labels; of several (n, L) 0 or 1; of numbers (n, L).
    scores: (n, L)."""

    verdicts: Verdicts
    truth: np.ndarray
    scores: np.ndarray

    @property
    def report(self) -> Report:
        """Metrics, class by class, confusion and calibration."""
        said = self.verdicts
        return Report.of(said.problem, self.truth, self.scores, said.labels, said.threshold)

    def wrong(self) -> list[int]:
        """The places of the texts that are answered wrongly, the worst mistake first: the one made
        with most probability. Of numbers all, the largest error first."""
        if self.verdicts.problem == "single_label_classification":
            wrong = self.scores.argmax(axis=1) != self.truth
            badness = self.scores.max(axis=1)
        elif self.verdicts.problem == "regression":
            wrong = np.ones(len(self.scores), dtype=bool)
            badness = np.abs(self.scores - self.truth).max(axis=1)
        else:
            missed = (self.scores >= self.verdicts.threshold) != self.truth
            wrong = missed.any(axis=1)
            badness = np.where(missed, np.abs(self.scores - self.truth), 0).max(axis=1)
        places = np.flatnonzero(wrong)
        return [int(i) for i in places[np.argsort(-badness[places], kind="stable")]]


def judge(classifier: TextClassifier, chosen: Chosen, name: str) -> Judged:
    """Ask about every text; name: what errors call the table. Raises `ValueError`, before anything
    is computed, for a label that the classifier does not know."""
    verdicts = Verdicts.of(classifier)
    truth = _truth(verdicts, chosen.labels, name)
    width = len(verdicts.labels)
    scores = np.empty((len(chosen.texts), width), np.float32)
    for place, (_, found) in enumerate(classifier.stream(chosen.texts)):
        scores[place] = found
    return Judged(verdicts, truth, scores)


def write_errors(file: str, overwrite: bool, chosen: Chosen, judged: Judged) -> None:
    """The rows that are wrong, with what was said of them; the worst mistakes come first."""
    wrong = judged.wrong()
    table = chosen.table.take(wrong)
    source = Source([chosen.texts[i] for i in wrong], table.columns, iter(table.rows))
    columns = [_PREDICTED.get(name, name) for name in judged.verdicts.columns]
    with write_answers("csv", file, overwrite, source, columns) as answers:
        for place, text in zip(wrong, source.texts, strict=True):
            said = cells(judged.verdicts.said(judged.scores[place]))
            row = dict(zip(columns, said.values(), strict=True))
            answers.write(text, Answer([], row, [row]))


def _truth(verdicts: Verdicts, labels: list[Any], name: str) -> np.ndarray:
    if verdicts.problem == "regression":
        return np.array(labels, np.float64)[:, None]
    several = verdicts.problem == "multi_label_classification"
    places = {label: i for i, label in enumerate(verdicts.labels)}
    sets = [[each] if isinstance(each, str) else each for each in labels]
    unknown = next((label for each in sets for label in each if label not in places), None)
    if unknown is not None:
        raise ValueError(
            f"{name} has the label {shown(unknown)}, which the model does not know; its labels "
            f"are {shown(list(places))}; --label names the column"
            f"{', --label-separator what stands between several' if several else ''}"
        )
    if verdicts.problem == "single_label_classification":
        return np.array([places[label] for (label,) in sets])
    truth = np.zeros((len(sets), len(places)), np.int64)
    for row, each in enumerate(sets):
        truth[row, [places[label] for label in each]] = 1
    return truth

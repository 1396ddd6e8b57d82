"""What predictions are worth, class by class: as text, as Markdown, as JSON.

Precision: of the texts called by a label, the share that have it. Recall: of the texts that have
it, the share called so. F1: their harmonic mean. Support: the texts that have it. A model is
calibrated if of the decisions it makes with probability p a share p is right; the expected
calibration error is the mean distance from that, over bins of p weighed by what is in them (Guo et
al. 2017, arXiv 1706.04599, equation 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any

import numpy as np

from minibert._checks import enumerated
from minibert.checkpoint.config_json import ProblemType
from minibert.training.history import as_text, metric_of
from minibert.training.metrics import (
    OF_A_CLASS,
    classification_metrics,
    decided,
    of_the_whole,
    scikit_learn,
)

LISTED = 20  # classes that a table shows, of perhaps thousands
_BINS = 10
_FEW = 10  # texts of a class; one more that is right moves its recall by a tenth or more
_WIDEST = 30  # characters of a label in a table

Rows = list[list[str]]  # of a table; the first has the names of the columns


@dataclass(frozen=True)
class ClassResult:
    """How well one class is found. support: the texts that have it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Calibration:
    """Decisions in bins by their probability, empty bins left out.

    error: the expected calibration error. probability: the mean of each bin. right: the share of
    each bin that is right. decisions: how many there are in it.
    """

    error: float
    probability: tuple[float, ...]
    right: tuple[float, ...]
    decisions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """How good the predictions of so many examples are.

    problem: what is said of a text; None of entities and answers. metrics: those of the whole, the
    task's own first, see `training.metrics`. classes: one for each label; of numbers,
    and without scikit-learn, none. confusion: (L, L) texts by true class, in rows, and predicted
    class, in columns; None where a text has several labels or a number. calibration: None of
    numbers, and without scikit-learn.
    """

    problem: ProblemType | None
    examples: int
    labels: tuple[str, ...]
    metrics: dict[str, float]
    classes: tuple[ClassResult, ...] = ()
    confusion: np.ndarray | None = None
    calibration: Calibration | None = None

    @classmethod
    def of(
        cls,
        problem: ProblemType,
        truth: Any,
        scores: np.ndarray,
        labels: Sequence[str],
        threshold: float = 0.5,
    ) -> Report:
        """Arguments as those of `classification_metrics`.

        The decisions whose calibration is told are, of one label a text, that it is the predicted
        one; of several, that each of the labels is one of the text's.

        >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
        >>> report = Report.of("single_label_classification", [0, 1, 1], scores, ["bad", "good"])
        >>> report.metrics["accuracy"], report.confusion.tolist()
        (0.6666666666666666, [[1, 0], [1, 1]])
        """
        metrics = classification_metrics(problem, truth, scores, labels, threshold)
        whole = of_the_whole(metrics)
        if problem == "regression":
            return cls(problem, len(scores), tuple(labels), whole)
        truth, predicted = np.asarray(truth), decided(problem, scores, threshold)
        if problem == "single_label_classification":
            confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
            np.add.at(confusion, (truth, predicted), 1)
            support = confusion.sum(axis=1)
            calibration = _calibration(predicted == truth, scores.max(axis=1))
        else:
            confusion = None
            support = truth.sum(axis=0)
            calibration = _calibration(truth.ravel() == 1, scores.ravel())
        classes = tuple(
            ClassResult(
                label,
                **{name: metrics[f"{name}:{label}"] for name in OF_A_CLASS},
                support=int(texts),
            )
            for label, texts in zip(labels, support, strict=True)
            if len(metrics) > len(whole)  # there is scikit-learn
        )
        return cls(problem, len(scores), tuple(labels), whole, classes, confusion, calibration)

    def value(self, metric: str) -> float:
        """A metric by its name, such as "f1_macro", or "f1:LABEL" of one class. Raises `ValueError`
        for one that it does not have."""
        of_classes = {
            f"{name}:{each.label}": getattr(each, name)
            for name in OF_A_CLASS
            for each in self.classes
        }
        return metric_of({**self.metrics, **of_classes}, metric)

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON. "confusion" has {true label: {predicted label: texts}} where
        there are any."""
        found: dict[str, Any] = {"examples": self.examples, "metrics": self.metrics}
        if self.classes:
            found["labels"] = {each.label: asdict(each) for each in self.classes}
            for each in found["labels"].values():
                del each["label"]
        if self.confusion is not None:
            found["confusion"] = {
                label: {self.labels[i]: int(row[i]) for i in row.nonzero()[0]}
                for label, row in zip(self.labels, self.confusion, strict=True)
                if row.any()
            }
        if self.calibration is not None:
            found["calibration"] = asdict(self.calibration)
        return found

    def __str__(self) -> str:
        """Tables for a terminal."""
        tables = [f"{about}\n{aligned(rows)}".lstrip() for about, rows in self._tables()]
        return "\n\n".join([*tables, *self._notes()])

    def _repr_markdown_(self) -> str:
        """The same for a notebook."""
        tables = [f"{about}\n\n{markdown(rows)}".lstrip() for about, rows in self._tables()]
        return "\n\n".join([*tables, *self._notes()])

    def _tables(self) -> list[tuple[str, Rows]]:
        """Each with what it is; the first speaks for itself."""
        found = [("", self.metric_rows())]
        if self.classes:
            found.append((f"by class{self._left_out}", self.class_rows()))
        if self.confusion is not None:
            about = f"confusion (rows: truth, columns: prediction){self._left_out}"
            found.append((about, self.confusion_rows()))
        if self.calibration is not None:
            about = f"calibration: expected error {self.calibration.error:.4f}"
            found.append((about, self.calibration_rows()))
        return found

    def _notes(self) -> list[str]:
        """What the numbers do not say of themselves."""
        notes = []
        rare = [each for each in self.classes if each.support < _FEW]
        if rare:
            told = enumerated([f"{_cut(each.label)} ({each.support})" for each in rare], LISTED)
            notes.append(fill(f"fewer than {_FEW} texts, so their figures are rough: {told}", 90))
        if self.problem not in (None, "regression") and not self.classes:
            notes.append(
                "precision, recall, F1, Matthews and calibration need scikit-learn: "
                "pip install -e '.[metrics]'"
            )
        return notes

    def metric_rows(self) -> Rows:
        """The metrics of the whole."""
        rows = [[name, as_text(name, value)] for name, value in self.metrics.items()]
        return [["metric", f"{self.examples} examples"], *rows]

    def class_rows(self) -> Rows:
        """The listed classes, and the means over all of them."""
        head = ["label", *OF_A_CLASS, "support"]
        rows = [
            [_cut(each.label), *(f"{x:.4f}" for x in (each.precision, each.recall, each.f1))]
            + [str(each.support)]
            for each in (self.classes[i] for i in self.listed)
        ]
        means = [f"{self.metrics[f'{name}_macro']:.4f}" for name in OF_A_CLASS]
        total = sum(each.support for each in self.classes)
        return [head, *rows, ["macro mean", *means, str(total)]]

    def confusion_rows(self) -> Rows:
        """The listed classes' part of the confusion matrix: a row for each true class."""
        assert self.confusion is not None
        names = [_cut(self.labels[i]) for i in self.listed]
        counts = self.confusion[np.ix_(self.listed, self.listed)]
        rows = [[name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True)]
        return [["", *names], *rows]

    def calibration_rows(self) -> Rows:
        """The bins."""
        found = self.calibration
        assert found is not None
        bins = zip(found.probability, found.right, found.decisions, strict=True)
        return [
            ["probability", "right", "decisions"],
            *([f"{chance:.4f}", f"{right:.4f}", str(number)] for chance, right, number in bins),
        ]

    @property
    def listed(self) -> list[int]:
        """The ids of the classes that tables show: of many the most frequent."""
        if len(self.labels) <= LISTED:
            return list(range(len(self.labels)))
        if self.confusion is not None:
            texts = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        else:
            texts = np.array([each.support for each in self.classes])
        return sorted(np.argsort(-texts, kind="stable")[:LISTED].tolist())

    @property
    def _left_out(self) -> str:
        if len(self.labels) <= LISTED:
            return ""
        return f", {LISTED} of {len(self.labels)} labels, the most frequent"


def _calibration(right: np.ndarray, probability: np.ndarray) -> Calibration | None:
    """Of decisions, (n,) bool and (n,) from 0 to 1; None without scikit-learn."""
    try:
        scikit_learn("calibration")
    except ImportError:
        return None
    from sklearn.calibration import calibration_curve

    probability = probability.astype(np.float64).clip(0, 1)  # a sum of fp32 may pass 1
    shares, means = calibration_curve(right, probability, n_bins=_BINS, pos_label=True)
    inner = np.linspace(0, 1, _BINS + 1)[1:-1]  # as calibration_curve, which does not tell sizes
    sizes = np.bincount(np.searchsorted(inner, probability))
    sizes = sizes[sizes > 0]
    error = float(np.abs(shares - means) @ sizes / sizes.sum())
    return Calibration(error, tuple(means.tolist()), tuple(shares.tolist()), tuple(sizes.tolist()))


def _cut(label: str) -> str:
    """A label in one line of bounded length."""
    line = " ".join(label.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def aligned(rows: Rows) -> str:
    """A table for a terminal: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [f"{row[0]:<{widths[0]}}"]
            + [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    )


def markdown(rows: Rows) -> str:
    """A table in Markdown."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    ruler = f"|---|{'---:|' * (len(head) - 1)}"
    first, *rest = (f"| {' | '.join(row)} |" for row in (head, *body))
    return "\n".join([first, ruler, *rest])

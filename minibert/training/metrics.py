"""How good predictions are, in the numbers that people report, each by scikit-learn's name for it.

Accuracy, and of predicted numbers all but Spearman's correlation, is counted here. The rest is
scikit-learn's, an extra. What is undefined is 0, without a warning: the precision of a class that
was never predicted, the correlation of predictions that are all the same. A mean over classes
leaves out a class that is neither among the texts nor predicted, as scikit-learn's does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minibert._checks import enumerated, shown
from minibert.checkpoint.config_json import ProblemType
from minibert.training.history import ERRORS

OF_A_CLASS = ("precision", "recall", "f1")  # as in "f1:LABEL"
_MACRO = ("precision_macro", "recall_macro", "f1_macro")
# The first is the task's own: it chooses where nobody chose a metric.
METRICS: dict[ProblemType, tuple[str, ...]] = {
    "single_label_classification": (
        "accuracy",
        "balanced_accuracy",
        *_MACRO,
        "f1_weighted",
        "matthews_corrcoef",
    ),
    "multi_label_classification": ("accuracy", "f1_micro", *_MACRO, "f1_weighted"),
    "regression": ("r2", "pearson", "spearman", "mean_squared_error", "mean_absolute_error"),
}
_NEEDS_NOTHING = ("accuracy", "r2", "pearson", *ERRORS)


def check_metric(name: object, problem: ProblemType, labels: Sequence[str]) -> None:
    """Raise `ValueError` for what is no metric of this task, "loss" included, and `ImportError` for
    one that needs scikit-learn where it is missing.

    >>> check_metric("r2", "multi_label_classification", ["a", "b"])
    Traceback (most recent call last):
    ValueError: metric is 'r2'; for multi_label_classification it must be one of loss, accuracy, ...
    """
    allowed = ["loss", *METRICS[problem]]
    kind, of_a_class, label = name.partition(":") if isinstance(name, str) else ("", "", "")
    if problem != "regression":
        if of_a_class and kind in OF_A_CLASS and label not in labels:
            known = enumerated([shown(label) for label in labels], 10)
            raise ValueError(f"metric is {shown(name)}; there is no such label, they are {known}")
        allowed += [f"{each}:LABEL" for each in OF_A_CLASS]
    if name not in allowed and not (of_a_class and f"{kind}:LABEL" in allowed):
        raise ValueError(
            f"metric is {shown(name)}; for {problem} it must be one of {', '.join(allowed)}"
        )
    if name not in _NEEDS_NOTHING:
        scikit_learn(f"metric {name!r}")


def of_the_whole(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are not of one class."""
    return {name: value for name, value in metrics.items() if ":" not in name}


def scikit_learn(purpose: str) -> Any:
    """`sklearn.metrics`, or an `ImportError` that names the extra."""
    try:
        import sklearn.metrics
    except ImportError as error:
        raise ImportError(f"{purpose} needs scikit-learn: pip install -e '.[metrics]'") from error
    return sklearn.metrics


def classification_metrics(
    problem: ProblemType,
    truth: Any,
    scores: np.ndarray,
    labels: Sequence[str],
    threshold: float = 0.5,
) -> dict[str, float]:
    """The metrics of `METRICS`, in that order, and "precision:LABEL", "recall:LABEL" and "f1:LABEL"
    for each class; without scikit-learn those that need nothing.

    truth: (n,) class ids; of several labels a text (n, L) 0 or 1; of numbers (n,) or (n, L).
    scores: (n, L) probabilities, or the numbers predicted. labels: L names. threshold: from which
    probability on one of several labels counts as predicted. Of several labels a text, accuracy is
    the share of texts with all of them right; of L numbers a text, each metric is the mean of L.
    """
    if problem == "regression":
        return _of_numbers(np.asarray(truth).reshape(scores.shape), scores)
    truth, predicted = np.asarray(truth), decided(problem, scores, threshold)
    right = truth == predicted
    found = {"accuracy": float((right if right.ndim == 1 else right.all(axis=1)).mean())}
    try:
        sklearn = scikit_learn("these metrics")
    except ImportError:
        return found
    by_class = _of_classes(sklearn, truth, predicted, len(labels))
    precision, recall, f1, support = by_class
    if problem == "single_label_classification":
        met = (support > 0) | (np.bincount(predicted, minlength=len(labels)) > 0)
        found["balanced_accuracy"] = float(recall[support > 0].mean())
        found["matthews_corrcoef"] = 0.0  # of a single class
        if met.sum() > 1:
            found["matthews_corrcoef"] = float(sklearn.matthews_corrcoef(truth, predicted))
    else:
        met = np.ones(len(labels), dtype=bool)
        both = (_wider(truth), _wider(predicted))
        found["f1_micro"] = float(sklearn.f1_score(*both, average="micro", **_DEFINED))
    for name, values in zip(OF_A_CLASS, (precision, recall, f1), strict=True):
        found[f"{name}_macro"] = float(values[met].mean())
    found["f1_weighted"] = float(f1 @ support / support.sum()) if support.any() else 0.0
    found = {name: found[name] for name in METRICS[problem]}
    for name, values in zip(OF_A_CLASS, (precision, recall, f1), strict=True):
        found |= {f"{name}:{label}": float(v) for label, v in zip(labels, values, strict=True)}
    return found


_DEFINED = {"zero_division": 0.0}


def decided(problem: ProblemType, scores: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Probabilities, (n, L) -> ids of the most probable classes, (n,); of several labels a text,
    (n, L) 1 where one is predicted. Numbers stay what they are."""
    if problem == "single_label_classification":
        return scores.argmax(axis=1)
    return scores if problem == "regression" else (scores >= threshold).astype(np.int64)


def _of_classes(
    sklearn: Any, truth: np.ndarray, predicted: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(L,) precision, recall, F1 and number of texts of each class."""
    if truth.ndim == 2:
        truth, predicted = _wider(truth), _wider(predicted)
    return sklearn.precision_recall_fscore_support(
        truth, predicted, labels=range(classes), average=None, **_DEFINED
    )


def _wider(chosen: np.ndarray) -> np.ndarray:
    """A column of zeros more: a single one would be the two classes 0 and 1 to scikit-learn."""
    return np.pad(chosen, ((0, 0), (0, 1)))


def _of_numbers(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Of numbers, both (n, L)."""
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    errors = predicted - truth
    found = {
        "r2": float(_r2(truth, errors).mean()),
        "pearson": _correlation(truth, predicted),
        "mean_squared_error": float(np.square(errors).mean()),
        "mean_absolute_error": float(np.abs(errors).mean()),
    }
    try:
        scikit_learn("spearman")
        from scipy.stats import rankdata  # scikit-learn's own requirement
    except ImportError:
        return found
    found["spearman"] = _correlation(rankdata(truth, axis=0), rankdata(predicted, axis=0))
    return {name: found[name] for name in METRICS["regression"]}


def _r2(truth: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """(L,) the share of the variance of each column that is explained; of a constant column 1 if
    every prediction is right, 0 if not, as scikit-learn has it."""
    left = np.square(errors).sum(axis=0)
    total = np.square(_centred(truth)).sum(axis=0)
    constant = total == 0
    return np.where(constant, left == 0, 1 - left / np.where(constant, 1, total))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, the mean over the columns; 0 where all numbers of one are the same."""
    one, other = _centred(one), _centred(other)
    sizes = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)  # (L,)
    return float(((one * other).sum(axis=0) / np.where(sizes == 0, 1, sizes)).mean())


def _centred(numbers: np.ndarray) -> np.ndarray:
    """Less the mean of its column; of equal numbers exact zeros, from which their mean, which is
    rounded, may differ."""
    numbers = numbers - numbers[0]
    return numbers - numbers.mean(axis=0)

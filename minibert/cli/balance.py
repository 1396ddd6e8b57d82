"""What is told of labels before they are learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from minibert._checks import enumerated
from minibert.checkpoint.config_json import ProblemType
from minibert.data import LabelledTexts
from minibert.training.results import LISTED


def describe(
    train: LabelledTexts, development: LabelledTexts, problem: ProblemType
) -> float | None:
    """Print the labels; of one label a text return the accuracy of always naming the most frequent
    one."""
    for name, part in (("training", train), ("development", development)):
        balance = _range(part.labels) if problem == "regression" else _balance(part.labels)
        print(f"{name}: {len(part)} texts: {balance}")
    if problem != "single_label_classification":
        return None
    commonest = Counter(train.labels).most_common(1)[0][0]
    majority = Counter(development.labels)[commonest] / len(development)
    print(f"majority baseline: always {commonest}, {majority:.2%} of development")
    return majority


def _range(labels: Sequence[float]) -> str:
    return f"numbers from {min(labels):g} to {max(labels):g}, mean {sum(labels) / len(labels):.4g}"


def _balance(labels: Sequence[Any]) -> str:
    """How many texts have each label."""
    counts = Counter(
        label for each in labels for label in ([each] if isinstance(each, str) else each)
    )
    told = [f"{label} {n} ({n / len(labels):.1%})" for label, n in counts.most_common()]
    return enumerated(told, LISTED)

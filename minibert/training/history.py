"""What happened in a run: losses, evaluations, time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minibert._checks import shown

# Measures of which less is better. Of all others more is.
ERRORS = ("loss", "mean_squared_error", "mean_absolute_error")


def as_text(metric: str, value: float) -> str:
    """A metric for people: accuracy in percent; the loss as that of training stands beside it; of
    other errors, which have any size, four digits."""
    if metric == "accuracy":
        return f"{value:.2%}"
    if metric == "loss":
        return f"{value:.3f}"
    return f"{value:.4g}" if metric in ERRORS else f"{value:.4f}"


def metric_of(metrics: Mapping[str, float], name: str) -> float:
    """One of them by its name. Raises `ValueError` naming them if there is none.

    >>> metric_of({"accuracy": 0.5}, "f1_macro")
    Traceback (most recent call last):
    ValueError: metric is 'f1_macro', which was not counted; there are accuracy. ...
    """
    if name not in metrics:
        known = list(metrics)
        raise ValueError(
            f"metric is {shown(name)}, which was not counted; there are "
            f"{', '.join(known[:20])}{', ...' if len(known) > 20 else ''}. Some need "
            "scikit-learn: pip install -e '.[metrics]'"
        )
    return metrics[name]


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on held-out examples after `step` steps.

    loss: the mean, in nats (squared units of the labels for numbers). metrics: by name, the task's
    own first: accuracy, for example, from 0 to 1.
    """

    step: int
    loss: float
    metrics: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """The share that is right, 0 to 1, of a task that has one."""
        return self.value("accuracy")

    @property
    def metric(self) -> str:
        """The name of the task's own metric."""
        return next(iter(self.metrics), "loss")

    def value(self, metric: str | None = None) -> float:
        """The loss or a metric by its name; None: the task's own. Raises `ValueError` for one that
        it does not have."""
        metric = self.metric if metric is None else metric
        return metric_of({"loss": self.loss, **self.metrics}, metric)

    def told(self, metric: str) -> str:
        """The metric with its name, for people."""
        return f"{metric} {as_text(metric, self.value(metric))}"

    def better_than(self, other: Evaluation, metric: str | None = None) -> bool:
        """By this metric, and where it is the same by a lower loss."""
        sign = -1 if (metric or self.metric) in ERRORS else 1
        mine, others = sign * self.value(metric), sign * other.value(metric)
        return (mine, -self.loss) > (others, -other.loss)


@dataclass
class History:
    """What happened: the loss of every step, each evaluation (the first before any training), and
    the time spent in training steps, in seconds, for this many examples. The time of a step ends
    when its loss is in hand, so that of a GPU counts, though Python runs ahead of it. metric: by
    which evaluations are compared, None: the task's own."""

    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    seconds: float = 0.0
    examples: int = 0
    metric: str | None = None

    @property
    def speed(self) -> float:
        """Examples a second; 0 if no time has passed, as by a clock that somebody has stopped."""
        return self.examples / self.seconds if self.seconds else 0.0

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation, the first of several; None without any."""
        best = None
        for evaluation in self.evaluations:
            if best is None or evaluation.better_than(best, self.metric):
                best = evaluation
        return best

    def ran_out_of(self, patience: int | None) -> bool:
        """Whether the last `patience` evaluations were no better than one before them."""
        if patience is None or self.best is None:
            return False
        return len(self.evaluations) - 1 - self.evaluations.index(self.best) >= patience

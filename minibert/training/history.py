"""What happened in a run: losses, evaluations, time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Evaluation:
    """Mean loss in nats and accuracy, 0 to 1, on held-out examples after `step` steps."""

    step: int
    loss: float
    accuracy: float

    def better_than(self, other: Evaluation) -> bool:
        """More accurate, or as accurate with a lower loss."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


@dataclass
class History:
    """What happened: the loss of every step, each evaluation (the first before any training), and
    the time spent in training steps, in seconds, for this many examples. The time of a step ends
    when its loss is in hand, so that of a GPU counts, though Python runs ahead of it."""

    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    seconds: float = 0.0
    examples: int = 0

    @property
    def speed(self) -> float:
        """Examples a second; 0 if no time has passed, as by a clock that somebody has stopped."""
        return self.examples / self.seconds if self.seconds else 0.0

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation, the first of several; None without any."""
        best = None
        for evaluation in self.evaluations:
            if best is None or evaluation.better_than(best):
                best = evaluation
        return best

    def ran_out_of(self, patience: int | None) -> bool:
        """Whether the last `patience` evaluations were no better than one before them."""
        if patience is None or self.best is None:
            return False
        return len(self.evaluations) - 1 - self.evaluations.index(self.best) >= patience

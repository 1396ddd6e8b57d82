"""Texts whose labels are known, and what a classifier's outputs for them are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.engine.long_texts import mean_by_tokens
from minibert.heads import BertForClassification
from minibert.tasks.problems import Problem
from minibert.tasks.training_data import examples_of
from minibert.tokenizer import Row, Tokenizer
from minibert.training.batches import losses
from minibert.training.finetune import logits_of
from minibert.training.history import History
from minibert.training.metrics import classification_metrics, of_the_whole
from minibert.training.recipe import Recipe
from minibert.training.results import LISTED, Report


@dataclass(frozen=True)
class HeldOut:
    """Texts that a classifier is evaluated on while it learns.

    rows: those of each text, several if it is read in windows. targets: what the loss takes for
    their labels. threshold: from which probability one of several labels counts. metric: by which
    evaluations are compared. seen: the scores, (texts, L), of each evaluation so far.
    """

    problem: Problem
    rows: Sequence[Sequence[Row]]
    targets: Sequence[Any]
    threshold: float
    metric: str | None
    seen: list[np.ndarray] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of rows and targets."""
        return examples_of(self.rows, self.targets, None).fingerprint

    @property
    def all_rows(self) -> list[Row]:
        """The rows of all texts in one list."""
        return [row for each in self.rows for row in each]

    @property
    def differ(self) -> bool:
        """Whether there are texts with different labels."""
        return len({str(target) for target in self.targets}) > 1

    def judge(self, logits: Tensor) -> tuple[float, Mapping[str, float]]:
        """What the outputs for all rows, (rows, L), are worth: their loss, and metrics by name."""
        problem, labels = self.problem, torch.tensor(self.targets, device="cpu")
        logits = mean_by_tokens(logits, self.rows)
        loss = losses(problem.problem_type, logits, labels, reduction="mean")
        scores = problem.in_labels(problem.scores(logits).numpy())
        self.seen.append(scores)
        truth, names = problem.truth(self.targets), problem.labels.names
        metrics = classification_metrics(problem.problem_type, truth, scores, names, self.threshold)
        if len(names) > LISTED:  # a log has a line for each evaluation
            chosen = {self.metric: metrics[self.metric]} if self.metric in metrics else {}
            metrics = {**of_the_whole(metrics), **chosen}
        return loss.item(), metrics

    def scores(
        self, model: BertForClassification, tokenizer: Tokenizer, history: History, recipe: Recipe
    ) -> np.ndarray:
        """(texts, L) of the weights that were kept; computed if this process has not seen them, as
        those of a run that was resumed."""
        evaluations = history.evaluations
        kept = history.best if recipe.keep_best else evaluations[-1] if evaluations else None
        back = len(evaluations) - evaluations.index(kept) if kept is not None else 0
        if 0 < back <= len(self.seen):
            return self.seen[-back]
        return scores_of(self.problem, model, tokenizer, self.rows)


def scores_of(
    problem: Problem,
    model: BertForClassification,
    tokenizer: Tokenizer,
    rows: Sequence[Sequence[Row]],
) -> np.ndarray:
    """What a trained model says of texts, by the rows of each: (texts, L)."""
    logits = logits_of(model, tokenizer, [row for each in rows for row in each])
    return problem.scores(mean_by_tokens(logits, rows)).numpy()


def report_of(
    problem: Problem, targets: Sequence[Any], scores: np.ndarray, threshold: float
) -> Report:
    """How good the scores of texts, (texts, L), are, class by class."""
    names, truth = problem.labels.names, problem.truth(targets)
    return Report.of(problem.problem_type, truth, scores, names, threshold)

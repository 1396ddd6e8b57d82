"""What a model learns from: which examples each step takes, and their loss.

Batches come in true random order. Sorting training texts by length would save padding, but a batch
of short texts is not a random sample, and the gradient is biased by it. The model packs its
batches, so padding costs nothing here and the order can be the honest one.

A batch follows from the seed and the number of the step, and from nothing else. So the number of
the step is all a run has to remember of its place in the data.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import check_labels, check_targets, shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.config_json import ProblemType
from minibert.engine.host import placed, send
from minibert.model import at_least_fp32
from minibert.tokenizer import Row, Tokenizer


class HasRow(Protocol):
    """An example: a row of tokens, and its place in the data."""

    @property
    def index(self) -> int: ...
    @property
    def row(self) -> Row: ...


# Of a class in the loss: a batch of losses times the largest still fits into fp32.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-30, 1e30

ExampleT = TypeVar("ExampleT", bound=HasRow)


class Task(ABC, Generic[ExampleT]):
    """Which examples a step takes, and their loss. The training loop knows nothing else of a task.

    steps_per_epoch: steps until every example was taken once.
    fingerprint: changes with the data; a run is resumed only with the data it began with.
    settings: name -> value of what else decides batches and loss, for the same reason.
    """

    steps_per_epoch: int
    fingerprint: str
    settings: dict[str, Any]

    @abstractmethod
    def batch(self, step: int) -> list[ExampleT]:
        """The examples of a step, counted from 0; the same whenever they are asked for."""

    @abstractmethod
    def loss(self, model: nn.Module, part: list[ExampleT], whole: list[ExampleT]) -> Tensor:
        """What `part` adds to the loss of `whole`, the step's batch.

        The sum over the parts of a batch is its loss, however it is split: each example counts as
        much as it does in the whole, not in its part.
        """


def split(batch: list[ExampleT], parts: int) -> list[list[ExampleT]]:
    """A batch in so many parts of nearly as many tokens; with few examples some are empty."""
    if parts == 1:
        return [batch]
    shares: list[list[ExampleT]] = [[] for _ in range(parts)]
    tokens = [0] * parts
    for example in sorted(batch, key=lambda example: -len(example.row.ids)):
        lightest = tokens.index(min(tokens))
        shares[lightest].append(example)
        tokens[lightest] += len(example.row.ids)
    return shares


def random_order(size: int, seed: int, epoch: int) -> list[int]:
    """The indices of `size` examples, each once, in the order of this epoch."""
    generator = torch.Generator("cpu").manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(size, generator=generator, device="cpu").tolist()


@dataclass(frozen=True)
class Examples:
    """Tokenized texts with what is to be learned of each, in one order.

    labels: a class id for each row; of several labels a text L numbers, 0 or 1; of numbers, L of
    them. Other tasks have others. weights: how much each row counts, None: all the same.
    """

    rows: Sequence[Row]
    labels: Sequence[Any]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("weights", self.weights)):
            if values is not None and len(self.rows) != len(values):
                raise ValueError(
                    f"there are {len(self.rows)} rows and {len(values)} {name}; give as many"
                )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all tokens, labels and weights, in order."""
        digest = hashlib.sha256()
        for row, label in zip(self.rows, self.labels, strict=True):
            numbers = [len(row.ids), *row.ids, *row.type_ids]
            if isinstance(label, int):
                digest.update(np.array([*numbers, label], dtype=np.int64).tobytes())
            else:
                digest.update(np.array(numbers, dtype=np.int64).tobytes())
                digest.update(np.array(label, dtype=np.float64).tobytes())
        if self.weights is not None:
            digest.update(np.array(self.weights, dtype=np.float64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Example:
    """A tokenized text with what is to be learned of it; index: its place in the data."""

    index: int
    row: Row
    label: Any
    weight: float = 1.0


class RandomOrder(Task[Example]):
    """Examples in a random order that is new in each epoch, every one once an epoch.

    What their loss is, is said by those that inherit from it. Raises `ValueError` for arguments
    that cannot be used.
    """

    def __init__(
        self, examples: Examples, tokenizer: Tokenizer, batch_size: int, seed: int = 0
    ) -> None:
        self.examples, self.tokenizer = examples, tokenizer
        self.seed = whole_number("seed", seed, 0, 2**32 - 1)
        self.batch_size = whole_number("batch_size", batch_size, 1)
        self.steps_per_epoch = -(-len(examples) // self.batch_size)
        self.fingerprint = examples.fingerprint
        self.settings = {"batch_size": self.batch_size, "seed of the data": self.seed}
        self._epoch, self._order = -1, [0]

    def batch(self, step: int) -> list[Example]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = random_order(len(self.examples), self.seed, epoch)
        start = place * self.batch_size
        return [self.example(i) for i in self._order[start : start + self.batch_size]]

    def example(self, i: int) -> Example:
        """The example at this place in the data."""
        weights = self.examples.weights
        weight = 1.0 if weights is None else weights[i]
        return Example(i, self.examples.rows[i], self.examples.labels[i], weight)


class Classification(RandomOrder):
    """Texts and what the head is to say of each: see `BertForClassification.forward`.

    class_weights: (L,) how much an example of each class counts, None: all the same. The loss is
    the mean over the examples, weighed by their own weights and those of their classes, as that of
    `torch.nn.CrossEntropyLoss` is. Raises `ValueError` for arguments and, when they meet the model,
    for labels and weights that cannot be used.
    """

    def __init__(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        batch_size: int,
        seed: int = 0,
        class_weights: Tensor | None = None,
        problem: ProblemType = "single_label_classification",
    ) -> None:
        super().__init__(examples, tokenizer, batch_size, seed)
        if class_weights is not None:
            check_class_weights(class_weights)
            if problem != "single_label_classification":
                raise ValueError(f"class_weights are for one label a text, not for {problem}")
            class_weights = class_weights.cpu()  # where they are asked for by example
        self.class_weights, self.problem = class_weights, problem
        weights = None if class_weights is None else class_weights.tolist()
        self.settings |= {"class_weights": weights}

    def loss(self, model: nn.Module, part: list[Example], whole: list[Example]) -> Tensor:
        logits, labels = self.logits(model, part)
        logits, class_weights = at_least_fp32(logits), self.class_weights
        if class_weights is not None:
            if len(class_weights) != logits.shape[1]:
                raise ValueError(
                    f"there are {len(class_weights)} class_weights and {logits.shape[1]} labels; "
                    "give as many"
                )
            (class_weights,) = send([class_weights], logits.device)
        if self.examples.weights is None:
            total = losses(self.problem, logits, labels, class_weights, "sum")
        else:
            counted = torch.tensor([e.weight for e in part], dtype=logits.dtype, device="cpu")
            (weights,) = send([counted], logits.device)
            total = losses(self.problem, logits, labels, class_weights, "none") @ weights
        return total / self._weight(whole)

    def logits(self, model: nn.Module, part: list[Example]) -> tuple[Tensor, Tensor]:
        """Scores, (B, L), and labels, (B,) or (B, L), on the model's device."""
        batch = self.tokenizer.pad([example.row for example in part])
        logits = model(**placed(model, batch)).logits
        return logits, self.labels_for(logits, part)

    def labels_for(self, logits: Tensor, part: list[Example]) -> Tensor:
        """Labels, (B,) or (B, L), on the device of these scores, (B, L); checked before they are
        sent."""
        labels = torch.tensor([example.label for example in part], device="cpu")
        if self.problem == "single_label_classification":
            check_labels(labels, len(part), logits.shape[1])
        else:
            several = self.problem == "multi_label_classification"
            check_targets(labels, (len(part), logits.shape[1]), several)
        return send([labels], logits.device)[0]

    def _weight(self, batch: list[Example]) -> float:
        if self.class_weights is None:
            return len(batch) if self.examples.weights is None else sum(e.weight for e in batch)
        return sum(self.class_weights[e.label].item() * e.weight for e in batch)


def losses(
    problem: ProblemType,
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor | None = None,
    reduction: Literal["none", "sum", "mean"] = "none",
) -> Tensor:
    """The loss of each example, (B,), or their sum or mean: what `BertForClassification` has, but
    with weights. logits: (B, L). labels: (B,) class ids; (B, L) of the other problems."""
    if problem == "single_label_classification":
        return F.cross_entropy(logits, labels, class_weights, reduction=reduction)
    if problem == "multi_label_classification":
        each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=1)
    else:
        each = F.mse_loss(logits, labels, reduction="none").mean(dim=1)
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.mean()


def check_class_weights(weights: object) -> None:
    """Raise `ValueError` unless it is a tensor of fp32, one positive number for each class."""
    if (
        not isinstance(weights, Tensor)
        or weights.ndim != 1
        or weights.dtype != torch.float32
        or not all(SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT for weight in weights.tolist())
    ):
        raise ValueError(
            f"class_weights is {shown(weights)}; it must be None or a tensor of fp32 with a number "
            f"from {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g} for each class"
        )

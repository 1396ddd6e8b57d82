"""Lesson 7: cross-entropy from logits, and whether one classifier is better than another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from checks.verdict import Hint, called, compare, exercise, number

# Four texts and three classes, so that no two mistakes give the same number, nor one the right one.
LOGITS = torch.tensor([[1.5, -0.3, 0.4], [-1.2, 2.0, 0.7], [0.2, 1.1, 2.5], [0.9, 1.6, -0.8]])
LABELS = torch.tensor([2, 1, 0, 2])
# Too large, or too low, for e to the power of them, in float32; all with losses of their own.
LARGE = [
    (torch.tensor([[1000.0, 0.0, -3.0], [-1001.0, -1000.0, -1002.0]]), torch.tensor([1, 0])),
    (torch.tensor([[95.0, 93.5], [92.0, 96.0], [94.0, 94.2]]), torch.tensor([1, 0, 1])),
    (torch.tensor([[-300.0, -302.0, -301.2, -299.5]]), torch.tensor([2])),
    (torch.tensor([[5000.0, 4999.0, 5001.5], [2.0, 1.0, 0.5]]), torch.tensor([0, 1])),
]
# What PyTorch has for the whole of it, and for the step that is to be written.
READY_MADE = {"cross_entropy", "nll_loss", "log_softmax", "logsumexp"}
OVERFLOW = (
    "e to the power of 1000 is too large for a computer, and a probability that is rounded to 0 "
    "has no logarithm. Subtract a row's largest logit from the whole row first, and then take the "
    "loss as the logarithm of the sum, minus the logit of the right class"
)


@exercise
def cross_entropy(answer: Callable[..., Any]) -> str:
    """(B, L) logits and (B,) labels -> the mean loss, in nats."""
    calls = Calls()
    try:
        with calls:
            result = called(answer, LOGITS, LABELS)
        found = _loss(result, "the result")
    except Hint as hint:
        if "is nan" not in str(hint):
            raise
        raise Hint(f"{hint}, or of a negative number: softmax comes before the logarithm") from hint
    right = float(F.cross_entropy(LOGITS, LABELS))
    compare(
        found,
        right,
        _mistakes(right),
        f"for four texts of three classes the result is {found:.4f}, and PyTorch's is {right:.4f}. "
        "Try your function on the lesson's three texts, and print the probability of each right "
        "class: they should be 0.953, 0.269 and 0.953",
    )
    for logits, labels in LARGE:
        _large(answer, logits, labels, calls)
    if ready := READY_MADE & calls.names:
        raise Hint(
            f"the numbers are right, but PyTorch's `{min(ready)}` has computed them. Write it with "
            "`max`, `exp`, `sum` and `log`"
        )
    return "your loss is PyTorch's, and logits of 1000 do it no harm"


class Calls(TorchFunctionMode):
    """Notes the names of PyTorch's functions that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def _large(answer: Callable[..., Any], logits: Tensor, labels: Tensor, calls: Calls) -> None:
    shown = ", ".join(f"{logit:g}" for logit in logits[0].tolist())
    what = f"with a row of {shown} the result"
    try:
        with calls:
            result = called(answer, logits, labels)
        found = _loss(result, what)
    except Hint as hint:
        raise Hint(f"right for small logits. But {hint}. {OVERFLOW}") from hint
    right = float(F.cross_entropy(logits, labels))
    compare(
        found,
        right,
        {},
        f"right for small logits. But {what} is {found:.6g}, and PyTorch's is {right:.6g}. Is a "
        "small number added, a probability cut off, or is there a rule of its own for large "
        f"logits? There is no need: {OVERFLOW}",
    )


def _loss(result: Any, what: str) -> float:
    size = math.prod(np.shape(result)) if isinstance(result, Tensor | np.ndarray | list) else 1
    if size > 1:
        raise Hint(f"{what} has {size} numbers; give one, the mean loss of the texts")
    return number(result, what)


def _mistakes(right: float) -> dict[str, float]:
    """What each known mistake gives: mostly the right loss of something else."""
    texts, classes = LOGITS.shape
    rows, log_shares = torch.arange(texts), LOGITS.log_softmax(dim=1)
    shares, of_labels = log_shares.exp(), LOGITS[rows, LABELS]
    largest, sums = LOGITS.amax(dim=1), LOGITS.logsumexp(dim=1)

    def of(logits: Tensor, labels: Tensor) -> float:
        return float(F.cross_entropy(logits, labels))

    return {
        "softmax is taken twice: these are already probabilities when it comes to them": of(
            shares, LABELS
        ),
        "this is in decimal logarithms (log10); nats are natural ones, `math.log` or `.log()`": (
            right / math.log(10)
        ),
        "this is in bits (log2); nats are natural logarithms, `math.log` or `.log()`": (
            right / math.log(2)
        ),
        "this is the sum over the texts; give their mean": right * texts,
        "this is the sum over the texts, divided by the number of classes; divide by that of the "
        "texts": right * texts / classes,
        "this is divided by the number of texts and by that of the classes; only by the texts": (
            right / classes
        ),
        "the sign is wrong: the logarithm of a probability is negative, and the loss is its "
        "opposite": -right,
        "this is the loss as if every text were of class 0; use `labels[i]`": of(
            LOGITS, 0 * LABELS
        ),
        "this is the loss of the most probable class; use that of the right one, `labels[i]`": of(
            LOGITS, LOGITS.argmax(dim=1)
        ),
        "this is the loss of a wrong class, `1 - labels[i]`; use the right one, `labels[i]`": of(
            LOGITS, (1 - LABELS) % classes
        ),
        "this is the mean over all classes; only the right one of each text counts": float(
            -log_shares.mean()
        ),
        "softmax goes down the columns, over the texts; take it along each row": float(
            -LOGITS.log_softmax(dim=0)[rows, LABELS].mean()
        ),
        "the sum goes over the whole table; take the sum of each row for itself": float(
            -LOGITS.flatten().log_softmax(dim=0).view_as(LOGITS)[rows, LABELS].mean()
        ),
        "these are probabilities; the logarithm is missing": float(shares[rows, LABELS].mean()),
        "this is 1 minus the probability of the right class; take its logarithm": float(
            1 - shares[rows, LABELS].mean()
        ),
        "this is the logarithm of the mean probability; take the mean of the logarithms": float(
            -shares[rows, LABELS].mean().log()
        ),
        "this is the first text's loss; give the mean of all (does `return` stand in the loop?)": (
            of(LOGITS[:1], LABELS[:1])
        ),
        "this is the last text's loss; give the mean of all": of(LOGITS[-1:], LABELS[-1:]),
        "this is minus the logit of the right class; softmax and the logarithm are missing": float(
            -of_labels.mean()
        ),
        "this is the logarithm of the sums alone; the logit of the right class is still to be "
        "subtracted": float(sums.mean()),
        "the largest logit is subtracted in the sum, but not from the logit of the right class": (
            float((sums - largest - of_labels).mean())
        ),
    }


class Results(NamedTuple):
    """How often A and B are right, over n texts. hint: what to look at if the verdict is wrong."""

    both: int
    only_a: int
    only_b: int
    neither: int
    verdict: str
    hint: str

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    def arrays(self, swapped: bool) -> list[np.ndarray]:
        """right_a and right_b, (n,) booleans in a random order; or the other way round."""
        counts = [self.both, self.only_a, self.only_b, self.neither]
        order = np.random.default_rng(7).permutation(self.n)
        right = [np.repeat(kind, counts)[order] for kind in ([1, 1, 0, 0], [1, 0, 1, 0])]
        return [each.astype(bool) for each in (right[::-1] if swapped else right)]

    @property
    def errors(self) -> float:
        """The difference, in standard errors of it."""
        differences = np.repeat(
            [1.0, -1.0, 0.0], [self.only_a, self.only_b, self.both + self.neither]
        )
        spread = differences.std()
        return float(differences.mean() / spread * math.sqrt(self.n)) if spread else 0.0


A, NEITHER = "A", "cannot tell"
# In an order in which each mistake is first refused where its own hint stands, and none near the
# border, so that it does not matter whether one divides by n or by n - 1.
CASES = [
    Results(
        150,
        100,
        30,
        20,
        A,
        "Is your standard error too large? The squares are divided by the number of texts twice, "
        "once for their mean and once more, and then the root is taken. Or does your function "
        "never name this one?",
    ),
    Results(
        255,
        0,
        0,
        45,
        NEITHER,
        "They are right on the same texts, and both the difference and its standard error are 0: "
        "`more than` is `>`",
    ),
    Results(
        220,
        25,
        19,
        36,
        NEITHER,
        "A difference alone is not enough. If you do compare it with a standard error, yours is "
        "too small: divide the mean of the squares by the number of texts, and take the root after "
        "that",
    ),
    Results(210, 30, 19, 41, NEITHER, "Claim only beyond two standard errors"),
    Results(
        26,
        7,
        3,
        4,
        NEITHER,
        "There are 40 texts here, and not 200: compute the standard error from the arrays",
    ),
    Results(
        202,
        55,
        39,
        4,
        NEITHER,
        "Do you take the standard error of one accuracy? It should be that of the differences, "
        "text by text",
    ),
    Results(
        900,
        14,
        1,
        85,
        A,
        "Do you take A's texts and B's for different ones? Both have read the same: take the "
        "standard error of the differences, text by text",
    ),
    Results(210, 32, 15, 43, A, "Beyond two standard errors you may claim"),
]


@exercise
def better(answer: Callable[..., Any]) -> str:
    """Two arrays of booleans, right or wrong on the same texts -> "A", "B" or "cannot tell"."""
    for case in CASES:
        for swapped in (False, True):
            found = called(answer, *case.arrays(swapped))
            if not isinstance(found, str) or found not in ("A", "B", NEITHER):
                raise Hint(f'the result is {found!r:.100}; it should be "A", "B" or "cannot tell"')
            right = case.verdict
            if swapped and right == A:
                right = "B"
            if found != right:
                raise Hint(_told(case, swapped, found, right))
    return "right on made-up results, close and clear, of 40 to 1,000 texts"


def _told(case: Results, swapped: bool, found: str, right: str) -> str:
    first, second = "BA" if swapped else "AB"
    if {found, right} == {"A", "B"}:
        more = f"{right} is right on {case.only_a - case.only_b} texts more, of {case.n}"
        if right == "A":
            return f"{more}, and you name B; are A and B, or the sign, the wrong way round?"
        return f"{more}, and you name A, as you did where A was better; look at the sign"
    return (
        f"of {case.n} texts {first} alone is right on {case.only_a}, and {second} alone on "
        f"{case.only_b}. That difference is {case.errors:.1f} standard errors, so the answer is "
        f'"{right}"; yours is "{found}". {case.hint}'
    )

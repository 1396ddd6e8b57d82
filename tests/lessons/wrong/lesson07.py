"""Lesson 7."""

import math

import torch
import torch.nn.functional as F

from tests.lessons.wrong import Wrong


def loss(shares=lambda logits: logits.softmax(dim=1), log=torch.log, at=None, join=torch.mean):
    """Minus the logarithm of the probability of the right class, step by step."""

    def answer(logits, labels):
        chosen = labels if at is None else at(logits, labels)
        return -join(log(shares(logits)[torch.arange(len(labels)), chosen]))

    return answer


def of_the_whole_table(logits):
    return logits.exp() / logits.exp().sum()


def in_the_loop(logits, labels):
    for row, label in zip(logits, labels, strict=True):
        return -row.log_softmax(dim=0)[label]


def largest_not_from_the_label(logits, labels):
    lowered = logits - logits.amax(dim=1, keepdim=True)
    return (lowered.exp().sum(dim=1).log() - logits[torch.arange(len(labels)), labels]).mean()


def in_float(logits, labels):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total += math.log(sum(math.exp(x) for x in row)) - row[label]
    return total / len(labels)


def only_for_large(rule):
    """Right for small logits, and by some other rule beyond 100."""

    def answer(logits, labels):
        return rule(logits, labels) if logits.max() > 100 else loss()(logits, labels)

    return answer


def as_if_the_largest_were_all(logits, labels):
    return (logits.amax(dim=1) - logits[torch.arange(len(labels)), labels]).mean()


def ready_made_in_part(logits, labels):
    return -logits.log_softmax(dim=1)[torch.arange(len(labels)), labels].mean()


def difference(error, times=2.0, equal=False):
    """A verdict by the difference of accuracies and some standard error of it."""

    def answer(right_a, right_b):
        a, b = right_a.astype(float), right_b.astype(float)
        mean, border = (a - b).mean(), times * error(a, b)
        if mean > border or (equal and mean == border):
            return "A"
        return "B" if mean < -border else "cannot tell"

    return answer


def paired(a, b):
    return (a - b).std() / math.sqrt(len(a))


def unpaired(a, b):
    return math.sqrt(a.var() / len(a) + b.var() / len(b))


def without_b(right_a, right_b):
    return "A" if difference(paired)(right_a, right_b) == "A" else "cannot tell"


def either_way(right_a, right_b):
    return "cannot tell" if difference(paired)(right_a, right_b) == "cannot tell" else "A"


PRINTED = [
    r"0\.953 costs 0\.049",
    r"mean 0\.4701 nats",
    r"inf, 1\.\]\) and tensor\(inf\)",
    r"the same logits: True",
    r"joy and not a joy 0\.80, joy and delightful 0\.62",
    r"pooler: 147,840 weights\nclassifier: 770 weights",
    r"majority baseline: \d\d%",
    r"warning: epochs=\d makes only \d steps",
    r"\$ minibert classify output/lessons/reviews .*\n(positive|negative)\t0\.\d+\tA joy",
]
WRONG = {
    "cross_entropy": [
        Wrong(
            "softmax twice",
            loss(lambda logits: logits.softmax(dim=1).softmax(dim=1)),
            "softmax is taken twice",
        ),
        Wrong("log10", loss(log=torch.log10), "decimal logarithms"),
        Wrong("log2", loss(log=torch.log2), "in bits"),
        Wrong("the sum", loss(join=torch.sum), "give their mean"),
        Wrong("the sign", lambda *given: -loss()(*given), "the sign is wrong"),
        Wrong("the first class", loss(at=lambda z, y: 0 * y), "of class 0"),
        Wrong("the wrong class", loss(at=lambda z, y: 1 - y), "`1 - labels[i]`"),
        Wrong("the most probable class", loss(at=lambda z, y: z.argmax(dim=1)), "most probable"),
        Wrong("all classes", lambda z, y: -z.log_softmax(dim=1).mean(), "over all classes"),
        Wrong("softmax over the texts", loss(lambda z: z.softmax(dim=0)), "down the columns"),
        Wrong("softmax over the table", loss(of_the_whole_table), "the whole table"),
        Wrong("no logarithm", lambda *given: -loss(log=lambda p: p)(*given), "is missing"),
        Wrong("1 - p", lambda *given: 1 + loss(log=lambda p: p)(*given), "1 minus"),
        Wrong(
            "the logarithm of the mean",
            loss(log=lambda p: p, join=lambda p: p.mean().log()),
            "the mean of the logarithms",
        ),
        Wrong("no softmax", loss(lambda logits: logits), "softmax comes before the logarithm"),
        Wrong("minus the logit", loss(lambda z: z, log=lambda z: z), "minus the logit"),
        Wrong("a loss for each text", loss(join=lambda losses: losses), "has 4 numbers"),
        Wrong("return in the loop", in_the_loop, "the first text's loss"),
        Wrong(
            "the label's logit left out", lambda z, y: z.logsumexp(dim=1).mean(), "the sums alone"
        ),
        Wrong("largest from the sum only", largest_not_from_the_label, "but not from the logit"),
        Wrong("inf of large logits", loss(), "right for small logits. But"),
        Wrong("overflow of large logits", in_float, "OverflowError"),
        Wrong("a small number added", loss(log=lambda p: (p + 1e-9).log()), "a small number added"),
        Wrong("a number for 1000", only_for_large(lambda z, y: 500.7038), "a row of 5000"),
        Wrong(
            "a rule for large logits",
            only_for_large(as_if_the_largest_were_all),
            "a rule of its own for large logits",
        ),
        Wrong("PyTorch's beyond 100", only_for_large(F.cross_entropy), "PyTorch's `cross_entropy`"),
        Wrong("PyTorch's own", F.cross_entropy, "PyTorch's `cross_entropy` has computed them"),
        Wrong(
            "PyTorch's, as a module",
            lambda z, y: torch.nn.CrossEntropyLoss()(z, y),
            "PyTorch's `cross_entropy` has computed them",
        ),
        Wrong("PyTorch's in part", ready_made_in_part, "PyTorch's `log_softmax`"),
    ],
    "better": [
        Wrong("the larger one", difference(lambda a, b: 0.0), "alone is not enough"),
        Wrong("one standard error", difference(paired, times=1), "only beyond two"),
        Wrong("three standard errors", difference(paired, times=3), "Beyond two standard errors"),
        Wrong("unpaired", difference(unpaired), "for different ones"),
        Wrong(
            "of one accuracy",
            difference(lambda a, b: a.std() / math.sqrt(len(a))),
            "the standard error of one accuracy",
        ),
        Wrong("five points, always", difference(lambda a, b: 0.025), "and not 200"),
        Wrong("always A", lambda right_a, right_b: "A", "as you did where A was better"),
        Wrong("never B", without_b, "never name this one"),
        Wrong("no sign", either_way, "look at the sign"),
        Wrong("changed places", lambda a, b: difference(paired)(b, a), "the wrong way round"),
        Wrong(
            "not divided by n", difference(lambda a, b: (a - b).std()), "standard error too large"
        ),
        Wrong(
            "no root", difference(lambda a, b: (a - b).var() / len(a)), "take the root after that"
        ),
        Wrong(
            "the root too early",
            difference(lambda a, b: (a - b).std() / len(a)),
            "take the root after that",
        ),
        Wrong("equal is more", difference(paired, equal=True), "`more than` is `>`"),
        Wrong("yes or no", lambda a, b: bool(a.mean() > b.mean()), '"A", "B" or "cannot tell"'),
    ],
}

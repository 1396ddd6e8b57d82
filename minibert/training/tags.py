"""Learning the tag of each word, and how good a model is at it.

A word of several pieces is labelled at its first (Devlin et al. 2019, section 5.3). A sentence too
long for a row is read in windows, and each of its words is labelled in one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import IGNORED, check_token_labels, shown
from minibert.engine.host import placed, send
from minibert.engine.rows import Batch, compute_each
from minibert.heads import BertForTokenClassification
from minibert.model import at_least_fp32
from minibert.tokenizer import Row, Tokenizer
from minibert.training.batches import Example, Examples, RandomOrder
from minibert.training.history import Evaluation
from minibert.training.metrics import (
    OF_A_CLASS,
    check_metric,
    classification_metrics,
    of_the_whole,
)
from minibert.training.results import ClassResult, Report
from minibert.training.tag_schemes import Scheme


class Tagging(RandomOrder):
    """Words and the tag of each. `examples.labels`: for each token of a row the id of its tag, -100
    where there is none to learn.

    The loss is the mean cross-entropy of the tags in the whole batch, in nats.
    """

    def loss(self, model: nn.Module, part: list[Example], whole: list[Example]) -> Tensor:
        batch = self.tokenizer.pad([example.row for example in part])
        length = batch["input_ids"].shape[1]
        padded = [ex.label + [IGNORED] * (length - len(ex.label)) for ex in part]
        labels = torch.tensor(padded, dtype=torch.int64, device="cpu")  # (B, T)
        logits = at_least_fp32(model(**placed(model, batch)).logits)  # (B, T, L)
        tags = sum(label != IGNORED for example in whole for label in example.label)
        if bool((labels != IGNORED).any()):  # a window of a huge word has none
            check_token_labels(labels, batch["attention_mask"].bool(), logits.shape[2])
        (labels,) = send([labels], logits.device)
        flat = logits.flatten(0, 1), labels.flatten()
        return F.cross_entropy(*flat, ignore_index=IGNORED, reduction="sum") / max(1, tags)


@dataclass(frozen=True)
class TaggedSentences:
    """Sentences, each in one row or more, and the label of each token as for `Tagging`."""

    rows: Sequence[Sequence[Row]]
    labels: Sequence[Sequence[list[int]]]

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, most: int) -> TaggedSentences:
        """So many at most, evenly spaced."""
        step = -(-len(self) // most)
        return TaggedSentences(self.rows[::step], self.labels[::step])

    @property
    def examples(self) -> Examples:
        """An example for each row."""
        return Examples(
            [row for each in self.rows for row in each],
            [labels for each in self.labels for labels in each],
        )

    @property
    def differ(self) -> bool:
        """Whether there are words with different tags."""
        return len(set(np.concatenate(self.tags()).tolist())) > 1

    def tags(self) -> list[np.ndarray]:
        """(words,) the id of each word's tag, of each sentence."""
        flat = [np.concatenate(each) for each in self.labels]
        return [labels[labels != IGNORED] for labels in flat]

    def logits(self, model: BertForTokenClassification, tokenizer: Tokenizer) -> list[Tensor]:
        """(words, L) scores before softmax of each sentence, on the CPU."""
        examples = self.examples
        found = compute_each(model, tokenizer, examples.rows, lambda batch: of_rows(model, batch))
        of_words = [
            logits[torch.tensor(labels, device="cpu") != IGNORED]
            for logits, labels in zip(found, examples.labels, strict=True)
        ]
        rest = iter(of_words)
        return [torch.cat([next(rest) for _ in each]) for each in self.rows]


def of_rows(model: BertForTokenClassification, batch: Batch) -> list[Tensor]:
    """What a model says of each row's tokens, (T, L) without the padding."""
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    logits = model(**batch).logits  # (B, T, L)
    return [row[:length] for row, length in zip(logits, lengths, strict=True)]


@dataclass(frozen=True)
class TagEvaluation:
    """Called by the training loop: loss and metrics on sentences that were held out."""

    model: BertForTokenClassification
    tokenizer: Tokenizer
    sentences: TaggedSentences
    scheme: Scheme
    labels: Sequence[str]

    def __call__(self, step: int) -> Evaluation:
        logits = self.sentences.logits(self.model, self.tokenizer)
        truth = torch.from_numpy(np.concatenate(self.sentences.tags()))  # (words,)
        loss = F.cross_entropy(torch.cat(logits), truth).item()
        return Evaluation(step, loss, metrics_of(self.sentences, logits, self.scheme, self.labels))


def metrics_of(
    sentences: TaggedSentences, logits: Sequence[Tensor], scheme: Scheme, labels: Sequence[str]
) -> dict[str, float]:
    """Those of `Scheme.metrics`; of plain labels those of single-label classification, with words
    for texts."""
    tags = sentences.tags()
    if scheme.name == "plain":
        scores = torch.cat(list(logits)).softmax(dim=1).numpy()  # (words, L)
        truth = np.concatenate(tags)
        return classification_metrics("single_label_classification", truth, scores, labels)
    predicted = [each.argmax(dim=1).tolist() for each in logits]
    given, found = ([[labels[i] for i in ids] for ids in each] for each in (tags, predicted))
    return scheme.metrics(given, found, labels)


def report_of(
    sentences: TaggedSentences, logits: Sequence[Tensor], scheme: Scheme, labels: Sequence[str]
) -> Report:
    """How good they are, type by type; of plain labels, label by label."""
    tags = sentences.tags()
    if scheme.name == "plain":
        scores = torch.cat(list(logits)).softmax(dim=1).numpy()
        return Report.of("single_label_classification", np.concatenate(tags), scores, labels)
    metrics = metrics_of(sentences, logits, scheme, labels)
    chunks = [scheme.chunks([labels[i] for i in ids]) for ids in tags]
    support = Counter(chunk.label for each in chunks for chunk in each)
    types = scheme.types(labels)
    return Report(
        None,
        len(sentences),
        tuple(types),
        of_the_whole(metrics),
        tuple(
            ClassResult(
                each,
                **{name: metrics[f"{name}:{each}"] for name in OF_A_CLASS},
                support=support[each],
            )
            for each in types
        ),
    )


def check_tag_metric(name: object, scheme: Scheme, labels: Sequence[str]) -> None:
    """Raise `ValueError` for what is no metric of such tags, "loss" included."""
    if scheme.name == "plain":
        check_metric(name, "single_label_classification", labels)
        return
    metrics = scheme.metrics([], [], labels)
    if name not in ("loss", *metrics):
        of_a_type = (f"{each}:TYPE" for each in OF_A_CLASS)
        raise ValueError(
            f"metric is {shown(name)}; for entities it must be one of "
            f"{', '.join(('loss', *of_the_whole(metrics), *of_a_type))}, of the types "
            f"{shown(scheme.types(labels))}"
        )

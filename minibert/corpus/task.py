"""The task of pre-training, its two losses, and how good a model is at it.

Each row is made anew each time, from random numbers that depend on the seed, the epoch and the
number of the row, and on nothing else. So a run that is resumed sees the rows it would have seen.

Paper: Devlin et al. 2019, section 3.1 and A.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import IGNORED
from minibert.corpus.rows import PreTrainingExample, Rows
from minibert.corpus.spans import Spans
from minibert.corpus.store import Corpus
from minibert.engine.host import placed, send
from minibert.engine.rows import BATCH_TOKENS, batches_by_length
from minibert.model import at_least_fp32
from minibert.pretraining import BertForMaskedLM, BertForPreTraining
from minibert.tokenizer import Tokenizer
from minibert.training.batches import Task
from minibert.training.history import Evaluation

HELD_OUT_ROWS = 1000  # at most

# What the random numbers are for. numpy takes [s, 1] and [s, 1, 0] for the same seed, so that each
# purpose has a number of its own in front, and a fixed count of numbers behind it.
_ORDER, _ROW, _EVALUATION = 1, 2, 3


def generator(*entropy: int) -> np.random.Generator:
    """Random numbers that follow from these whole numbers."""
    return np.random.default_rng(np.random.SeedSequence(entropy))


class MaskedLM(Task[PreTrainingExample]):
    """Masked language model, for `BertForMaskedLM`.

    A run has `steps` steps of `batch_size` rows, and for the training loop that is one epoch. The
    rows come in random order, all of them once before any comes again; `passes` is how often.
    """

    def __init__(self, rows: Rows, steps: int, batch_size: int, seed: int = 0) -> None:
        for name, value, least in (("steps", steps, 1), ("batch_size", batch_size, 1)):
            if value < least:
                raise ValueError(f"{name} is {value}; it must be at least {least}")
        if seed < 0:
            raise ValueError(f"seed is {seed}; it must not be negative")
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.steps_per_epoch = steps
        self.fingerprint = rows.corpus.fingerprint
        self.settings = {
            "batch_size": batch_size,
            "seed of the data": seed,
            "max_length": rows.max_length,
            "whole_word": rows.whole_word,
        }
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    @property
    def passes(self) -> float:
        """How often the run takes each row."""
        return self.steps_per_epoch * self.batch_size / len(self.rows.spans)

    def batch(self, step: int) -> list[PreTrainingExample]:
        examples = []
        for position in range(step * self.batch_size, (step + 1) * self.batch_size):
            epoch, place = divmod(position, len(self.rows.spans))
            number = int(self._order_of(epoch)[place])
            examples.append(self.rows.example(number, generator(_ROW, self.seed, epoch, number)))
        return examples

    def loss(
        self, model: nn.Module, part: list[PreTrainingExample], whole: list[PreTrainingExample]
    ) -> Tensor:
        """The mean over all masked tokens of `whole`, of which `part` has its share; cross-entropy
        in nats."""
        output, labels, _ = run_model(model, self.rows.tokenizer, part)
        return masked_loss(output[0], labels, whole)

    def _order_of(self, epoch: int) -> np.ndarray:
        """All rows in the order of this epoch. One order is remembered, the last."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = generator(_ORDER, self.seed, epoch).permutation(len(self.rows.spans))
        return self._order


class PreTraining(MaskedLM):
    """Masked language model and next sentence prediction, for `BertForPreTraining`."""

    def loss(
        self, model: nn.Module, part: list[PreTrainingExample], whole: list[PreTrainingExample]
    ) -> Tensor:
        """The mean over all masked tokens of `whole`, plus the mean over all its pairs, of which
        `part` has its share; cross-entropies in nats."""
        output, labels, next_sentence = run_model(model, self.rows.tokenizer, part)
        next_sentence_logits = at_least_fp32(output[1])  # (B, 2)
        pairs = F.cross_entropy(
            next_sentence_logits, next_sentence, ignore_index=IGNORED, reduction="sum"
        )
        number_of_pairs = sum(example.next_sentence != IGNORED for example in whole)
        # Without any the sum is zero, and so is its mean.
        return masked_loss(output[0], labels, whole) + pairs / max(1, number_of_pairs)


def masked_loss(scores: Tensor, labels: Tensor, whole: list[PreTrainingExample]) -> Tensor:
    """What these masked tokens, (R, V) and (R,), add to the mean over all those of `whole`."""
    masked_tokens = sum(label != IGNORED for example in whole for label in example.labels)
    # Without any the sum is zero, and so is its mean.
    return F.cross_entropy(at_least_fp32(scores), labels, reduction="sum") / max(1, masked_tokens)


def run_model(
    model: nn.Module, tokenizer: Tokenizer, examples: Sequence[PreTrainingExample]
) -> tuple[tuple[Any, ...], Tensor, Tensor]:
    """The model's output for the masked tokens only: first their scores (R, V), then, of a model
    for pairs, those of the pairs (B, 2); the labels (R,) and (B,) that belong to them."""
    batch = tokenizer.pad([example.row for example in examples])
    length = batch["input_ids"].shape[1]
    padded = [ex.labels + [IGNORED] * (length - len(ex.labels)) for ex in examples]
    labels = torch.tensor(padded, dtype=torch.int64, device="cpu")  # (B, T)
    predict = labels != IGNORED
    if not predict.any():  # rows of nothing but [UNK]: a score for [CLS], and no loss for it
        predict[:, 0] = True
    batch |= {"predict": predict}
    output = model(**placed(model, batch))
    next_sentence = torch.tensor([ex.next_sentence for ex in examples], device="cpu")  # (B,)
    masked, pairs = send([labels[predict], next_sentence], output[0].device)
    return output, masked, pairs


class HeldOut:
    """Masked language modelling on rows that were held out, masked once and for all."""

    def __init__(self, rows: Rows) -> None:
        """rows: those held out; of more than 1000, as many are taken, evenly spaced."""
        number = min(len(rows.spans), HELD_OUT_ROWS)
        chosen = np.linspace(0, len(rows.spans) - 1, number).round().astype(int).tolist()
        self.tokenizer, self.special = rows.tokenizer, rows.kinds.special
        self.examples = [
            rows.example(i, generator(_EVALUATION, i), as_it_stands=True) for i in chosen
        ]
        labels = np.concatenate([example.labels for example in self.examples])
        self.targets = labels[labels != IGNORED]  # (R,)
        if not len(self.targets):
            raise ValueError("there is no token to guess in the text that is held out")

    @torch.inference_mode()
    def evaluate(self, model: BertForPreTraining | BertForMaskedLM, step: int) -> Evaluation:
        """Mean cross-entropy in nats and accuracy over the masked tokens; the model must be in
        evaluation mode, as the training loop puts it."""
        rows = [example.row for example in self.examples]
        loss = right = 0.0
        for indices in batches_by_length(rows, BATCH_TOKENS.get(model.device.type, 512)):
            output, labels, _ = run_model(
                model, self.tokenizer, [self.examples[i] for i in indices]
            )
            logits = at_least_fp32(output[0])  # (R, V)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            right += (logits.argmax(dim=1) == labels).sum().item()
        return Evaluation(step, loss / len(self.targets), {"accuracy": right / len(self.targets)})

    def unigram(self, counts: np.ndarray) -> Evaluation:
        """The baseline without a context: each token as probable as it is frequent in training.

        counts: (V,), to each of which one is added (Laplace), or a token that never occurred would
        cost infinitely much. Its guess is always the most frequent token.
        """
        smoothed = np.where(self.special, 0, counts + 1)
        probabilities = smoothed[self.targets] / smoothed.sum()
        right = float((self.targets == smoothed.argmax()).mean())
        return Evaluation(0, float(-np.log(probabilities).mean()), {"accuracy": right})


def count_tokens(corpus: Corpus, spans: Spans, vocab_size: int) -> np.ndarray:
    """(V,) how often each token occurs in these rows, without [CLS] and [SEP]."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for number in range(len(spans)):
        first, stop, _ = spans[number]
        np.add.at(counts, corpus.ids(first, stop), 1)
    return counts

"""The task of pre-training: rows from a corpus, masked, and their two losses.

A row is [CLS] A [SEP] B [SEP]. A and B are runs of whole sentences, which together fill the row;
what is too long is cut, at either end, as in Google's code. In half of the rows B follows A in the
document (label 0), in the others it comes from another document (label 1). A document of one
sentence has nothing that could follow, so its row is [CLS] A [SEP], and only tokens are guessed.

Where A begins is the same in every epoch. Where it ends, what B is, where the row is cut and which
tokens are masked is drawn anew each time, from random numbers that depend on the seed, the epoch
and the number of the row, and on nothing else. So a run that is resumed sees the rows it would have
seen.

Paper: Devlin et al. 2019, section 3.1 and A.1, A.2. Reference: google-research/bert
create_pretraining_data.py, `create_instances_from_document`.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import IGNORED
from minibert.corpus.corpus import Corpus
from minibert.corpus.masking import TokenKinds, mask_tokens
from minibert.engine.streams import BATCH_TOKENS, batches_by_length
from minibert.model import at_least_fp32
from minibert.pretraining import BertForPreTraining, PreTrainingOutput
from minibert.tokenizer import Row, WordPieceTokenizer, frame, truncated_lengths
from minibert.training.batches import Task
from minibert.training.history import Evaluation

SHORT_ROWS = 0.1  # the share of shorter rows: later tasks have such, and Google made as many
SHORTEST = 8  # tokens of a row, special ones included
HELD_OUT_EVERY = 20  # of so many documents one is held out
HELD_OUT_ROWS = 1000  # at most

# What the random numbers are for. numpy takes [s, 1] and [s, 1, 0] for the same seed, so that each
# purpose has a number of its own in front, and a fixed count of numbers behind it.
_ORDER, _ROW, _EVALUATION = 1, 2, 3


def generator(*entropy: int) -> np.random.Generator:
    """Random numbers that follow from these whole numbers."""
    return np.random.default_rng(np.random.SeedSequence(entropy))


# --- which rows there are ------------------------------------------------------------------------


class Span(NamedTuple):
    """A row's place in the corpus: the sentences first .. stop - 1 of a document."""

    first: int
    stop: int
    document: int


@dataclass(frozen=True)
class Spans:
    """Rows of a corpus, one line each of a mapped file: those with room for a pair come first.

    table: (rows, 3) int64, the fields of `Span`, in order of documents within either kind.
    pairs: how many have two sentences or more.
    """

    table: np.ndarray
    pairs: int

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> Span:
        return Span(*self.table[number].tolist())

    def of_another_document(self, document: int, random: np.random.Generator) -> Span:
        """A row with room for a pair, drawn from those of all documents but this one."""
        # The rows of a document stand together: what is drawn at or after them skips them.
        documents = self.table[: self.pairs, 2]
        start, stop = np.searchsorted(documents, [document, document + 1]).tolist()
        drawn = int(random.integers(self.pairs - (stop - start)))
        return self[drawn if drawn < start else drawn + stop - start]


def make_spans(corpus: Corpus, max_length: int) -> tuple[Spans, Spans]:
    """(training, held out): all documents of the corpus cut into rows of `max_length` tokens.

    Of 20 documents one is held out; only those of two sentences or more, if there are 20 of them: a
    sentence that stands alone may be part of another one, as SST-2's phrases are, and would then
    not be new to the model. The tables are files in the corpus's folder, for `open_spans`.

    Raises `ValueError` for a corpus that is too small.
    """
    if max_length < SHORTEST:
        raise ValueError(f"max_length is {max_length}; it must be at least {SHORTEST}")
    enough = corpus.several >= HELD_OUT_EVERY
    training, kept = _tables(corpus, max_length)
    alone = training.with_name(f"{training.name}-alone")
    for path in (training, kept):  # an earlier table may still be mapped; it keeps its own file
        path.unlink(missing_ok=True)
    considered = 0
    with open(training, "wb") as pairs, open(alone, "wb") as lone, open(kept, "wb") as held_out:
        for document in range(corpus.number_of_documents):
            first, end = corpus.documents[document : document + 2].tolist()
            held = False
            if not enough or end - first > 1:
                held = considered % HELD_OUT_EVERY == 0
                considered += 1
            for start, stop in _cut(corpus, first, end, max_length):
                file = held_out if held else pairs if stop - start > 1 else lone
                file.write(np.array([start, stop, document], dtype=np.int64).tobytes())
    with open(training, "ab") as pairs, open(alone, "rb") as lone:
        shutil.copyfileobj(lone, pairs)
    alone.unlink()
    return open_spans(corpus, max_length)


def open_spans(corpus: Corpus, max_length: int) -> tuple[Spans, Spans]:
    """(training, held out), as `make_spans` left them in the corpus's folder."""
    table, kept = (_map_table(path) for path in _tables(corpus, max_length))
    pairs = bisect_left(range(len(table)), True, key=lambda row: table[row, 1] - table[row, 0] < 2)
    # Pairs of one document only would find no second half in another.
    if not (len(table) and len(kept)) or (pairs and table[0, 2] == table[pairs - 1, 2]):
        raise ValueError(
            f"the text is too small: {corpus.number_of_sentences} sentences in "
            f"{corpus.number_of_documents} documents, of which one is held out, and the second "
            "half of a pair comes from another; give at least three documents of two sentences, "
            "separated by blank lines, and better some thousand sentences"
        )
    return Spans(table, pairs), Spans(kept, len(kept))


def _tables(corpus: Corpus, max_length: int) -> tuple[Path, Path]:
    return corpus.folder / f"training-{max_length}", corpus.folder / f"held-out-{max_length}"


def _map_table(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:  # which cannot be mapped
        return np.empty((0, len(Span._fields)), dtype=np.int64)
    return np.asarray(np.memmap(path, dtype=np.int64, mode="r")).reshape(-1, len(Span._fields))


def _cut(corpus: Corpus, first: int, end: int, max_length: int) -> Iterator[tuple[int, int]]:
    """Runs of sentences that fill a row; two of them at least, if the document has two."""
    while first < end:
        stop = max(corpus.fill(first, max_length - 3, end), first + 2)
        if stop >= end - 1:  # a last sentence by itself would have no partner
            stop = end
        yield first, stop
        first = stop


# --- rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PreTrainingExample:
    """A masked row. index: its place among the rows. labels: the token to be guessed, or -100, for
    each of `row.ids`. next_sentence: 0 where B follows A, 1 where it does not, -100 without B."""

    index: int
    row: Row
    labels: list[int]
    next_sentence: int


class Rows:
    """Makes examples from spans of a corpus. max_length: tokens of a row; whole_word: see
    `masking.py`."""

    def __init__(
        self,
        corpus: Corpus,
        spans: Spans,
        tokenizer: WordPieceTokenizer,
        max_length: int,
        whole_word: bool = False,
    ) -> None:
        self.corpus, self.spans, self.tokenizer = corpus, spans, tokenizer
        self.max_length, self.whole_word = max_length, whole_word
        self.kinds = TokenKinds.of(tokenizer)

    def example(
        self, number: int, random: np.random.Generator, as_it_stands: bool = False
    ) -> PreTrainingExample:
        """The row of this number. as_it_stands: B always follows A, and no row is shortened."""
        limit = self.max_length
        if not as_it_stands and random.random() < SHORT_ROWS:
            limit = int(random.integers(SHORTEST, limit + 1))
        a, b, next_sentence = self._segments(self.spans[number], random, as_it_stands)
        keep = truncated_lengths(len(a), None if b is None else len(b), limit)
        dropped = len(a) - keep[0]
        a = _window(a, keep[0], random)
        if b is not None:
            dropped += len(b) - keep[1]
            b = _window(b, keep[1], random)
        ids, type_ids, _ = frame(
            a.tolist(),
            None if b is None else b.tolist(),
            None,
            self.tokenizer.cls,
            self.tokenizer.sep,
        )
        masked = mask_tokens(np.array(ids), self.kinds, random, self.whole_word)
        row = Row(masked.ids.tolist(), type_ids, dropped)
        return PreTrainingExample(number, row, masked.labels.tolist(), next_sentence)

    def _segments(
        self, span: Span, random: np.random.Generator, as_it_stands: bool
    ) -> tuple[np.ndarray, np.ndarray | None, int]:
        """The tokens of A and B, not cut to length yet, and the label of the pair."""
        if span.stop - span.first < 2:
            return self.corpus.ids(span.first, span.stop), None, IGNORED
        middle = _inner(span, random)
        a = self.corpus.ids(span.first, middle)
        follows = as_it_stands or random.random() < 0.5
        if not follows:
            span = self.spans.of_another_document(span.document, random)
            middle = _inner(span, random)
        # Either kind of B ends by the same rule, or its length would tell which it is.
        end = int(self.corpus.documents[span.document + 1])
        stop = self.corpus.fill(middle, self.max_length - 3 - len(a), end)
        return a, self.corpus.ids(middle, stop), 0 if follows else 1


def _inner(span: Span, random: np.random.Generator) -> int:
    """A sentence of the span that is not its first."""
    return span.first + 1 + int(random.integers(span.stop - span.first - 1))


def _window(ids: np.ndarray, keep: int, random: np.random.Generator) -> np.ndarray:
    """So many neighbouring tokens, from anywhere."""
    start = int(random.integers(len(ids) - keep + 1))
    return ids[start : start + keep]


# --- the task ------------------------------------------------------------------------------------


class PreTraining(Task[PreTrainingExample]):
    """Masked language model and next sentence prediction, for `BertForPreTraining`.

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
        """The mean over all masked tokens of `whole`, plus the mean over all its pairs, of which
        `part` has its share; cross-entropies in nats."""
        output, labels, next_sentence = run_model(model, self.rows.tokenizer, part)
        masked = F.cross_entropy(at_least_fp32(output.prediction_logits), labels, reduction="sum")
        next_sentence_logits = at_least_fp32(output.seq_relationship_logits)  # (B, 2)
        pairs = F.cross_entropy(
            next_sentence_logits, next_sentence, ignore_index=IGNORED, reduction="sum"
        )
        masked_tokens = sum(label != IGNORED for example in whole for label in example.labels)
        number_of_pairs = sum(example.next_sentence != IGNORED for example in whole)
        # Without any the sums are zero, and so is their mean.
        return masked / max(1, masked_tokens) + pairs / max(1, number_of_pairs)

    def _order_of(self, epoch: int) -> np.ndarray:
        """All rows in the order of this epoch. One order is remembered, the last."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = generator(_ORDER, self.seed, epoch).permutation(len(self.rows.spans))
        return self._order


def run_model(
    model: nn.Module, tokenizer: WordPieceTokenizer, examples: Sequence[PreTrainingExample]
) -> tuple[PreTrainingOutput, Tensor, Tensor]:
    """The model's output for the masked tokens only: prediction_logits (R, V) and
    seq_relationship_logits (B, 2); the labels (R,) and (B,) that belong to them."""
    device = next(model.parameters()).device
    batch = tokenizer.pad([example.row for example in examples])
    length = batch["input_ids"].shape[1]
    padded = [ex.labels + [IGNORED] * (length - len(ex.labels)) for ex in examples]
    labels = torch.tensor(padded)  # (B, T)
    predict = labels != IGNORED
    if not predict.any():  # rows of nothing but [UNK]: a score for [CLS], and no loss for it
        predict[:, 0] = True
    batch |= {"predict": predict}
    output = model(**{name: tensor.to(device) for name, tensor in batch.items()})
    next_sentence = torch.tensor([example.next_sentence for example in examples])  # (B,)
    return output, labels[predict].to(device), next_sentence.to(device)


# --- how good it is ------------------------------------------------------------------------------


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
    def evaluate(self, model: BertForPreTraining, step: int) -> Evaluation:
        """Mean cross-entropy in nats and accuracy over the masked tokens; the model is to be in
        evaluation mode, as the training loop has it."""
        rows = [example.row for example in self.examples]
        loss = right = 0.0
        for indices in batches_by_length(rows, BATCH_TOKENS.get(model.device.type, 512)):
            output, labels, _ = run_model(
                model, self.tokenizer, [self.examples[i] for i in indices]
            )
            logits = at_least_fp32(output.prediction_logits)  # (R, V)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            right += (logits.argmax(dim=1) == labels).sum().item()
        return Evaluation(step, loss / len(self.targets), right / len(self.targets))

    def unigram(self, counts: np.ndarray) -> Evaluation:
        """The baseline without a context: each token as probable as it is frequent in training.

        counts: (V,), to each of which one is added (Laplace), or a token that never occurred would
        cost infinitely much. Its guess is always the most frequent token.
        """
        smoothed = np.where(self.special, 0, counts + 1)
        probabilities = smoothed[self.targets] / smoothed.sum()
        right = self.targets == smoothed.argmax()
        return Evaluation(0, float(-np.log(probabilities).mean()), float(right.mean()))


def count_tokens(corpus: Corpus, spans: Spans, vocab_size: int) -> np.ndarray:
    """(V,) how often each token occurs in these rows, without [CLS] and [SEP]."""
    counts = np.zeros(vocab_size, dtype=np.int64)
    for number in range(len(spans)):
        first, stop, _ = spans[number]
        np.add.at(counts, corpus.ids(first, stop), 1)
    return counts

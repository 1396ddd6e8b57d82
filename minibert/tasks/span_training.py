"""What a QuestionAnswerer is trained on, where it starts, and how it is evaluated on the way."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from minibert._checks import shown
from minibert.checkpoint.files import read_config, read_weights
from minibert.checkpoint.names import Names
from minibert.config import BertConfig
from minibert.data.squad import Question, squad_metrics
from minibert.engine.progress import announce
from minibert.engine.rows import Batch, compute_each
from minibert.engine.seeds import seeded
from minibert.heads import BertForQuestionAnswering
from minibert.tasks.passages import Passage, check_pair, read_passages
from minibert.tasks.spans import best_answers
from minibert.tokenizer import Row, Tokenizer
from minibert.training.batches import Examples
from minibert.training.history import Evaluation

logger = logging.getLogger(__name__)

_AT_ONCE = 1024  # questions whose contexts are in memory piece by piece


def open_span_model(folder: Path) -> BertForQuestionAnswering:
    """The model of a folder; its `load_report` says whether the head is new. Raises `ValueError`
    for a head of other outputs than a start and an end."""
    names = Names(read_config(folder, BertConfig.from_dict).variant)
    (head,) = names.of("span.bias")
    for name, tensor in read_weights(folder).items():
        if names.bare(name) == head and tensor.numel() != 2:
            raise ValueError(
                f"{folder} has a head for spans, {name}, with {tensor.numel()} outputs; "
                "BertForQuestionAnswering has 2, for the start and the end of an answer, so it "
                "cannot use this one; take another model, or the one that this was made from"
            )
    return BertForQuestionAnswering.opened(folder)


def starting_span_model(folder: Path, weights: str, seed: int) -> BertForQuestionAnswering:
    """The model to fine-tune. weights: "random" takes the folder's shape only. seed: of what is
    new; the caller's generators are left alone."""
    with seeded(seed):
        model = open_span_model(folder)
        report = model.load_report
        assert report is not None  # it was just loaded
        if weights == "random":
            model.init_weights(model)
            model.load_report = None
        elif not report.newly_initialised:
            announce(logger, f"{folder} has a head for answers, which is trained further")
    return model


def passages_of(
    questions: Sequence[Question], tokenizer: Tokenizer, max_length: int, stride: int
) -> Iterator[Passage]:
    """The passage of each question. Raises `ValueError` with its id for one that is too long."""
    for first in range(0, len(questions), _AT_ONCE):
        pairs = [
            check_pair(
                (each.question, each.context), f"example {shown(each.id)}", tokenizer, max_length
            )
            for each in questions[first : first + _AT_ONCE]
        ]
        yield from read_passages(tokenizer, pairs, max_length, stride)


def span_examples(
    passages: Iterable[Passage], questions: Sequence[Question]
) -> tuple[Examples, int]:
    """Each row with the columns of the first right answer's first and last token; and how many
    questions have an answer of which no row has all tokens."""
    rows: list[Row] = []
    columns: list[tuple[int, int]] = []
    lost = 0
    for passage, question in zip(passages, questions, strict=True):
        text, start = question.answers[0] if question.answers else ("", 0)
        targets = passage.targets(start, start + len(text))
        lost += bool(question.answers) and not any(map(any, targets))
        rows += passage.rows
        columns += targets
    return Examples(rows, columns), lost


def span_scores(model: BertForQuestionAnswering, batch: Batch) -> list[Tensor]:
    """(2, T) for each row of a batch: of each token as a start and as an end."""
    output = model(**batch)
    return list(torch.stack([output.start_logits, output.end_logits], dim=1))


@dataclass(frozen=True)
class SpanEvaluation:
    """Called by the training loop: loss, f1 and exact_match on questions that were held out.

    "" can be an answer if one of them has none. longest: tokens of an answer.
    """

    model: BertForQuestionAnswering
    tokenizer: Tokenizer
    questions: Sequence[Question]
    passages: Sequence[Passage]
    longest: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the rows and all right answers."""
        examples, _ = span_examples(self.passages, self.questions)
        answers = repr([question.answers for question in self.questions])
        return hashlib.sha256(f"{examples.fingerprint} {answers}".encode()).hexdigest()

    def __call__(self, step: int) -> Evaluation:
        examples, _ = span_examples(self.passages, self.questions)
        scores = compute_each(
            self.model, self.tokenizer, examples.rows, lambda batch: span_scores(self.model, batch)
        )
        losses = [
            F.cross_entropy(each, torch.tensor(columns, device="cpu")).item()
            for each, columns in zip(scores, examples.labels, strict=True)
        ]
        of_each, answers = iter(scores), []
        no_answer = may_be_unanswered(self.questions)
        for question, passage in zip(self.questions, self.passages, strict=True):
            windows = [next(of_each).numpy() for _ in passage.rows]
            best = best_answers(question.context, passage, windows, 1, no_answer, self.longest)
            answers.append(best[0].text)
        return Evaluation(step, sum(losses) / len(losses), squad_metrics(answers, self.questions))


def may_be_unanswered(questions: Iterable[Question]) -> bool:
    """Whether "no answer" is right for one of these questions."""
    return any(not question.answers for question in questions)

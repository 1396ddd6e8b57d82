"""Fine-tuning: which weights of a pre-trained model learn, and how it is evaluated on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.rows import compute_rows
from minibert.heads import BertForClassification
from minibert.tokenizer import Row, Tokenizer
from minibert.training.batches import Classification, Task
from minibert.training.frozen import ClassificationOfVectors, Head, first_vectors
from minibert.training.history import Evaluation, History
from minibert.training.loop import train
from minibert.training.optimizer import train_only_last
from minibert.training.recipe import Recipe

# From the scores of held-out rows, (rows, L), to their mean loss and metrics by name.
Judge = Callable[[Tensor], tuple[float, Mapping[str, float]]]


def finetune(
    model: Pretrained,
    task: Task,
    recipe: Recipe,
    evaluate: Callable[[int], Evaluation] | None = None,
    *,
    trained_layers: int | None = None,
    head: nn.Module | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    save_every: int = 500,
) -> History:
    """Train a model with a head in place; it ends in evaluation mode with every weight free again.

    trained_layers: None for the whole model; k for the head and the last k layers. head: the part
    of the model that the task is about, if that is not all of it. The rest and errors are those of
    `train`.
    """
    if trained_layers is not None:
        train_only_last(model, whole_number("trained_layers", trained_layers, 0))
    trained = model if head is None else head
    try:
        return train(
            trained, task, recipe, evaluate, folder=folder, resume=resume, save_every=save_every
        )
    finally:
        model.requires_grad_(True).eval()


def finetune_classifier(
    model: BertForClassification,
    task: Classification,
    recipe: Recipe,
    *,
    held_out: Sequence[Row] | None = None,
    judge: Judge | None = None,
    trained_layers: int | None = None,
    **run: Any,
) -> History:
    """As `finetune`, but that with trained_layers=0 the encoder computes its vectors once, and the
    head is trained on them.

    held_out, judge: rows to evaluate on, and what their scores are worth; both or none. run: as for
    `finetune`.
    """
    tokenizer = task.tokenizer
    head, scores = None, partial(logits_of, model, tokenizer, held_out or [])
    if trained_layers is not None and whole_number("trained_layers", trained_layers, 0) == 0:
        head = Head(model)
        task = ClassificationOfVectors(task, first_vectors(model, tokenizer, task.examples.rows))
        if held_out is not None:
            seen = first_vectors(model, tokenizer, held_out).to(model.device)
            scores = partial(_scores, head, seen)

    def evaluate(step: int) -> Evaluation:
        assert judge is not None
        return Evaluation(step, *judge(scores()))

    return finetune(
        model,
        task,
        recipe,
        None if judge is None else evaluate,
        trained_layers=trained_layers,
        head=head,
        **run,
    )


@torch.inference_mode()
def _scores(head: Head, vectors: Tensor) -> Tensor:
    return head(vectors).float().cpu()


def logits_of(model: BertForClassification, tokenizer: Tokenizer, rows: Sequence[Row]) -> Tensor:
    """(rows, L) on the CPU, in the order of the rows."""
    labels = model.config.num_labels
    return compute_rows(model, tokenizer, rows, labels, lambda batch: model(**batch).logits)

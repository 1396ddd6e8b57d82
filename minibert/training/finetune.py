"""Fine-tuning a classifier: which of its weights learn, and how it is evaluated on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.checkpoint.arguments import whole_number
from minibert.engine.rows import compute_rows
from minibert.heads import BertForClassification
from minibert.tokenizer import Row, Tokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head, first_vectors
from minibert.training.history import Evaluation, History
from minibert.training.loop import train
from minibert.training.optimizer import train_only_last
from minibert.training.recipe import Recipe


def finetune(
    model: BertForClassification,
    task: Classification,
    recipe: Recipe,
    *,
    held_out: Examples | None = None,
    trained_layers: int | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    save_every: int = 500,
) -> History:
    """Train a classifier in place; it ends in evaluation mode with every weight free again.

    held_out: examples to evaluate on. trained_layers: None for the whole model; k for the head and
    the last k layers; 0 for the head alone, on vectors that the encoder computes once. The rest and
    errors are those of `train`.
    """
    if trained_layers is not None:
        trained_layers = whole_number("trained_layers", trained_layers, 0)
    trained: nn.Module = model
    tokenizer = task.tokenizer
    scores: Callable[[], Tensor] | None = None
    if trained_layers == 0:
        trained = head = Head(model)
        task = ClassificationOfVectors(task, first_vectors(model, tokenizer, task.examples.rows))
        if held_out is not None:
            seen = first_vectors(model, tokenizer, held_out.rows).to(model.device)

            def scores() -> Tensor:
                with torch.inference_mode():
                    return head(seen).float().cpu()

    elif held_out is not None:
        rows = held_out.rows

        def scores() -> Tensor:
            return logits_of(model, tokenizer, rows)

    def evaluate(step: int) -> Evaluation:
        assert scores is not None and held_out is not None
        logits, labels = scores(), torch.tensor(held_out.labels, device="cpu")
        accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
        return Evaluation(step, F.cross_entropy(logits, labels).item(), {"accuracy": accuracy})

    if trained_layers:
        train_only_last(model, trained_layers)
    try:
        return train(
            trained,
            task,
            recipe,
            None if held_out is None else evaluate,
            folder=folder,
            resume=resume,
            save_every=save_every,
        )
    finally:
        model.requires_grad_(True).eval()


def logits_of(model: BertForClassification, tokenizer: Tokenizer, rows: Sequence[Row]) -> Tensor:
    """(rows, L) on the CPU, in the order of the rows."""
    labels = model.config.num_labels
    return compute_rows(model, tokenizer, rows, labels, lambda batch: model(**batch).logits)

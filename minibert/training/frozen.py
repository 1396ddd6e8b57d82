"""Training a head on a frozen encoder: the encoder runs once, and the head is trained in seconds.

A frozen encoder gives a text the same vector in every epoch, so it is computed once and kept. What
is left to train is the pooler, a (C, C) matrix, and the classifier: 0.15 million weights of
`minilm-l6`'s 22.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from torch import Tensor, nn

from minibert.engine.host import send
from minibert.engine.optimize import optimize
from minibert.engine.rows import compute_rows
from minibert.heads import BertForClassification
from minibert.tokenizer import Row, Tokenizer
from minibert.training.batches import Classification, Example


class Head(nn.Module):
    """What stands on top of the encoder: pooler, dropout, classifier. The modules are the model's
    own, so that training them trains the model."""

    def __init__(self, model: BertForClassification) -> None:
        super().__init__()
        assert model.bert.pooler is not None
        self.pooler: nn.Module = model.bert.pooler
        self.dropout, self.classifier = model.dropout, model.classifier

    def forward(self, first: Tensor) -> Tensor:
        """The encoder's vectors at [CLS], (B, C) -> scores, (B, L)."""
        first = first.to(next(self.parameters()).dtype)  # from fp32, in which they are kept
        return self.classifier(self.dropout(self.pooler(first)))


class ClassificationOfVectors(Classification):
    """Classification whose texts were encoded before. vectors: (examples, C)."""

    def __init__(self, task: Classification, vectors: Tensor) -> None:
        super().__init__(
            task.examples,
            task.tokenizer,
            task.batch_size,
            task.seed,
            task.class_weights,
            task.problem,
        )
        self.settings |= task.settings
        self.vectors = vectors
        made = hashlib.sha256(vectors.numpy().tobytes())  # by this encoder, not by another
        self.fingerprint = f"{task.fingerprint}, vectors {made.hexdigest()}"

    def logits(self, model: nn.Module, part: list[Example]) -> tuple[Tensor, Tensor]:
        device = next(model.parameters()).device
        (chosen,) = send([self.vectors[[example.index for example in part]]], device)  # (B, C)
        logits = model(chosen)
        return logits, self.labels_for(logits, part)


def first_vectors(
    model: BertForClassification, tokenizer: Tokenizer, rows: Sequence[Row]
) -> Tensor:
    """The encoder's vector at [CLS] of each row, (rows, C), without dropout, on the CPU."""
    fast = optimize(model).bert

    def compute(batch: dict[str, Tensor]) -> Tensor:
        packing = fast.make_packing(
            batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
        )
        first = fast.encode(batch["input_ids"], batch["token_type_ids"], packing, packing.first)
        return packing.place_first(first)  # (B, C)

    return compute_rows(fast, tokenizer, rows, model.config.hidden_size, compute)

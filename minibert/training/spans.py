"""What a model of spans learns: for each row, where an answer begins in it and where it ends."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import check_spans
from minibert.engine.host import placed, send
from minibert.model import at_least_fp32
from minibert.training.batches import Example, RandomOrder


class SpanPrediction(RandomOrder):
    """Rows, and of each the columns of an answer's first and last token, or twice that of [CLS]
    where there is none.

    The loss is the mean over the rows of a batch of the two cross-entropies' mean, in nats, as that
    of `BertForQuestionAnswering`. Raises `ValueError` for arguments and, when they meet a batch,
    for columns that cannot be used.
    """

    def loss(self, model: nn.Module, part: list[Example], whole: list[Example]) -> Tensor:
        batch = self.tokenizer.pad([example.row for example in part])
        columns = torch.tensor([example.label for example in part], device="cpu")  # (B, 2)
        check_spans(columns[:, 0], columns[:, 1], batch["attention_mask"].bool())
        output = model(**placed(model, batch))
        scores = torch.stack([output.start_logits, output.end_logits], dim=-1)  # (B, T, 2)
        (columns,) = send([columns], scores.device)
        losses = F.cross_entropy(at_least_fp32(scores), columns, reduction="sum")
        return losses / (2 * len(whole))

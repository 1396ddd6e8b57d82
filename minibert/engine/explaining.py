"""What tools of attribution need: embeddings that stand as the batch does.

Captum's integrated gradients and their kin put vectors of their own in place of what a layer gave:
those of many batches at once, on the way from a baseline to the text. Packed vectors would come in
the order of one batch and be read in that of another; nobody would be told. Where they stand as
the batch does, each row with its own, the result is that of the padded model.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from minibert.checkpoint.pretrained import Pretrained
from minibert.embeddings import positions_past_padding
from minibert.engine.exchange import exchange
from minibert.engine.optimize import check_original
from minibert.model import BertModel
from minibert.packing import Packing, Record

ModelT = TypeVar("ModelT", bound=Pretrained)


def explainable(model: ModelT) -> ModelT:
    """Make a model one whose embeddings give (B, T, C), and that computes the same; returns it.

    `bert.embeddings`, and `bert.embeddings.token` in it, are then layers for captum as they are in
    transformers. What comes after them is packed as before.

    Raises `ValueError` for what is not a model of this library, or an optimized one, which has no
    gradients.
    """
    check_original(model, "explainable")
    for module in model.modules():
        if type(module) is BertModel:
            exchange(module, EmbedsTheBatch)
    return model


class EmbedsTheBatch(BertModel):
    """`BertModel` that packs vectors instead of ids."""

    def encode(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        columns = torch.arange(input_ids.shape[1], device=input_ids.device)  # (T,)
        positions = columns.expand_as(input_ids)  # (B, T)
        if self.config.positions_skip_padding and self.config.pad_token_id is not None:
            positions = positions_past_padding(input_ids, self.config.pad_token_id)
        x = self.embeddings(input_ids, positions, segments)  # (B, T, C)
        return self.encoder(packing.pack(x), packing, wanted, record)

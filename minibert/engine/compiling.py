"""What torch.compile needs to take a model whole: one graph, whatever is in a batch.

How many real tokens a batch has, and in rows of which lengths, is known only once its mask was
looked at. A compiler that follows the code into it breaks off there, and compiles again for each
batch, as the numbers have changed. So it is kept out of two places. Packing is done before the
graph, which sees a list of N tokens, of any N. And attention, which goes row by row, is one
operator to it, a function of the packed list and the mask.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from minibert.attention import (
    SelfAttention,
    fused_attention,
    grouped_attention,
    readable_attention,
)
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.exchange import exchange
from minibert.engine.optimize import check_original
from minibert.model import BertModel
from minibert.packing import Packing, Record

ModelT = TypeVar("ModelT", bound=Pretrained)


def compilable(model: ModelT) -> ModelT:
    """Make a model one that torch.compile takes in one graph, and that computes the same; returns
    it.

    Call `torch.compile(compilable(model), dynamic=True)`. The graph is made anew, once each, for a
    batch without padding, of a single row, of a single token, or with a row of nothing but padding.
    Where gradients, dropout or attention weights are wanted, it also breaks at attention, once a
    layer; that is no reason to make it anew either.

    Raises `ValueError` for what is not a model of this library, or an optimized one.
    """
    check_original(model, "compilable")
    for module in model.modules():
        if type(module) is BertModel:
            exchange(module, PackedOutside)
        elif type(module) is SelfAttention:
            exchange(module, AttentionAsOperator)
    return model


class PackedOutside(BertModel):
    """`BertModel` that checks and packs its batch outside of the graph."""

    def make_packing(
        self, input_ids: Tensor, token_type_ids: Tensor | None, attention_mask: Tensor | None
    ) -> Packing:
        # No decorator: it would import the compiler with this module.
        make_packing = torch.compiler.disable(super().make_packing)
        return make_packing(input_ids, token_type_ids, attention_mask)


class AttentionAsOperator(SelfAttention):
    """`SelfAttention` that is one operator of the graph, where that will do."""

    def attend(self, qkv: Tensor, packing: Packing, record: Record | None = None) -> Tensor:
        asked = record is not None and record.attentions is not None
        learns = torch.is_grad_enabled() and qkv.requires_grad
        if asked or learns or (self.dropout.training and self.dropout.p > 0):
            attend = torch.compiler.disable(super().attend)
            return attend(qkv, packing, record)
        return attention(qkv, packing.mask, self.config.attention == "readable")


@torch.library.custom_op("minibert::attention", mutates_args=())
def attention(qkv: Tensor, mask: Tensor, readable: bool) -> Tensor:
    """`grouped_attention` of a batch with this mask (B, T): (N, 3, H, D) -> (N, H, D)."""
    function = readable_attention if readable else fused_attention
    return grouped_attention(qkv, Packing(mask), function)[0].contiguous()


@attention.register_fake
def _(qkv: Tensor, mask: Tensor, readable: bool) -> Tensor:
    return qkv.new_empty(qkv.shape[0], *qkv.shape[2:])

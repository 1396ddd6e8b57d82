"""Attention over the packed list itself, for GPUs that have a kernel for it."""

from __future__ import annotations

import torch
from torch import Tensor

from minibert.attention import SelfAttention
from minibert.packing import Packing, Record


class VarlenAttention(SelfAttention):
    """`SelfAttention` by PyTorch's kernel for rows of different lengths: nothing is padded.

    It serves `config.attention = "auto"` where nobody asks for the attention weights. Never run on
    a GPU by us: only with a stand-in for the kernel.
    """

    def attend(self, qkv: Tensor, packing: Packing, record: Record | None = None) -> Tensor:
        asked = record is not None and record.attentions is not None
        if asked or self.config.attention != "auto":
            return super().attend(qkv, packing, record)
        from torch.nn.attention.varlen import varlen_attn  # not in builds without CUDA

        query, key, value = qkv.unbind(1)  # each (N, H, D)
        starts, longest = packing.starts, packing.lengths[0]
        context = varlen_attn(query, key, value, starts, starts, longest, longest)
        assert isinstance(context, Tensor)  # not a tuple, as nothing else was asked for
        return context


def has_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether PyTorch's kernel runs: NVIDIA from Ampere on (sm80), in half precision."""
    half = dtype in (torch.bfloat16, torch.float16)
    return device.type == "cuda" and half and torch.cuda.get_device_capability(device) >= (8, 0)

"""Attention over the packed list itself, by kernels of GPUs that know where each row begins.

The groups of packing.py are rectangles of one width, and each is a step of its own. A batch of
SST-2 has some 40 of them, so a model of 12 layers would launch 480 attentions, at 5 microseconds
or more each, where the arithmetic of all takes less than one of these launches. The kernels here
take all rows at once.

Two of PyTorch's kernels do: flash attention in half precision (what `varlen_attn` calls, which has
no dropout) and memory-efficient attention in fp32. Both have a backward pass, and flash attention
drops attention weights, so training computes what the papers say. The other one drops them wrongly
where rows are packed (see `packed_kernel`), so fp32 with dropout goes by groups. PyTorch keeps both
to itself; they are used here only, and tried before they are trusted. Never run on a GPU by us:
only on the meta device, which knows their arguments and shapes, and with stand-ins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from minibert._checks import warn
from minibert.attention import SelfAttention, readable_attention
from minibert.packing import Packing, Record

# qkv (N, 3, H, D), where each row starts (B + 1,) int32, the longest row, the share of weights to
# drop -> (N, H, D).
Kernel = Callable[[Tensor, Tensor, int, float], Tensor]

# From so many tokens on, rows of one length are given to scaled_dot_product_attention: on Hopper it
# chooses cuDNN, 1.2 times as fast as flash attention (published: 335 against 282 TFLOP/s at 512
# tokens), but that makes a plan for each new shape, which smaller batches would not earn back.
# Never measured by us.
FULL_TOKENS = 4096


class PackedAttention(SelfAttention):
    """`SelfAttention` by a kernel for rows of different lengths: nothing is padded.

    It serves `config.attention = "auto"` where nobody asks for the attention weights.
    """

    def attend(self, qkv: Tensor, packing: Packing, record: Record | None = None) -> Tensor:
        asked = record is not None and record.attentions is not None
        full = packing.lengths[0] == packing.lengths[-1] and len(qkv) >= FULL_TOKENS
        if asked or self.config.attention != "auto" or not len(qkv) or full:
            return super().attend(qkv, packing, record)
        dropped = self.dropout.p if self.dropout.training else 0.0
        kernel = packed_kernel(qkv.device, qkv.dtype, qkv.shape[-1], dropped > 0)
        if kernel is None:
            return super().attend(qkv, packing, record)
        return kernel(qkv, packing.starts, packing.lengths[0], dropped)


@cache
def packed_kernel(
    device: torch.device, dtype: torch.dtype, head_size: int, drops: bool = False
) -> Kernel | None:
    """The kernel for packed rows of a number format and head size on a device, or None.

    drops: whether it is to drop attention weights. Warns where there is one and it fails its probe.

    Memory-efficient attention counts on from its seed by row, head and place in a row; that of row
    and head is a multiple of the longest row's keys. PyTorch 2.10 to 2.13 give the forward pass of
    packed rows 0 for these ("will be set inside the kernel", in _efficient_attention_forward), and
    the backward pass their number. So all heads would drop alike, and gradients would be those of
    other weights than were kept.
    """
    if device.type != "cuda" or head_size % 8 or head_size > 128:
        return None
    ampere = torch.cuda.get_device_capability(device) >= (8, 0)
    if dtype in (torch.bfloat16, torch.float16) and ampere:
        kernel = flash
    elif dtype in (torch.float32, torch.float16) and not drops:
        kernel = memory_efficient
    else:
        return None
    failure = probe(kernel, device, dtype, head_size)
    if failure:
        warn(
            f"PyTorch's {kernel.__name__} attention of packed rows {failure} on {device}; rows are "
            "grouped by length instead, which is slower"
        )
        return None
    return kernel


def flash(qkv: Tensor, starts: Tensor, longest: int, dropped: float) -> Tensor:
    """Flash attention (Dao 2023, arXiv 2307.08691), for half precision from Ampere (sm80) on."""
    query, key, value = qkv.unbind(1)  # each (N, H, D)
    return torch.ops.aten._flash_attention_forward(
        query, key, value, starts, starts, longest, longest, dropped, False, False
    )[0]


def memory_efficient(qkv: Tensor, starts: Tensor, longest: int, dropped: float) -> Tensor:
    """Memory-efficient attention (Rabe & Staats 2021, arXiv 2112.05682), for fp32, too."""
    query, key, value = qkv.unsqueeze(0).unbind(2)  # each (1, N, H, D)
    differentiable = torch.is_grad_enabled() and qkv.requires_grad
    return torch.ops.aten._efficient_attention_forward(
        query, key, value, None, starts, starts, longest, longest, dropped, 0, differentiable
    )[0].squeeze(0)


PROBE_LENGTHS = (130, 7, 1)
# As shares of the largest number: fp32 kernels split each number into parts for the tensor cores.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def probe(kernel: Kernel, device: torch.device, dtype: torch.dtype, head_size: int) -> str:
    """What is wrong with a kernel on a device, or "": three rows beside the formula in fp64, the
    context and the gradient."""
    generator = torch.Generator("cpu").manual_seed(0)
    shape = (sum(PROBE_LENGTHS), 3, 2, head_size)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
    ):
        drawn = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        weights = torch.randn(shape[0], 2, head_size, generator=generator, device="cpu")
        exact = drawn.to(dtype).double().requires_grad_()
        wanted = torch.cat([_formula(row) for row in exact.split(PROBE_LENGTHS)])
        wanted_gradient = torch.autograd.grad(wanted, exact, weights.double())[0]
        qkv = drawn.to(device, dtype).requires_grad_()
        ends = torch.tensor((0, *PROBE_LENGTHS), device="cpu").cumsum(0)
        starts = ends.to(device, torch.int32)
        try:
            found = kernel(qkv, starts, PROBE_LENGTHS[0], 0.0)
            gradient = torch.autograd.grad(found, qkv, weights.to(device, dtype))[0]
        except torch.OutOfMemoryError:
            raise  # which says nothing about the kernel
        except (RuntimeError, AttributeError, TypeError) as error:
            reason = str(error).splitlines() or [type(error).__name__]
            return f"does not run ({reason[0][:200]})"
    for ours, right in ((found, wanted), (gradient, wanted_gradient)):
        right = right.detach()
        difference = (ours.detach().cpu().double() - right).abs().max() / right.abs().max()
        if not float(difference) <= TOLERANCES[dtype]:
            return f"is wrong by {float(difference):.1e} of the result"
    return ""


def _formula(qkv: Tensor) -> Tensor:
    """One row by the formula: (n, 3, H, D) -> (n, H, D)."""
    query, key, value = qkv.permute(1, 2, 0, 3)  # each (H, n, D)
    return readable_attention(query, key, value)[0].transpose(0, 1)

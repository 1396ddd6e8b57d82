"""Who computes a cell in `attention.py`: ours, PyTorch's kernels, other people's modules."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import devices
import torch
import torch.nn.functional as F
from attention_cells import HEAD_SIZE, NO_DROPOUT, Block, Inputs
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from minibert.attention import SelfAttention, fused_attention, readable_attention
from minibert.engine.attention import PackedAttention, flash, packed_kernel
from minibert.engine.exchange import exchange
from minibert.engine.rule import Precision, body_for, choose
from minibert.linear import Linear

Call = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Contender:
    """build: makes of a cell's inputs a function of its layout's input, and the parameters that
    have a gradient, too. layout: "padded" (B, T, ...) or "packed" (N, ...). squares: how many
    (B, H, T, T) it holds at once, forward and with backward."""

    name: str
    layout: str
    build: Callable[[Inputs], tuple[Call, list[nn.Parameter]]]
    squares: tuple[int, int] = (0, 0)
    missing: str = ""  # why it cannot run here


def heads_first(qkv: Tensor) -> list[Tensor]:
    """(B, T, 3, H, D) -> query, key and value, (B, H, T, D) each: views."""
    return list(qkv.permute(2, 0, 3, 1, 4).unbind(0))


def heads_beside(context: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, C), what W^O reads."""
    return context.transpose(1, 2).flatten(2)


def on_padded(attend: Callable[..., Tensor]) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    """A kernel that takes query, key, value and a mask (B, 1, 1, T) or None."""

    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        mask = None if inputs.mask is None else inputs.mask[:, None, None, :]
        return lambda qkv: heads_beside(attend(*heads_first(qkv), mask)), []

    return build


def sdpa(backend: SDPBackend) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        with sdpa_kernel([backend]):
            return F.scaled_dot_product_attention(query, key, value, mask)

    return on_padded(attend)


def packed(inputs: Inputs) -> tuple[Call, list[Any]]:
    """As a fast model attends: by a kernel for packed rows, or group by group."""
    module = exchange(SelfAttention(inputs.config), PackedAttention)
    return lambda qkv: module.attend(qkv, inputs.packing).flatten(1), []


def varlen(inputs: Inputs) -> tuple[Call, list[Any]]:
    from torch.nn.attention.varlen import varlen_attn  # not in builds without CUDA

    starts, longest = inputs.packing.starts, inputs.packing.lengths[0]

    def call(qkv: Tensor) -> Tensor:
        query, key, value = qkv.unbind(1)  # each (N, H, D)
        context = varlen_attn(query, key, value, starts, starts, longest, longest)
        assert isinstance(context, Tensor)  # not a tuple, as nothing else was asked for
        return context.flatten(1)

    return call, []


def flex(inputs: Inputs) -> tuple[Call, list[Any]]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    cell, blocks = inputs.cell, None
    if inputs.mask is not None:
        counts = torch.tensor(cell.lengths, device=inputs.device)

        def visible(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return key < counts[b]

        size = (len(cell.lengths), None, cell.length, cell.length)
        blocks = create_block_mask(visible, *size, device=inputs.device)
    torch.compiler.reset()  # or a few shapes exhaust the limit of compilations
    compiled = torch.compile(flex_attention, dynamic=False)

    def call(qkv: Tensor) -> Tensor:
        query, key, value = heads_first(qkv)
        context = compiled(query, key, value, block_mask=blocks)
        assert isinstance(context, Tensor)  # not a tuple, as nothing else was asked for
        return heads_beside(context)

    return call, []


def huggingface(kind: str) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    """The function that transformers' BertSelfAttention calls, with the mask it gives to it."""

    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward
        from transformers.models.bert.modeling_bert import eager_attention_forward

        attend = eager_attention_forward if kind == "eager" else sdpa_attention_forward
        module = nn.Module().eval()
        module.is_causal = False  # type: ignore[assignment]
        mask = _huggingface_mask(inputs, kind)

        def call(qkv: Tensor) -> Tensor:
            found = attend(module, *heads_first(qkv), mask, scaling=HEAD_SIZE**-0.5, dropout=0.0)
            return found[0].flatten(2)

        return call, []

    return build


def _huggingface_mask(inputs: Inputs, kind: str) -> Tensor | None:
    if inputs.mask is None:
        return None
    length = inputs.cell.length
    mask = inputs.mask[:, None, None, :].expand(-1, 1, length, length).contiguous()
    if kind == "sdpa":
        return mask
    lowest = torch.finfo(inputs.cell.dtype).min
    return torch.zeros_like(mask, dtype=inputs.cell.dtype).masked_fill(~mask, lowest)


def our_block(attention: str) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        config = replace(inputs.config, attention=attention)  # type: ignore[arg-type]
        block = Block(config).to(inputs.device, inputs.cell.dtype)
        block.load_state_dict(inputs.block.state_dict())
        exchange(block.attention, PackedAttention)  # which heeds what the config says
        return lambda x: block(x, inputs.packing), list(block.parameters())

    return build


def our_block_for_inference(inputs: Inputs) -> tuple[Call, list[Any]]:
    """With the products that `minibert.optimize` would put in."""
    block = copy.deepcopy(inputs.block).eval()
    body = body_for(_precision(inputs.cell.dtype), inputs.device)
    with torch.no_grad():
        for module in block.attention.children():
            if type(module) is Linear:
                exchange(module, body)
    exchange(block.attention, PackedAttention)
    return lambda x: block(x, inputs.packing), []


def _precision(dtype: torch.dtype) -> Precision:
    return "fp32" if dtype == torch.float32 else "bf16"


def huggingface_block(kind: str) -> Callable[[Inputs], tuple[Call, list[Any]]]:
    def build(inputs: Inputs) -> tuple[Call, list[Any]]:
        from transformers import BertConfig as TheirConfig
        from transformers.models.bert.modeling_bert import BertAttention

        width = inputs.cell.heads * HEAD_SIZE
        config = TheirConfig(
            hidden_size=width,
            num_attention_heads=inputs.cell.heads,
            layer_norm_eps=inputs.block.norm.eps,
            attn_implementation=kind,
            **NO_DROPOUT,
        )
        theirs = BertAttention(config).to(inputs.device, inputs.cell.dtype)
        ours = inputs.block
        weights = ours.attention.query_key_value.weight.chunk(3)
        biases = ours.attention.query_key_value.bias.chunk(3)
        state = {}
        for i, part in enumerate(("query", "key", "value")):
            state[f"self.{part}.weight"], state[f"self.{part}.bias"] = weights[i], biases[i]
        for name, module in (("dense", ours.attention.output), ("LayerNorm", ours.norm)):
            state[f"output.{name}.weight"] = module.weight
            state[f"output.{name}.bias"] = module.bias
        theirs.load_state_dict(state)
        mask = _huggingface_mask(inputs, kind)
        return lambda x: theirs(x, attention_mask=mask)[0], list(theirs.parameters())

    return build


class TorchBlock(nn.Module):
    """The block around PyTorch's own module."""

    def __init__(self, block: Block, heads: int) -> None:
        super().__init__()
        self.norm = block.norm
        width = block.norm.weight.numel()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        attended = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)[0]
        return self.norm(x + attended)


def torch_block(inputs: Inputs) -> tuple[Call, list[Any]]:
    ours = copy.deepcopy(inputs.block)
    theirs = TorchBlock(ours, inputs.cell.heads).to(inputs.device, inputs.cell.dtype)
    attention = theirs.attention
    state = {
        "in_proj_weight": ours.attention.query_key_value.weight,
        "in_proj_bias": ours.attention.query_key_value.bias,
        "out_proj.weight": ours.attention.output.weight,
        "out_proj.bias": ours.attention.output.bias,
    }
    attention.load_state_dict(state)
    padding = None if inputs.mask is None else ~inputs.mask
    return lambda x: theirs(x, padding), list(theirs.parameters())


def contenders(device: devices.Cpu, inputs: Inputs) -> list[Contender]:
    """Those of a cell. What cannot run here says why in `missing`."""
    cell = inputs.cell
    forward = cell.direction == "forward"
    no_transformers = "" if devices.is_installed("transformers") else "needs transformers"
    has_varlen = packed_kernel(inputs.device, cell.dtype, HEAD_SIZE) is flash
    if cell.work == "block":
        fast = [Contender("minibert, fast products", "packed", our_block_for_inference)]
        if not forward or choose(_precision(cell.dtype), inputs.device).note:
            fast = []  # inference only, and only in the cell's own number format
        return [
            Contender("minibert", "packed", our_block("auto")),
            *fast,
            Contender("minibert readable", "packed", our_block("readable"), (3, 5)),
            Contender(
                "transformers eager", "padded", huggingface_block("eager"), (3, 5), no_transformers
            ),
            Contender(
                "transformers sdpa", "padded", huggingface_block("sdpa"), (0, 0), no_transformers
            ),
            Contender("nn.MultiheadAttention", "padded", torch_block, (1, 5)),
        ]
    query, key, value = heads_first(inputs.padded)
    mask = None if inputs.mask is None else inputs.mask[:, None, None, :]
    kernel = [
        Contender("minibert", "packed", packed),
        Contender(
            "minibert readable", "padded", on_padded(lambda *a: readable_attention(*a)[0]), (3, 5)
        ),
        Contender("minibert fused", "padded", on_padded(lambda *a: fused_attention(*a)[0])),
    ]
    for name, backend in device.sdpa_backends(query, key, value, mask).items():
        squares = (3, 5) if backend == SDPBackend.MATH else (0, 0)
        kernel.append(Contender(f"SDPA {name}", "padded", sdpa(backend), squares))
    if has_varlen:
        kernel.append(Contender("varlen", "packed", varlen))
    if device.type == "cuda" or forward:
        kernel.append(Contender("flex, compiled", "padded", flex, (0, 0), _no_compiler(device)))
    kernel += [
        Contender("transformers eager", "padded", huggingface("eager"), (3, 5), no_transformers),
        Contender("transformers sdpa", "padded", huggingface("sdpa"), (0, 0), no_transformers),
    ]
    return kernel


def _no_compiler(device: devices.Cpu) -> str:
    if device.type == "cuda":
        return "" if devices.is_installed("triton") else "needs triton"
    return "" if shutil.which("g++") or shutil.which("clang++") else "needs a C++ compiler"

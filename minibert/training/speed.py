"""What makes a training step fast, put in place from outside while a model is trained.

The book's modules compute what the papers say, by PyTorch's plainest means. Here are other classes
for them (see `engine/exchange.py`): the same sums, made cheaper on a CPU or with less memory. The
bodies of `engine/` cannot be differentiated; these can.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minibert._checks import warn
from minibert.attention import SelfAttention, grouped_attention, readable_attention
from minibert.embeddings import Embeddings
from minibert.encoder import EncoderLayer
from minibert.engine.attention import PackedAttention
from minibert.engine.bodies import in_few_sizes
from minibert.engine.exchange import exchanged
from minibert.engine.forks import survive_fork
from minibert.engine.host import HostPackedModel
from minibert.engine.memory import keep_freed_memory
from minibert.linear import Linear
from minibert.model import BertModel
from minibert.packing import Packing, Record


@contextmanager
def fast_training(
    model: nn.Module, precision: str = "fp32", *, recompute: bool = False, alone: bool = True
) -> Iterator[None]:
    """Inside, the model trains by the fastest ways measured for its device; then it is as before.

    precision: "fp32" or "bf16", that of the products. recompute: keep only each layer's input and
    compute the rest again when gradients are asked for: less memory for a third more time (Chen et
    al. 2016, arXiv 1604.06174). alone: whether nothing else works on the gradients;
    DistributedDataParallel does.
    """
    keep_freed_memory()
    survive_fork()
    device = next(model.parameters()).device
    classes = classes_for(device, precision, recompute)
    parts: list[tuple[nn.Module, type[nn.Module]]] = []
    for module in model.modules():
        if type(module) in classes:
            parts.append((module, classes[type(module)]))
        elif type(module) is Embeddings and device.type == "cpu" and alone:
            if module.token.weight.requires_grad:
                parts.append((module.token, RowGradients))
    if recompute and not any(to is RecomputedLayer for _, to in parts):
        warn("this model has no EncoderLayer of the book's own class, so nothing is recomputed")
    with exchanged(parts):
        yield


def classes_for(
    device: torch.device, precision: str, recompute: bool
) -> dict[type[nn.Module], type[nn.Module]]:
    """What the book's modules become while they are trained on this device."""
    classes: dict[type[nn.Module], type[nn.Module]] = {}
    linear = matmul_class(device, precision)
    if linear is not Linear:
        classes[Linear] = linear
    if recompute:
        classes[EncoderLayer] = RecomputedLayer
    if device.type == "cpu":
        classes |= {nn.Dropout: SharedBitsDropout, SelfAttention: FormulaWithDropout}
    else:
        classes[BertModel] = HostPackedModel
    if device.type == "cuda":
        classes[SelfAttention] = PackedAttention
    return classes


class FewSizesLinear(Linear):
    """x W^T + b by oneDNN, which keeps a kernel for every number of rows: with few of these.

    Each batch has another number of tokens. Over 500 of them, forward and backward, the kernels
    took 1.5 GB at the shapes of `minilm-l6`. There are more sizes than for inference: a step is
    long beside the making of a kernel, and what rows are added costs three products each.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        rows = x.reshape(-1, x.shape[-1])
        if torch.is_autocast_enabled(x.device.type):  # rows are added where they are smaller
            rows = rows.to(torch.get_autocast_dtype(x.device.type))
        y = in_few_sizes(rows, self.multiply, between_powers=16)
        return y.view(*x.shape[:-1], -1)

    def multiply(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        return super().forward(x)


class ConvolutionLinear(FewSizesLinear):
    """x W^T + b as a 1x1 convolution: the tokens are a picture of one line, their numbers its
    channels.

    The same sums, made by oneDNN instead of MKL, forward and backward, by public functions only.
    """

    def multiply(self, x: Tensor) -> Tensor:
        """(N, in) -> (N, out)."""
        picture = x.view(1, 1, len(x), -1).permute(0, 3, 1, 2)  # (1, in, 1, N)
        y = F.conv2d(picture, self.weight[:, :, None, None], self.bias)  # (1, out, 1, N)
        return y.permute(0, 2, 3, 1).reshape(len(x), -1)


def matmul_class(device: torch.device, precision: str) -> type[Linear]:
    """The rule. It looks at device, precision and CPU only, so that a resumed run chooses alike.

    F.linear goes to MKL, which does not use AVX-512 on every CPU of AMD's; the convolution goes to
    oneDNN, which does. On a Zen 5 it was twice as fast (a figure from elsewhere). Evidence from
    here ("Matrix products" in benchmarks/RESULTS.md), GFLOP/s in fp32, forward and backward, at
    BERT-base's shapes with some 500 tokens: on a Zen 4 with AVX-512 121-162 against 101-166 of
    F.linear, no difference, and 5 % of a step lost; on a Zen 3 with AVX2 62-72 against 111-121.

    In bf16 F.linear goes to oneDNN itself. Intel's CPUs, arm64 and GPUs have F.linear.
    """
    if device.type != "cpu":
        return Linear
    if precision == "bf16":
        return FewSizesLinear
    avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    # With one thread PyTorch makes convolutions of one picture itself, slowly.
    several = torch.get_num_threads() > 1
    vendor, family = cpu_model()
    zen_5 = vendor == "AuthenticAMD" and family >= 26
    return ConvolutionLinear if avx512 and several and zen_5 else Linear


def cpu_model() -> tuple[str, int]:
    """Vendor and family as the CPU names them: ("AuthenticAMD", 25) is Zen 3 or 4.

    ("", 0) if the system does not tell.
    """
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        text = cpuinfo.read_text()
        vendor = re.search(r"^vendor_id\s*: *(\w+)", text, re.MULTILINE)
        family = re.search(r"^cpu family\s*: *(\d+)", text, re.MULTILINE)
    else:  # Windows: "AMD64 Family 25 Model 33 Stepping 2, AuthenticAMD"
        text = platform.processor()
        vendor, family = re.search(r", (\w+)$", text), re.search(r"Family (\d+)", text)
    return vendor[1] if vendor else "", int(family[1]) if family else 0


class SharedBitsDropout(nn.Dropout):
    """`nn.Dropout` for CPUs, where random numbers are what it costs.

    `F.dropout` makes 64 random bits for each number, and here four numbers share them. p is then a
    multiple of 1/65536 (0.1 is 0.100006), and the scale goes by that.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p in (0.0, 1.0):
            return super().forward(x)
        dropped = min(round(self.p * 65536), 65535)  # of the 65536 values of 16 bits
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        bits.random_(-(2**63), None)
        sixteen = bits.view(torch.int16)[: x.numel()].view(x.shape)  # -32768 to 32767, equally
        # Written as 0.0 and 1.0 at once, without another pass over truth values.
        kept = torch.ge(sixteen, dropped - 32768, out=torch.empty_like(x, requires_grad=False))
        return (x * kept).mul_(65536 / (65536 - dropped))


class FormulaWithDropout(SelfAttention):
    """Attention by the formula where its weights are dropped: PyTorch has no fused kernel with
    dropout for CPUs, and what it does instead is slower than the formula."""

    def attend(self, qkv: Tensor, packing: Packing, record: Record | None = None) -> Tensor:
        asked = record is not None and record.attentions is not None
        drops = self.training and self.dropout.p > 0
        if asked or not drops or self.config.attention != "auto":
            return super().attend(qkv, packing, record)
        return grouped_attention(qkv, packing, readable_attention, self.dropout)[0]


class RecomputedLayer(EncoderLayer):
    """An `EncoderLayer` whose activations are computed again in the backward pass."""

    def forward(self, *arguments: Any) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(*arguments)
        return checkpoint(super().forward, *arguments, use_reentrant=False)


class RowGradients(nn.Embedding):
    """An `nn.Embedding` that keeps one gradient, to which each step adds the rows it looked up.

    A batch looks up some hundred of 30,000 vectors. PyTorch's own gradient is a new tensor of zeros
    each step, 47 MB for `minilm-l6`, which has to be found, zeroed and given back. The sums are the
    same. A forward pass with gradients must be followed by its backward pass before the optimizer
    steps: the gradient is there, of zeros, from the forward pass on.
    """

    def enter(self) -> None:
        self.kept = torch.zeros_like(self.weight)

    def leave(self) -> None:
        del self.kept
        self.weight.grad = None

    def forward(self, ids: Tensor) -> Tensor:
        if torch.is_grad_enabled() and self.weight.grad is None:  # a new step, after zero_grad
            self.weight.grad = self.kept.zero_()
        # sparse: PyTorch then adds rows, in place, to the gradient that is there.
        return F.embedding(ids, self.weight, self.padding_idx, sparse=True)

"""The product with weights that `Linear` makes while it is trained.

`kernels.py` has products for inference. They take packed weights and have no gradient, so training
has a choice of its own, of functions with the arguments of `F.linear`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.linear import Linear

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x W^T + b as a 1x1 convolution: the tokens are a picture of one line, their numbers its
    channels. x: (..., in) -> (..., out).

    The same sums, made by oneDNN instead of MKL, forward and backward, by public functions only.
    """
    picture = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)  # (1, in, 1, N), channels last
    y = F.conv2d(picture, weight[:, :, None, None], bias)  # (1, out, 1, N)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def choose_product(device: torch.device, precision: str) -> Product:
    """The rule. It looks at device, precision and CPU only, so that a resumed run chooses alike.

    Evidence (benchmarks/RESULTS.md, "Matrix products"; "elsewhere" was measured on another
    machine), GFLOP/s in fp32, forward and backward, at BERT-base's shapes with some 500 tokens:

    AMD with AVX-512 (Zen 5, elsewhere): F.linear 190, convolution 370-400. MKL, to which F.linear
        goes, does not use AVX-512 on AMD's CPUs.
    AMD with AVX2 (Zen 3, here): F.linear 110-120, convolution 60-70.

    In bf16 F.linear goes to oneDNN itself. Intel's CPUs, arm64 and GPUs have F.linear.
    """
    avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    if device.type == "cpu" and precision == "fp32" and avx512 and cpu_vendor() == "AuthenticAMD":
        return convolution
    return F.linear


def cpu_vendor() -> str:
    """As the CPU names it, "AuthenticAMD" or "GenuineIntel"; "" if the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("vendor_id"):
                return line.partition(":")[2].strip()
        return ""
    return platform.processor().rpartition(" ")[2]  # Windows: "AMD64 Family 25 ..., AuthenticAMD"


@contextmanager
def products(model: nn.Module, product: Product) -> Iterator[None]:
    """Inside, every `Linear` of the model multiplies by this function."""
    linears = [module for module in model.modules() if type(module) is Linear]
    before = [linear.product for linear in linears]
    try:
        for linear in linears:
            linear.product = product
        yield
    finally:
        for linear, product in zip(linears, before, strict=True):
            linear.product = product

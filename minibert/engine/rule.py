"""The rule: which body of `Linear` serves a precision on a device."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple, get_args

import torch

from minibert._checks import warn
from minibert.checkpoint.arguments import check_choice
from minibert.engine.bodies import (
    Body,
    HalfWeights,
    OneDnn,
    OneDnnBf16,
    OneDnnTiles,
    Plain,
    PlainBf16,
)
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.probe import probe

Precision = Literal["fp32", "bf16", "int8"]


class Choice(NamedTuple):
    """What serves a precision: a body, and what to tell a user who asked for something else."""

    body: type[Body]
    note: str = ""


def choose(precision: Precision, device: torch.device) -> Choice:
    """The rule. It looks at device and CPU features only, so that a machine always chooses alike.

    There is no second choice: where the one named here fails its probe, plain fp32 products serve.
    Training has a rule of its own, `training.speed.matmul_class`: no body can be differentiated.

    Evidence ("Matrix products" in benchmarks/RESULTS.md), GFLOP/s at BERT-base's shapes with some
    500 tokens, two cores, AVX2 (Zen 3) and AVX-512 with BF16 and VNNI (Zen 4):

    fp32: F.linear 111-133 and 121-190; oneDNN 119-130 and 143-214; its tiles 127-154 and 143-211,
        at twice the memory for the weights, so that AVX-512 does without.
    bf16: F.linear 18-21, emulated, and 251-397; oneDNN 261-416 with AVX-512; fp16 weights 121-146
        without.
    int8, quantizing included: 173-222, with weights of 7 bits, and 293-575.

    GPUs, MPS and other CPUs have the plain body, in fp32 and where asked for, on GPUs, bf16.
    """
    check_precision(precision)
    if device.type != "cpu":
        if precision == "fp32":
            return Choice(Plain)
        if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
            note = "" if precision == "bf16" else "int8 has no kernel for GPUs here; bf16 is used"
            return Choice(PlainBf16, note)
        return Choice(Plain, f"{precision} is not supported on {device.type} here; fp32 is used")
    features = cpu_features()
    if precision == "fp32":
        if "onednn" not in features:
            return Choice(Plain)
        return Choice(OneDnn if "avx512" in features else OneDnnTiles)
    if precision == "bf16":
        if features >= {"onednn", "bf16"}:
            return Choice(OneDnnBf16)
        if "fbgemm" in features:
            return Choice(
                HalfWeights,
                "this CPU has no bf16 instructions, and emulating them is slower than fp32; "
                "weights of fp16 with fp32 activations are used, closer to fp32 than bf16 is",
            )
    elif "onednn int8" in features:
        without = Int7Few if "fbgemm" in features else Int7
        return Choice(Int8 if "vnni" in features else without)
    missing = f"this CPU has no {precision} kernel here; fp32 is used"
    return Choice(choose("fp32", device).body, missing)


def check_precision(precision: object) -> None:
    """Raise `ValueError` for a name that is no precision."""
    check_choice("precision", precision, get_args(Precision))


@cache
def cpu_features() -> frozenset[str]:
    """What this CPU and this build of PyTorch have, of what the rule asks for."""
    x86 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    engines = torch.backends.quantized.supported_engines
    found = {
        "onednn": x86 and torch.backends.mkldnn.is_available(),
        "onednn int8": x86 and "onednn" in engines,
        "fbgemm": x86 and "fbgemm" in engines,
        "avx512": torch.backends.cpu.get_cpu_capability() == "AVX512",
        "bf16": _cpu_has("avx512_bf16") or _cpu_has("amx_tile"),
        "vnni": _cpu_has("vnni"),
    }
    return frozenset(name for name, there in found.items() if there)


def _cpu_has(feature: str) -> bool:
    """What PyTorch says of the CPU, through functions it keeps to itself."""
    return bool(getattr(torch.cpu, f"_is_{feature}_supported", lambda: False)())


def body_for(precision: Precision, device: torch.device) -> type[Body]:
    """The body the rule chooses, if it passes its probe. Warns where it is not what was asked."""
    body, note = choose(precision, device)
    failure = probe(body)
    if failure:
        note = f"{body.__name__} {failure} on this machine; plain fp32 products are used"
        body = Plain
    if note:
        warn(note)
    return body

"""Which body a machine gets."""

import pytest
import torch

import minibert
from minibert import TextClassifier, TextEncoder, optimize
from minibert.engine import rule
from minibert.engine.rule import choose
from tests.conftest import TINY
from tests.engine.conftest import CPU

X86 = {"onednn", "onednn int8", "fbgemm"}
# For each machine the bodies of fp32, bf16 and int8; "*": with a note that it is something else.
RULE = {
    "AVX-512 with everything": (
        X86 | {"avx512", "bf16", "vnni"},
        ("OneDnn", "OneDnnBf16", "Int8"),
    ),
    "AVX-512 with VNNI": (X86 | {"avx512", "vnni"}, ("OneDnn", "HalfWeights*", "Int8")),
    "AVX-512 alone": (X86 | {"avx512"}, ("OneDnn", "HalfWeights*", "Int7Few")),
    "AVX2 with VNNI": (X86 | {"vnni"}, ("OneDnnTiles", "HalfWeights*", "Int8")),
    "AVX2": (X86, ("OneDnnTiles", "HalfWeights*", "Int7Few")),
    "AVX2, no FBGEMM": ({"onednn", "onednn int8"}, ("OneDnnTiles", "OneDnnTiles*", "Int7")),
    "AVX-512, oneDNN only for fp32": ({"onednn", "avx512"}, ("OneDnn", "OneDnn*", "OneDnn*")),
    "x86, no oneDNN": ({"fbgemm", "bf16", "vnni"}, ("Plain", "HalfWeights*", "Plain*")),
    "arm64": (set(), ("Plain", "Plain*", "Plain*")),
}


def described(choice):
    return choice.body.__name__ + "*" * bool(choice.note)


@pytest.mark.parametrize("machine", RULE)
def test_rule_for_cpus(monkeypatch, machine):
    features, wanted = RULE[machine]
    monkeypatch.setattr(rule, "cpu_features", lambda: frozenset(features))
    for _ in range(2):  # and the second time alike
        chosen = tuple(described(choose(name, CPU)) for name in ("fp32", "bf16", "int8"))
        assert chosen == wanted


@pytest.mark.parametrize(
    ("device", "has_bf16", "wanted"),
    [
        ("mps", False, ("Plain", "Plain*", "Plain*")),
        ("cuda", True, ("Plain", "PlainBf16", "PlainBf16*")),
        ("cuda", False, ("Plain", "Plain*", "Plain*")),
    ],
)
def test_rule_for_other_devices(monkeypatch, device, has_bf16, wanted):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bf16)
    monkeypatch.setattr(rule, "cpu_features", lambda: frozenset(X86))
    device = torch.device(device)
    assert tuple(described(choose(name, device)) for name in ("fp32", "bf16", "int8")) == wanted


def test_notes_name_what_is_used_instead(monkeypatch):
    monkeypatch.setattr(rule, "cpu_features", frozenset)
    assert "int8" in choose("int8", CPU).note and "fp32 is used" in choose("int8", CPU).note
    monkeypatch.setattr(rule, "cpu_features", lambda: frozenset(X86))
    assert "fp16" in choose("bf16", CPU).note


@pytest.mark.parametrize(
    "use",
    [
        lambda: optimize(minibert.BertModel(minibert.BertConfig(**TINY)), "fp8"),
        lambda: TextClassifier.load("minilm-l6", precision="fp8"),
        lambda: TextEncoder.load("minilm-l6", precision="fp8"),
        lambda: choose("fp8", CPU),
    ],
    ids=["optimize", "TextClassifier", "TextEncoder", "choose"],
)
def test_an_unknown_precision_is_named_with_the_known_ones(use):
    with pytest.raises(ValueError, match="'fp8'.*'fp32', 'bf16', 'int8'"):
        use()

"""Every body of `Linear` multiplies as the plain one does, and refuses what it cannot do."""

import copy
import multiprocessing
import os
import pickle
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

import minibert
from minibert import TextClassifier, TextEncoder, optimize
from minibert.attention import fused_attention
from minibert.engine import bodies as kernels
from minibert.engine import optimize as optimize_module
from minibert.engine.bodies import (
    Body,
    Choice,
    HalfWeights,
    Int7,
    Int7Few,
    Int8,
    OneDnn,
    OneDnnBf16,
    OneDnnTiles,
    Plain,
    PlainBf16,
    body_for,
    choose,
    probe,
)
from minibert.linear import ACTIVATIONS, Linear
from tests.conftest import BATCHES, TINY

CPU = torch.device("cpu")
IN, OUT = 96, 32


def name_of(body):
    return body.__name__


def runnable(body):
    if probe(body):
        pytest.skip(f"{body.__name__} {probe(body)}")
    return body


@pytest.fixture(params=[Plain, OneDnn, OneDnnTiles, HalfWeights, Int8, Int7, Int7Few], ids=name_of)
def body(request):
    return runnable(request.param)


@pytest.fixture(params=[Int8, Int7, Int7Few], ids=name_of)
def integers(request):
    return runnable(request.param)


@pytest.fixture()
def linear():
    torch.manual_seed(0)
    return Linear(IN, OUT).requires_grad_(False).eval()


def random(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(got, wanted):
    """The difference as a share of the result."""
    return float((got - wanted).norm() / wanted.norm())


def tolerance(body):
    return kernels.TOLERANCES.get(body, 1e-5)


# --- the product ---------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 7, 512, 515, 1030])
def test_equals_the_plain_linear(body, linear, rows):
    x, ours = random(rows, IN), body(linear).eval()
    for activation in ACTIVATIONS:
        for residual in (None, random(rows, OUT, seed=2)):
            got, wanted = ours(x, activation, residual), linear(x, activation, residual)
            assert got.shape == wanted.shape and got.dtype == wanted.dtype
            assert error(got, wanted) <= tolerance(body), activation


@torch.inference_mode()
def test_what_goes_in_is_only_read(body, linear):
    x, residual = random(515, IN), random(515, OUT)
    before = x.clone(), residual.clone()
    body(linear).eval()(x, "gelu", residual)
    assert torch.equal(x, before[0]) and torch.equal(residual, before[1])


@torch.inference_mode()
@pytest.mark.parametrize(
    "x",
    [
        random(5, 120, IN),
        random(5, IN, 120).mT,
        random(IN, 515).T,
        random(1030, IN)[::2],
        random(515, 2 * IN)[:, ::2],
        random(1, IN).expand(515, IN),
    ],
    ids=[
        "3-d",
        "3-d transposed",
        "transposed",
        "every other row",
        "every other column",
        "repeated",
    ],
)
def test_any_layout_of_the_input(body, linear, x):
    got = body(linear).eval()(x)
    assert got.shape == (*x.shape[:-1], OUT)
    assert error(got, linear(x.contiguous())) <= tolerance(body)


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)], ids=str)
def test_no_rows_give_no_rows(body, linear, shape):
    got = body(linear).eval()(random(*shape, IN), "gelu", random(*shape, OUT))
    assert got.shape == (*shape, OUT) and got.dtype == torch.float32


@torch.inference_mode()
def test_the_plain_linear_it_was_made_from_stays_its_own(body, linear):
    x, ours = random(7, IN), body(linear).eval()
    before = ours(x)
    linear.weight.zero_()
    linear.bias.zero_()
    assert torch.equal(ours(x), before)


# --- integers ------------------------------------------------------------------------------------


@torch.inference_mode()
def test_a_row_has_the_same_bits_in_any_company(integers, linear):
    ours, x = integers(linear).eval(), random(515, IN)
    together = ours(x)
    for start, stop in ((0, 1), (3, 4), (0, 7), (100, 400), (514, 515)):
        assert torch.equal(ours(x[start:stop]), together[start:stop])


@torch.inference_mode()
def test_a_row_a_million_times_louder_changes_no_other(integers, linear):
    ours, x = integers(linear).eval(), random(515, IN)
    before = ours(x)
    x[9] *= 1e6
    others = torch.arange(515) != 9
    assert torch.equal(ours(x)[others], before[others])
    assert error(ours(x)[9], linear(x)[9]) <= tolerance(integers)


@torch.inference_mode()
def test_a_channel_a_million_times_louder_changes_no_other(integers, linear):
    x = random(515, IN)
    before = integers(linear).eval()(x)
    linear.weight[5] *= 1e6
    after = integers(linear).eval()(x)
    others = torch.arange(OUT) != 5
    assert torch.equal(after[:, others], before[:, others])
    assert error(after[:, 5], linear(x)[:, 5]) <= tolerance(integers)


@torch.inference_mode()
@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0, -3.0, 1000.0, -1e6])
def test_constant_rows(integers, linear, value):
    x = torch.full((3, IN), value)
    got, wanted = integers(linear).eval()(x), linear(x)
    assert got.isfinite().all()
    # All of it comes from the sums of the weights; their rounding, half a step each, is what is
    # left, at worst.
    steps = linear.weight.abs().amax(dim=1) / integers.LARGEST
    assert ((got - wanted).abs() <= abs(value) * steps * IN / 2 + 1e-5 * wanted.abs()).all()


@torch.inference_mode()
def test_an_output_channel_without_weights_is_its_bias(integers, linear):
    linear.weight[4] = 0
    x = random(7, IN)
    assert torch.equal(integers(linear).eval()(x)[:, 4], linear.bias[4].expand(7))


def with_whole_weights(integers, linear):
    """A body whose weights are rounded to themselves, so that only activations are rounded."""
    whole = torch.randint(-integers.LARGEST, integers.LARGEST + 1, (OUT, IN))
    whole[:, 0] = integers.LARGEST
    linear.weight.copy_(whole / integers.LARGEST)
    return integers(linear).eval()


def rows_off_by_more_than(step, got, x, linear):
    """How many rows are further from the exact product than steps (N,) allow.

    Rounding moves each activation by half a step; the other half is room for fp32.
    """
    wanted = F.linear(x.double(), linear.weight.double(), linear.bias.double())
    limit = step[:, None] * linear.weight.abs().sum(dim=1)  # (N, out)
    return int((~((got - wanted).abs() <= limit)).any(dim=1).sum())


@torch.inference_mode()
@pytest.mark.parametrize("spread", [1.0, 1e-1, 1e-2])
@pytest.mark.parametrize("offset", [0.0, 3.0, 1000.0, -1000.0])
def test_rounding_is_in_proportion_to_a_rows_own_range(integers, linear, offset, spread):
    """A step is a 254th of it, 0 included."""
    ours = with_whole_weights(integers, linear)
    x = offset + spread * random(20_000, IN)
    step = (x.amax(1).clamp_min(0) - x.amin(1).clamp_max(0)) / 254  # (N,)
    assert rows_off_by_more_than(step, ours(x), x, linear) == 0


@torch.inference_mode()
def test_the_lowest_value_of_a_row_may_lie_between_two_steps(integers, linear):
    """Rounded once up and once down it would be -1, which 8 bits hold as 255."""
    ours = with_whole_weights(integers, linear)
    generator = torch.Generator().manual_seed(1)
    step = 0.5 + torch.rand(5000, generator=generator)
    low = -(torch.randint(20, 230, (5000,), generator=generator) + 0.5) * step
    x = low[:, None] + 254 * step[:, None] * torch.rand(5000, IN, generator=generator)
    x[:, 3], x[:, 4] = low, low + 254 * step
    assert rows_off_by_more_than(step, ours(x), x, linear) == 0


@torch.inference_mode()
@pytest.mark.parametrize("offset", [3.0, 1000.0, -1000.0])
def test_rows_far_from_zero(integers, linear, offset):
    x = offset + random(515, IN)
    assert error(integers(linear).eval()(x), linear(x)) <= tolerance(integers)


# --- copies, processes, threads ------------------------------------------------------------------


@pytest.fixture()
def optimized(body, monkeypatch):
    """A whole model with this body."""
    monkeypatch.setattr(optimize_module, "body_for", lambda *_: body)
    torch.manual_seed(0)
    return optimize(minibert.BertModel(minibert.BertConfig(**TINY)))


@torch.inference_mode()
@pytest.mark.parametrize(
    "again",
    [
        copy.deepcopy,
        copy.copy,
        lambda model: pickle.loads(pickle.dumps(model)),
    ],
    ids=["deep copy", "copy", "pickle"],
)
def test_copies_compute_the_same_bits(optimized, again):
    wanted = optimized(**BATCHES["ragged"]).last_hidden_state
    assert torch.equal(again(optimized)(**BATCHES["ragged"]).last_hidden_state, wanted)
    assert torch.equal(optimized(**BATCHES["ragged"]).last_hidden_state, wanted)


@torch.inference_mode()
def test_a_spawned_process_computes_the_same(linear):
    bodies = [
        kind for kind in (Plain, OneDnn, OneDnnTiles, HalfWeights, Int7Few) if not probe(kind)
    ]
    x = random(515, IN)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, torch.set_grad_enabled, [False]) as pool:
        for kind in bodies:
            ours = kind(linear).eval()
            there = pool.apply_async(ours, [x]).get(timeout=60)
            torch.testing.assert_close(there, ours(x), msg=kind.__name__)


def test_two_threads_may_call_one_body(body, linear):
    ours = body(linear).eval()
    inputs = [random(rows, IN, seed=rows) for rows in (1, 7, 515, 600)] * 10

    def call(x):
        with torch.inference_mode():
            return ours(x)

    wanted = [call(x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        for got, alone in zip(pool.map(call, inputs), wanted, strict=True):
            torch.testing.assert_close(got, alone)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["gradients", "training"])
def test_gradients_and_dropout_are_refused(body, linear, mode):
    ours = body(linear).train(mode == "training")
    with torch.set_grad_enabled(mode == "gradients"):
        with pytest.raises(RuntimeError, match="inference_mode.*eval"):
            ours(random(7, IN))


@torch.inference_mode()
def test_no_grad_is_as_good_as_inference_mode(body, linear):
    ours, x = body(linear).eval(), random(7, IN)
    wanted = ours(x)
    with torch.inference_mode(False), torch.no_grad():
        assert torch.equal(ours(x.clone()), wanted)


REQUESTS = {
    "float64": lambda model: model.to(torch.float64),
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "another device": lambda model: model.to("meta"),
    "state_dict": lambda model: model.state_dict(),
    "load_state_dict": lambda model: model.load_state_dict(
        {name: torch.zeros_like(p) for name, p in model.named_parameters()}, strict=False
    ),
}


@pytest.mark.parametrize("request_", REQUESTS)
def test_moving_and_saving_are_refused(body, linear, request_):
    with pytest.raises(RuntimeError, match="the model it was made from"):
        REQUESTS[request_](body(linear))


@torch.inference_mode()
@pytest.mark.parametrize("request_", ["half", "state_dict", "load_state_dict"])
def test_a_model_that_refused_a_request_is_as_it_was(request_):
    torch.manual_seed(0)
    optimized = optimize(minibert.BertModel(minibert.BertConfig(**TINY)))
    wanted = optimized(**BATCHES["ragged"]).last_hidden_state
    with pytest.raises(RuntimeError, match="the model it was made from"):
        REQUESTS[request_](optimized)
    assert torch.equal(optimized(**BATCHES["ragged"]).last_hidden_state, wanted)


@torch.inference_mode()
@pytest.mark.parametrize("target", ["cpu", torch.float32], ids=str)
def test_where_it_is_it_may_stay(optimized, target):
    wanted = optimized(**BATCHES["ragged"]).last_hidden_state
    assert torch.equal(optimized.to(target)(**BATCHES["ragged"]).last_hidden_state, wanted)


def test_saving_is_refused_and_leaves_no_folder(optimized, tmp_path):
    with pytest.raises(RuntimeError, match="save the model it was made from"):
        optimized.save_pretrained(tmp_path / "m")
    assert not list(tmp_path.iterdir())


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


# --- the rule ------------------------------------------------------------------------------------

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
    monkeypatch.setattr(kernels, "cpu_features", lambda: frozenset(features))
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
    monkeypatch.setattr(kernels, "cpu_features", lambda: frozenset(X86))
    device = torch.device(device)
    assert tuple(described(choose(name, device)) for name in ("fp32", "bf16", "int8")) == wanted


def test_notes_name_what_is_used_instead(monkeypatch):
    monkeypatch.setattr(kernels, "cpu_features", frozenset)
    assert "int8" in choose("int8", CPU).note and "fp32 is used" in choose("int8", CPU).note
    monkeypatch.setattr(kernels, "cpu_features", lambda: frozenset(X86))
    assert "fp16" in choose("bf16", CPU).note


def test_bodies_of_bf16_take_and_give_it():
    assert PlainBf16.dtype == OneDnnBf16.dtype == torch.bfloat16


# --- the probe -----------------------------------------------------------------------------------


class Kept(Body):
    """A body whose product is right, for others to spoil."""

    packed = ("kept",)

    def pack(self, weight):
        self.kept = weight.float().clone()

    def unpack(self):
        return self.kept

    def multiply(self, x):
        return F.linear(x, self.kept, self.bias)


class OnePercentOff(Kept):
    def multiply(self, x):
        return super().multiply(x) * 1.01


class NotANumber(Kept):
    def multiply(self, x):
        return super().multiply(x) * float("nan")


class WrongBeyondATile(Kept):
    def multiply(self, x):
        y = super().multiply(x)
        y[OneDnnTiles.TILE :] += 1
        return y


class Unsupported(Kept):
    def multiply(self, x):
        raise RuntimeError("could not create a primitive\n(and many more lines)")


class Wordless(Kept):
    def multiply(self, x):
        raise RuntimeError


class Unwritten(Body):
    """`Body` itself raises NotImplementedError."""


class NoSuchOperator(Kept):
    def pack(self, weight):
        torch.ops.mkldnn.an_operator_of_tomorrow(weight)


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_a_right_body_is_used_without_a_word(monkeypatch, recwarn, kind):
    monkeypatch.setattr(kernels, "choose", lambda *_: Choice(Kept))
    assert body_for(kind, CPU) is Kept
    assert not recwarn.list


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (OnePercentOff, "is wrong by 1.0e-02"),
        (NotANumber, "is wrong by nan"),
        (WrongBeyondATile, "is wrong by"),
        (Unsupported, r"does not run \(could not create a primitive\)"),
        (Wordless, "does not run"),
        (Unwritten, "does not run"),
        (NoSuchOperator, "does not run.*an_operator_of_tomorrow"),
    ],
)
def test_a_body_that_fails_its_probe_is_named_and_not_used(monkeypatch, spoilt, message):
    monkeypatch.setattr(kernels, "choose", lambda *_: Choice(spoilt))
    with pytest.warns(UserWarning, match=f"^{spoilt.__name__} {message}.*plain fp32") as caught:
        assert body_for("fp32", CPU) is Plain
    assert len(caught) == 1


def test_what_is_used_instead_is_said_where_optimize_was_called(monkeypatch):
    monkeypatch.setattr(kernels, "choose", lambda *_: Choice(Plain, "something else is used"))
    with pytest.warns(UserWarning, match="something else is used") as caught:
        optimize(minibert.BertModel(minibert.BertConfig(**TINY)), "bf16")
    assert [warning.filename for warning in caught] == [__file__]


def test_without_vnni_the_probe_sees_sums_clipped_at_16_bits():
    features = kernels.cpu_features()
    if "onednn int8" not in features or "vnni" in features:
        pytest.skip("needs oneDNN's int8 on an x86 CPU without VNNI")
    assert "is wrong by" in probe(Int8)
    assert not probe(Int7) and not probe(Int7Few)


def test_what_another_machine_packed_is_refused(monkeypatch, linear):
    packed = pickle.dumps(kernels.OneDnnTiles(linear))
    monkeypatch.setitem(kernels._FAILURES, kernels.OneDnnTiles, "does not run (no oneDNN)")
    with pytest.raises(RuntimeError, match="OneDnnTiles does not run .* optimize that here"):
        pickle.loads(packed)


# --- GPUs, by stand-ins --------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("name", BATCHES)
def test_attention_over_the_packed_list_equals_the_groups(monkeypatch, name):
    """PyTorch's kernel has no CPU form; this one attends row by row, as its documentation says."""

    def row_by_row(query, key, value, starts, key_starts, longest, longest_key):
        assert torch.equal(starts, key_starts) and starts.dtype == torch.int32
        lengths = starts.diff().tolist()
        assert max(lengths) == longest == longest_key and sum(lengths) == len(query)
        rows = zip(*(x.split(lengths) for x in (query, key, value)), strict=True)
        done = [fused_attention(*(x.transpose(0, 1)[None] for x in row))[0] for row in rows]
        return torch.cat([x[0].transpose(0, 1) for x in done])

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", row_by_row)
    model = minibert.BertModel(minibert.BertConfig(**TINY)).eval()
    wanted = model(**BATCHES[name]).last_hidden_state
    for layer in model.encoder.layers:
        layer.attention.attend_packed = kernels.varlen_attention
    torch.testing.assert_close(model(**BATCHES[name]).last_hidden_state, wanted)


@pytest.mark.parametrize(
    ("capability", "dtype", "there"),
    [
        ((9, 0), torch.bfloat16, True),
        ((8, 0), torch.float16, True),
        ((8, 0), torch.float32, False),
        ((7, 5), torch.float16, False),
    ],
)
def test_attention_over_the_packed_list_needs_ampere_and_half_precision(
    monkeypatch, capability, dtype, there
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert kernels.has_varlen(torch.device("cuda"), dtype) == there
    assert not kernels.has_varlen(torch.device("cpu"), dtype)


FAULTS = """
import resource, sys, torch
from minibert.engine.bodies import keep_freed_memory

def layer():  # of 512 tokens
    up = torch.ones(512, 3072)
    return torch.ones(512, 3072) + up

if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(5):
    layer()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    layer()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_freed_memory_is_kept():
    def faults(what):
        command = [sys.executable, "-c", FAULTS, what]
        two = {**os.environ, "OMP_NUM_THREADS": "2"}
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env=two)
        return int(ran.stdout)

    # Whether malloc gives memory back by itself depends on what happens to lie above it.
    left = next((found for found in (faults("leave") for _ in range(4)) if found), 0)
    kept = faults("keep")
    assert kept < 1000  # of 1,500 pages a tensor, 60 times
    if not left:
        pytest.skip("malloc kept the memory by itself here")
    assert 10 * kept < left

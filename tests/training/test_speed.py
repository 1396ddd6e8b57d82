"""What makes training fast computes what the book computes, and is gone afterwards."""

import copy
import platform

import pytest
import torch
from torch import nn
from torch.nn.functional import linear as plain_linear

import minibert
from minibert.attention import SelfAttention, fused_attention, readable_attention
from minibert.encoder import EncoderLayer
from minibert.engine.exchange import exchange, exchanged
from minibert.linear import Linear
from minibert.training import speed
from minibert.training.batches import Classification, split
from minibert.training.optimizer import make_optimizer
from minibert.training.speed import (
    ConvolutionLinear,
    FewSizesLinear,
    FormulaWithDropout,
    RecomputedLayer,
    RowGradients,
    SharedBitsDropout,
    fast_training,
    matmul_class,
)
from tests.conftest import BATCHES, TINY, small_model
from tests.training.conftest import STILL


def classes(model):
    return [type(module) for module in model.modules()]


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


# --- the mechanism --------------------------------------------------------------------------------


def test_a_model_is_as_before_once_training_is_over():
    model = small_model()
    before, names = classes(model), list(model.state_dict())
    with fast_training(model, recompute=True):
        inside = set(classes(model)) - set(before)
        assert {SharedBitsDropout, FormulaWithDropout, RecomputedLayer, RowGradients} <= inside
        assert list(model.state_dict()) == names
        copied = copy.deepcopy(model)
    assert classes(model) == before
    assert set(classes(copied)) - set(before) == inside, "a copy is what the original was"
    assert model.bert.embeddings.token.weight.grad is None


def test_an_error_inside_leaves_nothing_behind():
    model = small_model()
    before = classes(model)
    with pytest.raises(ZeroDivisionError), fast_training(model):
        raise ZeroDivisionError
    assert classes(model) == before


def test_an_error_on_the_way_in_leaves_nothing_behind():
    model = small_model()
    before = classes(model)
    parts = [(model.dropout, SharedBitsDropout), (model.classifier, SharedBitsDropout)]
    with pytest.raises(TypeError, match="a Linear cannot become a SharedBitsDropout"):
        with exchanged(parts):
            pass
    assert classes(model) == before


@pytest.mark.parametrize("recompute", [False, True])
def test_without_dropout_a_step_has_the_same_loss_and_gradients(recompute):
    batch, labels = BATCHES["ragged"], torch.tensor([0, 1, 1, 0, 1, 0])
    plain = small_model(**STILL).train()
    fast = copy.deepcopy(plain)
    loss = plain(**batch, labels=labels).loss
    loss.backward()
    with fast_training(fast, recompute=recompute):
        other = fast(**batch, labels=labels).loss
        other.backward()
        assert abs(other - loss) <= 1e-6
        wanted, got = gradients(plain), gradients(fast)
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


# --- products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ConvolutionLinear, FewSizesLinear])
def test_another_product_is_the_product_and_has_its_gradients(kind):
    torch.manual_seed(0)
    for shape in ((7, 24), (2, 3, 24), (1, 24), (3, 11, 24)):  # 33 rows become 36
        data, results = torch.randn(shape), []
        layer = Linear(24, 40)
        for module in (layer, exchange(copy.deepcopy(layer), kind)):
            x = data.clone().requires_grad_()
            y = module(x)
            (y * torch.arange(40.0)).sum().backward()
            results.append((y, x.grad, module.weight.grad, module.bias.grad))
        assert torch.equal(results[0][0], plain_linear(data, layer.weight, layer.bias))
        for plain, ours in zip(*results, strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-4)


def test_a_model_trains_the_same_with_either_product(monkeypatch):
    torch.manual_seed(0)
    model = minibert.BertForClassification(minibert.BertConfig(**{**TINY, **STILL}))
    other = copy.deepcopy(model)
    ids, labels = torch.randint(5, 50, (3, 9)), torch.tensor([0, 1, 1])
    model.train()(ids, labels=labels).loss.backward()
    monkeypatch.setattr(speed, "matmul_class", lambda *_: ConvolutionLinear)
    with fast_training(other):
        assert Linear not in classes(other) and ConvolutionLinear in classes(other)
        other.train()(ids, labels=labels).loss.backward()
        got = gradients(other)
    for name, wanted in gradients(model).items():
        torch.testing.assert_close(got[name], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "capability, model, device, precision, threads, chosen",
    [
        ("AVX512", ("AuthenticAMD", 26), "cpu", "fp32", 2, ConvolutionLinear),
        ("AVX512", ("AuthenticAMD", 25), "cpu", "fp32", 2, Linear),
        ("AVX512", ("AuthenticAMD", 26), "cpu", "fp32", 1, Linear),
        ("AVX512", ("AuthenticAMD", 26), "cpu", "bf16", 2, FewSizesLinear),
        ("AVX2", ("GenuineIntel", 6), "cpu", "bf16", 1, FewSizesLinear),
        ("AVX512", ("AuthenticAMD", 26), "cuda", "bf16", 2, Linear),
        ("AVX512", ("AuthenticAMD", 26), "cuda", "fp32", 2, Linear),
        ("AVX512", ("GenuineIntel", 26), "cpu", "fp32", 2, Linear),
        ("AVX2", ("AuthenticAMD", 26), "cpu", "fp32", 2, Linear),
        ("DEFAULT", ("", 0), "cpu", "fp32", 2, Linear),
    ],
)
def test_the_product_for_training_goes_by_cpu(
    monkeypatch, capability, model, device, precision, threads, chosen
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(speed, "cpu_model", lambda: model)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert matmul_class(torch.device(device), precision) is chosen


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "model"),
    [
        (
            "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n",
            "x86_64",
            ("AuthenticAMD", 25),
        ),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", "aarch64", ("", 0)),
        (None, "AMD64 Family 25 Model 33 Stepping 2, AuthenticAMD", ("AuthenticAMD", 25)),
        (None, "", ("", 0)),
    ],
    ids=["Linux", "Linux on Arm", "Windows", "nothing said"],
)
def test_vendor_and_family_are_read_from_what_the_system_tells(
    monkeypatch, tmp_path, cpuinfo, processor, model
):
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(speed, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: processor)
    assert speed.cpu_model() == model


# --- dropout --------------------------------------------------------------------------------------


def dropped(x, p):
    return SharedBitsDropout(p)(x)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_drops_and_scales_as_it_says(p, dtype):
    torch.manual_seed(0)
    n = 400_000
    y = dropped(torch.ones(n, dtype=dtype), p)
    assert y.dtype == dtype
    kept = y != 0
    # Within 5 standard deviations of a binomial, all together and each of four neighbours, which
    # share a random number.
    for part in (kept, *kept.view(-1, 4).unbind(dim=1)):
        spread = (p * (1 - p) / len(part)) ** 0.5
        assert abs(part.double().mean().item() - (1 - p)) < 5 * spread
    torch.testing.assert_close(
        y[kept],
        torch.full_like(y[kept], 1 / (1 - p)),
        rtol=1e-2 if dtype.itemsize == 2 else 2e-4,
        atol=0,
    )
    assert abs(y.double().mean().item() - 1) < 0.02


def test_dropped_places_are_independent():
    """Neighbours within a random number, and across two of them, are dropped together as often as
    chance has it."""
    torch.manual_seed(0)
    gone = (dropped(torch.ones(1_000_000), 0.3) == 0).double()
    for distance in (1, 2, 3, 4, 5, 384):
        both = (gone[:-distance] * gone[distance:]).mean().item()
        assert abs(both - 0.09) < 0.0015, distance


def test_dropout_passes_the_gradient_of_what_it_kept():
    x = torch.randn(7, 33, requires_grad=True)
    y = dropped(x, 0.25)
    y.sum().backward()
    scale = 65536 / (65536 - 16384)
    torch.testing.assert_close(x.grad, (y != 0) * scale, atol=0, rtol=1e-6)


def test_dropout_of_everything_leaves_nothing():
    assert not dropped(torch.ones(100_000), 1.0).any()


def test_a_model_without_the_books_layers_is_told_that_nothing_is_recomputed():
    with pytest.warns(UserWarning, match="nothing is recomputed"):
        with fast_training(nn.Sequential(Linear(2, 2)), recompute=True):
            pass


def test_dropout_in_evaluation_or_of_nothing_is_the_identity():
    x = torch.randn(5)
    assert SharedBitsDropout(0.5).eval()(x) is x and dropped(x, 0.0) is x
    assert dropped(torch.empty(0, 3), 0.5).shape == (0, 3)
    assert dropped(torch.ones(1000), 0.9999999).isfinite().all()


def test_dropout_follows_torchs_seed():
    def draw(seed):
        torch.manual_seed(seed)
        return dropped(torch.ones(1001), 0.5)

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize(
    ("attend", "kind"), [(readable_attention, SharedBitsDropout), (fused_attention, nn.Dropout)]
)
def test_attention_with_dropout_is_unbiased(attend, kind):
    """Its mean over many draws is the result without."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 5, 4)
    exact, _ = readable_attention(query, key, value)
    draws = torch.stack([attend(query, key, value, None, kind(0.2))[0] for _ in range(1500)])
    assert not torch.equal(draws[0], draws[1])
    assert (draws.mean(dim=0) - exact).abs().max() < 5 * (draws.std(dim=0) / 1500**0.5).max()


@pytest.mark.parametrize("asked", ["auto", "fused", "readable"])
def test_training_takes_the_formula_for_dropout_unless_told_otherwise(monkeypatch, asked):
    model = minibert.BertModel(minibert.BertConfig(**TINY, attention=asked)).train()
    calls = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *a, **k: (calls.append(1), real(*a, **k))[1],
    )
    with fast_training(model):
        model(**BATCHES["full"])
        trained = len(calls)
        model.eval()(**BATCHES["full"])
    layers = TINY["num_hidden_layers"]
    assert trained == (layers if asked == "fused" else 0)
    assert len(calls) - trained == (0 if asked == "readable" else layers)


# --- memory ---------------------------------------------------------------------------------------


def test_a_layer_computed_twice_hands_a_record_what_it_has_once():
    model = minibert.BertModel(minibert.BertConfig(**TINY, **STILL)).train()
    asked = {"output_hidden_states": True, "output_attentions": True}
    wanted = model(**BATCHES["ragged"], **asked)
    with fast_training(model, recompute=True):
        output = model(**BATCHES["ragged"], **asked)
        output.last_hidden_state.sum().backward()
    layers = TINY["num_hidden_layers"]
    assert (len(output.hidden_states), len(output.attentions)) == (layers + 1, layers)
    for ours, theirs in zip(output.attentions, wanted.attentions, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_kept_row_gradients_are_pytorchs(examples, tokenizer):
    model = small_model(**STILL).train()
    task, optimizer = Classification(examples, tokenizer, 8), make_optimizer(model, 1e-3, 0.0)
    table = model.bert.embeddings.token.weight
    for step in range(2):
        batch = task.batch(step)
        task.loss(model, batch, batch).backward()
        plain, table.grad = table.grad, None
        optimizer.zero_grad()
        with fast_training(model):
            for half in split(batch, 2):
                task.loss(model, half, batch).backward()
            assert table.grad.layout == torch.strided
            torch.testing.assert_close(table.grad, plain, atol=1e-7, rtol=1e-5)
            kept = table.grad
            optimizer.zero_grad()
            task.loss(model, batch, batch).backward()
            assert table.grad is kept, "the same memory, for the next step"
            torch.testing.assert_close(table.grad, plain, atol=1e-7, rtol=1e-5)
            optimizer.zero_grad()
        assert table.grad is None and type(model.bert.embeddings.token) is nn.Embedding


@pytest.mark.parametrize("alone", [True, False])
def test_a_frozen_or_shared_table_has_no_kept_gradient(alone):
    model = small_model()
    model.bert.embeddings.token.weight.requires_grad_(not alone)
    with fast_training(model, alone=alone):
        assert type(model.bert.embeddings.token) is nn.Embedding
        assert isinstance(model.bert.encoder.layers[0], EncoderLayer)
        assert isinstance(model.bert.encoder.layers[0].attention, SelfAttention)

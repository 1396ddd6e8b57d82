"""Linear: dropout's distribution, and the products it is trained with."""

import copy

import pytest
import torch
import torch.nn.functional as F

import minibert
from minibert.attention import fused_attention, readable_attention
from minibert.linear import Linear, dropout
from minibert.training import speed as products_module
from minibert.training.speed import choose_product, convolution, cpu_vendor, products
from tests.conftest import TINY


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_drops_and_scales_as_it_says(p, dtype):
    torch.manual_seed(0)
    n = 400_000
    y = dropout(torch.ones(n, dtype=dtype), p)
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
    dropped = (dropout(torch.ones(1_000_000), 0.3) == 0).double()
    for distance in (1, 2, 3, 4, 5, 384):
        both = (dropped[:-distance] * dropped[distance:]).mean().item()
        assert abs(both - 0.09) < 0.0015, distance


def test_dropout_passes_the_gradient_of_what_it_kept():
    x = torch.randn(7, 33, requires_grad=True)
    y = dropout(x, 0.25)
    y.sum().backward()
    scale = 65536 / (65536 - 16384)
    torch.testing.assert_close(x.grad, (y != 0) * scale, atol=0, rtol=1e-6)


def test_dropout_in_evaluation_or_of_nothing_is_the_identity():
    x = torch.randn(5)
    assert dropout(x, 0.5, training=False) is x and dropout(x, 0.0) is x
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
    assert dropout(torch.ones(1000), 0.9999999).isfinite().all()


def test_dropout_follows_torchs_seed():
    def draw(seed):
        torch.manual_seed(seed)
        return dropout(torch.ones(1001), 0.5)

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))


def test_attention_with_dropout_is_unbiased():
    """The fused path's dropout on the CPU: its mean over many draws is the result without."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 5, 4)
    exact, _ = readable_attention(query, key, value)
    draws = torch.stack([fused_attention(query, key, value, None, 0.2)[0] for _ in range(3000)])
    assert not torch.equal(draws[0], draws[1])
    assert (draws.mean(dim=0) - exact).abs().max() < 5 * (draws.std(dim=0) / 3000**0.5).max()


def test_convolution_is_the_product_and_has_its_gradients():
    torch.manual_seed(0)
    for shape in ((7, 24), (2, 3, 24), (1, 24)):
        tensors = [torch.randn(shape), torch.randn(40, 24), torch.randn(40)]
        results = []
        for product in (F.linear, convolution):
            x, weight, bias = (tensor.clone().requires_grad_() for tensor in tensors)
            y = product(x, weight, bias)
            (y * torch.arange(40.0)).sum().backward()
            results.append((y, x.grad, weight.grad, bias.grad))
        for plain, ours in zip(*results, strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-4)


def test_a_model_trains_the_same_with_either_product():
    torch.manual_seed(0)
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = minibert.BertForClassification(minibert.BertConfig(**{**TINY, **still}))
    other = copy.deepcopy(model)
    ids, labels = torch.randint(5, 50, (3, 9)), torch.tensor([0, 1, 1])
    model.train()(ids, labels=labels).loss.backward()
    with products(other, convolution):
        assert all(m.product is convolution for m in other.modules() if type(m) is Linear)
        other.train()(ids, labels=labels).loss.backward()
    assert all(m.product is F.linear for m in other.modules() if type(m) is Linear)
    for plain, ours in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "capability, vendor, device, precision, chosen",
    [
        ("AVX512", "AuthenticAMD", "cpu", "fp32", convolution),
        ("AVX512", "AuthenticAMD", "cpu", "bf16", F.linear),
        ("AVX512", "AuthenticAMD", "cuda", "fp32", F.linear),
        ("AVX512", "GenuineIntel", "cpu", "fp32", F.linear),
        ("AVX2", "AuthenticAMD", "cpu", "fp32", F.linear),
        ("DEFAULT", "", "cpu", "fp32", F.linear),
    ],
)
def test_the_product_for_training_goes_by_cpu(
    monkeypatch, capability, vendor, device, precision, chosen
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products_module, "cpu_vendor", lambda: vendor)
    assert choose_product(torch.device(device), precision) is chosen


def test_cpu_vendor_is_a_word_or_nothing():
    assert " " not in cpu_vendor()

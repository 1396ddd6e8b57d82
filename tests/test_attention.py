"""Readable and fused attention are one function."""

import pytest
import torch

from minibert.attention import fused_attention, readable_attention

Q, K, V = torch.randn(3, 2, 4, 7, 8, generator=torch.Generator().manual_seed(0))
MASKS = {
    "none": None,
    "padding": (torch.arange(7) < torch.tensor([4, 7])[:, None])[:, None, None],
    "holes": torch.tensor([1, 0, 1, 1, 0, 0, 1]).bool()[None, None, None],
    "nothing to attend to": (torch.arange(7) < torch.tensor([0, 7])[:, None])[:, None, None],
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_same_result(mask):
    readable, weights = readable_attention(Q, K, V, mask)
    fused, _ = fused_attention(Q, K, V, mask)
    torch.testing.assert_close(readable, fused, atol=1e-6, rtol=1e-5)
    if mask is not None:
        assert not weights.masked_select(~mask).any(), "a masked key gets no weight"


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_same_finite_gradients(mask):
    gradients = []
    for attend in (readable_attention, fused_attention):
        inputs = [tensor.clone().requires_grad_() for tensor in (Q, K, V)]
        context, _ = attend(*inputs, mask)
        gradients.append(torch.autograd.grad(context.square().sum(), inputs))
    for readable, fused in zip(*gradients, strict=True):
        assert readable.isfinite().all()
        torch.testing.assert_close(readable, fused, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attend", [readable_attention, fused_attention])
def test_dropout_keeps_the_mean(attend):
    """Dropped weights are zero and kept ones are scaled up, so the average context is the same."""
    torch.manual_seed(0)
    value = torch.ones(1, 1, 1000, 1)
    query = key = torch.zeros(1, 1, 1000, 1)
    context, _ = attend(query, key, value, None, torch.nn.Dropout(0.25))
    assert context.std() > 0.005
    assert abs(context.mean() - 1) < 0.005


def test_dropout_is_for_training_only(ours):
    ids = torch.arange(1, 11)[None]
    with torch.inference_mode():
        assert torch.equal(ours(ids).last_hidden_state, ours(ids).last_hidden_state)
        ours.train()
        noisy = [ours(ids).last_hidden_state for _ in range(2)]
        ours.eval()
    assert not torch.allclose(*noisy)

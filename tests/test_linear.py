"""Linear is the product alone, so that others can wrap it, and GELU is the feed-forward's."""

import copy

import pytest
import torch
from torch import nn

import minibert
from minibert.linear import Linear
from tests.conftest import BATCHES, TINY


class LowRank(nn.Module):
    """x W^T + b + x A^T B^T, as peft wraps a layer for low-rank adaptation."""

    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * 0.2)
        self.up = nn.Parameter(torch.randn(base.out_features, rank) * 0.2)

    def forward(self, x):
        return self.base(x) + x @ self.down.T @ self.up.T

    def merged(self):
        layer = copy.deepcopy(self.base)
        layer.weight.data += (self.up @ self.down).detach()
        return layer


@torch.inference_mode()
@pytest.mark.parametrize(
    "place",
    ["attention.query_key_value", "attention.output", "feed_forward.up", "feed_forward.down"],
)
def test_a_wrapped_linear_equals_the_merged_one(place):
    """With an activation or a residual inside Linear the sum would be of something else."""
    torch.manual_seed(0)
    model = minibert.BertModel(minibert.BertConfig(**TINY)).eval()
    merged = copy.deepcopy(model)
    parent, _, name = place.rpartition(".")
    for wrapped_layer, merged_layer in zip(
        model.encoder.layers, merged.encoder.layers, strict=True
    ):
        wrapped = LowRank(wrapped_layer.get_submodule(place))
        setattr(wrapped_layer.get_submodule(parent), name, wrapped)
        setattr(merged_layer.get_submodule(parent), name, wrapped.merged())
    difference = (
        model(**BATCHES["ragged"]).last_hidden_state - merged(**BATCHES["ragged"]).last_hidden_state
    )
    assert difference.abs().max() <= 1e-5


@torch.inference_mode()
def test_every_product_of_the_encoder_is_a_linear():
    """The seam: zero products leave nothing of a layer but its biases and LayerNorms."""
    model = minibert.BertModel(minibert.BertConfig(**TINY)).eval()
    seen = []
    for module in model.encoder.modules():
        assert type(module) is not nn.Linear
        if type(module) is Linear:
            module.register_forward_hook(lambda _, x, y: seen.append((x[0].shape, y.shape)))
    model(torch.ones(2, 3, dtype=torch.long))
    width, inner = TINY["hidden_size"], TINY["intermediate_size"]
    layer = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    expected = [((6, a), (6, b)) for a, b in layer * TINY["num_hidden_layers"]]
    assert seen == expected

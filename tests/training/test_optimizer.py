"""Which weights a step moves, and how far."""

import pytest

from minibert.training.optimizer import depths, make_optimizer, train_only_last
from tests.conftest import small_model
from tests.training.conftest import depth

HEAD = ("bert.pooler.", "classifier.")


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_only_head_and_last_layers_can_be_trained(layers):
    model = small_model()
    train_only_last(model, layers)
    free = (*HEAD, *(f"bert.encoder.layers.{i}." for i in range(3 - layers, 3)))
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith(free), name


def test_each_layer_down_has_a_lower_rate():
    model = small_model()
    assert depths(model) == {name: depth(name) for name, _ in model.named_parameters()}
    groups = make_optimizer(model, 1e-3, 0.01, layer_decay=0.5).param_groups
    found = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        rate, decay = found[id(parameter)]
        assert rate == pytest.approx(1e-3 * 0.5 ** depth(name)), name
        assert decay == (0.01 if parameter.ndim > 1 else 0.0), name
    assert len(found) == len(list(model.parameters()))

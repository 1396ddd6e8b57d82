"""Negative controls: classic mistakes, made on purpose, must miss by far more than the tolerance.

A parity test that could not see these would prove nothing.
"""

import pytest
import torch

from tests.conftest import BATCHES, hf_model, ours_from
from tests.parity.test_ladder import TOLERANCE, at_real


def swap_query_and_key(model):
    for layer in model.encoder.layers:
        for parameter in layer.attention.query_key_value.parameters():
            query, key, value = parameter.data.chunk(3)
            parameter.data = torch.cat([key, query, value])


def forget_segments(model):
    model.embeddings.segment.weight.data.zero_()


def shift_positions(model):
    model.embeddings.position.weight.data = model.embeddings.position.weight.data.roll(1, dims=0)


def nothing(model):
    pass


CONTROLS = {
    "eps 1e-5": (dict(layer_norm_eps=1e-5), nothing),
    "tanh for erf": (dict(hidden_act="gelu_new"), nothing),
    "query and key swapped": ({}, swap_query_and_key),
    "no segment embedding": ({}, forget_segments),
    "positions shifted": ({}, shift_positions),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", CONTROLS)
def test_mistake_is_seen(reference, name):
    changes, spoil = CONTROLS[name]
    model, batch = ours_from(reference, **changes), BATCHES["pairs"]
    spoil(model)
    wanted = reference(**batch).last_hidden_state
    miss = at_real(model(**batch).last_hidden_state - wanted, batch)
    assert miss > 10 * TOLERANCE


@torch.inference_mode()
def test_without_the_mistake_nothing_is_seen(reference, ours):
    """Swapping the parts twice gives them back, so the spoiling itself is not what is seen."""
    swap_query_and_key(ours)
    swap_query_and_key(ours)
    batch = BATCHES["pairs"]
    wanted = reference(**batch).last_hidden_state
    assert at_real(ours(**batch).last_hidden_state - wanted, batch) <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh"])
def test_each_activation(activation):
    reference = hf_model(hidden_act=activation)
    batch = BATCHES["ragged"]
    got = ours_from(reference)(**batch).last_hidden_state
    assert at_real(got - reference(**batch).last_hidden_state, batch) <= TOLERANCE

"""Less memory, same result: accumulated parts, and activations computed twice."""

import pytest
import torch

from minibert.encoder import EncoderLayer
from minibert.training import speed
from minibert.training.batches import Classification
from tests.conftest import small_model
from tests.training.conftest import STILL, fit, state


def assert_close(found, expected):
    for name, tensor in state(expected).items():
        torch.testing.assert_close(state(found)[name], tensor, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 4.0])])
def test_accumulated_parts_make_the_step_of_the_whole_batch(tokenizer, monkeypatch, weights):
    sizes = []
    loss = Classification.loss

    def counted(self, model, part, whole):
        sizes.append((len(part), len(whole)))
        return loss(self, model, part, whole)

    whole, parts = small_model(**STILL), small_model(**STILL)
    # 20 texts in batches of 9: the last has 2, fewer than parts.
    settings = dict(number=20, batch_size=9, weights=weights, lr=1e-5)
    expected = fit(whole, tokenizer, **settings)
    monkeypatch.setattr(Classification, "loss", counted)
    history = fit(parts, tokenizer, accumulate=3, **settings)
    assert len(sizes) == 3 + 3 + 2 and {whole for _, whole in sizes} == {9, 2}
    assert max(part for part, _ in sizes) < 9
    assert history.losses == pytest.approx(expected.losses, abs=1e-5)
    assert history.examples == expected.examples == 20
    assert_close(parts, whole)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_computing_activations_twice_gives_the_same_weights(tokenizer, monkeypatch, dropout):
    calls = []
    real = speed.checkpoint
    monkeypatch.setattr(speed, "checkpoint", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    kept, twice = small_model(**rates), small_model(**rates)
    expected = fit(kept, tokenizer)
    assert not calls
    history = fit(twice, tokenizer, checkpoint=True)
    assert len(calls) == 3 * 3, "three layers, three steps"
    assert {type(layer) for layer in twice.bert.encoder.layers} == {EncoderLayer}
    assert history.losses == pytest.approx(expected.losses, abs=1e-6)
    assert_close(twice, kept)

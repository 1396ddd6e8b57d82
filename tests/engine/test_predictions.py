"""The model behind predictions follows the weights, and is made once."""

import copy
import pickle

import numpy as np
import pytest
import torch

from minibert import TextClassifier, TextEncoder, optimize
from minibert.engine import probe, rule
from tests.conftest import TEXTS

# What the CPU of the day has no kernel for is said by a warning, and tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")


def in_place(weight):
    with torch.no_grad():
        weight.mul_(3)


def by_another_tensor(weight):
    weight.data = weight.data * 3


@pytest.mark.parametrize("change", [in_place, by_another_tensor])
def test_predictions_follow_the_weights(folder, change):
    classifier = TextClassifier.load(folder)
    before = classifier.predict_proba(TEXTS)
    change(classifier.model_.bert.encoder.layers[0].feed_forward.up.weight)
    after = classifier.predict_proba(TEXTS)
    batch = classifier.tokenizer_(TEXTS)
    with torch.inference_mode():
        wanted = classifier.model_(**batch).logits.softmax(dim=-1)
    assert np.abs(wanted.numpy() - before).max() > 1e-3, "or nothing would show"
    np.testing.assert_allclose(after, wanted, atol=1e-5)


def test_predictions_follow_a_state_dict(folder):
    classifier = TextClassifier.load(folder)
    before = classifier.predict_proba(TEXTS)
    state = {name: 2 * tensor for name, tensor in classifier.model_.state_dict().items()}
    classifier.model_.load_state_dict(state)
    with torch.inference_mode():
        wanted = classifier.model_(**classifier.tokenizer_(TEXTS)).logits.softmax(dim=-1)
    assert np.abs(wanted.numpy() - before).max() > 1e-3, "or nothing would show"
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), wanted, atol=1e-5)


def test_the_optimized_model_is_made_once(classifier):
    assert classifier._engine.optimized(classifier.model_) is classifier._engine.optimized(
        classifier.model_
    )


def test_where_nothing_is_faster_the_model_itself_predicts(folder, monkeypatch):
    monkeypatch.setattr(rule, "cpu_features", frozenset)
    classifier = TextClassifier.load(folder)
    assert classifier._engine.optimized(classifier.model_) is classifier.model_


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_a_classifier_predict_the_same(classifier, again):
    wanted = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(again(classifier).predict_proba(TEXTS), wanted, atol=1e-6)


def test_an_encoder_takes_an_optimized_model(folder):
    encoder = TextEncoder.load(folder)
    again = TextEncoder(optimize(encoder.model), encoder.tokenizer, max_length=40)
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)


def test_predictions_leave_the_callers_random_numbers_alone(folder):
    probe._FAILURES.clear()
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    TextClassifier.load(folder).predict(TEXTS)
    assert torch.equal(torch.rand(3), wanted)

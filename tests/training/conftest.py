"""What the tests of training share: a short run, and what it changed."""

import pytest

from minibert.training.batches import Classification, Examples
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from tests.conftest import TEXTS

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def tokenizer(few_words):
    """Models of few words are trained faster."""
    return few_words


@pytest.fixture(scope="module")
def examples(tokenizer):
    return Examples(tokenizer.encode_batch(TEXTS), [i % 2 for i in range(len(TEXTS))])


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def fit(model, tokenizer, evaluate=None, *, number=24, batch_size=8, weights=None, **recipe):
    rows = tokenizer.encode_batch(TEXTS[:number])
    examples = Examples(rows, [i % 2 for i in range(number)])
    task = Classification(examples, tokenizer, batch_size, class_weights=weights)
    return train(model, task, Recipe(**{"epochs": 1, "lr": 1e-4, **recipe}), evaluate)


def depth(name):
    """What `depths` should say for a model of three layers."""
    places = {"bert.embeddings.": 4, **{f"bert.encoder.layers.{i}.": 3 - i for i in range(3)}}
    return next((d for prefix, d in places.items() if name.startswith(prefix)), 0)

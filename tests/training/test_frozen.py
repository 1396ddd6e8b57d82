"""A head on an encoder that is not trained learns from vectors what it learns from texts."""

import torch

from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head, first_vectors
from minibert.training.loop import train
from minibert.training.optimizer import train_only_last
from minibert.training.recipe import Recipe
from tests.conftest import TEXTS, small_model
from tests.training.conftest import STILL, fit, state


def test_vectors_are_the_models_own_without_dropout(tokenizer):
    model = small_model(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5).train()
    vectors = first_vectors(model, tokenizer, tokenizer.encode_batch(TEXTS))
    assert model.training and vectors.shape == (24, 48)
    model.eval()
    with torch.no_grad():
        for text, vector in zip(TEXTS, vectors, strict=True):
            expected = model.bert(**tokenizer([text])).last_hidden_state[0, 0]
            torch.testing.assert_close(vector, expected, atol=1e-5, rtol=0)


def test_head_on_vectors_learns_what_the_model_with_a_frozen_encoder_learns(tokenizer):
    slow, fast = small_model(**STILL), small_model(**STILL)
    train_only_last(slow, 0)
    recipe = {"epochs": 3, "lr": 1e-3}
    fit(slow, tokenizer, **recipe)
    rows = tokenizer.encode_batch(TEXTS)
    task = Classification(Examples(rows, [i % 2 for i in range(24)]), tokenizer, 8)
    vectors = first_vectors(fast, tokenizer, rows)
    history = train(Head(fast), ClassificationOfVectors(task, vectors), Recipe(**recipe))
    assert len(history.losses) == 9
    for name, tensor in state(slow).items():
        torch.testing.assert_close(state(fast)[name], tensor, atol=1e-5, rtol=0, msg=name)
    assert not torch.equal(state(fast)["classifier.weight"], small_model().classifier.weight)

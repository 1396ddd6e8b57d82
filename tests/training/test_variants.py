"""Every family trains as BERT does: which weights learn, how far, and with how much memory."""

import pytest
import torch

from minibert.engine.rows import compute_rows
from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head, first_vectors
from minibert.training.loop import train
from minibert.training.optimizer import depths, make_optimizer, train_only_last
from minibert.training.recipe import Recipe
from tests.conftest import FAMILIES, TEXTS, small_variant
from tests.training.conftest import STILL, depth, fit, state

NO_DROPOUT = {**STILL, "classifier_dropout": 0.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_depth_of_each_weight(family):
    """The layer before the classifier is the head's, the product that widens embeddings not."""
    model = small_variant(family)
    found = depths(model)
    steps = {0: 0, 3: 1, 4: 2} if family == "albert" else {i: i for i in range(5)}  # it has 1 layer
    assert found == {name: steps[depth(name)] for name in found}
    assert found["bert.pooler.dense.weight"] == found["classifier.bias"] == 0


def test_layers_that_share_weights_are_not_trained_apart():
    model = small_variant("albert")
    with pytest.raises(ValueError, match="3 layers share the weights of 1.*layer_decay=1"):
        make_optimizer(model, 1e-3, 0.01, layer_decay=0.9)
    with pytest.raises(ValueError, match="3 layers share the weights of 1.*trained_layers=None"):
        train_only_last(model, 1)
    assert all(parameter.requires_grad for parameter in model.parameters())
    train_only_last(model, 0)
    free = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert free == {name for name in depths(model) if "pooler" in name or "classifier" in name}
    own = small_variant("albert", num_hidden_groups=3)  # each layer has weights of its own
    assert len(make_optimizer(own, 1e-3, 0.01, layer_decay=0.9).param_groups) == 10


@pytest.mark.parametrize("family", FAMILIES)
def test_head_on_vectors_learns_what_the_model_with_a_frozen_encoder_learns(family, tokenizer):
    slow, fast = small_variant(family, **NO_DROPOUT), small_variant(family, **NO_DROPOUT)
    train_only_last(slow, 0)
    fit(slow, tokenizer, lr=1e-3)
    rows = tokenizer.encode_batch(TEXTS)
    task = Classification(Examples(rows, [i % 2 for i in range(24)]), tokenizer, 8)
    vectors = first_vectors(fast, tokenizer, rows)
    train(Head(fast), ClassificationOfVectors(task, vectors), Recipe(epochs=1, lr=1e-3))
    for name, tensor in state(slow).items():
        torch.testing.assert_close(state(fast)[name], tensor, atol=1e-5, rtol=0, msg=name)
    start = small_variant(family, **NO_DROPOUT)
    assert not torch.equal(state(fast)["bert.pooler.dense.weight"], start.bert.pooler.dense.weight)


@pytest.mark.parametrize(
    ("family", "before", "after"),
    [("bert", 0.0, 0.4), ("distilbert", 0.0, 0.4), ("roberta", 0.4, 0.4), ("electra", 0.4, 0.4)],
)
def test_a_head_alone_keeps_the_dropout_of_its_family(family, before, after):
    head = Head(small_variant(family, classifier_dropout=0.4))
    rates = [part.p for part in head.modules() if isinstance(part, torch.nn.Dropout)]
    assert rates == [before, after]


@pytest.mark.parametrize("way", [{"accumulate": 3}, {"checkpoint": True}], ids=str)
def test_less_memory_gives_the_same_weights_where_layers_are_shared(way, tokenizer):
    whole, less = small_variant("albert", **NO_DROPOUT), small_variant("albert", **NO_DROPOUT)
    expected = fit(whole, tokenizer, lr=1e-5)
    assert fit(less, tokenizer, lr=1e-5, **way).losses == pytest.approx(expected.losses, abs=1e-5)
    for name, tensor in state(whole).items():
        torch.testing.assert_close(state(less)[name], tensor, atol=1e-6, rtol=0, msg=name)
    rows = tokenizer.encode_batch(TEXTS)
    scores = [
        compute_rows(m, tokenizer, rows, 2, lambda b, m=m: m(**b).logits) for m in (whole, less)
    ]
    torch.testing.assert_close(*scores, atol=1e-5, rtol=0)

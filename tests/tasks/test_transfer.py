"""What of a pre-trained model TextClassifier trains, how fast and for how long."""

import math
import warnings

import numpy as np
import pytest
import torch

import minibert
import minibert.tasks.text_classifier
from minibert import TextClassifier
from minibert.training.recipe import Recipe
from tests.conftest import TEXTS
from tests.tasks.conftest import HALF, LABELS, new
from tests.text.test_truncation import LETTERS
from tests.training.conftest import depth, state

# A tiny random encoder learns little in an epoch, and most tests here do not ask it to.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]

# --- the last layers ------------------------------------------------------------------------------


def test_frozen_weights_keep_their_bits_and_the_others_learn(start):
    classifier = new(start, trained_layers=1).fit(TEXTS, LABELS)
    before = minibert.BertModel.from_pretrained(start).state_dict()
    after = classifier.model_.bert.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(("encoder.layers.2.", "pooler."))}
    assert all(p.requires_grad for p in classifier.model_.parameters()), "free again afterwards"


def test_weights_are_free_again_after_training_that_failed(start, planned):
    model, _, _ = planned(new(start, trained_layers=1))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_first_step_goes_as_far_as_the_rate_of_the_layer(start):
    """Adam's first step is the rate itself, whatever the gradient, so weights show it."""
    classifier = new(start, batch_size=24, layer_decay=0.5).fit(TEXTS, LABELS)
    before = minibert.BertModel.from_pretrained(start).state_dict()
    for name, after in classifier.model_.bert.named_parameters():
        step = (after.detach() - before[name]).abs().max().item()
        assert step == pytest.approx(1e-4 * 0.5 ** depth("bert." + name), rel=0.03), name


# --- a head on a frozen encoder -------------------------------------------------------------------


def test_frozen_encoder_keeps_its_bits_and_its_head_goes_where_the_model_goes(start, tmp_path):
    classifier = new(start, trained_layers=0, lr=1e-2, epochs=20).fit(TEXTS, LABELS, HALF)
    before = minibert.BertModel.from_pretrained(start).state_dict()
    after = classifier.model_.bert.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(parameter.requires_grad for parameter in classifier.model_.parameters())
    # Evaluated on vectors, and as a whole from texts: the same model.
    last = classifier.history_.evaluations[-1]
    assert last.accuracy == pytest.approx(classifier.score(*HALF), abs=1e-6)
    assert last.loss < classifier.history_.evaluations[0].loss
    proba = classifier.predict_proba(HALF[0])
    right = [proba[i, int(label == "good")] for i, label in enumerate(HALF[1])]
    assert last.loss == pytest.approx(-np.log(right).mean(), abs=1e-5)
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


# --- random weights -------------------------------------------------------------------------------


def test_random_weights_are_new_and_follow_from_the_seed(start, planned):
    def weights(**changes):
        torch.manual_seed(changes.pop("callers_seed", 1))
        return state(planned(new(start, **changes))[0])

    random = weights(weights="random")
    trained = minibert.BertModel.from_pretrained(start).state_dict()
    for name, tensor in trained.items():
        # Position and segment embeddings, too; as if the folder had never been opened.
        assert (random[f"bert.{name}"] - tensor).abs().max() > 0.01, name
    again = weights(weights="random", callers_seed=2)
    assert all(torch.equal(random[name], again[name]) for name in random)
    other = weights(weights="random", seed=1)
    assert not torch.equal(random["bert.pooler.dense.weight"], other["bert.pooler.dense.weight"])
    kept = weights(weights="pretrained")
    assert all(torch.equal(kept[f"bert.{name}"], tensor) for name, tensor in trained.items())


@pytest.mark.parametrize(
    ("changes", "warned"),
    [({}, True), ({"lr": 1e-4}, False), ({"weights": "random"}, False)],
)
def test_a_rate_that_ruins_trained_weights_is_warned_of(start, planned, changes, warned):
    """Random weights have nothing to lose, and learn little with less."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        planned(new(start, **{"lr": 3e-4, **changes}))
    messages = [str(warning.message) for warning in caught]
    assert ["lr=0.0003 is high" in text for text in messages if "makes only" not in text] == [
        True
    ] * warned


# --- truncation -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*were cut")
def test_truncation_is_applied_everywhere_and_survives_a_folder(
    start, planned, monkeypatch, tmp_path
):
    texts = [f"{LETTERS} {'good' if i % 2 else 'bad'} end" for i in range(24)]
    settings = {"truncation": "head+tail", "max_length": 8}
    kept = "a n o p good end"  # of texts[1]: a quarter of 6, then the rest
    _, task, _ = planned(new(start, **settings), texts, validation=(texts, LABELS))
    assert task.examples.rows[1].ids == task.tokenizer.encode_batch([kept])[0].ids
    monkeypatch.undo()  # train after all
    classifier = new(start, **settings).fit(texts, LABELS)
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    assert again.truncation == "head+tail" and again.max_length == 8
    for either in (classifier, again):
        good, bad, same = either.predict_proba([texts[1], texts[0], kept])
        np.testing.assert_allclose(good, same, atol=1e-6)
        assert abs(good - bad).max() > 1e-5, "it reads the end"


# --- when to stop, and what to keep ---------------------------------------------------------------


@pytest.mark.parametrize("layers", [None, 0])
@pytest.mark.filterwarnings("ignore:lr=")
def test_a_classifier_keeps_the_weights_of_its_best_epoch(start, layers):
    """At such a rate and with labels that mean nothing the accuracy goes up and down."""
    labels = ["good" if i % 3 else "bad" for i in range(24)]
    held_out = (TEXTS[::-2], labels[::-2])
    settings = dict(epochs=4, lr=3e-2, trained_layers=layers, keep_best=True, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = new(start, **settings).fit(TEXTS, labels, held_out)
    evaluations = classifier.history_.evaluations
    best = classifier.history_.best
    assert best != evaluations[-1], "or this test shows nothing"
    assert classifier.score(*held_out) == pytest.approx(best.accuracy)


@pytest.mark.parametrize("setting", [{"patience": 1}, {"keep_best": True}])
def test_stopping_early_needs_validation_texts(start, setting):
    with pytest.raises(ValueError, match="patience and keep_best need validation texts"):
        new(start, **setting).fit(TEXTS, LABELS)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained_layers": -1}, "trained_layers is -1.*at least 0"),
        ({"trained_layers": 1.5}, "trained_layers is 1.5.*whole"),
        ({"trained_layers": 4}, "trained_layers is 4.*3"),
        ({"layer_decay": 0}, "layer_decay is 0.*above 0 and at most 1"),
        ({"layer_decay": 1.01}, "layer_decay is 1.01"),
        ({"layer_decay": math.nan}, "layer_decay is nan"),
        ({"layer_decay": "0.9"}, "layer_decay is '0.9'"),
        ({"weights": "randm"}, "weights is 'randm'.*'pretrained', 'random'"),
        ({"truncation": "tail"}, r"truncation is 'tail'.*'head', 'head\+tail'"),
        ({"patience": 0}, "patience is 0.*at least 1"),
        ({"patience": 2.0}, "patience is 2.0.*whole"),
        ({"keep_best": "no"}, "keep_best is 'no'.*True"),
        ({"accumulate": 0}, "accumulate is 0.*at least 1"),
        ({"accumulate": "2"}, "accumulate is '2'.*whole"),
        ({"checkpoint": "no"}, "checkpoint is 'no'.*True"),
    ],
)
def test_unusable_settings_are_refused(start, changes, message):
    with pytest.raises(ValueError, match=message):
        new(start, **changes).fit(TEXTS, LABELS, HALF)


def test_settings_reach_the_recipe(start, planned):
    settings = dict(layer_decay=0.9, patience=2, keep_best=True, accumulate=3, checkpoint=True)
    _, _, recipe = planned(new(start, seed=5, **settings), validation=HALF)
    expected = Recipe(epochs=1, lr=1e-4, seed=5, **settings)
    assert recipe == expected

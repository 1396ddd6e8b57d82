"""Class weights are those of scikit-learn, find their class and reach the loss."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

import minibert
from minibert.tasks.labels import Labels
from minibert.tasks.problems import OneLabel
from minibert.tasks.starting import starting_model
from tests.conftest import TEXTS, small_model
from tests.tasks.conftest import LABELS, new
from tests.training.conftest import STILL

# A tiny random encoder learns little in an epoch, and most tests here do not ask it to.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]
UNEVEN = ["rare"] * 3 + ["some"] * 6 + ["usual"] * 15


def test_balanced_is_that_of_scikit_learn(start, planned):
    _, task, _ = planned(new(start, class_weight="balanced"), labels=UNEVEN)
    classes = np.unique(UNEVEN)
    expected = compute_class_weight("balanced", classes=classes, y=UNEVEN)
    np.testing.assert_allclose(task.class_weights, expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [UNEVEN, [len(label) for label in UNEVEN]])
def test_weights_by_label_find_their_class_whatever_their_order(start, planned, labels):
    rare, some, usual = labels[0], labels[3], labels[-1]
    _, task, _ = planned(new(start, class_weight={usual: 1, rare: 5, some: 2.5}), labels=labels)
    by_label = dict(zip(np.unique(labels).tolist(), task.class_weights.tolist(), strict=True))
    assert by_label == {rare: 5.0, some: 2.5, usual: 1.0}


@pytest.mark.parametrize("layers", [None, 0])
def test_class_weights_reach_the_loss(start, layers):
    """The first loss, before any step, is that of torch with these weights."""
    still = {**STILL, "classifier_dropout": 0.0}
    settings = dict(batch_size=24, trained_layers=layers, class_weight={"bad": 1.0, "good": 9.0})
    folder = start.parent / f"still-{layers}"
    minibert.BertModel(small_model(**still).config).save_pretrained(folder)
    minibert.WordPieceTokenizer.from_pretrained(start).write_files(folder)
    labels = ["good"] * 6 + ["bad"] * 18
    weighted = new(folder, **settings).fit(TEXTS, labels)
    plain = new(folder, **{**settings, "class_weight": None}).fit(TEXTS, labels)
    model = starting_model(folder, OneLabel(Labels(weighted.classes_)), "pretrained", 0)
    batch = weighted.tokenizer_(TEXTS)
    with torch.no_grad():
        logits = model.eval()(**batch).logits
    ids = torch.tensor([label == "good" for label in labels]).long()
    for classifier, weights in ((weighted, torch.tensor([1.0, 9.0])), (plain, None)):
        expected = torch.nn.functional.cross_entropy(logits, ids, weights).item()
        assert classifier.history_.losses[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("balance", "'balance'.*'balanced'"),
        (3.0, "class_weight is 3.0.*balanced"),
        ({"good": 1.0}, "labels 'good', and the training data 'bad', 'good'"),
        ({"good": 1.0, "bad": 1.0, "god": 2.0}, "'god'.*'bad', 'good'"),
        ({"good": 1.0, "bad": -1.0}, "'bad' is -1.0.*above 0"),
        ({"good": 0, "bad": 1}, "'good' is 0.*above 0"),
        ({"good": math.nan, "bad": 1}, "'good' is nan"),
        ({"good": "2", "bad": 1}, "'good' is '2'"),
    ],
)
def test_unusable_class_weights_are_refused(start, weight, message):
    with pytest.raises(ValueError, match=message):
        new(start, class_weight=weight).fit(TEXTS, LABELS)

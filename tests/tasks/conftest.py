"""What the tests of tasks share: a classifier to fit, and fit up to the training loop."""

import pytest

import minibert
import minibert.training.finetune
from minibert import TextClassifier
from tests.conftest import TEXTS

LABELS = ["good" if i % 2 else "bad" for i in range(24)]
HALF = (TEXTS[:12], LABELS[:12])


def new(start, **changes):
    return TextClassifier(**{"model": start, "epochs": 1, "batch_size": 8, "lr": 1e-4, **changes})


class Stop(Exception):
    """Ends `fit` where training would begin."""


@pytest.fixture()
def planned(monkeypatch):
    """fit up to the training loop: returns (model, task, recipe) as the loop gets them."""

    def stop(model, task, recipe, *_, **__):
        raise Stop(model, task, recipe)

    monkeypatch.setattr(minibert.training.finetune, "train", stop)

    def plan(classifier, texts=TEXTS, labels=LABELS, **arguments):
        with pytest.raises(Stop) as caught:
            classifier.fit(texts, labels, **arguments)
        return caught.value.args

    return plan

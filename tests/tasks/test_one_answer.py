"""A model that calls every text the same is reported."""

import warnings

import pytest
import torch

import minibert
import minibert.tasks.text_classifier
from minibert.training.history import History
from tests.conftest import TEXTS
from tests.tasks.conftest import HALF, LABELS, new


# A single held-out text has one answer, however good the model is.
@pytest.mark.parametrize("validation", [None, HALF, (TEXTS[:1], LABELS[:1])])
@pytest.mark.parametrize("collapsed", [True, False])
def test_a_model_with_one_answer_is_reported(start, monkeypatch, validation, collapsed):
    def fake(model, *_, **__):
        """Instead of training: [CLS] vectors differ between texts; answer by their median."""
        with torch.no_grad():
            model.classifier.weight.zero_()
            if collapsed:
                model.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
                return History()
            tokenizer = minibert.WordPieceTokenizer.from_pretrained(start)
            first = model.eval().bert(**tokenizer(TEXTS[:12])).pooler_output[:, 0]
            model.classifier.weight[1, 0] = 1.0
            model.classifier.bias.copy_(torch.tensor([first.median().item(), 0.0]))
        return History()

    monkeypatch.setattr(minibert.tasks.text_classifier, "finetune_classifier", fake)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new(start, epochs=10).fit(TEXTS, LABELS, validation)
    messages = [str(warning.message) for warning in caught if warning.filename == __file__]
    assert len(messages) == len(caught) == collapsed
    assert not collapsed or "calls every text 'good'" in messages[0]

"""On a GPU: how often a training step waits for it, once the first steps are made.

PyTorch warns of operators that wait. The one wait that is meant, for the loss of some steps before,
is that of an event, of which it does not.
"""

import warnings

import pytest
import torch

from minibert.corpus.rows import PreTrainingExample
from minibert.corpus.task import PreTraining
from minibert.pretraining import BertForPreTraining
from minibert.tokenizer import Row, WordPieceTokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head
from minibert.training.loop import train
from minibert.training.readings import LATE
from minibert.training.recipe import Recipe
from minibert.training.steps import Steps
from tests.conftest import small_model

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

STEPS, FIRST = 24, 8  # steps of a run; those after so many are watched
ROWS = [Row(list(range(5, 5 + 3 + i % 17)), [0] * (3 + i % 17), 0) for i in range(STEPS * 8)]
LABELS = [i % 2 for i in range(len(ROWS))]
# Heads of 16 numbers, for which there are kernels.
SIZES = {"vocab_size": 60, "num_attention_heads": 3}


class Padding(WordPieceTokenizer):
    """All that training needs of a tokenizer once its texts are rows."""

    pad_token_id = 0

    def __init__(self):
        pass


class WithoutCorpus(PreTraining):
    """Pre-training on these rows."""

    def __init__(self):
        self.rows = self  # of which only the tokenizer is asked for
        self.tokenizer, self.fingerprint, self.settings = Padding(), "", {}
        self.steps_per_epoch = STEPS

    def batch(self, step):
        rows = ROWS[step * 8 : step * 8 + 8]
        labels = [[-100, 7, *[-100] * (len(row.ids) - 2)] for row in rows]
        return [PreTrainingExample(i, row, labels[i], i % 2) for i, row in enumerate(rows)]


def learning(kind):
    """A model on the GPU, and what it learns."""
    model = small_model(**SIZES).cuda()
    weights = torch.tensor([1.0, 3.0]) if kind == "class weights" else None
    task = Classification(Examples(ROWS, LABELS), Padding(), 8, class_weights=weights)
    if kind == "a head alone":
        return Head(model), ClassificationOfVectors(task, torch.randn(len(ROWS), 48))
    if kind == "pre-training":
        return BertForPreTraining(model.config).cuda(), WithoutCorpus()
    return model, task


def waits(monkeypatch, model, task, **recipe):
    """The lines of Python in which steps after the first ones waited."""
    make = Steps.make

    def watched(steps, *arguments):
        torch.cuda.set_sync_debug_mode("warn" if steps.made >= FIRST else "default")
        try:
            return make(steps, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Steps, "make", watched)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = train(model, task, Recipe(epochs=1, lr=1e-3, **recipe))
    assert len(history.losses) == STEPS
    told = [w for w in caught if "called a synchronizing CUDA operation" in str(w.message)]
    return [f"{w.filename}:{w.lineno}" for w in told]


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        ("classification", {}),
        ("classification", {"precision": "bf16"}),
        ("classification", {"accumulate": 2}),
        ("classification", {"precision": "bf16", "checkpoint": True}),
        ("class weights", {}),
        ("a head alone", {}),
        ("pre-training", {}),
        ("pre-training", {"precision": "bf16"}),
    ],
)
def test_no_step_waits_for_the_gpu(kind, recipe, monkeypatch):
    assert waits(monkeypatch, *learning(kind), **recipe) == []


def test_a_step_that_waits_is_seen(monkeypatch):
    class Asking(Classification):
        def loss(self, model, part, whole):
            loss = super().loss(model, part, whole)
            assert loss.item() > 0
            return loss

    model, _ = learning("classification")
    asking = Asking(Examples(ROWS, LABELS), Padding(), 8)
    assert len(waits(monkeypatch, model, asking)) == STEPS - FIRST


def test_a_loss_that_is_no_number_is_told_of_late_and_changes_nothing():
    class Spoilt(Classification):
        def batch(self, step):
            self.step = step
            if step == FIRST:
                self.before = [p.detach().clone() for p in model.parameters()]
            return super().batch(step)

        def loss(self, model, part, whole):
            factor = float("nan") if self.step == FIRST else 1.0
            return super().loss(model, part, whole) * factor

    model, _ = learning("classification")
    spoilt = Spoilt(Examples(ROWS, LABELS), Padding(), 8)
    with pytest.raises(FloatingPointError, match=f"the loss is nan .* at step {FIRST + 1} with"):
        train(model, spoilt, Recipe(epochs=1, lr=1e-3))
    assert spoilt.step == FIRST + LATE["cuda"], "as many steps were begun meanwhile"
    for weight, before in zip(model.parameters(), spoilt.before, strict=True):
        assert torch.equal(weight, before)

"""When training stops, and which weights it keeps."""

import pytest
import torch

from minibert.training.history import Evaluation
from tests.conftest import small_model
from tests.training.conftest import fit, state


def scripted(model, results, seen):
    """An evaluation that returns planned (accuracy, loss) and notes the weights it was shown."""

    def evaluate(step):
        accuracy, loss = results[len(seen)]
        seen.append(state(model))
        return Evaluation(step, loss, {"accuracy": accuracy})

    return evaluate


def plan(*accuracies):
    return [(accuracy, 0.5) for accuracy in accuracies]


@pytest.mark.parametrize(
    ("results", "patience", "evaluations", "best"),
    [
        (plan(0.5, 0.6, 0.7, 0.65, 0.66, 0.9, 0.9), 2, 5, 2),
        (plan(0.5, 0.6, 0.7, 0.65, 0.8, 0.7, 0.7), 2, 7, 4),  # saved by the one after
        (plan(0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 1, 2, 0),  # nothing beat the untrained model
        (plan(0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6), 3, 5, 1),  # as good is not better
        ([(0.5, 0.9), (0.5, 0.8), (0.5, 0.7), (0.5, 0.75), (0.5, 0.7)], 2, 5, 2),  # by loss
        (plan(0.5, 0.6, 0.7, 0.65, 0.66, 0.6, 0.5), None, 7, 2),
    ],
)
def test_patience_stops_and_the_best_weights_come_back(
    tokenizer, results, patience, evaluations, best
):
    model, seen = small_model(), []
    evaluate = scripted(model, results, seen)
    recipe = dict(batch_size=4, epochs=1, evaluate_every=1, patience=patience)  # at most 6 steps
    history = fit(model, tokenizer, evaluate, keep_best=True, **recipe)
    assert len(history.evaluations) == len(seen) == evaluations
    assert len(history.losses) == evaluations - 1
    assert history.best is history.evaluations[best]
    kept = state(model)
    same = [
        i for i, weights in enumerate(seen) if all(torch.equal(weights[n], kept[n]) for n in kept)
    ]
    assert same == [best]


def test_without_keep_best_the_last_weights_stay(tokenizer):
    model, seen = small_model(), []
    fit(model, tokenizer, scripted(model, plan(0.9, 0.5, 0.5), seen), patience=2, evaluate_every=1)
    assert len(seen) == 3
    assert torch.equal(seen[-1]["classifier.weight"], model.classifier.weight)

"""The optimizer, the schedule and the loop."""

import math

import pytest
import torch
import transformers

import minibert
from minibert.training.batches import Classification, split
from minibert.training.history import Evaluation
from minibert.training.loop import train
from minibert.training.optimizer import (
    make_optimizer,
    warmup_linear,
)
from minibert.training.recipe import Recipe
from tests.conftest import FEW, TINY

LABELS = [i % 2 for i in range(24)]


def small_model(**changes):
    """With the usual start, from which it learns."""
    torch.manual_seed(0)
    config = minibert.BertConfig(
        **{**TINY, "vocab_size": FEW, "initializer_range": 0.02, **changes}
    )
    return minibert.BertForClassification(config)


def test_schedule_is_that_of_transformers():
    model = torch.nn.Linear(2, 2)
    ours = make_optimizer(model, lr=1e-3, weight_decay=0.0)
    theirs = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = 50
    mine = warmup_linear(ours, steps, 0.06)
    reference = transformers.get_linear_schedule_with_warmup(theirs, 3, steps)
    for _ in range(steps):
        assert math.isclose(mine.get_last_lr()[0], reference.get_last_lr()[0], abs_tol=1e-12)
        ours.step()
        theirs.step()
        mine.step()
        reference.step()
    assert mine.get_last_lr()[0] == 0


def test_biases_and_norms_are_not_decayed():
    model = small_model()
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, spared = make_optimizer(model, lr=1e-3, weight_decay=0.01).param_groups
    assert decayed["weight_decay"] == 0.01 and spared["weight_decay"] == 0.0
    for parameter in spared["params"]:
        name = names[id(parameter)]
        assert name.endswith("bias") or "norm" in name
    assert not [n for n in (names[id(p)] for p in decayed["params"]) if "norm" in n or "bias" in n]
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_an_epoch_has_every_example_once_in_random_order(examples, tokenizer):
    def order(seed, epoch=0):
        task = Classification(examples, tokenizer, 5, seed)
        steps = range(epoch * 5, epoch * 5 + 5)
        assert task.steps_per_epoch == 5
        assert [len(task.batch(step)) for step in steps] == [5, 5, 5, 5, 4]
        return [example.index for step in steps for example in task.batch(step)]

    first = order(0)
    assert sorted(first) == list(range(24))
    assert first == order(0) != order(1)
    assert sorted(order(0, epoch=1)) == sorted(first) != first != order(0, epoch=1)
    lengths = [len(examples.rows[i].ids) for i in first]
    assert lengths != sorted(lengths), "not by length"


def test_labels_stay_with_their_texts(examples, tokenizer):
    task = Classification(examples, tokenizer, 5, 3)
    for step in range(task.steps_per_epoch):
        for example in task.batch(step):
            assert example.row is examples.rows[example.index]
            assert example.label == LABELS[example.index]


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_split_shares_a_batch_by_tokens(examples, tokenizer, parts):
    batch = Classification(examples, tokenizer, 24).batch(0)
    shares = split(batch, parts)
    assert len(shares) == parts
    assert sorted(example.index for share in shares for example in share) == list(range(24))
    tokens = [sum(len(example.row.ids) for example in share) for share in shares]
    assert max(tokens) - min(tokens) <= max(len(row.ids) for row in examples.rows)
    assert split(batch[:1], 3)[1:] == [[], []]


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0])])
def test_losses_of_the_parts_add_up_to_that_of_the_batch(examples, tokenizer, weights):
    model = small_model().eval()
    task = Classification(examples, tokenizer, 24, class_weights=weights)
    batch = task.batch(0)
    whole = task.loss(model, batch, batch)
    logits, labels = task.logits(model, batch)
    torch.testing.assert_close(whole, torch.nn.functional.cross_entropy(logits, labels, weights))
    parts = sum(task.loss(model, part, batch) for part in split(batch, 3))
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-6)


def fit(model, tokenizer, examples, evaluate=None, batch_size=8, **recipe):
    """Train on the examples; the rest are the recipe's settings."""
    task = Classification(examples, tokenizer, batch_size, recipe.get("seed", 0))
    return train(model, task, Recipe(**recipe), evaluate)


def test_training_learns_and_writes_down_what_happened(examples, tokenizer):
    model, seen = small_model(), []

    def evaluate(step):
        seen.append(step)
        return Evaluation(step, 0.5, {"accuracy": 0.5})

    history = fit(model, tokenizer, examples, evaluate, epochs=20, lr=3e-3)
    assert len(history.losses) == 20 * 3 and history.examples == 20 * 24
    assert seen == list(range(0, 61, 3))
    assert sum(history.losses[-3:]) < 0.2 * sum(history.losses[:3])
    assert not model.training


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_same_seed_same_weights_whatever_the_callers_random_state(examples, tokenizer):
    results = []
    for callers_seed in (1, 2):
        model = small_model()
        torch.manual_seed(callers_seed)
        before = torch.get_rng_state()
        fit(model, tokenizer, examples, epochs=1, lr=1e-3)
        assert torch.equal(torch.get_rng_state(), before), "the caller's state is left alone"
        results.append(state(model))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    other = small_model()
    fit(other, tokenizer, examples, epochs=1, lr=1e-3, seed=1)
    assert not torch.equal(state(other)["classifier.weight"], results[0]["classifier.weight"])


def test_one_step_is_torchs_adamw(examples, tokenizer):
    """Without dropout a step of ours is a step of the textbook loop."""
    still = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ours, theirs = small_model(**still), small_model(**still)
    fit(ours, tokenizer, examples, batch_size=24, epochs=1, lr=1e-3, warmup=0.0)

    chosen = Classification(examples, tokenizer, 24).batch(0)
    batch = tokenizer.pad([example.row for example in chosen])
    batch["labels"] = torch.tensor([example.label for example in chosen])
    spared = [p for p in theirs.parameters() if p.ndim == 1]
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": spared, "weight_decay": 0.0}],
        lr=1e-3,
    )
    theirs.train()(**batch).loss.backward()
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
    optimizer.step()
    for name, tensor in state(theirs).items():
        torch.testing.assert_close(state(ours)[name], tensor, atol=1e-6, rtol=1e-5)


def test_bf16_keeps_the_weights_in_fp32(examples, tokenizer):
    model = small_model()
    history = fit(model, tokenizer, examples, batch_size=12, epochs=1, precision="bf16")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    full = fit(small_model(), tokenizer, examples, batch_size=12, epochs=1)
    assert history.losses != full.losses, "it did multiply in bfloat16"
    for half, exact in zip(history.losses, full.losses, strict=True):
        assert abs(half - exact) < 0.02


def test_broken_loss_stops_with_step_and_rate(examples, tokenizer):
    model = small_model()
    model.classifier.bias.data[0] = float("nan")
    before = state(model)
    with pytest.raises(FloatingPointError, match="step 1 .*no step was made yet"):
        fit(model, tokenizer, examples, epochs=1)
    assert torch.equal(state(model)["bert.pooler.dense.weight"], before["bert.pooler.dense.weight"])

"""The optimizer, the schedule and the loop."""

import math

import pytest
import torch
import transformers

import minibert
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import Examples, shuffled_batches
from minibert.training.loop import Evaluation, Recipe, train
from minibert.training.optimizer import make_optimizer, warmup_linear
from tests.conftest import TEXTS, TINY

LABELS = [i % 2 for i in range(24)]


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer.from_pretrained("minilm-l6")


@pytest.fixture(scope="module")
def examples(tokenizer):
    return Examples(tokenizer.encode_batch(TEXTS), LABELS)


def small_model(**changes):
    torch.manual_seed(0)
    config = minibert.BertConfig(
        **{**TINY, "vocab_size": 30522, "initializer_range": 0.02, **changes}
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
    def labels_and_ids(seed):
        return [
            tuple(row[row != 0].tolist())
            for batch in shuffled_batches(examples, 5, tokenizer, seed)
            for row in batch["input_ids"]
        ]

    first = labels_and_ids(0)
    assert sorted(first) == sorted(tuple(row.ids) for row in examples.rows)
    assert first == labels_and_ids(0) != labels_and_ids(1)
    lengths = [len(ids) for ids in first]
    assert lengths != sorted(lengths), "not by length"
    sizes = [len(b["labels"]) for b in shuffled_batches(examples, 5, tokenizer, 0)]
    assert sizes == [5, 5, 5, 5, 4]


def test_labels_stay_with_their_texts(examples, tokenizer):
    known = {tuple(row.ids): label for row, label in zip(examples.rows, LABELS, strict=True)}
    for batch in shuffled_batches(examples, 5, tokenizer, 3):
        for ids, label in zip(batch["input_ids"], batch["labels"], strict=True):
            assert known[tuple(ids[ids != 0].tolist())] == label


def test_training_learns_and_writes_down_what_happened(examples, tokenizer):
    model, seen = small_model(), []

    def evaluate(step):
        seen.append(step)
        return Evaluation(step, 0.5, 0.5)

    history = train(model, tokenizer, examples, Recipe(epochs=20, batch_size=8, lr=3e-3), evaluate)
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
        train(model, tokenizer, examples, Recipe(epochs=1, batch_size=8, lr=1e-3))
        assert torch.equal(torch.get_rng_state(), before), "the caller's state is left alone"
        results.append(state(model))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    other = small_model()
    train(other, tokenizer, examples, Recipe(epochs=1, batch_size=8, lr=1e-3, seed=1))
    assert not torch.equal(state(other)["classifier.weight"], results[0]["classifier.weight"])


def test_one_step_is_torchs_adamw(examples, tokenizer):
    """Without dropout a step of ours is a step of the textbook loop."""
    still = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ours, theirs = small_model(**still), small_model(**still)
    recipe = Recipe(epochs=1, batch_size=24, lr=1e-3, warmup=0.0)
    train(ours, tokenizer, examples, recipe)

    order = recipe.seed * 1_000_003
    (batch,) = shuffled_batches(examples, 24, tokenizer, order)
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
    history = train(model, tokenizer, examples, Recipe(epochs=1, batch_size=12, precision="bf16"))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    full = train(small_model(), tokenizer, examples, Recipe(epochs=1, batch_size=12))
    assert history.losses != full.losses, "it did multiply in bfloat16"
    for half, exact in zip(history.losses, full.losses, strict=True):
        assert abs(half - exact) < 0.02


def test_broken_loss_stops_with_step_and_rate(examples, tokenizer):
    model = small_model()
    model.classifier.bias.data[0] = float("nan")
    before = state(model)
    with pytest.raises(FloatingPointError, match="step 1 .*lower lr"):
        train(model, tokenizer, examples, Recipe(epochs=1, batch_size=8))
    assert torch.equal(state(model)["bert.pooler.dense.weight"], before["bert.pooler.dense.weight"])

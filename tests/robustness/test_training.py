"""Training in odd surroundings: other threads, no console, signals, clocks; and arguments of tasks
that nobody checked before them."""

import logging
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import torch

from minibert import TextClassifier
from minibert.engine.progress import announce, lines_above_bar, progress_bar
from minibert.tasks.labels import Labels
from minibert.training import loop
from minibert.training.batches import Classification, Examples
from minibert.training.finetune import finetune_classifier
from minibert.training.history import Evaluation
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from minibert.training.signals import noted_signals
from tests.conftest import TEXTS, small_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of few steps
LABELS = ["good" if i % 2 else "bad" for i in range(24)]
ONCE = Recipe(epochs=1, lr=1e-4)


def new(folder, **changes):
    return TextClassifier(folder, **{"epochs": 1, "batch_size": 8, **changes})


@pytest.fixture(scope="module")
def rows(tokenizer):
    return tokenizer.encode_batch(TEXTS)


@pytest.fixture()
def task(rows, tokenizer):
    return Classification(Examples(rows, [i % 2 for i in range(24)]), tokenizer, 8)


# --- other threads --------------------------------------------------------------------------------


def test_threads_that_train_at_once_end_as_each_does_alone(start):
    def losses(seed):
        return new(start, seed=seed).fit(TEXTS, LABELS).history_.losses

    alone = [losses(seed) for seed in range(2)]
    together = [[]] * 2

    def run(seed):
        together[seed] = losses(seed)

    before, handlers = torch.get_rng_state(), list(logging.getLogger().handlers)
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert torch.equal(torch.get_rng_state(), before), "the caller's state is left alone"
    assert logging.getLogger().handlers == handlers


def test_only_the_main_thread_exchanges_the_handlers_of_logging():
    before, seen = list(logging.getLogger().handlers), []

    def look():
        with lines_above_bar():
            seen.extend(logging.getLogger().handlers)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before


def test_an_evaluation_that_draws_leaves_the_callers_random_state_alone(task):
    def evaluate(step):
        return Evaluation(step, 1.0, {"accuracy": torch.rand(()).item()})

    drawn = []
    for seed in (1, 2):
        model = small_model()
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        drawn.append(train(model, task, ONCE, evaluate).evaluations)
        assert torch.equal(torch.get_rng_state(), before)
    assert drawn[0] == drawn[1], "what it draws follows from the seed of the run"


# --- signals, clocks, consoles, folders -----------------------------------------------------------


def test_a_signal_after_the_last_look_is_not_lost(task, tmp_path, monkeypatch):
    @contextmanager
    def interrupted(*_, **__):
        yield
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "fast_training", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(small_model(), task, ONCE, folder=tmp_path)


def test_a_handler_that_python_did_not_set_is_left_alone(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _: None)  # as in a program that embeds Python
    with noted_signals(True) as noted:
        pass
    assert noted == []


@pytest.mark.parametrize("folder", ["there", "deleted"])
def test_a_run_that_is_stopped_names_only_a_state_that_is_there(
    task, tmp_path, monkeypatch, caplog, folder
):
    step = loop._Run._step

    def stopped(run, *arguments):
        step(run, *arguments)
        if folder == "deleted":
            shutil.rmtree(tmp_path / "run")
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop._Run, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(small_model(), task, ONCE, folder=tmp_path / "run")
    assert ("has no state to resume from" in caplog.text) == (folder == "deleted")
    assert ("resume from the last state in" in caplog.text) == (folder == "there")


def test_a_clock_that_stands_still_costs_no_training(task, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: 5.0)
    history = train(small_model(), task, ONCE)
    assert len(history.losses) == 3 and history.speed == 0.0


class Closed:
    closed = True

    def isatty(self):
        raise ValueError("I/O operation on closed file")

    def write(self, _):
        self.isatty()

    flush = isatty


@pytest.mark.parametrize("stream", [None, Closed()], ids=["none", "closed"])
def test_a_program_without_a_console_trains(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    announce(logging.getLogger("minibert.quiet"), "a line that nobody sees")
    with progress_bar("step", total=1) as bar:
        bar.update()


def test_a_base_model_that_is_moved_meanwhile_is_not_taken_for_a_name(start, tmp_path, monkeypatch):
    shutil.copytree(start, tmp_path / "start")
    step = loop._Run._step

    def moved(run, *arguments):
        shutil.rmtree(tmp_path / "start", ignore_errors=True)
        step(run, *arguments)

    monkeypatch.setattr(loop._Run, "_step", moved)
    new(tmp_path / "start").fit(TEXTS, LABELS).save(tmp_path / "m")
    assert "base_model" not in (tmp_path / "m" / "README.md").read_text()


# --- what cannot be trained -----------------------------------------------------------------------


@pytest.mark.parametrize("positions", [1, 2])
def test_a_model_without_room_for_a_token_is_refused(tokenizer, tmp_path, positions):
    small_model(max_position_embeddings=positions, labels=("bad", "good")).save_pretrained(tmp_path)
    tokenizer.write_files(tmp_path)
    for use in (lambda: new(tmp_path).fit(TEXTS, LABELS), lambda: TextClassifier.load(tmp_path)):
        with pytest.raises(ValueError, match=rf"positions for {positions} token.s.*at least 3"):
            use()


@pytest.mark.parametrize("weight", [3e38, 1.2e-38])
def test_a_weight_whose_losses_do_not_fit_into_fp32_is_refused(weight):
    labels = Labels.of(LABELS)
    with pytest.raises(ValueError, match="class_weight of 'bad' is .*from 1e-30 to 1e.30"):
        labels.weights({"good": 1.0, "bad": weight}, [0, 1])
    labels.weights({"good": 1e30, "bad": 1e-30}, [0, 1])


ONES = torch.ones(2)
TASKS = [
    ({"batch_size": 0}, "batch_size is 0; it must be a whole number of at least 1"),
    ({"batch_size": "8"}, "batch_size is '8'"),
    ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
    ({"labels": [0]}, "there are 24 rows and 1 labels; give as many"),
    ({"labels": [5] * 24}, "labels contains 5; values run from 0 to 1"),
    ({"labels": [-100] * 24}, "labels contains -100; values run from 0 to 1"),
    ({"labels": [0.5] * 24}, "labels has shape .* and dtype torch.float32; it must be"),
    ({"class_weights": [1.0, 1.0]}, "class_weights is .*; it must be None or a tensor of fp32"),
    ({"class_weights": ONES.long()}, "class_weights is tensor"),
    ({"class_weights": ONES.double()}, "class_weights is tensor"),
    ({"class_weights": -ONES}, "class_weights is tensor"),
    ({"class_weights": ONES * float("nan")}, "class_weights is tensor"),
    ({"class_weights": torch.ones(3)}, "there are 3 class_weights and 2 labels; give as many"),
]


@pytest.mark.parametrize(("given", "line"), TASKS, ids=[line for _, line in TASKS])
def test_the_line_of_an_argument_of_a_task(rows, tokenizer, given, line):
    given = {"labels": [0, 1] * 12, "batch_size": 8, **given}
    with pytest.raises(ValueError, match=line):
        examples = Examples(rows, given.pop("labels"))
        train(small_model(), Classification(examples, tokenizer, **given), ONCE)


def test_there_must_be_something_to_train_and_to_learn_from(task, tokenizer):
    with pytest.raises(ValueError, match="no weight of the model requires gradients"):
        train(small_model().requires_grad_(False), task, ONCE)
    with pytest.raises(ValueError, match="the task has no examples"):
        train(small_model(), Classification(Examples([], []), tokenizer, 8), ONCE)


def test_an_evaluation_must_be_one(task):
    with pytest.raises(ValueError, match="evaluate returned None; it must return an Evaluation"):
        train(small_model(), task, ONCE, lambda step: None)
    with pytest.raises(FloatingPointError, match="the accuracy of the evaluation after step 0"):
        train(
            small_model(),
            task,
            ONCE,
            lambda step: Evaluation(step, 1.0, {"accuracy": float("nan")}),
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_head_of_another_dtype_is_trained_alone(task, dtype):
    seen = []

    def judge(logits):
        seen.append(logits)
        return 0.5, {"accuracy": 0.5}

    history = finetune_classifier(
        small_model().to(dtype),
        task,
        ONCE,
        held_out=task.examples.rows,
        judge=judge,
        trained_layers=0,
    )
    assert len(history.losses) == 3 and len(seen) == len(history.evaluations) == 2
    assert {(each.dtype, tuple(each.shape)) for each in seen} == {(torch.float32, (24, 2))}


def test_every_step_in_bf16_computes_with_the_weights_of_the_step_before(task):
    """Inside of another autocast, even a disabled one, PyTorch keeps the copies in bf16."""
    exact, half = (
        train(small_model(), task, Recipe(epochs=4, lr=3e-3, precision=precision)).losses
        for precision in ("fp32", "bf16")
    )
    assert max(abs(a - b) for a, b in zip(exact, half, strict=True)) < 0.03

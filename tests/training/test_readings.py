"""What a run does while the losses of its last steps are still on their way from the device.

On a CPU nothing is late. Here it is made to be, so that the lines that a GPU needs are run.
"""

import json
import logging
import signal

import pytest
import torch

from minibert.tokenizer import Row, WordPieceTokenizer
from minibert.training import readings
from minibert.training.batches import Classification, Examples
from minibert.training.history import Evaluation
from minibert.training.loop import train
from minibert.training.readings import LATE, Readings, fetch
from minibert.training.recipe import Recipe
from minibert.training.state import LOG, newest_state
from tests.conftest import small_model
from tests.training.conftest import state

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def examples():
    """Of few words, so that the states are small."""
    random = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 200, (length,), generator=random).tolist() for length in range(3, 25)]
    return Examples([Row(row, [0] * len(row), 0) for row in ids], [len(row) % 2 for row in ids])


class Padding(WordPieceTokenizer):
    """All that training needs of a tokenizer once its texts are rows."""

    pad_token_id = 0

    def __init__(self):
        pass


@pytest.fixture(scope="module")
def tokenizer():
    return Padding()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The steps are tiny; two threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[3])
def late(request, monkeypatch):
    """How many steps late losses are read on the CPU, in this test."""
    monkeypatch.setitem(LATE, "cpu", request.param)
    return request.param


class Watched(Classification):
    """Notes the weights that each step finds, and can spoil one: its loss, or its gradient alone.

    interrupt: the step in which Ctrl-C is pressed.
    """

    model, spoilt, interrupt, found = None, (None, None), None, None

    def batch(self, step):
        self.step = step
        self.found.append(state(self.model))
        if step == self.interrupt:
            signal.raise_signal(signal.SIGINT)
        return super().batch(step)

    def loss(self, model, part, whole):
        loss = super().loss(model, part, whole)
        if self.spoilt == (self.step, "loss"):
            return loss * float("nan")
        if self.spoilt == (self.step, "gradient"):
            return loss + self.model.classifier.weight.sum().mul(0).sqrt()  # 0, of infinite slope
        return loss


def run(examples, tokenizer, spoilt=(None, None), interrupt=None, folder=None, resume=False):
    """Train for 16 steps; the model, the task, and the history or what ended the run."""
    task = Watched(examples, tokenizer, 6)
    task.model = small_model(vocab_size=200, num_hidden_layers=1)
    task.spoilt, task.interrupt, task.found = spoilt, interrupt, []

    def evaluate(step):
        return Evaluation(step, task.model.classifier.weight.sum().item(), {"accuracy": 0.5})

    try:
        ended = train(
            task.model,
            task,
            Recipe(epochs=4, lr=1e-3, evaluate_every=10),
            evaluate,
            folder=folder,
            resume=resume,
            save_every=3,
        )
    except (FloatingPointError, KeyboardInterrupt) as error:
        ended = error
    return task, ended


def log_of(folder):
    """The lines without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{name: line[name] for name in line if name != "examples/s"} for line in lines]


def state_of(folder):
    """The newest state, as bits, without what depends on the clock."""
    path, found = newest_state(folder)
    found["history"].pop("seconds")
    return path.name.split(".")[0], found


def same(some, others):
    """Tensors, and what holds them, bit for bit."""
    if isinstance(some, torch.Tensor):
        return torch.equal(some, others)
    if isinstance(some, dict):
        return some.keys() == others.keys() and all(same(some[name], others[name]) for name in some)
    if isinstance(some, list | tuple):
        return len(some) == len(others) and all(map(same, some, others))
    return some == others


@pytest.fixture(scope="module")
def prompt(examples, tokenizer, tmp_path_factory):
    """A run of which nothing is late, and its folder."""
    folder = tmp_path_factory.mktemp("prompt")
    task, history = run(examples, tokenizer, folder=folder)
    assert len(history.losses) == 16
    return task, history, folder


def test_a_reading_is_waited_for_only_when_it_is_due(monkeypatch):
    waited_for = []

    def fetch(values):
        numbers = values.tolist()

        def arrive():
            waited_for.append(numbers[0])
            return numbers

        return arrive

    monkeypatch.setattr(readings, "fetch", fetch)
    monkeypatch.setitem(LATE, "cpu", 2)
    line = Readings(CPU)
    for step in range(5):
        line.send_for(f"step {step}", [torch.tensor(float(step))])
        assert [about for about, _ in line.read()] == ([f"step {step - 2}"] if step > 1 else [])
    assert waited_for == [0, 1, 2]
    assert line.read(everything=True) == [("step 3", [3.0]), ("step 4", [4.0])]
    assert line.read(everything=True) == []


def test_numbers_of_any_dtype_are_read_as_they_are():
    line, large = Readings(CPU), 1e200  # no number of fp32
    numbers = [torch.tensor(0.1), torch.tensor(large, dtype=torch.float64), torch.tensor(15.0)]
    line.send_for(None, numbers)
    assert line.read() == [(None, [torch.tensor(0.1).item(), large, 15.0])]
    assert line.stop == 0


@pytest.mark.parametrize("late", [1, 3], indirect=True)
def test_a_run_with_late_losses_is_the_same_run(
    late, prompt, examples, tokenizer, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "minibert")
    task, history = run(examples, tokenizer, folder=tmp_path)
    before, expected, folder = prompt
    assert vars(history) | {"seconds": 0} == vars(expected) | {"seconds": 0}
    assert same(state(task.model), state(before.model)) and same(task.found, before.found)
    assert log_of(tmp_path) == log_of(folder)
    assert same(state_of(tmp_path), state_of(folder))
    means = [sum(history.losses[i : i + 4]) / 4 for i in range(0, 16, 4)]
    lines = [f"epoch {i} of 4: training loss {mean:.3f}" for i, mean in enumerate(means, 1)]
    assert [line for line in lines if caplog.text.count(line) == 1] == lines


@pytest.mark.parametrize(("late", "what"), [(1, "loss"), (3, "gradient")], indirect=["late"])
def test_a_step_that_is_no_number_changes_nothing_though_it_is_read_late(
    late, prompt, examples, tokenizer, tmp_path, what
):
    task, error = run(examples, tokenizer, spoilt=(4, what), folder=tmp_path)
    assert isinstance(error, FloatingPointError)
    found = prompt[0].found[4]
    assert same(state(task.model), found), "the weights of the step before"
    assert same(task.found[4:], [found, found]), "as one more step found them"
    assert all(p.grad is None for p in task.model.parameters())
    lines = [line for line in log_of(prompt[2]) if line["step"] < 5]
    assert log_of(tmp_path) == lines, "and the log has every step before it"


def test_the_error_names_the_step_that_was_no_number(late, examples, tokenizer, monkeypatch):
    _, error = run(examples, tokenizer, spoilt=(6, "loss"))
    monkeypatch.setitem(LATE, "cpu", 0)
    _, at_once = run(examples, tokenizer, spoilt=(6, "loss"))
    assert str(error) == str(at_once) and " at step 7 with" in str(error)


@pytest.mark.parametrize("step", [1, 8])
def test_a_run_that_is_stopped_has_every_loss_in_its_state(
    late, prompt, examples, tokenizer, tmp_path, step
):
    before, history, folder = prompt
    _, error = run(examples, tokenizer, interrupt=step, folder=tmp_path)
    assert isinstance(error, KeyboardInterrupt)
    name, found = state_of(tmp_path)
    assert name == f"step-{step + 1:08}"
    assert found["history"]["losses"] == history.losses[: step + 1]
    assert log_of(tmp_path) == [line for line in log_of(folder) if line["step"] <= step + 1]
    task, resumed = run(examples, tokenizer, folder=tmp_path, resume=True)
    assert resumed.losses == history.losses and resumed.evaluations == history.evaluations
    assert same(state(task.model), state(before.model)) and log_of(tmp_path) == log_of(folder)


def test_from_the_first_bad_reading_on_adamw_changes_nothing():
    """Weights, moments and the counts of steps, whatever the gradients are."""
    torch.manual_seed(0)
    weights = [torch.randn(7, 33, requires_grad=True), torch.randn(5, requires_grad=True)]
    line = Readings(CPU)

    def step(optimizer, loss):
        line.send_for(None, [torch.tensor(loss), torch.tensor(1.0)])
        for weight in weights:
            weight.grad = torch.randn_like(weight) * loss
        optimizer.step()

    def everything(optimizer):
        kept = [weights, *(list(one.values()) for one in optimizer.state.values())]
        return [[tensor.detach().clone() for tensor in tensors] for tensors in kept]

    optimizer = torch.optim.AdamW(weights, lr=0.1, fused=True)
    optimizer.found_inf = line.stop
    step(optimizer, 1.0)
    first = everything(optimizer)
    step(optimizer, 1.0)
    before = everything(optimizer)
    assert not same(first, before)
    for loss in (float("inf"), 1.0, float("nan"), 1.0):
        step(optimizer, loss)
        assert same(everything(optimizer), before)


class OnGpu(torch.Tensor):
    """A tensor of the CPU that claims to be on the second GPU."""

    device = torch.device("cuda", 1)


def test_a_gpus_numbers_are_copied_to_pinned_memory_and_waited_for(monkeypatch):
    """The lines for CUDA, with stand-ins for what only CUDA has."""
    asked, empty = [], torch.empty

    class Event:
        def __init__(self, blocking):
            assert blocking

        def record(self, stream):
            asked.append(f"record in {stream}")

        def synchronize(self):
            asked.append("synchronize")

    def pinned(*shape, pin_memory, **options):
        asked.append(f"pinned: {pin_memory}")
        return empty(*shape, **options)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"the stream of {device}")
    values = torch.tensor([0.5, 2.0]).as_subclass(OnGpu)
    with monkeypatch.context() as patched:
        patched.setattr(torch, "empty", pinned)
        arrive = fetch(values)
    assert asked == ["pinned: True", "record in the stream of cuda:1"]
    assert arrive() == [0.5, 2.0] and asked[2:] == ["synchronize"]

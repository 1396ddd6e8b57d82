"""Several processes that train one model, as torchrun starts them: two on this machine, by gloo."""

import json
import os
import re
import runpy
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist

import minibert
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.ranks import Ranks, torchrun_ranks
from minibert.training.state import LOG, states
from tests.conftest import ROOT, TINY
from tests.programs import run

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(),
    reason="this PyTorch was built without torch.distributed or without gloo",
)

# What each process runs. It imports minibert only, for every import is paid for in each of them.
WORKER = '''
import os, signal, sys, time
from pathlib import Path
import torch, minibert
from minibert.tokenizer import Row, WordPieceTokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.history import Evaluation
from minibert.training.loop import train
from minibert.training.readings import LATE
from minibert.training.recipe import Recipe
from minibert.training.ranks import Ranks, torchrun_ranks

random = torch.Generator().manual_seed(0)
LENGTHS = torch.randint(2, 40, (23,), generator=random).tolist()
IDS = [torch.randint(1, 200, (length,), generator=random).tolist() for length in LENGTHS]
EXAMPLES = Examples([Row(ids, [0] * len(ids), 0) for ids in IDS], [i % 2 for i in range(23)])
WEIGHTS = torch.tensor([1.0, 3.0])
SMALL = dict(
    vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=64, max_position_embeddings=64, initializer_range=0.2,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)
# Batches of 11, 11 and 1 example: in every third step one of two ranks has none.
CASES = {
    "plain": {},
    "accumulate": {"accumulate": 2},
    "weights": {"class_weights": WEIGHTS},
    "all of it": {"accumulate": 3, "class_weights": WEIGHTS, "checkpoint": True},
}

class Padding(WordPieceTokenizer):
    """All that training needs of a tokenizer once its texts are rows."""
    pad_token_id = 0

    def __init__(self):
        pass

class Watched(Classification):
    """Writes down the examples of every loss; can send its own process a signal in a step."""
    seen, stop = None, (None, None)
    def batch(self, step):
        self.seen.append((step, []))
        if step == self.stop[0]:
            os.kill(os.getpid(), self.stop[1])
        return super().batch(step)
    def loss(self, model, part, whole):
        self.seen[-1][1].extend(example.index for example in part)
        return super().loss(model, part, whole)

def run(evaluate=None, stop=(None, None), examples=EXAMPLES, class_weights=None, dropout=0.0,
        folder=None, resume=False, save_every=500, **recipe):
    """Train a new model for 12 steps; what came of it, also if it was stopped."""
    torch.manual_seed(0)
    changes = dict(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    model = minibert.BertForClassification(minibert.BertConfig(**{**SMALL, **changes}))
    task = Watched(examples, Padding(), 11, 0, class_weights)
    task.seen, task.stop, code, history = [], stop, None, None
    recipe = Recipe(**{"epochs": 4, "lr": 3e-4, **recipe})
    try:
        history = train(model, task, recipe, evaluate, folder=folder, resume=resume,
                        save_every=save_every)
    except SystemExit as error:
        code = error.code
    return {
        "weights": model.state_dict(), "seen": task.seen, "code": code,
        "losses": history and history.losses,
        "evaluations": history and [(e.step, e.loss, e.accuracy) for e in history.evaluations],
    }

def checks(ranks, out):
    """Everything that two processes can be asked in one start."""
    results = {name: run(**case) for name, case in CASES.items()}

    calls = []
    def evaluate(step):
        calls.append(step)
        return Evaluation(step, ranks.rank + 0.5, {"accuracy": 0.25 if step else 0.125})
    results["evaluated"] = run(evaluate, patience=2, keep_best=True)
    results["evaluated"]["calls"] = calls

    # The folder of rank 1 is another, as on another machine. Its signal reaches rank 1 alone.
    dropout = dict(dropout=0.1, save_every=2)
    results["dropout"] = run(**dropout)
    (out / "run-1").mkdir(exist_ok=True)  # it could write there, and is not to
    kept = dict(folder=out / f"run-{ranks.rank}", **dropout)
    stop = (5, signal.SIGTERM) if ranks.rank == 1 else (None, None)
    results["stopped"] = run(stop=stop, **kept)
    results["resumed"] = run(resume=True, **kept)

    LATE["cpu"] = 1  # losses, and signals, are read a step later, as on GPUs
    kept = dict(folder=out / f"late-{ranks.rank}", dropout=0.1)
    stop = (3, signal.SIGTERM) if ranks.rank == 1 else (None, None)
    results["stopped late"] = run(stop=stop, **kept)
    results["resumed late"] = run(resume=True, **kept)
    del LATE["cpu"]

    other = Examples(EXAMPLES.rows, [0] * 22 + [1])
    try:
        run(examples=other if ranks.rank == 1 else EXAMPLES)
    except ValueError as error:
        results["other data"] = str(error)
    torch.save(results, out / f"rank-{ranks.rank}.pt")

    if ranks.rank == 1:
        raise ValueError("rank 1 has its reasons")
    run()

def killed(ranks, out):
    """Rank 1 is killed in a step, as by the kernel when memory runs out."""
    stop = (7, signal.SIGKILL) if ranks.rank == 1 else (None, None)
    run(stop=stop, dropout=0.1, folder=out / "killed", save_every=2)

def resumed(ranks, out):
    result = run(dropout=0.1, folder=out / "killed", save_every=2, resume=True)
    torch.save(result, out / f"resumed-{ranks.rank}.pt")

if __name__ == "__main__":
    try:
        with torchrun_ranks() as ranks:
            globals()[sys.argv[1]](ranks, Path(sys.argv[2]))
    except (ValueError, OSError) as error:
        print(f"error in rank {os.environ['RANK']}: {error}", file=sys.stderr, flush=True)
        if os.environ["RANK"] == "1":
            time.sleep(1)  # once this process has ended, torchrun ends rank 0, before it can speak
        sys.exit(2)
'''


def torchrun(*arguments, **kwargs):
    """Run a script in two processes with a thread each; torchrun's exit code and output."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        + [str(argument) for argument in arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **{"capture_output": True, "text": True, "cwd": ROOT, "timeout": 120, **kwargs},
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "worker.py").write_text(WORKER, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def worker(out):
    """The worker's functions, for this process alone, with a thread as the ranks have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield runpy.run_path(str(out / "worker.py"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def launch(out):
    """The end of the one start of two processes that most tests look at."""
    result = torchrun(out / "worker.py", "checks", out)
    assert (out / "rank-1.pt").is_file(), result.stderr
    return result


@pytest.fixture(scope="module")
def both(out, launch):
    """What rank 0 and rank 1 came to."""
    return [torch.load(out / f"rank-{rank}.pt", weights_only=False) for rank in (0, 1)]


def largest_difference(some, others):
    """Over all weights but the keys' biases. Softmax is blind to these, so that their gradients are
    nothing but rounding, and Adam makes steps of full length of it."""
    largest = 0.0
    for name in some:
        difference = (some[name] - others[name]).abs()
        if name.endswith("query_key_value.bias"):
            difference.view(3, -1)[1] = 0
        largest = max(largest, difference.max().item())
    return largest


def same_bits(some, others):
    return all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.parametrize("case", ["plain", "accumulate", "weights", "all of it"])
def test_two_ranks_train_as_one_process_does(both, worker, case):
    one = worker["run"](**worker["CASES"][case])
    assert len(one["losses"]) == 12
    for rank in both:
        assert rank[case]["losses"] == pytest.approx(one["losses"], abs=1e-4)
        assert largest_difference(rank[case]["weights"], one["weights"]) <= 1e-5


def test_the_comparison_would_see_an_example_counted_twice(worker):
    """Or a part of a batch that counts as much as a smaller one: no tolerance may hide that."""

    class Uneven(worker["Watched"]):
        def loss(self, model, part, whole):
            return super().loss(model, [*part, part[0]], whole)

    one = worker["run"]()
    worker["run"].__globals__["Watched"] = Uneven
    try:
        wrong = worker["run"]()
    finally:
        worker["run"].__globals__["Watched"] = worker["Watched"]
    assert max(abs(a - b) for a, b in zip(one["losses"], wrong["losses"], strict=True)) > 1e-3
    assert largest_difference(one["weights"], wrong["weights"]) > 1e-4


def test_ranks_end_with_the_same_bits(both):
    for case in ("plain", "accumulate", "weights", "all of it", "dropout", "evaluated", "resumed"):
        assert same_bits(both[0][case]["weights"], both[1][case]["weights"]), case
        assert both[0][case]["losses"] == both[1][case]["losses"]


def test_ranks_share_each_batch_by_its_tokens(both, worker):
    lengths = worker["LENGTHS"]
    batches = zip(both[0]["plain"]["seen"], both[1]["plain"]["seen"], strict=True)
    for (step, mine), (_, yours) in batches:
        if step % 3 == 2:
            assert mine == yours, "one example; rank 1 computes it for nothing"
            continue
        assert len({*mine, *yours}) == len(mine) + len(yours) == 11
        tokens = [sum(lengths[number] for number in share) for share in (mine, yours)]
        assert abs(tokens[0] - tokens[1]) <= max(lengths)
        assert max(tokens) < 0.65 * sum(tokens)


def test_ranks_draw_different_dropout(both):
    assert both[0]["dropout"]["losses"] != pytest.approx(both[0]["plain"]["losses"], abs=1e-3)


def test_rank_0_evaluates_for_all(both):
    """Loss 0.5 is that of rank 0. No evaluation after the second is better than it, so patience
    ends the run after the fourth, in both ranks."""
    expected = [(step, 0.5, 0.25 if step else 0.125) for step in (0, 3, 6, 9)]
    assert [rank["evaluated"]["evaluations"] for rank in both] == [expected, expected]
    assert [rank["evaluated"]["calls"] for rank in both] == [[0, 3, 6, 9], []]


def test_rank_0_alone_writes_states_and_log(both, out):
    assert [path.name.partition(".")[0] for path in states(out / "run-0")] == [
        "step-00000012",
        "step-00000010",
    ]
    assert len((out / "run-0" / LOG).read_text().splitlines()) == 12
    assert list((out / "run-1").iterdir()) == []


def test_signal_to_one_rank_stops_both_after_the_same_step(both):
    for rank in both:
        assert rank["stopped"]["code"] == 128 + 15
        assert [step for step, _ in rank["stopped"]["seen"]] == [0, 1, 2, 3, 4, 5]
        assert [step for step, _ in rank["resumed"]["seen"]] == [6, 7, 8, 9, 10, 11]


def test_resumed_ranks_end_as_if_never_stopped(both):
    """Rank 1 has no file of the run: it is given the state by rank 0."""
    for rank in both:
        assert same_bits(rank["resumed"]["weights"], both[0]["dropout"]["weights"])
        assert rank["resumed"]["losses"] == both[0]["dropout"]["losses"]


def test_ranks_whose_losses_are_read_late_stop_after_the_same_step_and_resume(both):
    for rank in both:
        assert rank["stopped late"]["code"] == 128 + 15
        assert [step for step, _ in rank["stopped late"]["seen"]] == [0, 1, 2, 3, 4]
        assert [step for step, _ in rank["resumed late"]["seen"]] == [5, 6, 7, 8, 9, 10, 11]
        assert same_bits(rank["resumed late"]["weights"], both[0]["dropout"]["weights"])
        assert rank["resumed late"]["losses"] == both[0]["dropout"]["losses"]


def test_another_number_of_processes_cannot_resume(both, worker, out):
    with pytest.raises(ValueError, match="processes was 2 and is now 1"):
        worker["run"](dropout=0.1, save_every=2, folder=out / "run-0", resume=True)


def test_ranks_with_different_data_are_refused(both):
    for rank in both:
        assert re.search("the data is .* in rank 0 and .* in rank 1", rank["other data"])


def test_failure_of_a_rank_is_named_by_itself_by_the_others_and_by_torchrun(launch):
    own, _, report = launch.stderr.partition("FAILED")
    assert launch.returncode != 0
    assert "error in rank 1: rank 1 has its reasons" in own
    assert "error in rank 0: rank 0 of 2 lost another process of this run" in own
    assert "ValueError: rank 1 has its reasons" in report


def test_one_process_needs_no_others(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with torchrun_ranks() as ranks:
        assert (ranks.rank, ranks.world_size) == (0, 1) and not dist.is_initialized()
        assert ranks.broadcast("mine") == "mine"
        assert ranks.largest(7, torch.device("cpu")) == 7
        ranks.check_same({"data": 1})
    assert isinstance(ranks, Ranks)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "3", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="--nproc-per-node 2"), torchrun_ranks():
        pass


@pytest.mark.slow
def test_example_under_torchrun_prints_and_saves_once(tmp_path):
    torch.manual_seed(0)
    model = minibert.BertForClassification(minibert.BertConfig(**{**TINY, "vocab_size": 30522}))
    model.save_pretrained(tmp_path / "tiny")
    WordPieceTokenizer.from_pretrained("minilm-l6").save_pretrained(tmp_path / "tiny")
    rows = [f"{'a fine' if i % 2 else 'a poor'} film,{'yes' if i % 2 else 'no'}" for i in range(23)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]))
    result = torchrun(
        ROOT / "examples" / "finetune_sst2.py",
        f"--model={tmp_path / 'tiny'}",
        f"--data={tmp_path / 'mine.csv'}",
        "--epochs=1",
        "--batch-size=5",
        "--max-length=16",
        f"--output={tmp_path / 'out'}",
    )
    assert result.returncode == 0, result.stderr
    for line in (
        "majority baseline",
        "epoch 1 of 1",
        "after training",
        "model saved",
        "macro mean",
    ):
        assert result.stdout.count(line) == 1, result.stdout
    assert result.stderr.count("learned nothing") <= 1, "a warning once as well"
    classifier = minibert.TextClassifier.load(tmp_path / "out")
    assert classifier.classes_.tolist() == ["no", "yes"]
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", "mine.csv", "out"}


def logged_losses(folder):
    lines = map(json.loads, (folder / LOG).read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.slow
def test_pretraining_under_torchrun_equals_one_process(tmp_path):
    subjects, verbs = ("dogs", "cats", "birds", "fish"), ("eat", "like", "see", "hear", "want")
    documents = [
        "\n".join(f"The {a} {v} {o} {'today ' * (len(a) % 3)}." for v in verbs for o in subjects)
        for a in ("old man", "child", "young woman", "king", "neighbours")
    ]
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    arguments = [
        ROOT / "examples" / "pretrain.py",
        f"--text={tmp_path / 'text.txt'}",
        "--steps=8",
        "--batch-size=5",
        "--layers=1",
        "--hidden=16",
        "--max-length=24",
        "--vocabulary-size=100",
        "--output",
    ]
    result = torchrun(*arguments, tmp_path / "two")
    assert result.returncode == 0, result.stderr
    for line in ("learning the vocabulary", "rows: ", "after training", "model saved"):
        assert result.stdout.count(line) == 1, result.stdout
    one = run(*arguments, tmp_path / "one")
    assert one.returncode == 0, one.stderr
    losses = logged_losses(tmp_path / "one")
    assert len(losses) == 8
    assert losses == pytest.approx(logged_losses(tmp_path / "two"), abs=2e-4)  # four digits
    assert {path.name for path in tmp_path.iterdir()} == {"text.txt", "one", "two"}


@pytest.mark.slow
def test_killed_rank_ends_the_job_and_the_run_can_be_resumed(out, both):
    started = time.monotonic()
    result = torchrun(out / "worker.py", "killed", out)
    assert time.monotonic() - started < 60
    assert result.returncode != 0
    assert "error in rank 0: rank 0 of 2 lost another process" in result.stderr
    assert re.search(r"rank +: 1 .*\n *exitcode +: -9", result.stderr), "torchrun names the killed"
    steps = [path.name.partition(".")[0] for path in states(out / "killed")]
    assert steps == ["step-00000006", "step-00000004"]

    result = torchrun(out / "worker.py", "resumed", out)
    assert result.returncode == 0, result.stderr
    for rank in (0, 1):
        resumed = torch.load(out / f"resumed-{rank}.pt", weights_only=False)
        assert [step for step, _ in resumed["seen"]] == [6, 7, 8, 9, 10, 11]
        assert same_bits(resumed["weights"], both[0]["dropout"]["weights"])

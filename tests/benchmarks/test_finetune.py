"""benchmarks/finetune.py: a whole small run, and that its check of the losses can fail."""

import contextlib
import io
import json
import sys
from types import SimpleNamespace

import devices
import finetune
import pytest
import torch
from arena import Finished, Turn
from finetune_contenders import without
from finetune_profile import KINDS

import minibert
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import Classification
from minibert.training.speed import fast_training
from tests.conftest import TEXTS, TINY

SMALL = "--turns 3 --steps 1 --batch-size 4 --check-steps 3 --threads 1".split()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a small random model."""
    folder = tmp_path_factory.mktemp("finetune") / "model"
    tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    config = minibert.BertConfig(**{**TINY, "vocab_size": 30522, "initializer_range": 0.02})
    minibert.BertForClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def small(tiny):
    """The arguments of a small run."""
    for name in ("train", "dev"):
        lines = [f"{text}\t{i % 2}" for i, text in enumerate(TEXTS)]
        (tiny.parent / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]))
    return ["--model", tiny, "--data", tiny.parent, *SMALL]


def run(monkeypatch, *arguments):
    """The exit code and what was printed."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(sys, "argv", ["finetune.py", *map(str, arguments)])
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = finetune.main()
        except SystemExit as exit:
            code = exit.code
        finally:
            torch.set_num_threads(threads)
    return code, out.getvalue(), error.getvalue()


@pytest.mark.slow
def test_a_small_run_checks_the_losses_and_times_in_turns(monkeypatch, small, tmp_path):
    """A real process only of ours, for importing transformers would take the longest."""
    files = ("--json", tmp_path / "new" / "f.json", "--plot", tmp_path / "charts" / "f.png")
    only = ("--only", "minibert fp32")
    code, out, error = run(monkeypatch, *small, *only, *files)
    assert code == 0, error
    report = json.loads((tmp_path / "new" / "f.json").read_text())
    assert (tmp_path / "charts" / "f.png").is_file()
    assert [len(curve) for curve in report["curves"].values()] == [3, 3]
    assert report["largest difference"] <= finetune.TOLERANCE
    assert list(report["contenders"]) == ["minibert fp32"]
    found = report["contenders"]["minibert fp32"]
    assert len(found["seconds"]) == 3 and min(found["seconds"]) > 0 and found["examples/s"] > 0
    assert found["memory"]["peak"] > 100
    assert 4 * 4 < found["tokens a step"] < 4 * 128  # of 4 real texts
    assert "transformers 5" in out and "1 threads" in out and "\n| minibert fp32 | " in out


def test_contenders_take_turns_and_bf16_fewer(monkeypatch):
    taken = []

    class Fake:
        def __init__(self, name, *_, threads, checkout=None):
            self.name, self.seconds, self.memory, self.failure = name, [], {}, ""

        def turn(self, steps):
            taken.append((self.name, steps))
            self.failure = "out of memory" if self.name == "b" and len(taken) > 5 else ""
            return None if self.failure else Turn(1.0, None)

        def stop(self):
            pass

    monkeypatch.setattr(finetune, "Process", Fake)
    monkeypatch.setattr(devices.Cpu, "emulates", lambda self, dtype: True)
    arguments = SimpleNamespace(threads=1, turns=3, slow_turns=1, steps=5, beside=None)
    found = finetune.compete(["a", "b", "a bf16"], None, arguments)
    names, steps = zip(*taken, strict=True)
    assert steps == (finetune.WARM,) * 3 + (5,) * 6
    assert names[3:] == ("a", "b", "a bf16", "b", "a", "a")
    assert {name: len(result["seconds"]) for name, result in found.items()} == {"a": 3, "a bf16": 1}


@pytest.mark.parametrize("part", ["SharedBitsDropout", "RowGradients", "FormulaWithDropout"])
def test_a_part_that_is_left_out_of_training_is_in_no_module(tiny, part):
    model = minibert.BertForClassification.from_pretrained(tiny)

    def classes():
        with fast_training(model):
            return {type(module).__name__ for module in model.modules()}

    assert part in classes()
    with without(part):
        assert part not in classes()
    assert part in classes()


@pytest.mark.parametrize("name", finetune.CONTENDERS)
def test_every_contender_waits_before_each_step_and_stops_when_told(tiny, name):
    if "Trainer" in name:
        pytest.importorskip("accelerate")
    setup = finetune.Setup(tiny, ["one film", "two"] * 6, [0, 1] * 6, batch_size=3)
    calls = 0

    def wait():
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Finished

    with pytest.raises(Finished):
        finetune.CONTENDERS[name](setup, wait)
    assert calls == 3 < setup.steps


def test_ratios_are_taken_within_a_turn():
    memory = {"peak": 800.0, "anonymous": 700.0}
    found = {
        "minibert fp32": {"seconds": [1.0, 2.0, 4.0], "memory": memory},
        "transformers fp32": {"seconds": [3.0, 8.0, 8.0], "memory": memory},
        "minibert bf16": {"seconds": [6.0], "memory": memory},
    }
    ours, theirs, slow = finetune.table(found, 32, 5, [400.0, 500.0, 600.0])[2:]
    assert ours.startswith("| minibert fp32 | 80.0 | 40.0 to 160.0 | 3.00 (2.00 to 4.00) | 3 |")
    assert ours.endswith("| 400 | 500 | 800 | 700 |")
    assert "| 1.00 (1.00 to 1.00) |" in theirs
    assert "| 0.50 (0.50 to 0.50) | 1 | 1200 | 400 |" in slow


def test_a_wrong_loss_of_ours_ends_it_before_anything_is_timed(monkeypatch, small, tmp_path):
    right = Classification.loss
    monkeypatch.setattr(Classification, "loss", lambda *given: right(*given) * 1.001)
    monkeypatch.setattr(finetune, "compete", lambda *_: pytest.fail("it was timed"))
    chart, path = tmp_path / "f.png", tmp_path / "f.json"
    files = ("--json", path, "--plot", chart, "--only", "minibert")
    code, _, error = run(monkeypatch, *small, *files)
    assert code == 1 and chart.is_file() and "curves" in json.loads(path.read_text())
    assert error.count("\n") == 1 and "more than 0.0001 apart" in error
    assert "step 1: the loss of minibert is 0." in error


def test_the_first_step_that_differs_is_named():
    nan = float("nan")
    for wrong in (0.7002, nan):
        curves = {"minibert fp32": [0.7, wrong, 9.0], "transformers fp32": [0.7, 0.7, 0.7]}
        assert finetune.first_difference(curves).startswith("step 2: ")
    assert not finetune.first_difference({"one": [0.7, 0.7], "other": [0.70005, 0.7]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "there is no file or folder nowhere"),
        (["--model", "nowhere"], "nowhere"),
        (["--only", "minibret"], "no contender begins with 'minibret'"),
        (["--turns", "0"], "--turns is 0; it must be at least 1"),
        (["--beside", "nowhere"], "nowhere is no checkout of minibert"),
        (["--without", "Magic"], "speed.py has no class 'Magic'"),
    ],
    ids=["data", "model", "contender", "turns", "checkout", "part"],
)
def test_mistakes_are_one_line_and_exit_code_2(monkeypatch, arguments, message):
    without_trainer = ("--only", "minibert")  # it would need accelerate
    code, out, error = run(monkeypatch, *without_trainer, *arguments)
    assert code == 2 and out == "" and message in error.splitlines()[-1]


@pytest.mark.parametrize("package", ["transformers", "accelerate"])
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, package):
    monkeypatch.setattr(finetune, "is_installed", lambda name: name != package)
    code, _, error = run(monkeypatch, "--data", "sample")
    assert code == 2 and f"needs {package}: pip install -e '.[bench]'" in error


def test_accuracy_is_compared_over_pairs_of_runs(monkeypatch, small, tmp_path):
    few = "--accuracy --seeds 2 --train-examples 6 --epochs 2".split()
    path = tmp_path / "f.json"
    code, out, error = run(monkeypatch, *small, *few, "--json", path)
    assert code == 0, error
    found = json.loads(path.read_text())["accuracy"]
    assert [row["seed"] for row in found["seeds"]] == [0, 1]
    assert all(
        0 <= row[name] <= 1 for row in found["seeds"] for name in ("minibert", "transformers")
    )
    assert "2 standard errors" in out


def test_the_profile_names_every_kind_of_work(monkeypatch, small):
    code, out, error = run(monkeypatch, *small, "--profile")
    assert code == 0, error
    shares = {
        line.split(" | ")[0].strip("| "): float(line.split(" | ")[1])
        for line in out.splitlines()
        if line.startswith("| ") and "%" in line
    }
    assert set(shares) == set(KINDS)
    assert min(shares[kind] for kind in KINDS if kind != "rest") > 0

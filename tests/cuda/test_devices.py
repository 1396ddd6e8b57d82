"""Which GPU: a batch on the wrong device, a model on a GPU that is not the current one, and several
processes with one each. Most of it needs two GPUs, and is skipped where there is one."""

import copy
import os
import subprocess
import sys

import pytest
import torch

from minibert import TextClassifier, optimize
from minibert.engine import graphs
from minibert.engine.host import placed, send
from tests.conftest import BATCHES, ROOT, TEXTS, hf_model, ours_from
from tests.cuda.conftest import HEADS_OF_16, ONLY_CPU, moved, need_cuda, relative
from tests.cuda.test_training import new_model
from tests.training.conftest import STILL, fit

pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")


@pytest.fixture(
    scope="module", params=["cpu" if ONLY_CPU else pytest.param("second", marks=pytest.mark.cuda)]
)
def other(request):
    """A GPU that is not the current one."""
    if request.param == "cpu":
        return torch.device("cpu")
    need_cuda(2)
    return torch.device("cuda", 1 - min(torch.cuda.current_device(), 1))


def test_a_batch_on_another_device_is_named(device):
    if device.type != "cuda":
        pytest.skip("there is one CPU only")
    model = ours_from(hf_model(**HEADS_OF_16)).to(device)
    batch = BATCHES["ragged"]
    with pytest.raises(
        ValueError, match=f"input_ids is on cpu and the model on {device}; move the"
    ):
        model(**batch)
    there = moved(batch, device)
    with pytest.raises(ValueError, match=f"attention_mask is on cpu and the model on {device}"):
        model(**there | {"attention_mask": batch["attention_mask"]})
    assert model(**there).last_hidden_state.isfinite().all(), "and the model is as good as before"
    here = copy.deepcopy(model).cpu()
    with pytest.raises(ValueError, match=f"input_ids is on {device} and the model on cpu"):
        here(**there)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.float32])
def test_what_is_sent_arrives_whatever_was_sent_before_it(dtype, device):
    """Pinned memory is taken again and again, and each time only once its transfer is done."""
    given = [
        [torch.arange(i, i + 999).view(3, 333).T.to(dtype), torch.tensor(i).to(dtype)]
        for i in range(200)
    ]
    sent = [send(tensors, device) for tensors in given]
    for arrived, tensors in zip(sent, given, strict=True):
        for one, wanted in zip(arrived, tensors, strict=True):
            assert one.device == device and torch.equal(one.cpu(), wanted)


def test_a_device_that_is_not_there_is_refused_by_name(start):
    with pytest.raises(ValueError, match="device 'cuda:99' cannot be used here"):
        TextClassifier(start, device="cuda:99").fit(TEXTS, [i % 2 for i in range(len(TEXTS))])


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_optimized_model_on_another_gpu(precision, other, monkeypatch):
    """Kernels, transfers and graphs go where the model is, not to the current device."""
    monkeypatch.setattr(graphs, "EARNED", 2)
    model = ours_from(hf_model(**HEADS_OF_16))
    fast = optimize(copy.deepcopy(model).to(other), precision)
    for batch in BATCHES.values():
        wanted = model(**batch).last_hidden_state
        for _ in range(4):
            got = fast(**placed(fast, batch)).last_hidden_state
            assert got.device == other
            limit = 1e-4 if precision == "fp32" else 0.1
            assert relative(got.float().cpu() - wanted, wanted) <= limit


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_another_gpu(precision, tokenizer, other):
    wanted = fit(new_model(torch.device("cpu"), **STILL), tokenizer, lr=1e-3)
    got = fit(new_model(other, **STILL), tokenizer, lr=1e-3, precision=precision)
    miss = max(abs(a - b) for a, b in zip(got.losses, wanted.losses, strict=True))
    assert miss <= (1e-3 if precision == "fp32" else 0.05)


def test_the_classifier_on_another_gpu(start, other, tmp_path):
    labels = [i % 2 for i in range(len(TEXTS))]
    made = TextClassifier(start, epochs=1, batch_size=8, lr=1e-4, device=str(other))
    made.fit(TEXTS, labels).save(tmp_path / "model")
    assert made.model_.device == other
    wanted = TextClassifier.load(tmp_path / "model", device="cpu").predict_proba(TEXTS)
    assert abs(made.predict_proba(TEXTS) - wanted).max() <= 1e-4


# What each process runs: three steps of the small model, and its weights in a file.
WORKER = """
import sys
import torch
from minibert.tokenizer import Row, WordPieceTokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.loop import train
from minibert.training.ranks import torchrun_ranks
from minibert.training.recipe import Recipe
from minibert import BertConfig, BertForClassification

class Padding(WordPieceTokenizer):
    pad_token_id = 0

    def __init__(self):
        pass

def run(device, **recipe):
    torch.manual_seed(0)
    model = BertForClassification(BertConfig(
        vocab_size=211, hidden_size=48, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=96, max_position_embeddings=64, initializer_range=0.2,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )).to(device)
    rows = [Row([1 + (i * j) % 200 for j in range(3 + i)], [0] * (3 + i), 0) for i in range(24)]
    examples = Examples(rows, [i % 2 for i in range(24)])
    task = Classification(examples, Padding(), 8)
    return train(model, task, Recipe(epochs=1, lr=1e-3, **recipe)).losses

if __name__ == "__main__":
    with torchrun_ranks() as ranks:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        losses = [run(device), run(device, precision="bf16", accumulate=2)]
        if ranks.rank == 0:
            torch.save(losses, sys.argv[1])
"""


def test_two_processes_train_as_one_does(other, tmp_path):
    """By NCCL where there are two GPUs."""
    worker, results = tmp_path / "worker.py", tmp_path / "losses.pt"
    worker.write_text(WORKER, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, str(worker), str(results)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    names = {"__name__": "worker"}
    exec(compile(WORKER, "worker", "exec"), names)
    wanted = [names["run"](other), names["run"](other, precision="bf16")]
    for got, one, limit in zip(torch.load(results), wanted, (1e-3, 0.05), strict=True):
        assert len(got) == len(one) == 3
        assert max(abs(a - b) for a, b in zip(got, one, strict=True)) <= limit

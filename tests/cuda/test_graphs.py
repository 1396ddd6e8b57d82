"""CUDA graphs: a small batch that is replayed gives what it gives kernel by kernel.

On a CPU a recording is the function itself, as in the tests of the engine.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from minibert import optimize
from minibert.engine import attention, graphs
from minibert.engine.host import placed
from tests.conftest import BATCHES, hf_model, ours_from, ragged_batch
from tests.cuda.conftest import HEADS_OF_16, relative
from tests.cuda.test_training import new_model
from tests.engine.test_graphs import StandIn, graphed, row_by_row
from tests.parity.test_end_to_end import HEADS
from tests.training.conftest import fit

pytestmark = [
    pytest.mark.filterwarnings("ignore:this CPU has no"),
    # All results are right without a graph, too.
    pytest.mark.filterwarnings("error:CUDA graphs do not work here"),
]

# So many rows of so many tokens, more or less: sizes for which different graphs are recorded.
SHAPES = [(n, t) for n in (1, 7, 8, 15, 31, 60) for t in (1, 5, 17, 64, 150) if n * t <= 2400]
LIMITS = {"fp32": 1e-4, "bf16": 0.05}


def shaped(rows, tokens):
    """Rows of nearly these lengths."""
    return ragged_batch([max(1, tokens - i % 4) for i in range(rows)], rows * 1000 + tokens)


@pytest.fixture(autouse=True)
def at_once(device, monkeypatch):
    """A size is recorded when it comes the second time. A CPU is given what it lacks."""
    monkeypatch.setattr(graphs, "EARNED", 2)
    if device.type != "cuda":
        for module in (attention, graphs):
            monkeypatch.setattr(module, "packed_kernel", lambda *_: row_by_row)
        monkeypatch.setattr(graphs, "is_in_order", lambda device: True)
        monkeypatch.setattr(graphs, "Recorder", StandIn)


def optimized(kind, device, precision, **changes):
    """A tiny optimized model that makes graphs."""
    fast = optimize(ours_from(hf_model(kind, **HEADS_OF_16, **changes)).to(device), precision)
    return fast if device.type == "cuda" else graphed(fast)


@pytest.fixture(params=["fp32", "bf16"])
def precision(request):
    return request.param


@pytest.fixture()
def model(precision, device):
    return optimized("BertModel", device, precision)


def kernel_by_kernel(model, batches, monkeypatch):
    """First outputs of batches, without a graph."""
    with monkeypatch.context() as patch:
        patch.setattr(graphs, "MOST_TOKENS", 0)
        return [model(**placed(model, batch))[0] for batch in batches]


def apart(got, wanted):
    """The difference of all outputs together, as a share of them; where an answer cannot begin,
    they hold the lowest number."""
    possible = [right > -1e9 for right in wanted]
    for result, where in zip(got, possible, strict=True):
        assert torch.equal(result > -1e9, where)
    some, others = (
        torch.cat([x[where].float() for x, where in zip(results, possible, strict=True)])
        for results in (got, wanted)
    )
    return relative(some - others, others)


def assert_recorded(model, least=1):
    """Graphs were used."""
    encoder = getattr(model, "bert", model).encoder
    assert not encoder.graphs.failed and len(encoder.graphs.replays) >= least


@torch.inference_mode()
def test_every_size_gives_the_same(model, precision, monkeypatch, parity):
    batches = [shaped(*shape) for shape in SHAPES]
    wanted = kernel_by_kernel(model, batches, monkeypatch)
    for batch, right in zip(batches, wanted, strict=True):
        for _ in range(4):  # as before, recorded, replayed, replayed
            got = model(**placed(model, batch))[0]
            miss = relative((got - right).float(), right.float())
            parity.at_most(f"{precision}, graphs of {len(SHAPES)} shapes", miss, LIMITS[precision])
    assert_recorded(model, least=15)


@torch.inference_mode()
@pytest.mark.parametrize("kind", HEADS)
def test_every_head_and_batch_gives_the_same(kind, precision, device, monkeypatch, parity):
    """Also where only some tokens are wanted, and for all the kinds of batches."""
    model = optimized(kind, device, precision, **HEADS[kind])
    wanted = kernel_by_kernel(model, BATCHES.values(), monkeypatch)
    for _ in range(3):
        got = [model(**placed(model, batch))[0] for batch in BATCHES.values()]
        parity.at_most(f"{precision}, graphs, {kind}", apart(got, wanted), LIMITS[precision])
    assert_recorded(model)


@torch.inference_mode()
def test_tokens_to_predict_in_any_number(precision, device, monkeypatch, parity):
    model = optimized("BertForMaskedLM", device, precision)
    batch = BATCHES["pairs"]
    real = batch["attention_mask"].bool()
    chosen = [
        real & (torch.arange(real.numel()).view(real.shape) % step == 0) for step in (1, 2, 9)
    ]
    batches = [batch | {"predict": predict} for predict in chosen]
    wanted = kernel_by_kernel(model, batches, monkeypatch)
    for _ in range(3):
        got = [model(**placed(model, asked))[0] for asked in batches]
        miss = apart(got, wanted)
        parity.at_most(f"{precision}, graphs, tokens to predict", miss, LIMITS[precision])
    assert_recorded(model)


@torch.inference_mode()
def test_changing_lengths_leave_earlier_results_alone(model, precision, monkeypatch):
    batches = [shaped(*shape) for shape in SHAPES[:12]] + list(BATCHES.values())
    wanted = kernel_by_kernel(model, batches, monkeypatch)
    order = torch.randint(len(batches), (120,), generator=torch.Generator().manual_seed(0)).tolist()
    got = [model(**placed(model, batches[i]))[0] for i in order]
    for i, result in zip(order, got, strict=True):
        miss = relative((result - wanted[i]).float(), wanted[i].float())
        assert miss <= LIMITS[precision], i
    assert_recorded(model, least=5)


def test_two_threads_call_one_model(model, precision, monkeypatch):
    """While one records, the other goes on; each gets its own results."""
    batches = [shaped(*shape) for shape in SHAPES[:12]]
    with torch.inference_mode():
        wanted = kernel_by_kernel(model, batches, monkeypatch)

    def work(seed):
        order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed))
        misses = []
        with torch.inference_mode():
            for i in order.tolist() * 4:
                got = model(**placed(model, batches[i]))[0]
                misses.append(relative((got - wanted[i]).float(), wanted[i].float()))
        return max(misses)

    with ThreadPoolExecutor(2) as threads:
        assert max(threads.map(work, (1, 2))) <= LIMITS[precision]
    assert_recorded(model, least=5)


@torch.inference_mode()
def test_a_replay_does_not_wait(model, no_sync):
    batches = [*BATCHES.values(), shaped(7, 17)]
    for _ in range(4):
        for batch in batches:
            model(**placed(model, batch))
    with no_sync():
        for batch in batches:
            model(**placed(model, batch))
    assert_recorded(model)


def test_training_and_graphs_take_turns(model, tokenizer, device):
    """A recording leaves the random numbers of others as they were: the same losses come again."""
    wanted = fit(new_model(device), tokenizer, lr=1e-3).losses
    with torch.inference_mode():
        for shape in SHAPES[:4] * 3:
            model(**placed(model, shaped(*shape)))
    again = fit(new_model(device), tokenizer, lr=1e-3).losses
    assert max(abs(a - b) for a, b in zip(again, wanted, strict=True)) <= 1e-3
    assert_recorded(model)

"""Memory of a GPU: long work does not fill it, and too large a batch is an error like others.

A CPU counts nothing, and its stand-in for a full memory is a layer that says so.
"""

import copy
import gc
from contextlib import contextmanager

import pytest
import torch

from minibert import optimize
from minibert.encoder import EncoderLayer
from minibert.engine import graphs
from minibert.engine.host import placed
from minibert.engine.rows import compute_rows
from minibert.tokenizer import Row
from tests.conftest import BATCHES, TINY, hf_model, ours_from, ragged_batch
from tests.cuda.conftest import HEADS_OF_16
from tests.cuda.test_training import new_model
from tests.training.conftest import fit

MB = 1 << 20


def held(device):
    """Bytes in tensors, and bytes that PyTorch holds for them, on a GPU."""
    gc.collect()
    if device.type != "cuda":
        return 0, 0
    torch.cuda.synchronize(device)
    return torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)


def random_lengths(number, seed):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(1, 40, (number,), generator=generator).tolist()
    return [torch.randint(1, 60, (n,), generator=generator).tolist() for n in rows]


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.filterwarnings("ignore:this CPU has no")
def test_a_long_stream_of_lengths_leaves_nothing_behind(precision, device, monkeypatch, parity):
    """200 batches, no two alike, and the same again. Graphs are recorded in the first round."""
    monkeypatch.setattr(graphs, "EARNED", 1)
    model = optimize(ours_from(hf_model(**HEADS_OF_16)).to(device), precision)
    batches = [ragged_batch(lengths, i) for i, lengths in enumerate(random_lengths(200, 0))]
    before, rounds = held(device), []
    for _ in range(2):
        for batch in batches:
            model(**placed(model, batch))
        rounds.append(held(device))
    (first, reserved), (second, reserved_later) = rounds
    size = sum(batch["input_ids"].numel() for batch in batches) * TINY["hidden_size"]
    assert size * 2 > 16 * MB, "what leaked would be seen, also in bf16"
    name = f"{precision}, stream of 200 batches, MB"
    parity.at_most(f"{name} held more after it", (first - before[0]) / MB, 300)
    parity.at_most(f"{name} held more after a second one", (second - first) / MB, 4)
    parity.at_most(f"{name} reserved more by a second one", (reserved_later - reserved) / MB, 32)


@pytest.mark.filterwarnings("ignore:this CPU has no")
def test_many_rows_give_back_what_they_took(tokenizer, device, parity):
    """Through `compute_rows`, whose results wait on the device for the end of a window."""
    model = optimize(ours_from(hf_model(**HEADS_OF_16)).to(device), "bf16")
    lengths = [length for batch in random_lengths(100, 1) for length in batch]
    rows = [Row([1 + i % 200 for i in range(n)], [0] * n, 0) for n in lengths]

    def results():
        return compute_rows(model, tokenizer, rows, 48, lambda batch: model(**batch).pooler_output)

    first = results()
    before = held(device)[0]
    again = results()
    assert first.device.type == "cpu" and relative_difference(again, first) <= 0.05
    parity.at_most("bf16, many rows, MB held after them", (held(device)[0] - before) / MB, 4)


def relative_difference(some, others):
    return ((some - others).norm() / others.norm()).item()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_takes_no_more_the_longer_it_lasts(tokenizer, device, precision, parity):
    peaks, left = [], []
    for epochs in (1, 2, 12):  # the first one finds everything PyTorch keeps for later
        before = held(device)[0]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        fit(new_model(device), tokenizer, epochs=epochs, precision=precision)
        if device.type == "cuda":
            peaks.append(torch.cuda.max_memory_allocated(device) - before)
            left.append((held(device)[0] - before) / MB)
    if device.type == "cuda":
        parity.at_most(f"{precision}, training, MB left behind", max(left[1:]), 4)
        parity.at_most(f"{precision}, peak of 36 steps over that of 6", peaks[2] / peaks[1], 1.1)


# --- a memory that is full ------------------------------------------------------------------------


@contextmanager
def little_memory(device, model):
    """No more than 64 MB besides what is held; a CPU has a layer that claims as much."""
    if device.type != "cuda":

        def refuse(*_):
            raise torch.OutOfMemoryError("out of memory")

        layer = next(part for part in model.modules() if isinstance(part, EncoderLayer))
        hook = layer.register_forward_pre_hook(refuse)
        try:
            yield
        finally:
            hook.remove()
        return
    gc.collect()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.memory_reserved(device) + 64 * MB
    torch.cuda.set_per_process_memory_fraction(allowed / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["plain", "bf16"])
@pytest.mark.filterwarnings("ignore:this CPU has no")
def test_a_batch_that_is_too_large_is_an_error_and_the_next_one_is_computed(
    precision, base, device
):
    model = copy.deepcopy(base[1]).to(device)
    if precision != "plain":
        model = optimize(model, precision)
    small, large = BATCHES["ragged"], ragged_batch([512] * 63 + [500])
    wanted = model(**placed(model, small)).last_hidden_state
    with little_memory(device, model), pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        model(**placed(model, large))
    got = model(**placed(model, small)).last_hidden_state
    assert relative_difference(got.float(), wanted.float()) <= (
        1e-5 if precision == "plain" else 0.05
    )


def test_training_that_runs_out_of_memory_can_be_begun_again(tokenizer, device):
    shape = dict(hidden_size=768, num_attention_heads=12, intermediate_size=3072)
    model = new_model(device, **shape, num_hidden_layers=2)
    classes = [type(part) for part in model.modules()]
    with little_memory(device, model), pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        fit(model, tokenizer)
    assert [type(part) for part in model.modules()] == classes
    model.zero_grad()
    assert len(fit(model, tokenizer, lr=1e-5).losses) == 3

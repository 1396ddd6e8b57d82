"""Every body of `Linear` multiplies as the plain one does, and refuses what it cannot do."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import minibert
from minibert import optimize
from minibert.engine.bodies import (
    HalfWeights,
    OneDnn,
    OneDnnBf16,
    OneDnnTiles,
    Plain,
    PlainBf16,
)
from minibert.engine.integers import Int7Few
from minibert.engine.probe import probe
from tests.conftest import BATCHES, TINY
from tests.engine.conftest import IN, OUT, error, made, name_of, random, runnable

# --- the product ----------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 7, 512, 515, 1030])
def test_equals_the_plain_linear(body, linear, rows):
    x = random(rows, IN)
    got, wanted = made(body, linear)(x), linear(x)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    assert error(got, wanted) <= body.tolerance


@torch.inference_mode()
def test_what_goes_in_is_only_read(body, linear):
    x = random(515, IN)
    before = x.clone()
    made(body, linear)(x)
    assert torch.equal(x, before)


@torch.inference_mode()
@pytest.mark.parametrize(
    "x",
    [
        random(5, 120, IN),
        random(5, IN, 120).mT,
        random(IN, 515).T,
        random(1030, IN)[::2],
        random(515, 2 * IN)[:, ::2],
        random(1, IN).expand(515, IN),
    ],
    ids=[
        "3-d",
        "3-d transposed",
        "transposed",
        "every other row",
        "every other column",
        "repeated",
    ],
)
def test_any_layout_of_the_input(body, linear, x):
    got = made(body, linear)(x)
    assert got.shape == (*x.shape[:-1], OUT)
    assert error(got, linear(x.contiguous())) <= body.tolerance


@torch.inference_mode()
@pytest.mark.parametrize("kind", [PlainBf16, OneDnnBf16], ids=name_of)
def test_bodies_of_bf16_take_and_give_it(linear, kind):
    x = random(7, IN)
    got = made(runnable(kind), linear)(x.bfloat16())
    assert got.dtype == torch.bfloat16
    assert error(got, linear(x)) <= kind.tolerance


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)], ids=str)
def test_no_rows_give_no_rows(body, linear, shape):
    got = made(body, linear)(random(*shape, IN))
    assert got.shape == (*shape, OUT) and got.dtype == torch.float32


@torch.inference_mode()
def test_the_plain_linear_it_was_made_from_stays_its_own(body, linear):
    x, ours = random(7, IN), made(body, linear)
    before = ours(x)
    linear.weight.zero_()
    linear.bias.zero_()
    assert torch.equal(ours(x), before)


# --- copies, processes, threads -------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize(
    "again",
    [
        copy.deepcopy,
        copy.copy,
        lambda model: pickle.loads(pickle.dumps(model)),
    ],
    ids=["deep copy", "copy", "pickle"],
)
def test_copies_compute_the_same_bits(optimized, again):
    wanted = optimized(**BATCHES["ragged"]).last_hidden_state
    assert torch.equal(again(optimized)(**BATCHES["ragged"]).last_hidden_state, wanted)
    assert torch.equal(optimized(**BATCHES["ragged"]).last_hidden_state, wanted)


@torch.inference_mode()
def test_a_spawned_process_computes_the_same(linear):
    bodies = [
        kind for kind in (Plain, OneDnn, OneDnnTiles, HalfWeights, Int7Few) if not probe(kind)
    ]
    x = random(515, IN)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, torch.set_grad_enabled, [False]) as pool:
        for kind in bodies:
            ours = made(kind, linear)
            there = pool.apply_async(ours, [x]).get(timeout=60)
            torch.testing.assert_close(there, ours(x), msg=kind.__name__)


def test_two_threads_may_call_one_body(body, linear):
    ours = made(body, linear)
    inputs = [random(rows, IN, seed=rows) for rows in (1, 7, 515, 600)] * 10

    def call(x):
        with torch.inference_mode():
            return ours(x)

    wanted = [call(x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        for got, alone in zip(pool.map(call, inputs), wanted, strict=True):
            torch.testing.assert_close(got, alone)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["gradients", "training"])
def test_gradients_and_dropout_are_refused(body, linear, mode):
    ours = made(body, linear).train(mode == "training")
    with torch.set_grad_enabled(mode == "gradients"):
        with pytest.raises(RuntimeError, match="inference_mode.*eval"):
            ours(random(7, IN))


@torch.inference_mode()
def test_no_grad_is_as_good_as_inference_mode(body, linear):
    ours, x = made(body, linear), random(7, IN)
    wanted = ours(x)
    with torch.inference_mode(False), torch.no_grad():
        assert torch.equal(ours(x.clone()), wanted)


REQUESTS = {
    "float64": lambda model: model.to(torch.float64),
    "half": lambda model: model.half(),
    "bfloat16": lambda model: model.bfloat16(),
    "another device": lambda model: model.to("meta"),
    "state_dict": lambda model: model.state_dict(),
    "load_state_dict": lambda model: model.load_state_dict(
        {name: torch.zeros_like(p) for name, p in model.named_parameters()}, strict=False
    ),
}


@pytest.mark.parametrize("request_", REQUESTS)
def test_moving_and_saving_are_refused(body, linear, request_):
    with pytest.raises(RuntimeError, match="the model it was made from"):
        REQUESTS[request_](made(body, linear))


@torch.inference_mode()
@pytest.mark.parametrize("request_", ["half", "state_dict", "load_state_dict"])
def test_a_model_that_refused_a_request_is_as_it_was(request_):
    torch.manual_seed(0)
    optimized = optimize(minibert.BertModel(minibert.BertConfig(**TINY)))
    wanted = optimized(**BATCHES["ragged"]).last_hidden_state
    with pytest.raises(RuntimeError, match="the model it was made from"):
        REQUESTS[request_](optimized)
    assert torch.equal(optimized(**BATCHES["ragged"]).last_hidden_state, wanted)


@torch.inference_mode()
@pytest.mark.parametrize("target", ["cpu", torch.float32], ids=str)
def test_where_it_is_it_may_stay(optimized, target):
    wanted = optimized(**BATCHES["ragged"]).last_hidden_state
    assert torch.equal(optimized.to(target)(**BATCHES["ragged"]).last_hidden_state, wanted)


def test_saving_is_refused_and_leaves_no_folder(optimized, tmp_path):
    with pytest.raises(RuntimeError, match="save the model it was made from"):
        optimized.save_pretrained(tmp_path / "m")
    assert not list(tmp_path.iterdir())

"""Optimized models on a GPU compute what the plain model computes on the CPU, in every precision.

Their batch stays on the CPU, where it is packed, and what the layers need is sent without waiting.
"""

import copy
import pickle

import pytest
import torch

from minibert import optimize
from minibert.engine import graphs
from minibert.engine.bodies import Plain, PlainBf16
from minibert.engine.host import placed
from minibert.engine.rule import choose
from tests.conftest import BATCHES, hf_model, ours_from, ragged_batch
from tests.cuda.conftest import HALVES, HEADS_OF_16, everywhere, moved, relative
from tests.cuda.test_parity import at_tokens, errors
from tests.engine.test_optimize import labels_for
from tests.parity.test_end_to_end import HEADS, fields

pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")


def optimized(model, device, precision):
    """An optimized copy on the device."""
    return optimize(copy.deepcopy(model).to(device), precision)


@pytest.fixture(scope="module", params=HEADS)
def both(request):
    """(the reference, our model with its weights) for each class, on the CPU."""
    reference = hf_model(request.param, **HEADS_OF_16, **HEADS[request.param])
    return reference, ours_from(reference)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_falls_back(precision, device):
    if device.type != "cuda":
        pytest.skip("other CPUs have other bodies")
    choice = choose(precision, device)
    assert choice.body is {"fp32": Plain, "bf16": PlainBf16}[precision] and not choice.note


@torch.inference_mode()
def test_int8_is_bf16_on_a_gpu(device):
    if device.type != "cuda":
        pytest.skip("a CPU has int8")
    model, batch = ours_from(hf_model(**HEADS_OF_16)), BATCHES["holes"]
    with pytest.warns(UserWarning, match="int8 has no kernel for GPUs here; bf16 is used"):
        fast = optimized(model, device, "int8")
    wanted = optimized(model, device, "bf16")
    assert torch.equal(fast(**batch).last_hidden_state, wanted(**batch).last_hidden_state)


@everywhere
@torch.inference_mode()
def test_every_output_and_loss_in_fp32(both, device, parity):
    model = both[1]
    fast = optimized(model, device, "fp32")
    for name, batch in BATCHES.items():
        labels = labels_for(model, batch)
        wanted = fields(model(**batch, **labels))
        got = fields(fast(**placed(fast, batch)))
        if labels:  # a loss is computed where the labels are; so the batch is on the device, too
            there = fast(**moved(batch, device), **moved(labels, device))
            got["loss"] = there.loss
        assert got.keys() == wanted.keys()
        for field, value in got.items():
            assert value.device == device and value.shape == wanted[field].shape, (name, field)
            miss = value.cpu() - wanted[field]
            if field != "loss":  # at padding, too, they are what the plain model says
                assert torch.equal(value.cpu() == 0, wanted[field] == 0) or field == "pooler_output"
            check = f"optimized in fp32, {type(model).__name__}: {field}"
            parity.at_most(check, miss.abs().max(), 1e-4)


@torch.inference_mode()
def test_every_output_in_bf16(both, device, parity):
    """At most twice the error of transformers' model in bf16."""
    exact = {name: fields(both[0](**batch)) for name, batch in BATCHES.items()}
    theirs = copy.deepcopy(both[0]).to(device, torch.bfloat16)
    fast = optimized(both[1], device, "bf16")
    own = errors(lambda batch: theirs(**moved(batch, device)), exact)
    mine = errors(lambda batch: fast(**placed(fast, batch)), exact)
    for field, error in own.items():
        parity.at_most(
            f"optimized in bf16, {type(both[1]).__name__}: {field}, our error over transformers'",
            mine[field] / error,
            2.0,
        )


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_the_layers_saw_can_be_asked_for(precision, device, parity):
    model = ours_from(hf_model(**HEADS_OF_16))
    fast = optimized(model, device, precision)
    everything = {"output_hidden_states": True, "output_attentions": True}
    for name in ("ragged", "holes", "an all-padding row"):
        batch = BATCHES[name]
        wanted = fields(model(**batch, **everything))
        got = fields(fast(**placed(fast, batch), **everything))
        for field in ("hidden_states", "attentions"):
            miss = relative(got[field].float().cpu() - wanted[field], wanted[field])
            limit = 1e-4 if precision == "fp32" else 0.1
            parity.at_most(f"optimized in {precision}: {field}, relative", miss, limit)


@torch.inference_mode()
def test_fp32_in_the_shape_of_bert_base(base, device, parity):
    """A stream of texts in batches of all kinds; the largest difference of any number."""
    fast = optimized(base[1], device, "fp32")
    generator = torch.Generator().manual_seed(5)
    for seed, rows in enumerate((1, 2, 7, 32)):
        lengths = torch.randint(2, 60, (rows,), generator=generator).tolist()
        batch = ragged_batch(lengths, seed, pairs=True)
        wanted, got = fields(base[1](**batch)), fields(fast(**placed(fast, batch)))
        for field, value in got.items():
            miss = (value.cpu() - wanted[field]).abs().max()
            parity.at_most(f"optimized in fp32, shape of BERT-base: {field}", miss, 1e-4)


@torch.inference_mode()
def test_bf16_in_the_shape_of_bert_base(base, device, parity):
    """At most twice the error of transformers' model in bf16."""
    batch = ragged_batch([60, 3, 17, 128, 33, 1, 60], pairs=True)
    exact = at_tokens("", base[0](**batch)[0], batch)
    theirs = copy.deepcopy(base[0]).to(device, HALVES["bf16"])
    fast = optimized(base[1], device, "bf16")
    own = at_tokens("", theirs(**moved(batch, device))[0].float().cpu(), batch)
    mine = at_tokens("", fast(**placed(fast, batch))[0].float().cpu(), batch)
    own, mine = relative(own - exact, exact), relative(mine - exact, exact)
    name = "optimized in bf16, shape of BERT-base: our error"
    parity.at_most(f"{name} over transformers'", mine / own, 2.0)
    parity.at_most(f"{name}, relative", mine, 0.1)


@torch.inference_mode()
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification"])
def test_a_forward_does_not_wait(kind, precision, device, no_sync):
    """From a batch on the CPU up to the logits, which are asked for later."""
    model = ours_from(hf_model(kind, **HEADS_OF_16))
    fast = optimized(model, device, precision)
    for batch in [*BATCHES.values()] * (graphs.EARNED + 1):  # kernels are tried, graphs recorded
        fast(**placed(fast, batch))
    outputs = {}
    with no_sync():
        for name, batch in BATCHES.items():
            outputs[name] = fast(**placed(fast, batch))[0]
    limit = 1e-4 if precision == "fp32" else 0.1
    for name, output in outputs.items():
        wanted = model(**BATCHES[name])[0]
        assert relative(output.float().cpu() - wanted, wanted) <= limit, name


def test_the_guard_sees_who_waits(device, no_sync):
    if device.type != "cuda":
        pytest.skip("only CUDA counts who waits for it")
    number = torch.ones((), device=device)
    with pytest.raises(RuntimeError, match="synchronizing"), no_sync():
        number.item()
    with pytest.raises(RuntimeError, match="synchronizing"), no_sync():
        torch.ones(3).to(device)
    assert torch.cuda.get_sync_debug_mode() == 0
    number.item()


@torch.inference_mode()
@pytest.mark.parametrize("twin", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_computes_the_same(twin, device):
    model = optimized(ours_from(hf_model(**HEADS_OF_16)), device, "bf16")
    batch = placed(model, BATCHES["ragged"])
    made = twin(model)
    assert made.device == device
    assert torch.equal(made(**batch).last_hidden_state, model(**batch).last_hidden_state)


@torch.inference_mode()
def test_a_batch_on_the_device_is_fetched(device, parity):
    model = optimized(ours_from(hf_model(**HEADS_OF_16)), device, "fp32")
    batch = BATCHES["ragged"]
    wanted = model(**placed(model, batch)).last_hidden_state
    got = model(**moved(batch, device)).last_hidden_state
    parity.at_most("optimized, a batch on the device", (got - wanted).abs().max(), 1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForTokenClassification"])
def test_labels_of_tokens_stay_with_the_batch(kind, device, parity):
    model = ours_from(hf_model(kind, **HEADS_OF_16, **HEADS[kind]))
    fast = optimized(model, device, "fp32")
    for name in ("full", "ragged", "holes"):
        batch = BATCHES[name] | labels_for(model, BATCHES[name])
        miss = fast(**placed(fast, batch)).loss.cpu() - model(**batch).loss
        parity.at_most(f"optimized in fp32, {kind}: loss of a batch on the CPU", miss.abs(), 1e-4)

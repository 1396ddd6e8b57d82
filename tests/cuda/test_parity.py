"""On a GPU the plain model computes what transformers computes on the CPU, in fp32."""

import copy

import pytest
import torch

from minibert.checkpoint.names import to_hf
from tests.conftest import BATCHES, hf_model, ours_from
from tests.cuda.conftest import HALVES, everywhere, moved, relative
from tests.parity.test_end_to_end import HEADS, LOSSES, fields


@pytest.fixture(scope="module", params=HEADS)
def both(request):
    """(the reference, our model with its weights) for each class, on the CPU."""
    reference = hf_model(request.param, **HEADS[request.param])
    return reference, ours_from(reference)


@pytest.fixture(scope="module")
def pair(both, device):
    """(the reference on the CPU, ours on the device)."""
    return both[0], copy.deepcopy(both[1]).to(device)


def at_tokens(name, value, batch):
    """The numbers of an output that mean something: none at padding, nor of an empty row."""
    real = batch["attention_mask"].bool()
    if name == "hidden_states":
        return value[:, real]
    return value[real] if value.shape[:2] == real.shape else value[real[:, 0]]


@everywhere
@torch.inference_mode()
def test_every_output_in_fp32(pair, batch, device, parity):
    reference, ours = pair
    wanted = fields(reference(**batch, output_hidden_states=True))
    got = fields(ours(**moved(batch, device), output_hidden_states=True))
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        assert value.device == device and value.isfinite().all(), name
        miss = at_tokens(name, value.cpu() - wanted[name], batch).abs().max()
        parity.at_most(f"fp32, {type(ours).__name__}: {name}", miss, 1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("attention", ["fused", "readable"])
def test_both_attentions_in_fp32(attention, batch, device, parity):
    reference = hf_model()
    ours = ours_from(reference, attention=attention).to(device)
    wanted, got = reference(**batch)[0], ours(**moved(batch, device))[0].cpu()
    parity.at_most(
        f"fp32, {attention} attention",
        at_tokens("last_hidden_state", got - wanted, batch).abs().max(),
        1e-4,
    )


@torch.inference_mode()
def test_fp32_in_the_shape_of_bert_base(base, device, parity):
    batch = BATCHES["maximum length"]
    reference, ours = base[0], copy.deepcopy(base[1]).to(device)
    got = ours(**moved(batch, device)).last_hidden_state.cpu()
    miss = at_tokens("last_hidden_state", got - reference(**batch)[0], batch).abs().max()
    parity.at_most("fp32, shape of BERT-base, 512 tokens: last_hidden_state", miss, 1e-4)


def errors(compute, exact):
    """By name of the output: its difference to the exact one as a share of it, over all batches.

    compute: from a batch on the CPU to an output. exact: by name of the batch, the exact outputs.
    Together, for a ratio of the errors of three numbers would be chance.
    """
    misses, sizes = {}, {}
    for name, outputs in exact.items():
        for field, value in fields(compute(BATCHES[name])).items():
            wanted = at_tokens(field, outputs[field], BATCHES[name])
            miss = at_tokens(field, value.float().cpu(), BATCHES[name]) - wanted
            misses[field] = misses.get(field, 0.0) + miss.square().sum().item()
            sizes[field] = sizes.get(field, 0.0) + wanted.square().sum().item()
    return {field: (misses[field] / sizes[field]) ** 0.5 for field in misses}


def errors_of_both(both, exact, half, autocast, device):
    """transformers' and ours, in half precision on the device."""
    found = []
    for model in both:
        there = copy.deepcopy(model).to(device)
        there = there if autocast else there.to(HALVES[half])

        def compute(batch, model=there):
            with torch.autocast(device.type, HALVES[half], enabled=autocast):
                return model(**moved(batch, device))

        found.append(errors(compute, exact))
    return found


@torch.inference_mode()
@pytest.mark.parametrize("autocast", [False, True], ids=["model", "autocast"])
@pytest.mark.parametrize("half", HALVES)
def test_every_head_in_half_precision(both, half, autocast, device, parity):
    exact = {name: fields(both[0](**batch)) for name, batch in BATCHES.items()}
    own, mine = errors_of_both(both, exact, half, autocast, device)
    assert own.keys() == mine.keys()
    how = "autocast to" if autocast else "model in"
    for name, error in own.items():
        assert error > 1e-5, "the reference ran in half precision"
        parity.at_most(
            f"{how} {half}, {type(both[1]).__name__}: {name}, our error over transformers'",
            mine[name] / error,
            2.0,
        )


@torch.inference_mode()
@pytest.mark.parametrize("half", HALVES)
def test_half_precision_in_the_shape_of_bert_base(base, half, device, parity):
    exact = {"maximum length": fields(base[0](**BATCHES["maximum length"]))}
    own, mine = errors_of_both(base, exact, half, False, device)
    name = f"model in {half}, shape of BERT-base, 512 tokens"
    field = "last_hidden_state"
    parity.at_most(f"{name}: our error over transformers'", mine[field] / own[field], 2.0)
    parity.at_most(f"{name}: our error, relative", mine[field], 0.1)


def gradients(model, batch, labels, device, half=None):
    """Loss and gradients of a copy on the device, by transformers' names."""
    model = copy.deepcopy(model).to(device)
    with torch.autocast(device.type, HALVES.get(half), enabled=half is not None):
        loss = model(**moved(batch, device), **moved(labels, device)).loss
    loss.backward()
    found = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
    return loss.item(), found


@everywhere
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradients_in_fp32(name, device, parity):
    kind, changes, batch, labels = LOSSES[name]
    problem = {"multi-label": "multi_label_classification"}.get(name)
    if name.startswith("regression"):
        problem = "regression"
    reference = hf_model(kind, problem_type=problem, **changes)
    wanted_loss, wanted = gradients(reference, batch, labels, torch.device("cpu"))
    got_loss, got = gradients(ours_from(reference), batch, labels, device)
    got = to_hf(got)
    parity.at_most(f"fp32, loss: {name}", abs(got_loss - wanted_loss), 1e-4)
    assert got.keys() == wanted.keys()
    # Some true gradients are zero, so that the tolerance is in part relative to all together.
    everything = torch.cat([g.flatten() for g in wanted.values()]).norm()
    shares = [
        (got[k] - g).norm() / (1e-4 * g.norm() + 1e-6 * everything) for k, g in wanted.items()
    ]
    parity.at_most(f"fp32, gradients over their tolerance of 1e-4: {name}", max(shares), 1.0)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", ["single label", "masked LM", "token classification"])
def test_gradients_in_half_precision(name, half, device, parity):
    kind, changes, batch, labels = LOSSES[name]
    reference = hf_model(kind, **changes)
    ours = ours_from(reference)
    _, exact = gradients(reference, batch, labels, torch.device("cpu"))
    errors = []
    for model, names in ((reference, dict), (ours, to_hf)):
        found = names(gradients(model, batch, labels, device, half)[1])
        whole = torch.cat([exact[name].flatten() for name in exact])
        miss = torch.cat([found[name].flatten() for name in exact]) - whole
        errors.append(relative(miss, whole))
    own, mine = errors
    parity.at_most(
        f"autocast to {half}, gradients of {name}: our error over transformers'", mine / own, 2.0
    )

"""Training on a GPU: it learns, by the losses that a CPU sees, and goes on where it was stopped."""

import copy

import pytest
import torch

import minibert
from minibert.checkpoint.names import to_hf
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, PreTraining
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import train_vocabulary
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from minibert.training.speed import fast_training
from tests.conftest import TEXTS, TINY, hf_model, ours_from
from tests.corpus.conftest import text_of, tiny_model
from tests.cuda.conftest import HEADS_OF_16, everywhere, moved, relative
from tests.cuda.test_parity import gradients
from tests.parity.test_end_to_end import LOSSES
from tests.training.conftest import STILL, fit

CPU = torch.device("cpu")
RATES = dict.fromkeys(STILL, 0.3)


def new_model(device, **changes):
    """The same numbers on every device."""
    torch.manual_seed(0)
    config = minibert.BertConfig(**{**TINY, **HEADS_OF_16, **changes})
    return minibert.BertForClassification(config).to(device)


def weights(model):
    """All of them in one vector on the CPU, but for the keys' biases. Softmax is blind to these, so
    that their gradients are nothing but rounding, and Adam makes steps of full length of it."""
    parts = []
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu().clone()
        if name.endswith("query_key_value.bias"):
            tensor.view(3, -1)[1] = 0
        parts.append(tensor.flatten())
    return torch.cat(parts)


def apart(ours, reference, before):
    """How far two trained models are from each other, as a share of the way one has gone."""
    way = weights(reference) - weights(before)
    return ((weights(ours) - weights(reference)).norm() / way.norm()).item()


def largest(some, others):
    """The largest difference of two lists of losses."""
    return max(abs(a - b) for a, b in zip(some, others, strict=True))


@everywhere
def test_first_losses_in_fp32_are_those_of_the_cpu(tokenizer, device, parity):
    before, reference, ours = (new_model(where, **STILL) for where in (CPU, CPU, device))
    wanted = fit(reference, tokenizer, epochs=3, lr=1e-3)
    got = fit(ours, tokenizer, epochs=3, lr=1e-3)
    assert len(got.losses) == 9 and largest(wanted.losses[1:], wanted.losses[:-1]) > 0.1
    parity.at_most("fp32, losses of 9 steps", largest(got.losses, wanted.losses), 1e-3)
    parity.at_most("fp32, weights after 9 steps", apart(ours, reference, before), 1e-3)


def test_first_losses_in_bf16_are_near_those_of_fp32(tokenizer, device, parity):
    model = new_model(device, **STILL)
    wanted = fit(new_model(CPU, **STILL), tokenizer, epochs=1)
    got = fit(model, tokenizer, epochs=1, precision="bf16")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert got.losses != wanted.losses, "it did multiply in bfloat16"
    parity.at_most("bf16 autocast, losses of 3 steps", largest(got.losses, wanted.losses), 0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_with_dropout_learns(tokenizer, device, precision, parity):
    model = new_model(device, initializer_range=0.02)  # the usual start, from which it learns
    losses = fit(model, tokenizer, epochs=20, lr=3e-3, precision=precision).losses
    share = sum(losses[-3:]) / sum(losses[:3])
    parity.at_most(f"{precision}, last losses over the first", share, 0.5)
    assert not model.training


def test_parts_of_a_batch_make_the_step_of_the_whole(tokenizer, device, parity):
    before, whole, parts = (new_model(device, **STILL) for _ in range(3))
    wanted = fit(whole, tokenizer, lr=1e-3)
    got = fit(parts, tokenizer, lr=1e-3, accumulate=2)
    parity.at_most("accumulate, losses", largest(got.losses, wanted.losses), 1e-4)
    parity.at_most("accumulate, weights", apart(parts, whole, before), 1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_computed_twice_change_nothing(tokenizer, device, precision, parity):
    """Not even with dropout: the second pass draws what the first one drew."""
    before, kept, twice = (new_model(device, **RATES) for _ in range(3))
    wanted = fit(kept, tokenizer, lr=1e-3, precision=precision)
    got = fit(twice, tokenizer, lr=1e-3, precision=precision, checkpoint=True)
    loose = 1 if precision == "fp32" else 50  # kernels add in changing order, and round to bf16
    miss = largest(got.losses, wanted.losses)
    parity.at_most(f"{precision}, checkpoint, losses", miss, 1e-3 * loose)
    parity.at_most(f"{precision}, checkpoint, weights", apart(twice, kept, before), 1e-3 * loose)


class Interrupted(Exception):
    """Ends a run in the middle of it."""


class Cut(Classification):
    """A task that can end the run at a step."""

    end = -1

    def batch(self, step):
        if step == self.end:
            raise Interrupted
        return super().batch(step)


def resumed_and_whole(tokenizer, device, folder):
    """How far a run that was interrupted ends from one that was not: of losses, of weights."""
    rows = tokenizer.encode_batch(TEXTS)
    examples = Examples(rows, [i % 2 for i in range(len(rows))])

    def run(model, end, **options):
        task = Cut(examples, tokenizer, 8)
        task.end = end
        return train(model, task, Recipe(epochs=3, lr=1e-3), **options)

    before, whole, cut, resumed = (new_model(device) for _ in range(4))
    wanted = run(whole, -1)
    with pytest.raises(Interrupted):
        run(cut, 5, folder=folder, save_every=2)
    got = run(resumed, -1, folder=folder, save_every=2, resume=True)
    assert len(got.losses) == 9
    return largest(got.losses, wanted.losses), apart(resumed, whole, before)


@everywhere
def test_a_run_that_goes_on_ends_where_it_would_have_ended(tokenizer, device, tmp_path, parity):
    """With dropout, which follows from the number of the step."""
    losses, way = resumed_and_whole(tokenizer, device, tmp_path / "run")
    parity.at_most("resumed run, losses", losses, 1e-3)
    parity.at_most("resumed run, weights", way, 1e-3)


def test_a_run_that_forgot_its_optimizer_would_be_seen(
    tokenizer, device, monkeypatch, tmp_path, parity
):
    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", lambda *_: None)
    losses, way = resumed_and_whole(tokenizer, device, tmp_path / "run")
    parity.more_than("resumed run without its optimizer, losses", losses, 1e-2)
    parity.more_than("resumed run without its optimizer, weights", way, 1e-1)


@pytest.fixture(scope="module")
def drinks(tmp_path_factory):
    """Rows of a small text to pre-train on."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "drinks.txt").write_text(text_of(30), encoding="utf-8")
    texts = [TextFile.at(folder / "drinks.txt")]
    tokenizer = WordPieceTokenizer(train_vocabulary(texts, 100))
    corpus = Corpus.build(texts, tokenizer, folder / "corpus")
    return Rows(corpus, make_spans(corpus, 24)[0], tokenizer, 24)


def test_pre_training_sees_the_losses_of_the_cpu(drinks, device, parity):
    losses, evaluations = [], []
    for where in (CPU, device):
        model = tiny_model(drinks.tokenizer).to(where)
        recipe = Recipe(epochs=1, lr=1e-3)
        losses.append(train(model, PreTraining(drinks, 6, 8), recipe).losses)
        evaluations.append(HeldOut(drinks).evaluate(model, 6).loss)
    parity.at_most("pre-training, losses of 6 steps", largest(*losses), 1e-3)
    parity.at_most("pre-training, held-out loss", abs(evaluations[0] - evaluations[1]), 1e-3)


def test_a_model_goes_to_the_device_and_back(device):
    model = new_model(CPU).eval()
    there = copy.deepcopy(model).to(device)
    assert next(there.parameters()).device == device
    back = there.to("cpu")
    for name, tensor in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name


# --- gradients as training computes them ----------------------------------------------------------


def trained_gradients(model, batch, labels, device, precision):
    """Loss and gradients of a copy, by what makes training fast on the device; no dropout."""
    model = copy.deepcopy(model).to(device).train()
    with (
        fast_training(model, precision),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        loss = model(**moved(batch, device), **moved(labels, device)).loss
        loss.backward()
        found = {n: p.grad.cpu() for n, p in model.named_parameters() if p.grad is not None}
    return loss.item(), found


@pytest.fixture(params=["single label", "masked LM and next sentence", "token classification"])
def learning(request):
    """A model that drops nothing, the same of transformers', a batch and its labels."""
    kind, changes, batch, labels = LOSSES[request.param]
    reference = hf_model(kind, **HEADS_OF_16, **STILL, **changes)
    return reference, ours_from(reference), batch, labels


def test_gradients_in_fp32_are_those_of_the_cpu(learning, device, parity):
    _, ours, batch, labels = learning
    wanted_loss, wanted = gradients(ours, batch, labels, CPU)
    got_loss, got = trained_gradients(ours, batch, labels, device, "fp32")
    parity.at_most("training in fp32, loss", abs(got_loss - wanted_loss), 1e-4)
    assert got.keys() == wanted.keys()
    everything = torch.cat([g.flatten() for g in wanted.values()]).norm()
    shares = [
        (got[k] - g).norm() / (1e-4 * g.norm() + 1e-6 * everything) for k, g in wanted.items()
    ]
    parity.at_most("training in fp32, gradients over their tolerance of 1e-4", max(shares), 1.0)


def test_gradients_in_bf16_are_within_their_rounding(learning, device, parity):
    """At most twice the error that transformers' model has in the same autocast."""
    reference, ours, batch, labels = learning
    exact = to_hf(gradients(ours, batch, labels, CPU)[1])
    theirs = gradients(reference, batch, labels, device, "bf16")[1]
    mine = to_hf(trained_gradients(ours, batch, labels, device, "bf16")[1])
    whole = torch.cat([exact[name].flatten() for name in exact])
    errors = [
        relative(torch.cat([found[name].flatten() for name in exact]) - whole, whole)
        for found in (theirs, mine)
    ]
    check = "training in bf16, gradients: our error over transformers'"
    parity.at_most(check, errors[1] / errors[0], 2.0)

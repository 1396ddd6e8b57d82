"""Optimized models compute what the originals do."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from minibert import BertModel, TextClassifier, optimize
from minibert.embeddings import Embeddings
from minibert.engine.bodies import Body
from minibert.engine.optimize import SettledEmbeddings
from minibert.linear import Linear
from minibert.tokenizer import WordPieceTokenizer
from minibert.training import speed
from tests.conftest import BATCHES, TEXTS, hf_model, ours_from
from tests.engine.conftest import SHUFFLED
from tests.parity.test_end_to_end import HEADS, fields

# What the CPU of the day has no kernel for is said by a warning, and tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")


@pytest.fixture(scope="module", params=HEADS)
def trio(request):
    """(the reference, our model with its weights, the same optimized) for each class."""
    reference = hf_model(request.param, **HEADS[request.param])
    ours = ours_from(reference)
    return reference, ours, optimize(ours)


def labels_for(model, batch):
    """Something to compute every loss of a model from."""
    real, rows = batch["attention_mask"].bool(), len(batch["input_ids"])
    tokens = batch["input_ids"].masked_fill(~real, -100)
    starts = torch.where(real.any(dim=1), 0, -100)
    return {
        "BertModel": {},
        "BertForClassification": {"labels": torch.arange(rows) % 3},
        "BertForTokenClassification": {"labels": torch.where(real, tokens % 2, -100)},
        "BertForQuestionAnswering": {"start_positions": starts, "end_positions": starts},
        "BertForMaskedLM": {"labels": tokens},
        "BertForPreTraining": {"labels": tokens, "next_sentence_label": torch.arange(rows) % 2},
    }[type(model).__name__]


def assert_equal(ours, optimized, batch, **options):
    options |= labels_for(ours, batch)
    wanted, got = fields(ours(**batch, **options)), fields(optimized(**batch, **options))
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        assert value.shape == wanted[name].shape and value.dtype == wanted[name].dtype, name
        assert (value - wanted[name]).abs().max() <= 1e-5, name


@torch.inference_mode()
def test_every_output_and_loss_is_that_of_the_original(trio, batch):
    assert_equal(*trio[1:], batch)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["ragged", "holes", "an all-padding row"])
def test_hidden_states_and_attentions_are_those_of_the_original(trio, name):
    everything = {"output_hidden_states": True, "output_attentions": True}
    assert_equal(*trio[1:], BATCHES[name], **everything)


@torch.inference_mode()
def test_every_output_is_that_of_transformers(trio, batch):
    reference, _, optimized = trio
    wanted, got = fields(reference(**batch)), fields(optimized(**batch))
    assert got.keys() == wanted.keys()
    real = batch["attention_mask"].bool()
    for name, value in got.items():
        # What theirs holds at padding, or for a row of nothing else, means nothing.
        at = real if value.shape[:2] == real.shape else real[:, 0]
        assert (value - wanted[name])[at].abs().max() <= 1e-5, name


def test_only_linear_and_the_embeddings_are_of_another_class(trio):
    _, ours, optimized = trio
    originals, replaced = dict(ours.named_modules()), dict(optimized.named_modules())
    assert originals.keys() == replaced.keys()
    bodies = set()
    for name, module in originals.items():
        if type(module) is Linear:
            bodies.add(type(replaced[name]))
        elif type(module) is Embeddings:
            assert type(replaced[name]) is SettledEmbeddings
        else:
            assert type(replaced[name]) is type(module), name
    assert len(bodies) == 1 and all(issubclass(body, Body) for body in bodies)


def test_the_original_stays_as_it_was_and_can_be_trained():
    model = ours_from(hf_model("BertForMaskedLM")).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimized = optimize(model)
    batch = BATCHES["ragged"]
    with torch.inference_mode():
        optimized(**batch)
    assert model.training and not optimized.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    model(**batch, **labels_for(model, batch)).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_original_and_optimized_share_no_weights():
    model = ours_from(hf_model())
    optimized, batch = optimize(model), BATCHES["ragged"]
    with torch.inference_mode():
        before = optimized(**batch).last_hidden_state
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(optimized(**batch).last_hidden_state, before)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
def test_masked_lm_still_shares_its_matrix_with_the_embeddings(kind):
    optimized = optimize(ours_from(hf_model(kind)))
    optimized.bert.embeddings.token.weight.zero_()
    logits = optimized(**BATCHES["full"])[0]
    assert torch.equal(logits, optimized.masked_lm.bias.expand_as(logits))


def test_optimizing_twice_is_refused():
    with pytest.raises(ValueError, match="optimized already"):
        optimize(optimize(ours_from(hf_model())))


def test_optimizing_what_is_no_model_is_refused(classifier, encoder):
    for thing in (classifier, encoder):
        with pytest.raises(ValueError, match=f"not a {type(thing).__name__}.*precision="):
            optimize(thing)


# --- lower precision ------------------------------------------------------------------------------


# Relative to the hidden states of fp32. bf16 keeps 8 significant bits, an error of 2^-9 in each
# number, which layers add up to 0.013. int8 on CPUs without VNNI has 7 bits for the weights, an
# error of 1 % in each product, which six layers add up to 0.10. The bounds leave twice that over.
LOWER = {"bf16": 0.03, "int8": 0.25}


@pytest.fixture(scope="module")
def real(minilm):
    """The packaged checkpoint and a batch of texts of different lengths."""
    tokenizer = WordPieceTokenizer.from_pretrained(minilm)
    return BertModel.from_pretrained(minilm), tokenizer(SHUFFLED[:8])


@torch.inference_mode()
@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("which", ["random", "real"])
def test_lower_precision_is_near_fp32(precision, which, real):
    model, batch = (ours_from(hf_model()), BATCHES["holes"]) if which == "random" else real
    wanted = model(**batch).last_hidden_state
    got = optimize(model, precision)(**batch).last_hidden_state.float()
    assert got.isfinite().all()
    assert (got - wanted).norm() / wanted.norm() <= LOWER[precision]


@torch.inference_mode()
@pytest.mark.parametrize("which", ["random", "real"])
def test_int8_gives_a_text_the_same_bits_alone_padded_and_in_company(which, real):
    model, batch = (ours_from(hf_model()), BATCHES["ragged"]) if which == "random" else real
    optimized = optimize(model, "int8")
    together = optimized(**batch).last_hidden_state
    for i, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        padded = {name: value[i : i + 1] for name, value in batch.items()}
        alone = {name: value[:, :length] for name, value in padded.items()}
        twice = {name: value.expand(2, -1) for name, value in alone.items()}
        for company in (padded, alone, twice):
            got = optimized(**company).last_hidden_state
            assert torch.equal(got[-1, :length], together[i, :length])


@pytest.mark.parametrize("precision", LOWER)
def test_predictions_in_lower_precision_save_fp32(folder, tmp_path, precision):
    classifier = TextClassifier.load(folder, precision=precision)
    near = TextClassifier.load(folder).predict_proba(TEXTS)
    assert np.abs(classifier.predict_proba(TEXTS) - near).max() <= LOWER[precision]
    assert {p.dtype for p in classifier.model_.parameters()} == {torch.float32}
    classifier.save(tmp_path / "m")
    saved = load_file(tmp_path / "m" / "model.safetensors")
    original = load_file(folder / "model.safetensors")
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[name], original[name]) for name in saved)


def test_a_weight_that_two_modules_share_stays_the_originals():
    """A decoder tied to the embeddings: what is packed for one must not be taken from the other."""

    class Tied(BertModel):
        def __init__(self, config):
            super().__init__(config)
            self.decoder = Linear(config.hidden_size, config.vocab_size)
            self.decoder.weight = self.embeddings.token.weight

    model = Tied(ours_from(hf_model()).config).eval()
    table = model.embeddings.token.weight
    optimized = optimize(model)
    assert table.requires_grad and model.decoder.weight is table
    assert optimized.embeddings.token.weight is not table
    batch = BATCHES["ragged"]
    with torch.inference_mode():
        wanted = optimized(**batch).last_hidden_state
        table.zero_()
        assert torch.equal(optimized(**batch).last_hidden_state, wanted)


def test_a_model_that_is_just_being_trained_is_not_optimized(monkeypatch):
    monkeypatch.setattr(speed, "matmul_class", lambda *_: speed.ConvolutionLinear)
    model = ours_from(hf_model())
    with speed.fast_training(model):
        with pytest.raises(ValueError, match="no plain Linear.*leave fast_training"):
            optimize(model)
    optimize(model)

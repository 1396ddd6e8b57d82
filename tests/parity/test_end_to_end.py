"""Whole models against transformers: every head, batch and attention; losses and gradients."""

from typing import get_args

import pytest
import torch

import minibert
from minibert.checkpoint.names import to_hf
from minibert.config import Activation
from tests.conftest import BATCHES, OURS, at_real, hf_model, ours_from, ragged_batch

HEADS = {name: {} for name in OURS} | {"BertForSequenceClassification": {"num_labels": 3}}


@pytest.fixture(scope="module", params=HEADS)
def both(request):
    """(the reference, our model with its weights) for each class."""
    reference = hf_model(request.param, **HEADS[request.param])
    return reference, ours_from(reference)


def fields(output):
    """The tensors of an output by name, tuples of tensors stacked."""
    items = output.items() if hasattr(output, "items") else output._asdict().items()
    return {
        name: torch.stack(value) if isinstance(value, tuple) else value
        for name, value in items
        if value is not None
    }


@torch.inference_mode()
def test_every_output(both, batch, parity):
    reference, ours = both
    wanted = fields(reference(**batch, output_hidden_states=True))
    got = fields(ours(**batch, output_hidden_states=True))
    assert got.keys() == wanted.keys()
    real, starts = batch["attention_mask"].bool(), batch["attention_mask"][:, 0].bool()
    for name, value in got.items():
        assert value.isfinite().all(), name
        miss = value - wanted[name]
        if name == "hidden_states":
            miss = miss[:, real]
        elif value.shape[:2] == real.shape:
            miss = miss[real]
        else:
            miss = miss[starts]  # a row whose [CLS] is masked pools zeros; theirs means nothing
        parity.at_most(f"{type(ours).__name__}: {name}", miss.abs().max())


@torch.inference_mode()
@pytest.mark.parametrize("attention", ["fused", "readable"])
@pytest.mark.parametrize("theirs", ["sdpa", "eager"])
def test_attention_implementations(theirs, attention, batch, parity):
    reference = hf_model(attn_implementation=theirs)
    got = ours_from(reference, attention=attention)(**batch).last_hidden_state
    miss = at_real(got - reference(**batch).last_hidden_state, batch)
    parity.at_most(f"{attention} attention to transformers' {theirs}", miss)


@torch.inference_mode()
def test_attention_weights(batch, parity):
    reference = hf_model(attn_implementation="eager")
    wanted = reference(**batch, output_attentions=True).attentions
    got = ours_from(reference)(**batch, output_attentions=True).attentions
    assert len(got) == len(wanted)
    real = batch["attention_mask"].bool()
    queries = real[:, None, :, None]  # (B, 1, T, 1)
    for ours_layer, theirs in zip(got, wanted, strict=True):
        parity.at_most("attention weights", ((ours_layer - theirs) * queries).abs().max())
        assert not ours_layer.masked_select(~queries).any()
        sums = ours_layer.sum(dim=-1).masked_select(real[:, None])
        torch.testing.assert_close(sums, torch.ones_like(sums))


@torch.inference_mode()
@pytest.mark.parametrize("activation", get_args(Activation))
def test_each_activation(activation, parity):
    reference = hf_model("BertForMaskedLM", hidden_act=activation)
    batch = BATCHES["ragged"]
    miss = at_real(ours_from(reference)(**batch).logits - reference(**batch).logits, batch)
    parity.at_most(f"hidden_act {activation}", miss)


@torch.inference_mode()
def test_zeros_at_padding(both):
    _, ours = both
    batch = BATCHES["ragged"]
    for name, value in fields(ours(**batch)).items():
        if value.shape[:2] == batch["input_ids"].shape:
            padding = value[batch["attention_mask"] == 0]
            lowest = torch.finfo(value.dtype).min
            expected = lowest if name in ("start_logits", "end_logits") else 0
            assert (padding == expected).all(), name


# --- only what is wanted -------------------------------------------------------------------------


@torch.inference_mode()
def test_classifier_reads_cls_only(batch, parity):
    """With hidden states asked for, the last layer runs for every token; without, for [CLS]."""
    ours = ours_from(hf_model("BertForSequenceClassification"))
    whole = ours(**batch, output_hidden_states=True).logits
    parity.at_most("last layer narrowed to [CLS]", (ours(**batch).logits - whole).abs().max())


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
def test_masked_lm_predicts_what_it_is_asked_to(kind, batch, parity):
    """The same rows of the full result, in their order, whatever else is asked for."""
    ours = ours_from(hf_model(kind))
    generator = torch.Generator().manual_seed(3)
    chance = torch.rand(batch["input_ids"].shape, generator=generator)
    predict = (chance < 0.4) & batch["attention_mask"].bool()
    predict[0, 0] = True
    labels = batch["input_ids"].masked_fill(~predict, -100)
    whole = ours(**batch, labels=labels)
    for options in ({}, {"output_hidden_states": True}, {"output_attentions": True}):
        narrow = ours(**batch, labels=labels, predict=predict, **options)
        miss = (narrow[0] - whole[0][predict]).abs().max()
        parity.at_most("masked LM narrowed to some tokens", miss)
        parity.at_most("masked LM narrowed: loss", (narrow.loss - whole.loss).abs())
    if kind == "BertForPreTraining":
        miss = narrow.seq_relationship_logits - whole.seq_relationship_logits
        parity.at_most("masked LM narrowed: next sentence", miss.abs().max())


# --- losses and gradients ------------------------------------------------------------------------

RAGGED = BATCHES["ragged"]  # six rows of at most 17 tokens
ROWS, REAL = len(RAGGED["input_ids"]), RAGGED["attention_mask"].bool()
TOKENS = RAGGED["input_ids"].masked_fill(~REAL, -100)
TOKENS[:, 1::3] = -100  # no label at every third token, besides the padding
FULL = ragged_batch([9] * 6, pairs=True)
FOLLOWS = torch.tensor([0, 1, 1, 0, 0, 1])

LOSSES = {
    "single label": (
        "BertForSequenceClassification",
        {"num_labels": 3},
        RAGGED,
        {"labels": torch.tensor([0, 1, 2, 0, 1, 2])},
    ),
    "multi-label": (
        "BertForSequenceClassification",
        {"num_labels": 3},
        RAGGED,
        {"labels": (torch.arange(18).view(6, 3) % 4 == 0).float()},
    ),
    "regression, one number": (
        "BertForSequenceClassification",
        {"num_labels": 1},
        RAGGED,
        {"labels": torch.linspace(-1, 2, 6)},
    ),
    "regression, three numbers": (
        "BertForSequenceClassification",
        {"num_labels": 3},
        RAGGED,
        {"labels": torch.linspace(-1, 2, 18).view(6, 3)},
    ),
    "token classification": (
        "BertForTokenClassification",
        {"num_labels": 5},
        RAGGED,
        {"labels": torch.where(TOKENS == -100, -100, TOKENS % 5)},
    ),
    "masked LM": ("BertForMaskedLM", {}, RAGGED, {"labels": TOKENS}),
    "masked LM and next sentence": (
        "BertForPreTraining",
        {},
        RAGGED,
        {"labels": TOKENS, "next_sentence_label": FOLLOWS},
    ),
    "question answering, nothing padded": (
        "BertForQuestionAnswering",
        {},
        FULL,
        {"start_positions": torch.arange(6), "end_positions": torch.arange(6) + 2},
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_every_gradient(name, parity):
    kind, changes, batch, labels = LOSSES[name]
    problem = {"multi-label": "multi_label_classification"}.get(name)
    if name.startswith("regression"):
        problem = "regression"
    reference = hf_model(kind, problem_type=problem, **changes)
    ours = ours_from(reference)
    wanted, got = reference(**batch, **labels), ours(**batch, **labels)
    wanted.loss.backward()
    got.loss.backward()
    parity.at_most(f"loss: {name}", (got.loss - wanted.loss).abs())
    theirs = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    mine = to_hf({name: p.grad for name, p in ours.named_parameters() if p.grad is not None})
    assert mine.keys() == theirs.keys()
    # Some true gradients are zero (a key's bias moves all scores of a query alike), so the
    # tolerance is in part relative to all of them together.
    everything = torch.cat([g.flatten() for g in theirs.values()]).norm()
    shares = [
        (mine[k] - g).norm() / (1e-5 * g.norm() + 1e-7 * everything) for k, g in theirs.items()
    ]
    parity.at_most(f"gradients over their tolerance: {name}", max(shares), 1.0)


@pytest.mark.parametrize("labels", ["labels", "next_sentence_label"])
def test_each_half_of_the_pre_training_loss_alone(labels):
    kind, _, batch, both = LOSSES["masked LM and next sentence"]
    ours = ours_from(hf_model(kind))
    rest = {name: value for name, value in both.items() if name != labels}
    alone = ours(**batch, **{labels: both[labels]}).loss + ours(**batch, **rest).loss
    torch.testing.assert_close(alone, ours(**batch, **both).loss)


@torch.inference_mode()
def test_answers_lie_where_they_lie_alone_or_padded(parity):
    """transformers' loss moves with the padding; ours does not, and is theirs without padding."""
    reference = hf_model("BertForQuestionAnswering")
    ours, batch = ours_from(reference), BATCHES["pairs"]
    rows, losses = len(batch["input_ids"]), []
    spans = {"start_positions": torch.tensor([2, 1, 9]), "end_positions": torch.tensor([4, 1, 12])}
    for i in range(rows):
        length = int(batch["attention_mask"][i].sum())
        alone = {name: value[i : i + 1, :length] for name, value in batch.items()}
        span = {name: value[i : i + 1] for name, value in spans.items()}
        losses.append(ours(**alone, **span).loss)
        parity.at_most("loss of a row alone", (losses[-1] - reference(**alone, **span).loss).abs())
    together = ours(**batch, **spans).loss
    parity.at_most("loss of padded rows", (together - torch.stack(losses).mean()).abs())
    moved = (reference(**batch, **spans).loss - torch.stack(losses).mean()).abs()
    assert moved > 1e-2, "transformers changed its loss; the docstring is out of date"


def test_rows_to_ignore_do_not_count():
    kind, _, batch, spans = LOSSES["question answering, nothing padded"]
    ours = ours_from(hf_model(kind))
    ignored = torch.tensor([1, 4])
    some = {name: value.index_fill(0, ignored, -100) for name, value in spans.items()}
    kept = {name: value[[0, 2, 3, 5]] for name, value in (batch | spans).items()}
    torch.testing.assert_close(ours(**batch, **some).loss, ours(**kept).loss)


def test_multi_label_on_request_and_regression_by_one_label(tmp_path):
    hf_model().save_pretrained(tmp_path / "bare")
    load = minibert.BertForClassification.from_pretrained
    many = load(tmp_path / "bare", 3, problem_type="multi_label_classification")
    assert many.config.problem == "multi_label_classification"
    many.save_pretrained(tmp_path / "many")
    assert load(tmp_path / "many").config.problem == "multi_label_classification"
    assert load(tmp_path / "bare", 1).config.problem == "regression"
    assert load(tmp_path / "bare", 2).config.problem == "single_label_classification"

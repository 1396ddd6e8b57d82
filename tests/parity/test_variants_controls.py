"""Negative controls: mistakes with a family, made on purpose, must be seen by the parity tests.

Each control shows first that our model agrees with transformers', and then that with one mistake it
differs by ten times the tolerance.
"""

import copy

import pytest
import torch
import torch.nn.functional as F

import minibert.model
from minibert.encoder import gelu, gelu_tanh
from tests.conftest import ours_from
from tests.families import batches, new_reference, only_real, ours, reference
from tests.parity.test_end_to_end import fields
from tests.parity.test_variants import inputs

ENCODER, ROWS, TOKENS = "BertModel", "BertForSequenceClassification", "BertForTokenClassification"
SPANS, MASKED = "BertForQuestionAnswering", "BertForMaskedLM"


def differences(mine, theirs, family, name):
    batch = batches(family)[name]
    got, wanted = fields(mine(**batch)), fields(theirs(**inputs(batch, family)))
    return max(
        only_real(key, value - wanted[key], batch).abs().max().item() for key, value in got.items()
    )


# --- what is computed ----------------------------------------------------------------------------


def count_by_the_mask(model, patch):
    """RoBERTa's positions over the tokens that the mask shows."""
    encode = model.encode

    def with_mask(input_ids, token_type_ids, packing, **options):
        def counted(ids, padding):
            return packing.mask.cumsum(dim=1) * packing.mask + padding

        patch.setattr(minibert.model, "positions_past_padding", counted)
        return encode(input_ids, token_type_ids, packing, **options)

    patch.setattr(model, "encode", with_mask)


def column_past_padding(model, patch):
    """Right wherever padding stands on the right and nowhere else."""

    def columns(ids, padding):
        return torch.arange(ids.shape[1]).expand_as(ids) + padding + 1

    patch.setattr(minibert.model, "positions_past_padding", columns)


def column(model, patch):
    patch.setattr(
        minibert.model,
        "positions_past_padding",
        lambda ids, padding: torch.arange(ids.shape[1]).expand_as(ids),
    )


def padding_is_counted_by_2(model, patch):
    """The published padding id in place of the config's."""
    right = minibert.model.positions_past_padding
    patch.setattr(minibert.model, "positions_past_padding", lambda ids, padding: right(ids, 1))


def head_with(activation):
    def spoil(model, patch):
        model.bert.pooler.activation = activation

    return spoil


def masked_lm_with(activation):
    def spoil(model, patch):
        model.masked_lm.activation = activation

    return spoil


def ignore_the_second_group(model, patch):
    first, _ = model.encoder.layers
    model.encoder.layers = torch.nn.ModuleList([first, first])


def groups_in_turn(model, patch):
    """Layers 0 1 0 1 in place of 0 0 1 1."""
    first, second = model.encoder.layers
    model.encoder.layers = torch.nn.ModuleList([first, second] * 2)
    model.encoder.repeats = 1


def run_a_shared_layer_once(model, patch):
    model.encoder.repeats = 1


def forget_the_segments(model, patch):
    model.embeddings.segment.weight.data.zero_()


CONTROLS = {
    "positions counted by the mask": ("roberta", ENCODER, count_by_the_mask, "holes"),
    "column + 2 with left padding": ("roberta", ENCODER, column_past_padding, "left padding"),
    "column + 2, a padding id inside": (
        "roberta",
        ENCODER,
        column_past_padding,
        "padding id in the text",
    ),
    "BERT's positions for RoBERTa": ("roberta", ENCODER, column, "full"),
    "padding 1 where it is 3": ("roberta, padding 3", ENCODER, padding_is_counted_by_2, "full"),
    "padding 1 where it is 0": ("roberta, padding 0", ENCODER, padding_is_counted_by_2, "full"),
    "tanh for ReLU in DistilBERT's head": ("distilbert", ROWS, head_with(torch.tanh), "full"),
    "tanh for GELU in ELECTRA's head": ("electra", ROWS, head_with(torch.tanh), "full"),
    "tanh's GELU for erf's in ELECTRA's head": ("electra", ROWS, head_with(gelu_tanh), "full"),
    "ReLU for tanh in RoBERTa's head": ("roberta", ROWS, head_with(F.relu), "full"),
    "GELU for tanh in ALBERT's pooler": ("albert", ROWS, head_with(gelu), "full"),
    "hidden_act in RoBERTa's masked LM": (
        "roberta, 2 segments, gelu_new",
        MASKED,
        masked_lm_with(gelu_tanh),
        "full",
    ),
    "hidden_act in ELECTRA's masked LM": (
        "electra, E < C, gelu_new",
        MASKED,
        masked_lm_with(gelu_tanh),
        "full",
    ),
    "GELU in ALBERT's masked LM": ("albert", MASKED, masked_lm_with(gelu), "full"),
    "GELU in DistilBERT's masked LM": (
        "distilbert, ReLU, sines",
        MASKED,
        masked_lm_with(gelu),
        "full",
    ),
    "ALBERT's second group ignored": (
        "albert, 2 groups, gelu",
        ENCODER,
        ignore_the_second_group,
        "full",
    ),
    "ALBERT's groups in turn": ("albert, 2 groups, gelu", ENCODER, groups_in_turn, "full"),
    "a shared layer run once": ("albert", ENCODER, run_a_shared_layer_once, "full"),
    "ALBERT without segments": ("albert", ENCODER, forget_the_segments, "pairs"),
    "RoBERTa without its second segment": (
        "roberta, 2 segments, gelu_new",
        ENCODER,
        forget_the_segments,
        "pairs",
    ),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", CONTROLS)
def test_mistake_is_seen(name, parity, monkeypatch):
    family, head, spoil, batch = CONTROLS[name]
    theirs, mine = reference(family, head), copy.deepcopy(ours(family, head))
    assert differences(mine, theirs, family, batch) <= 1e-5, "right without the mistake"
    spoil(mine, monkeypatch)
    parity.more_than(name, differences(mine, theirs, family, batch))


# --- dropout -------------------------------------------------------------------------------------


def rate(our_name, p):
    def spoil(model):
        found = [m for n, m in model.named_modules() if n.endswith(our_name)]
        assert found
        for module in found:
            module.p = p

    return spoil


DROPOUT = {
    "DistilBERT with dropout after attention": (
        "distilbert",
        ENCODER,
        rate("layers.0.attention_dropout", 0.1),
    ),
    "ALBERT with dropout after the feed-forward": (
        "albert",
        ENCODER,
        rate("feed_forward_dropout", 0.1),
    ),
    "RoBERTa's head without its first dropout": ("roberta", ROWS, rate("pooler.dropout", 0.0)),
    "ELECTRA's head without its first dropout": ("electra", ROWS, rate("pooler.dropout", 0.0)),
    "DistilBERT's head with dropout in front": ("distilbert", ROWS, rate("pooler.dropout", 0.3)),
    "ALBERT's head with dropout in front": ("albert", ROWS, rate("pooler.dropout", 0.3)),
    "DistilBERT's tokens with the rate of rows": (
        "distilbert",
        TOKENS,
        lambda model: setattr(model.dropout, "p", 0.3),
    ),
    "RoBERTa's tokens with the rate of the layers": (
        "roberta",
        TOKENS,
        lambda model: setattr(model.dropout, "p", 0.1),
    ),
    "DistilBERT's spans without dropout": (
        "distilbert",
        SPANS,
        lambda model: setattr(model.dropout, "p", 0.0),
    ),
    "RoBERTa's spans with dropout": (
        "roberta",
        SPANS,
        lambda model: setattr(model.dropout, "p", 0.15),
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("name", DROPOUT)
def test_dropout_at_the_wrong_place_is_seen(name, parity, visible_dropout):
    family, head, spoil = DROPOUT[name]
    theirs = new_reference(family, head, attn_implementation="eager")
    mine = ours_from(theirs, attention="readable").train()
    theirs.train()
    assert differences(mine, theirs, family, "full") <= 1e-5, "right without the mistake"
    spoil(mine)
    parity.more_than(name, differences(mine, theirs, family, "full"))

"""Every family of models against transformers: outputs, losses, gradients, dropout."""

import copy

import pytest
import torch

import minibert
from minibert.checkpoint.names import to_hf
from tests.conftest import ours_from, ragged_batch
from tests.families import (
    BATCH_NAMES,
    DISTINCT,
    FAMILIES,
    HEADS,
    adapted,
    batches,
    change,
    model_type,
    new_reference,
    only_real,
    ours,
    reference,
)
from tests.parity.test_end_to_end import fields
from tests.parity.test_half_precision import HALVES, errors


def compare(family, head, names, parity, what):
    """Every output of a model on these batches."""
    mine, theirs = ours(family, head), reference(family, head)
    for name in names:
        batch = batches(family)[name]
        got = fields(mine(**batch, output_hidden_states=True))
        wanted = fields(theirs(**inputs(batch, family), output_hidden_states=True))
        assert got.keys() == wanted.keys()
        for key, value in got.items():
            assert value.isfinite().all(), (name, key)
            miss = only_real(key, value - wanted[key], batch)
            parity.at_most(f"{what}: {key}", miss.abs().max() if miss.numel() else 0.0)


def inputs(batch, family):
    """What transformers takes: its DistilBERT knows no segments."""
    unknown = {"token_type_ids"} if family.startswith("distilbert") else set()
    return {name: value for name, value in batch.items() if name not in unknown}


@torch.inference_mode()
@pytest.mark.parametrize("name", BATCH_NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_and_pooler(family, name, parity):
    compare(family, "BertModel", [name], parity, model_type(family))


@torch.inference_mode()
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_heads(family, head, parity):
    names = ["pairs", "holes", "an all-padding row", "left padding"]
    compare(family, head, names, parity, f"{model_type(family)}, {head.removeprefix('BertFor')}")


@torch.inference_mode()
@pytest.mark.parametrize("name", ["holes", "left padding"])
@pytest.mark.parametrize("family", DISTINCT)
def test_attention_weights_of_every_layer(family, name, parity):
    batch = batches(family)[name]
    theirs = reference(family, attn_implementation="eager")
    wanted = theirs(**inputs(batch, family), output_attentions=True).attentions
    got = ours(family)(**batch, output_attentions=True).attentions
    assert len(got) == len(wanted) == theirs.config.num_hidden_layers
    queries = batch["attention_mask"].bool()[:, None, :, None]
    for mine, others in zip(got, wanted, strict=True):
        parity.at_most(
            f"{model_type(family)}: attention weights", ((mine - others) * queries).abs().max()
        )


# --- losses and gradients ------------------------------------------------------------------------


def labelled(family, head):
    """A batch with labels. RoBERTa's position of padding, which the text has here, never learns."""
    batch = batches(family)["padding id in the text"]
    ids, real = batch["input_ids"], batch["attention_mask"].bool()
    rows = torch.arange(len(ids))
    if head == "BertForSequenceClassification":
        return batch, {"labels": rows % 2}
    if head == "BertForQuestionAnswering":  # nothing padded: see BertForQuestionAnswering.forward
        config = ours(family).config
        full = change(adapted(ragged_batch([9] * 4), config), 3, input_ids=config.pad_token_id)
        return full, {"start_positions": rows, "end_positions": rows + 2}
    labels = (ids % 2 if head == "BertForTokenClassification" else ids).masked_fill(~real, -100)
    labels[:, 1::3] = -100
    return batch, {"labels": labels}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", DISTINCT)
def test_loss_and_every_gradient(family, head, parity):
    """In fp64: where attention is nearly one token's, fp32 has four digits of a gradient right."""
    what = model_type(family)
    theirs = new_reference(family, head).double()
    mine = copy.deepcopy(ours(family, head)).double()
    batch, labels = labelled(family, head)
    wanted, got = theirs(**inputs(batch, family), **labels).loss, mine(**batch, **labels).loss
    parity.at_most(f"{what}: loss in fp64", (got - wanted).abs(), 1e-12)
    wanted.backward()
    got.backward()
    expected = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    gradients = {name: p.grad for name, p in mine.named_parameters() if p.grad is not None}
    found = to_hf(gradients, mine._names(mine.config))
    assert found.keys() == expected.keys()
    everything = torch.cat([g.flatten() for g in expected.values()]).norm()
    shares = [  # some true gradients are zero
        (found[name] - g).norm() / (1e-10 * g.norm() + 1e-14 * everything)
        for name, g in expected.items()
    ]
    parity.at_most(f"{what}: gradients over their tolerance in fp64", max(shares), 1.0)


# --- dropout -------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("head", ["BertModel", *HEADS])
@pytest.mark.parametrize("family", DISTINCT)
def test_dropout_stands_where_transformers_has_it(family, head, parity, visible_dropout):
    theirs = new_reference(family, head, attn_implementation="eager")
    mine = ours_from(theirs, attention="readable").train()
    batch = batches(family)["pairs"]
    got, wanted = fields(mine(**batch)), fields(theirs.train()(**inputs(batch, family)))
    assert got.keys() == wanted.keys()
    for key, value in got.items():
        miss = only_real(key, value - wanted[key], batch).abs().max()
        parity.at_most(f"{model_type(family)}: dropout", miss)
        still = fields(mine.eval()(**batch))[key]
        assert only_real(key, value - still, batch).abs().max() > 1e-3, "there was dropout"
        mine.train()


# --- the longest row -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_row_is_512_whatever_the_table(family):
    model = ours(family)
    assert model.config.max_length == 512
    ids = torch.full((1, 513), 9)
    message = "513 tokens long.*positions for 512; tokenize with max_length=512 or less"
    with pytest.raises(ValueError, match=message):
        model(ids)


# --- half precision ------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("autocast", [False, True], ids=["whole model", "autocast"])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("family", DISTINCT)
def test_half_precision_is_as_near_as_transformers(family, dtype, autocast, parity):
    batch = inputs(batches(family)["holes"], family)
    mine, own = errors(ours(family), reference(family), batch, HALVES[dtype], autocast)
    assert own > 1e-4, "the reference ran in half precision"
    how = "autocast" if autocast else "model in"
    parity.at_most(
        f"{model_type(family)}, {how} {dtype}: our error over transformers'", mine / own, 2.0
    )


@torch.inference_mode()
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", DISTINCT)
def test_every_head_runs_in_half_precision(family, head):
    output = copy.deepcopy(ours(family, head)).bfloat16()(**batches(family)["holes"])
    assert output[0].dtype == torch.bfloat16 and output[0].isfinite().all()


def test_a_config_is_read_and_written_as_transformers_does():
    """Every field of every family, there and back."""
    for family in FAMILIES:
        config = reference(family).config
        mine = minibert.BertConfig.from_dict(config.to_dict())
        again = type(config).from_dict(mine.to_dict())
        changed = {
            key: (value, again.to_dict().get(key))
            for key, value in config.to_dict().items()
            if again.to_dict().get(key) != value
        }
        assert not changed
        assert minibert.BertConfig.from_dict(again.to_dict()) == mine

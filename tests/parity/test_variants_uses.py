"""What minibert does with a model, with every family: packing, optimize, training, copies."""

import copy

import pytest
import torch

from minibert import optimize
from minibert.training.speed import fast_training
from tests.engine.test_optimize import LOWER, assert_equal
from tests.families import DISTINCT, HEADS, NAMED, batches, model_type, only_real, ours
from tests.parity.test_end_to_end import fields
from tests.training.conftest import STILL
from tests.training.test_speed import gradients

pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")
ROWS = "BertForSequenceClassification"
ALL = ["BertModel", *HEADS]


@torch.inference_mode()
@pytest.mark.parametrize("family", DISTINCT)
def test_a_text_alone_padded_and_in_company_is_the_same(family, parity):
    for head, name in ((ROWS, "ragged"), ("BertModel", "padding id in the text")):
        model, batch = ours(family, head), batches(family)[name]
        together = model(**batch)[0]
        for i, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
            alone = {key: value[i : i + 1, :length] for key, value in batch.items()}
            got, wanted = model(**alone)[0][0], together[i]
            wanted = wanted[:length] if head == "BertModel" else wanted
            parity.at_most(f"{model_type(family)}: alone or padded", (got - wanted).abs().max())


@torch.inference_mode()
@pytest.mark.parametrize("family", DISTINCT)
def test_left_padding_moves_columns_and_nothing_else_for_counted_positions(family):
    """Padded on the left or not: the same for RoBERTa alone, which knows padding by its id."""
    model, batch = ours(family), batches(family)["left padding"]
    together = model(**batch).last_hidden_state
    misses = []
    for i, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        alone = {key: value[i : i + 1, -length:] for key, value in batch.items()}
        miss = model(**alone).last_hidden_state[0] - together[i, -length:]
        misses.append(miss.abs().max().item())
    counts = model.config.positions_skip_padding
    assert max(misses) <= 1e-5 if counts else max(misses) > 1e-2


@torch.inference_mode()
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", DISTINCT)
def test_only_what_is_wanted_is_computed_and_is_the_same(family, head, parity):
    """The last layer runs for the tokens that the head reads; with hidden states, for all."""
    model, batch = ours(family, head), batches(family)["holes"]
    whole = model(**batch, output_hidden_states=True)[0]
    options = {}
    if head == "BertForMaskedLM":
        options["predict"] = batch["attention_mask"].bool() & (batch["input_ids"] % 3 == 0)
        whole = whole[options["predict"]]
    miss = (model(**batch, **options)[0] - whole).abs().max()
    parity.at_most(f"{model_type(family)}: last layer narrowed", miss)


# --- optimize ------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("head", ALL)
@pytest.mark.parametrize("family", DISTINCT)
def test_optimized_in_fp32_every_output_is_that_of_the_original(family, head):
    model = ours(family, head, **({"num_labels": 3} if head == ROWS else {}))
    optimized = optimize(model)
    for name in ("holes", "an all-padding row"):
        assert_equal(model, optimized, batches(family)[name])


@torch.inference_mode()
@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("family", DISTINCT)
def test_optimized_in_lower_precision_is_near_the_original(family, precision):
    model, batch = ours(family), batches(family)["holes"]
    optimized = optimize(model, precision)
    wanted = model(**batch).last_hidden_state
    got = optimized(**batch).last_hidden_state.float()
    assert got.isfinite().all()
    assert (got - wanted).norm() / wanted.norm() <= LOWER[precision]
    assert not torch.equal(got, wanted)


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", DISTINCT)
def test_without_dropout_a_fast_step_has_the_same_loss_and_gradients(family):
    batch, labels = batches(family)["padding id in the text"], torch.tensor([0, 1, 1, 0])
    plain = copy.deepcopy(ours(family, ROWS, **STILL, classifier_dropout=0.0)).train()
    fast = copy.deepcopy(plain)
    loss = plain(**batch, labels=labels).loss
    loss.backward()
    with fast_training(fast, recompute=True):
        other = fast(**batch, labels=labels).loss
        other.backward()
        assert abs(other - loss) <= 1e-6
        wanted, got = gradients(plain), gradients(fast)
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize(("head", "precision"), list(zip(HEADS, ["bf16", "fp32"] * 2, strict=True)))
@pytest.mark.parametrize("family", NAMED)
def test_a_fast_step_with_dropout_trains_every_weight(family, head, precision):
    """Two steps, recomputed, through every class that is put in place."""
    model = copy.deepcopy(ours(family, head)).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    batch = batches(family)["pairs"]
    with fast_training(model, precision, recompute=True):
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = model(**batch, **labels_for(head, batch)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            assert loss.isfinite()
    still = [n for n, p in model.named_parameters() if torch.equal(p.detach(), before[n])]
    assert still == []


def labels_for(head, batch):
    ids, rows = batch["input_ids"], torch.arange(len(batch["input_ids"]))
    if head == "BertForQuestionAnswering":
        return {"start_positions": rows, "end_positions": rows + 1}
    if head == ROWS:
        return {"labels": rows % 2}
    labels = ids % 2 if head == "BertForTokenClassification" else ids
    return {"labels": labels.masked_fill(batch["attention_mask"] == 0, -100)}


# --- copies --------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("family", DISTINCT)
def test_a_deep_copy_computes_the_same_from_memory_of_its_own(family):
    for head in (ROWS, "BertForMaskedLM"):
        model = ours(family, head)
        copied = copy.deepcopy(model)
        batch = batches(family)["pairs"]
        wanted = fields(model(**batch))
        assert all(torch.equal(v, wanted[k]) for k, v in fields(copied(**batch)).items())
        places = [{p.data_ptr() for p in each.parameters()} for each in (model, copied)]
        assert places[0].isdisjoint(places[1]) and len(places[0]) == len(places[1])
        assert only_real("", wanted["logits"], batch).abs().max() > 0

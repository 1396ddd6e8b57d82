"""A batch that is checked and packed on the host gives what the model alone gives."""

import copy
import pickle

import pytest
import torch

import minibert
from minibert.engine import host as host_module
from minibert.engine.exchange import exchange
from minibert.engine.host import HostPackedModel, SentPacking, placed, send
from minibert.engine.optimize import SettledEmbeddings
from minibert.engine.optimize import classes_for as classes_for_inference
from minibert.model import BertModel
from minibert.packing import Packing
from minibert.training.speed import classes_for as classes_for_training
from tests.conftest import (
    BATCHES,
    FAMILIES,
    OURS,
    TINY,
    hf_model,
    ours_from,
    ragged_batch,
    small_model,
    small_variant,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def host_packed(model):
    exchange(model.bert if hasattr(model, "bert") else model, HostPackedModel)
    return model


@torch.inference_mode()
@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("name", BATCHES)
def test_every_head_gives_the_same(kind, name):
    model = ours_from(hf_model(kind))
    before = model(**BATCHES[name], output_hidden_states=True)
    after = host_packed(model)(**BATCHES[name], output_hidden_states=True)
    for field, wanted in before._asdict().items():
        found = getattr(after, field)
        if isinstance(wanted, tuple):
            assert all(map(torch.equal, found, wanted)), field
        elif wanted is not None:
            assert torch.equal(found, wanted), field


@torch.inference_mode()
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_the_same(family):
    """RoBERTa's positions are counted on the host, holes and padding included."""
    model = small_variant(family)
    batch = {**BATCHES["holes"], "token_type_ids": None}
    batch["input_ids"][1, 3] = 0  # the padding id, where the mask shows it
    wanted = model(**batch).logits
    assert torch.equal(host_packed(model)(**batch).logits, wanted)


def test_training_gives_the_same_with_groups_of_several_lengths():
    model = small_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    batch = BATCHES["ragged"] | {"labels": torch.tensor([0, 1, 0, 1, 0, 1])}
    wanted = model(**batch).loss
    assert torch.equal(host_packed(model)(**batch).loss, wanted)


def test_tokens_to_predict_are_found_on_the_host():
    model = ours_from(hf_model("BertForMaskedLM"))
    batch = dict(BATCHES["ragged"])
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    batch |= {"labels": labels, "predict": labels != -100}
    wanted = model(**batch)
    found = host_packed(model)(**batch)
    assert torch.equal(found.logits, wanted.logits) and torch.equal(found.loss, wanted.loss)


def test_a_batch_the_model_cannot_take_is_refused_as_before():
    model = host_packed(small_model())
    with pytest.raises(ValueError, match="input_ids contains 99999; values run from 0 to 30521"):
        model(torch.tensor([[99999]]))
    with pytest.raises(ValueError, match="input_ids is of type list; it must be a tensor"):
        model([[1, 2]])
    with pytest.raises(ValueError, match="attention_mask has shape"):
        model(torch.tensor([[1]]), attention_mask=torch.tensor([1]))
    with pytest.raises(ValueError, match="is on the meta device and has no values"):
        model(torch.zeros(1, 1, dtype=torch.long, device="meta"))


def test_an_error_of_the_device_is_not_taken_for_a_batch_in_the_wrong_place(monkeypatch):
    """A GPU that is out of memory says so by a RuntimeError, as does a tensor in a wrong place."""
    model = host_packed(small_model())
    monkeypatch.setattr(type(model), "device", torch.device("cuda", 0))
    monkeypatch.setattr(HostPackedModel, "device", CPU)

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.bert.encoder.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        model(**BATCHES["full"])


def test_types_may_be_left_out_and_of_another_integer_type():
    model = host_packed(small_model())
    batch = BATCHES["pairs"]
    wanted = model(**batch).logits
    narrow = batch | {"token_type_ids": batch["token_type_ids"].int()}
    assert torch.equal(model(**narrow).logits, wanted)
    del narrow["token_type_ids"]
    zeros = batch | {"token_type_ids": torch.zeros_like(batch["token_type_ids"])}
    assert torch.equal(model(**narrow).logits, model(**zeros).logits)


@torch.inference_mode()
def test_every_tensor_the_layers_read_is_on_the_models_device():
    """The meta device stands for a GPU: what is left on the CPU cannot meet what is there."""
    model = BertModel(minibert.BertConfig(**TINY)).eval().to("meta")
    exchange(model, HostPackedModel)
    batch = BATCHES["holes"]
    packing = model.make_packing(
        batch["input_ids"], batch["token_type_ids"], batch["attention_mask"]
    )
    assert isinstance(packing, SentPacking) and packing.mask.is_cpu
    x = model.encode(batch["input_ids"], batch["token_type_ids"], packing)
    assert x.is_meta and x.shape == (batch["attention_mask"].sum(), TINY["hidden_size"])
    first = model.encode(batch["input_ids"], None, packing, packing.first)
    assert model.pool(first, packing).is_meta
    assert packing.unpack(x).shape == (*batch["input_ids"].shape, TINY["hidden_size"])
    assert packing.indices(batch["attention_mask"].bool()).is_meta
    assert packing.pack(batch["input_ids"]).is_meta and packing.starts.is_meta
    mixed = SentPacking(
        minibert.packing.Packing(batch["attention_mask"].bool(), mixed=True),
        packing.mask,
        torch.device("meta"),
    )
    masked = [group for group in mixed.groups if group.mask is not None]
    assert masked and all(group.mask.is_meta and group.slots.is_meta for group in masked)


def test_what_the_padding_of_all_groups_needs_is_sent_at_once(monkeypatch):
    mask = ragged_batch([60, 50, 40, 20, 15, 12, 5, 4])["attention_mask"].bool()
    host, sent = Packing(mask, mixed=True), []
    packing = SentPacking(host, host.mask, CPU)
    monkeypatch.setattr(host_module, "send", lambda x, device: sent.append(x) or [*x])
    padded = [group for group in packing.groups if group.mask is not None]
    assert len(padded) > 1 and len(sent) == 1 and len(sent[0]) == 2 * len(padded)
    for mine, wanted in zip(packing.groups, host.groups, strict=True):
        assert mine.mask is wanted.mask and mine.slots is wanted.slots


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("BertForSequenceClassification", {"labels": [0, 1, 0, 1]}),
        ("BertForTokenClassification", {"labels": None}),
        ("BertForMaskedLM", {"labels": None}),
        ("BertForPreTraining", {"labels": None, "next_sentence_label": [0, 1, 0, 1]}),
        ("BertForQuestionAnswering", {"start_positions": [1] * 4, "end_positions": [1] * 4}),
    ],
)
def test_labels_stand_beside_the_batch(kind, labels):
    """Checked on the CPU, and then sent; the meta device stands for a GPU."""
    batch = dict(BATCHES["ragged"])
    batch = {name: x[:4].clone() for name, x in batch.items()}
    batch["attention_mask"][:, :2] = 1
    ones = batch["attention_mask"].masked_fill(batch["attention_mask"] == 0, -100)
    given = {name: ones if x is None else torch.tensor(x) for name, x in labels.items()}
    model = host_packed(ours_from(hf_model(kind)))
    wanted = model(**batch, **given).loss
    assert wanted.isfinite()
    loss = host_packed(ours_from(hf_model(kind)).to("meta")).forward(**batch, **given).loss
    assert loss.is_meta and loss.shape == wanted.shape


def test_it_can_be_copied_and_pickled():
    model = host_packed(small_model()).eval()
    wanted = model(**BATCHES["ragged"]).logits
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(**BATCHES["ragged"]).logits, wanted)


# --- sending --------------------------------------------------------------------------------------


def test_what_is_sent_to_a_gpu_goes_in_one_transfer_for_each_dtype(monkeypatch):
    """With stand-ins: memory that says it is pinned, and a GPU that is the CPU."""
    pinned, transfers = [], []
    empty, to = torch.empty, torch.Tensor.to

    def fake_empty(*size, pin_memory=False, **named):
        made = empty(*size, **named)
        if pin_memory:
            pinned.append(made)
        return made

    def fake_to(tensor, device, *, non_blocking=False):
        assert device == CUDA and non_blocking and any(tensor is one for one in pinned)
        transfers.append(tensor)
        return to(tensor, "cpu", copy=True)

    monkeypatch.setattr(torch, "empty", fake_empty)
    monkeypatch.setattr(torch.Tensor, "to", fake_to)
    given = [
        torch.arange(6).view(2, 3),
        torch.tensor([7, 8, 9], dtype=torch.int32),
        torch.tensor([], dtype=torch.int64),
        torch.tensor([[True], [False]]),
        torch.arange(8).view(4, 2).T,  # not contiguous
    ]
    sent = send(given, CUDA)
    assert len(transfers) == len(pinned) == 3
    assert all(
        one.dtype == other.dtype and torch.equal(one, other)
        for one, other in zip(sent, given, strict=True)
    )


def test_nothing_is_copied_to_where_it_is():
    given = [torch.arange(3), torch.arange(2)]
    assert all(one is other for one, other in zip(send(given, CPU), given, strict=True))
    assert send([], CPU) == send([], CUDA) == []


def test_a_batch_goes_where_the_model_wants_it():
    batch = BATCHES["full"]
    assert placed(small_model(), batch)["input_ids"] is batch["input_ids"]
    elsewhere = small_model().to("meta")
    assert placed(elsewhere, batch)["input_ids"].is_meta
    assert placed(host_packed(elsewhere), batch)["input_ids"] is batch["input_ids"]


@pytest.mark.parametrize(
    ("device", "names", "for_inference"),
    [
        ("cpu", set(), set()),
        ("mps", {"HostPackedModel"}, set()),
        ("cuda", {"HostPackedModel", "PackedAttention"}, {"GraphedEncoder"}),
    ],
)
def test_devices_decide_what_a_model_becomes(device, names, for_inference):
    inference = classes_for_inference(torch.device(device))
    for_inference |= {SettledEmbeddings.__name__}
    assert {to.__name__ for to in inference.values()} == names | for_inference
    assert all(issubclass(to, own) for own, to in inference.items())
    training = classes_for_training(torch.device(device), "bf16", recompute=False)
    on_cpu = {"FewSizesLinear", "SharedBitsDropout", "FormulaWithDropout"}
    assert {to.__name__ for to in training.values()} == (on_cpu if device == "cpu" else names)

"""The encoder: what a stack of layers hands over, and what a hook on a layer sees."""

import copy

import pytest
import torch

import minibert
from minibert.packing import Packing, Record
from tests.conftest import BATCHES, TINY


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = minibert.BertConfig(**TINY, labels=("a", "b", "c"))
    return minibert.BertForClassification(config).eval()


@torch.inference_mode()
def test_shared_layers_compute_only_the_wanted_tokens_in_the_last_one(model):
    """As in ALBERT, where every layer is the same module: it is the last one by its number only."""
    encoder = minibert.BertModel(model.config).encoder.eval()
    encoder.layers = torch.nn.ModuleList([encoder.layers[0]] * 3)
    packing = Packing(BATCHES["ragged"]["attention_mask"].bool())
    x = torch.randn(len(packing.row), TINY["hidden_size"])
    every = encoder(x, packing)
    torch.testing.assert_close(encoder(x, packing, packing.first), every[packing.first])


@torch.inference_mode()
@pytest.mark.parametrize("kept", range(TINY["num_hidden_layers"]))
def test_layers_that_were_cut_off_are_left_out(model, kept):
    """And nothing is computed in their place: the result is what stood before the first of them."""
    whole, batch = model.bert, BATCHES["ragged"]
    states = whole(**batch, output_hidden_states=True).hidden_states
    short = copy.deepcopy(whole)
    short.encoder.layers = short.encoder.layers[:kept]
    torch.testing.assert_close(short(**batch).last_hidden_state, states[kept])


@torch.inference_mode()
@pytest.mark.parametrize("name", BATCHES)
def test_a_hook_on_a_layer_finds_its_way_back_to_the_batch(model, name):
    """What a forward hook sees is packed; the layer's second argument unpacks it."""
    seen = []

    def keep(module, arguments, output):
        x, packing = arguments[:2]
        assert output.shape == x.shape == (len(packing.row), TINY["hidden_size"])
        seen.append(packing.unpack(output))

    handle = model.bert.encoder.layers[0].register_forward_hook(keep)
    try:
        states = model.bert(**BATCHES[name], output_hidden_states=True).hidden_states
    finally:
        handle.remove()
    assert torch.equal(seen[0], states[1])


@torch.inference_mode()
@pytest.mark.parametrize("hidden_states", [False, True])
@pytest.mark.parametrize("attentions", [False, True])
def test_outputs_hold_what_was_asked_for_and_logits_stay(model, hidden_states, attentions):
    batch = BATCHES["ragged"]
    output = model(**batch, output_hidden_states=hidden_states, output_attentions=attentions)
    rows, length = batch["input_ids"].shape
    layers, heads = TINY["num_hidden_layers"], TINY["num_attention_heads"]
    states = [(rows, length, TINY["hidden_size"])] * (layers + 1)
    weights = [(rows, heads, length, length)] * layers
    found = output.hidden_states, output.attentions
    for asked, expected, got in zip(
        (hidden_states, attentions), (states, weights), found, strict=True
    ):
        assert (got is None) != asked
        assert not asked or [tuple(tensor.shape) for tensor in got] == expected
    torch.testing.assert_close(output.logits, model(**batch).logits)


def test_a_record_that_nobody_asked_for_keeps_nothing():
    packing = Packing(torch.ones(2, 3, dtype=torch.bool))
    record = Record(packing)
    record.add_hidden_state(torch.zeros(6, 4))
    record.add_attentions([torch.zeros(2, 1, 3, 3)])
    assert not record.is_kept and record.hidden_states is record.attentions is None


@torch.inference_mode()
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", BATCHES)
def test_weights_are_unpacked_to_the_columns_they_belong_to(name, mixed):
    """Weights that say from which column to which column, in every group of every batch."""
    mask = BATCHES[name]["attention_mask"].bool()
    packing = Packing(mask, mixed)
    code = 1 + packing.column  # 0 is padding
    weights = []
    for group in packing.groups:
        slots = group.pad(code[:, None])[..., 0]  # (G, S)
        weights.append((1000 * slots[:, :, None] + slots[:, None, :])[:, None].double())
    got = packing.unpack_weights(weights)
    columns = torch.arange(1, mask.shape[1] + 1)
    pairs = (1000 * columns[:, None] + columns).double()
    expected = pairs * (mask[:, :, None] & mask[:, None, :])
    assert torch.equal(got[:, 0], expected)

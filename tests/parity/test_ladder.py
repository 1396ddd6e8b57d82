"""The ladder: each part of BERT is fed the reference's own activations.

So the first part that is wrong is the one that is named, and an error below cannot hide one above.
"""

import pytest
import torch

from minibert.packing import Packing
from minibert.weights import to_hf
from tests.conftest import BATCHES, hf_model, ours_from

TOLERANCE = 1e-5

Batch = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def rungs(reference):
    """A function from a batch to the reference's activations at each rung, (B, T, C)."""

    def activations(batch: Batch):
        seen = {}

        def keep(name):
            def hook(module, args, kwargs, output):
                first = args[0] if args else kwargs["hidden_states"]
                seen[name] = (first, output[0] if isinstance(output, tuple) else output)

            return hook

        parts = {"embeddings": reference.embeddings, "stack": reference.encoder}
        parts |= {"pooler": reference.pooler}
        for i, layer in enumerate(reference.encoder.layer):
            parts |= {f"attention {i}": layer.attention, f"layer {i}": layer}
        handles = [
            module.register_forward_hook(keep(name), with_kwargs=True)
            for name, module in parts.items()
            if name != "embeddings"
        ]
        try:
            with torch.inference_mode():
                output = reference(**batch, output_hidden_states=True)
        finally:
            for handle in handles:
                handle.remove()
        seen["embeddings"] = (None, output.hidden_states[0])
        return seen, output

    return activations


def at_real(difference: torch.Tensor, batch: Batch) -> float:
    """The largest difference at positions that are not masked; the others mean nothing."""
    return (difference.abs() * batch["attention_mask"][..., None]).max().item()


@torch.inference_mode()
def test_embeddings(rungs, ours, batch):
    seen, _ = rungs(batch)
    x, packing = ours.embed(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"])
    assert at_real(packing.unpack(x) - seen["embeddings"][1], batch) <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("attention", ["fused", "readable"])
@pytest.mark.parametrize("number", range(3))
def test_attention(rungs, reference, batch, number, attention):
    layer = ours_from(reference, attention=attention).encoder.layers[number]
    seen, _ = rungs(batch)
    given, wanted = seen[f"attention {number}"]
    packing = Packing(batch["attention_mask"].bool())
    x, _ = layer.attention(packing.pack(given), packing)
    got = packing.unpack(layer.attention_norm(x))
    assert at_real(got - wanted, batch) <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("number", range(3))
def test_layer(rungs, ours, batch, number):
    seen, _ = rungs(batch)
    given, wanted = seen[f"layer {number}"]
    packing = Packing(batch["attention_mask"].bool())
    x, _ = ours.encoder.layers[number](packing.pack(given), packing)
    assert at_real(packing.unpack(x) - wanted, batch) <= TOLERANCE


@torch.inference_mode()
def test_stack(rungs, ours, batch):
    seen, output = rungs(batch)
    given = output.hidden_states[0]
    packing = Packing(batch["attention_mask"].bool())
    got = ours.encoder(packing.pack(given), packing)
    assert at_real(packing.unpack(got.last) - output.last_hidden_state, batch) <= TOLERANCE


@torch.inference_mode()
def test_pooler(rungs, ours, batch):
    seen, output = rungs(batch)
    got = ours.pooler(output.last_hidden_state[:, 0])
    assert (got - output.pooler_output).abs().max() <= TOLERANCE


@torch.inference_mode()
def test_end_to_end(reference, ours, batch):
    wanted = reference(**batch, output_hidden_states=True)
    got = ours(**batch, output_hidden_states=True)
    assert at_real(got.last_hidden_state - wanted.last_hidden_state, batch) <= TOLERANCE
    starts = batch["attention_mask"][:, 0].bool()
    assert (got.pooler_output - wanted.pooler_output)[starts].abs().max() <= TOLERANCE
    for ours_state, theirs in zip(got.hidden_states, wanted.hidden_states, strict=True):
        assert at_real(ours_state - theirs, batch) <= TOLERANCE
    assert all(value.isfinite().all() for value in (got.last_hidden_state, got.pooler_output))
    assert not got.last_hidden_state[batch["attention_mask"] == 0].any(), "zeros at padding"


@torch.inference_mode()
def test_attention_weights(batch):
    reference = hf_model(attn_implementation="eager")
    ours = ours_from(reference)
    wanted = reference(**batch, output_attentions=True).attentions
    got = ours(**batch, output_attentions=True).attentions
    assert len(got) == len(wanted)
    real = batch["attention_mask"].bool()
    queries = real[:, None, :, None]  # (B, 1, T, 1)
    for ours_layer, theirs in zip(got, wanted, strict=True):
        assert ((ours_layer - theirs) * queries).abs().max() <= TOLERANCE
        assert not ours_layer.masked_select(~queries).any()
        sums = ours_layer.sum(dim=-1).masked_select(real[:, None])
        torch.testing.assert_close(sums, torch.ones_like(sums))


@torch.inference_mode()
def test_classifier(batch):
    reference = hf_model("BertForSequenceClassification", num_labels=3)
    ours = ours_from(reference)
    labels = torch.arange(len(batch["input_ids"])) % 3
    wanted = reference(**batch).logits
    got = ours(**batch, labels=labels)
    starts = batch["attention_mask"][:, 0].bool()
    assert (got.logits - wanted)[starts].abs().max() <= TOLERANCE
    assert got.logits.isfinite().all()
    whole = ours(**batch, labels=labels, output_hidden_states=True)
    assert (got.logits - whole.logits).abs().max() <= TOLERANCE, "narrowed last layer"


def test_classifier_loss_and_gradients():
    reference = hf_model("BertForSequenceClassification", num_labels=3)
    ours = ours_from(reference)
    batch, labels = BATCHES["ragged"], torch.tensor([0, 1, 2, 0, 1, 2])
    wanted, got = reference(**batch, labels=labels), ours(**batch, labels=labels)
    assert abs(got.loss.item() - wanted.loss.item()) <= 1e-5
    wanted.loss.backward()
    got.loss.backward()
    theirs = {name: p.grad for name, p in reference.named_parameters()}
    mine = to_hf({name: p.grad for name, p in ours.named_parameters()})
    assert mine.keys() == theirs.keys()
    # Some true gradients are zero (a key's bias moves all scores of a query alike), so tolerance is
    # in part relative to all of them together.
    everything = torch.cat([g.flatten() for g in theirs.values()]).norm()
    for name, gradient in theirs.items():
        miss = (mine[name] - gradient).norm()
        assert miss <= 1e-5 * gradient.norm() + 1e-7 * everything, name

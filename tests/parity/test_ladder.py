"""The ladder: each part of BERT is fed the reference's own activations.

So the first part that is wrong is the one that is named, and an error below cannot hide one above.
"""

import pytest
import torch

from minibert.packing import Packing
from tests.conftest import at_real, hf_model, ours_from

Batch = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def rungs(reference):
    """A function from a batch to what the reference's parts were given and gave, (B, T, C)."""

    def activations(batch: Batch):
        seen = {}

        def keep(name):
            def hook(module, args, kwargs, output):
                first = args[0] if args else kwargs["hidden_states"]
                seen[name] = (first, output[0] if isinstance(output, tuple) else output)

            return hook

        parts = {"stack": reference.encoder, "pooler": reference.pooler}
        for i, layer in enumerate(reference.encoder.layer):
            parts |= {f"attention {i}": layer.attention, f"layer {i}": layer}
        handles = [
            module.register_forward_hook(keep(name), with_kwargs=True)
            for name, module in parts.items()
        ]
        try:
            output = reference(**batch, output_hidden_states=True)
        finally:
            for handle in handles:
                handle.remove()
        return seen, output

    return activations


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def test_embeddings(rungs, ours, batch, parity):
    _, output = rungs(batch)
    packing = ours.make_packing(**batch)
    tokens, segments = (packing.pack(batch[k]) for k in ("input_ids", "token_type_ids"))
    x = ours.embeddings(tokens, packing.column, segments)
    parity.at_most("embeddings", at_real(packing.unpack(x) - output.hidden_states[0], batch))


@pytest.mark.parametrize("mixed", [False, True], ids=["exact groups", "mixed groups"])
@pytest.mark.parametrize("attention", ["fused", "readable"])
@pytest.mark.parametrize("number", range(3))
def test_attention(rungs, reference, batch, number, attention, mixed, parity):
    layer = ours_from(reference, attention=attention).encoder.layers[number]
    seen, _ = rungs(batch)
    given, wanted = seen[f"attention {number}"]
    packing = Packing(batch["attention_mask"].bool(), mixed)
    x = packing.pack(given)
    got = packing.unpack(layer.attention_norm(x + layer.attention(x, packing)))
    parity.at_most(f"attention, {attention}", at_real(got - wanted, batch))


@pytest.mark.parametrize("number", range(3))
def test_feed_forward(rungs, ours, batch, number, parity):
    """From the reference's attention to the end of the layer."""
    seen, _ = rungs(batch)
    layer = ours.encoder.layers[number]
    packing = Packing(batch["attention_mask"].bool())
    x = packing.pack(seen[f"attention {number}"][1])
    got = packing.unpack(layer.feed_forward_norm(x + layer.feed_forward(x)))
    parity.at_most("feed-forward", at_real(got - seen[f"layer {number}"][1], batch))


@pytest.mark.parametrize("number", range(3))
def test_layer(rungs, ours, batch, number, parity):
    seen, _ = rungs(batch)
    given, wanted = seen[f"layer {number}"]
    packing = Packing(batch["attention_mask"].bool())
    x = ours.encoder.layers[number](packing.pack(given), packing)
    parity.at_most("layer", at_real(packing.unpack(x) - wanted, batch))


def test_stack(rungs, ours, batch, parity):
    _, output = rungs(batch)
    packing = Packing(batch["attention_mask"].bool())
    got = ours.encoder(packing.pack(output.hidden_states[0]), packing)
    wanted = output.last_hidden_state
    parity.at_most("stack of layers", at_real(packing.unpack(got) - wanted, batch))


def test_pooler(rungs, ours, batch, parity):
    _, output = rungs(batch)
    got = ours.pooler(output.last_hidden_state[:, 0])
    parity.at_most("pooler", (got - output.pooler_output).abs().max())


def random_vectors(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_masked_lm_transform_and_decoder(parity):
    reference = hf_model("BertForMaskedLM")
    ours, x = ours_from(reference), random_vectors(50, 48)
    head, theirs = ours.masked_lm, reference.cls.predictions
    transformed = theirs.transform(x)
    got = head.norm(head.activation(head.dense(x)))
    parity.at_most("masked LM: transform", (got - transformed).abs().max())
    logits = head(x, ours.bert.embeddings.token.weight)
    parity.at_most("masked LM: scores", (logits - theirs(x)).abs().max())


def test_next_sentence(parity):
    reference, x = hf_model("BertForPreTraining"), random_vectors(50, 48)
    got = ours_from(reference).next_sentence(x)
    parity.at_most("next sentence", (got - reference.cls.seq_relationship(x)).abs().max())


@pytest.mark.parametrize("kind", ["Sequence", "Token"])
def test_classifier(kind, parity):
    reference = hf_model(f"BertFor{kind}Classification", num_labels=5)
    x = random_vectors(50, 48)
    got = ours_from(reference).classifier(x)
    parity.at_most("classifiers' last layer", (got - reference.classifier(x)).abs().max())


def test_span(parity):
    reference, x = hf_model("BertForQuestionAnswering"), random_vectors(50, 48)
    got = ours_from(reference).span(x)
    parity.at_most("question answering's last layer", (got - reference.qa_outputs(x)).abs().max())

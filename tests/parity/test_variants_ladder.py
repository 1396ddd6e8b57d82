"""The ladder of every family: each part is fed transformers' own activations."""

import pytest
import torch

from minibert.checkpoint.names import Names
from minibert.packing import Packing
from tests.conftest import at_real
from tests.families import DISTINCT, HEADS, batches, model_type, ours, reference
from tests.parity.test_variants import inputs


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(params=["pairs", "holes", "left padding"])
def name(request):
    return request.param


def rungs(family, batch):
    """What transformers' parts gave, (B, T, C): the embeddings, and of each layer in the order
    they ran what attention and what the feed-forward gave, each after its LayerNorm."""
    model, names = reference(family), Names(ours(family).config.variant)
    seen = {"embeddings": [], "attention": [], "feed forward": []}
    handles = []

    def watch(our_name, what):
        path = names.of(f"{our_name}.weight")[0].removesuffix(".weight")
        module = model.get_submodule(path)
        handles.append(module.register_forward_hook(lambda m, x, y: seen[what].append(y)))

    encoder = ours(family).encoder
    narrow = ours(family).embeddings.projection is not None
    watch("embeddings.projection" if narrow else "embeddings.norm", "embeddings")
    for number in range(len(encoder.layers)):
        watch(f"encoder.layers.{number}.attention_norm", "attention")
        watch(f"encoder.layers.{number}.feed_forward_norm", "feed forward")
    try:
        model(**inputs(batch, family))
    finally:
        for handle in handles:
            handle.remove()
    (embeddings,) = seen["embeddings"]
    assert len(seen["attention"]) == len(seen["feed forward"]) == model.config.num_hidden_layers
    return embeddings, list(zip(seen["attention"], seen["feed forward"], strict=True))


@pytest.mark.parametrize("family", DISTINCT)
def test_embeddings(family, name, parity):
    model, batch = ours(family), batches(family)[name]
    wanted, _ = rungs(family, batch)
    packing = model.make_packing(**batch)
    tokens, segments = (packing.pack(batch[k]) for k in ("input_ids", "token_type_ids"))
    ids, padding = batch["input_ids"], model.config.pad_token_id
    positions = packing.column
    if model.config.positions_skip_padding:  # the number of each token in its row, past padding's
        numbers = [
            [padding + sum(i != padding for i in row[:t]) for t in range(1, len(row) + 1)]
            for row in ids.tolist()
        ]
        positions = packing.pack(torch.tensor(numbers).where(ids != padding, padding))
    x = packing.unpack(model.embeddings(tokens, positions, segments))
    parity.at_most(f"{model_type(family)}: embeddings", at_real(x - wanted, batch))


@pytest.mark.parametrize("family", DISTINCT)
def test_each_layer(family, name, parity):
    encoder, batch = ours(family).encoder, batches(family)[name]
    given, layers = rungs(family, batch)
    packing = Packing(batch["attention_mask"].bool())
    for number, (attended, wanted) in enumerate(layers):
        layer = encoder.layers[number // (len(layers) // len(encoder.layers))]
        x, y = packing.pack(given), packing.pack(attended)
        got = packing.unpack(layer.attention_norm(x + layer.attention(x, packing)))
        parity.at_most(f"{model_type(family)}: attention", at_real(got - attended, batch))
        got = packing.unpack(layer.feed_forward_norm(y + layer.feed_forward(y)))
        parity.at_most(f"{model_type(family)}: feed-forward", at_real(got - wanted, batch))
        got = packing.unpack(layer(x, packing))
        parity.at_most(f"{model_type(family)}: layer", at_real(got - wanted, batch))
        given = wanted


@pytest.mark.parametrize("family", DISTINCT)
def test_stack_of_layers(family, name, parity):
    batch = batches(family)[name]
    embeddings, layers = rungs(family, batch)
    packing = Packing(batch["attention_mask"].bool())
    got = packing.unpack(ours(family).encoder(packing.pack(embeddings), packing))
    parity.at_most(f"{model_type(family)}: stack of layers", at_real(got - layers[-1][1], batch))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", DISTINCT)
def test_each_head(family, head, parity):
    theirs, mine = reference(family, head), ours(family, head)
    batch = batches(family)["full"]
    x = theirs.base_model(**inputs(batch, family)).last_hidden_state  # (B, T, C)
    output = theirs(**inputs(batch, family))
    if head == "BertForSequenceClassification":
        got, wanted = mine.classifier(mine.bert.pooler(x[:, 0])), output.logits
    elif head == "BertForTokenClassification":
        got, wanted = mine.classifier(x), output.logits
    elif head == "BertForMaskedLM":
        got, wanted = mine.masked_lm(x, mine.bert.embeddings.token.weight), output.logits
    else:
        got, wanted = mine.span(x), torch.stack([output.start_logits, output.end_logits], dim=-1)
    parity.at_most(f"{model_type(family)}: heads", (got - wanted).abs().max())

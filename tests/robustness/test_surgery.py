"""Models that were changed after they were made: each use is right, or is refused in one line."""

from dataclasses import replace
from threading import Lock

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import minibert
from minibert.engine.bodies import HalfWeights, OneDnn, OneDnnTiles, Plain
from minibert.engine.exchange import exchange
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.probe import probe
from minibert.linear import Linear
from tests.conftest import hf_model, ours_from, ragged_batch

BATCH = ragged_batch([5, 3, 9])
PRECISIONS = {"fp32": 1e-5, "bf16": 0.1, "int8": 0.2}  # and the largest difference allowed


@pytest.fixture
def model():
    return ours_from(hf_model())


def up(model, layer=0):
    return model.encoder.layers[layer].feed_forward.up


@torch.no_grad()
def output(model):
    return model(**BATCH).last_hidden_state.float()


# --- saving: a folder is one that can be loaded, or is not made -----------------------------------


def longer_vocabulary(model):
    model.embeddings.token = nn.Embedding(250, 48)


def fewer_layers(model):
    model.encoder.layers = model.encoder.layers[:2]


def more_layers(model):
    model.encoder.layers.append(model.encoder.layers[0])


def narrower(model):
    feed_forward = model.encoder.layers[0].feed_forward
    for part, name, kept in (
        (feed_forward.up, "weight", slice(50)),
        (feed_forward.up, "bias", slice(50)),
        (feed_forward.down, "weight", (slice(None), slice(50))),
    ):
        setattr(part, name, nn.Parameter(getattr(part, name).detach()[kept].clone()))


def without_bias(model):
    up(model).bias = None


def adapted(model):
    model.encoder.layers[0].feed_forward.up = nn.Sequential(up(model), nn.Dropout(0.1))
    model.eval()


def pruned(model):
    prune.l1_unstructured(up(model), "weight", 0.5)


def pruned_table(model):
    prune.l1_unstructured(model.embeddings.token, "weight", 0.5)


def parametrized(model):
    parametrizations.weight_norm(up(model))


def with_a_part_more(model):
    model.own = nn.Linear(3, 4)


def of_integers(model):
    weight = torch.zeros(96, 48, dtype=torch.int8)
    up(model).weight = nn.Parameter(weight, requires_grad=False)


UNREADABLE = {
    longer_vocabulary: "'embeddings.token.weight' has shape (250, 48), and the config (211, 48)",
    fewer_layers: "'encoder.layers.2.attention.query_key_value.weight' is missing",
    more_layers: "'encoder.layers.3.attention.query_key_value.weight' is not part of",
    narrower: "feed_forward.up.weight' has shape (50, 48), and the config (96, 48)",
    without_bias: "'encoder.layers.0.feed_forward.up.bias' is missing",
    adapted: "'encoder.layers.0.feed_forward.up.weight' is missing",
    pruned: "'encoder.layers.0.feed_forward.up.weight' is missing",
    pruned_table: "'embeddings.token.weight' is missing",
    parametrized: "'encoder.layers.0.feed_forward.up.weight' is missing",
    with_a_part_more: "'own.weight' is not part of",
    of_integers: "feed_forward.up.weight' is torch.int8",
}


@pytest.mark.parametrize(("change", "line"), UNREADABLE.items())
def test_what_could_not_be_loaded_is_not_saved(model, tmp_path, change, line):
    change(model)
    with pytest.raises(ValueError) as caught:
        model.save_pretrained(tmp_path / "model")
    assert line in str(caught.value) and "torch.save(" in str(caught.value)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def shared_layers(model):
    model.encoder.layers[1] = model.encoder.layers[2] = model.encoder.layers[0]


def shared_weight(model):
    up(model, 1).weight = up(model, 0).weight


def other_strides(model):
    up(model).weight = nn.Parameter(up(model).weight.detach().t().contiguous().t())


def pruned_for_good(model):
    pruned(model)
    prune.remove(up(model), "weight")


def parallel_part(model):
    model.encoder = nn.DataParallel(model.encoder)


def config_goes_with_it(model):
    longer_vocabulary(model)
    fewer_layers(model)
    model.config = replace(model.config, vocab_size=250, num_hidden_layers=2)


@pytest.mark.parametrize(
    "change",
    [
        shared_layers,
        shared_weight,
        other_strides,
        pruned_for_good,
        parallel_part,
        config_goes_with_it,
    ],
)
def test_what_can_be_loaded_is_saved_as_it_computes(model, tmp_path, change):
    change(model)
    model.save_pretrained(tmp_path / "model")
    loaded = minibert.BertModel.from_pretrained(tmp_path / "model")
    assert torch.equal(output(loaded), output(model))


def test_a_class_that_asks_for_more_than_a_config_is_saved(model, tmp_path):
    class WithName(minibert.BertModel):
        def __init__(self, name, config):
            super().__init__(config)

    WithName("own", model.config).save_pretrained(tmp_path / "model")
    assert minibert.BertModel.from_pretrained(tmp_path / "model").load_report.loaded


# --- optimize -------------------------------------------------------------------------------------


def keeps_an_output(model):
    layer = model.encoder.layers[0]
    layer.register_forward_hook(lambda module, _, result: setattr(module, "seen", result))
    model(**BATCH)


def pruned_and_trained(model):
    """The optimizer moves what the weight is computed of; the weight itself follows at the next
    forward."""
    pruned(model)
    model(**BATCH)
    with torch.no_grad():
        up(model).weight_orig.mul_(3)


@pytest.mark.filterwarnings("ignore:this CPU has no")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "change",
    [
        fewer_layers,
        shared_layers,
        other_strides,
        narrower,
        adapted,
        parametrized,
        pruned_and_trained,
        pruned_table,
        keeps_an_output,
    ],
)
def test_a_changed_model_is_optimized_as_it_computes(model, change, precision):
    change(model)
    fast = minibert.optimize(model, precision)
    assert (output(fast) - output(model)).abs().max() <= PRECISIONS[precision]


def test_what_cannot_be_copied_is_refused_in_one_line(model):
    model.own = Lock()
    with pytest.raises(ValueError, match=r"this model cannot be copied \(TypeError.*lock.*\); rem"):
        minibert.optimize(model)


BODIES = [Plain, OneDnn, OneDnnTiles, HalfWeights, Int8, Int7, Int7Few]


def by(body, weight):
    """The product of one row of ones with these weights, by this body."""
    if probe(body):
        pytest.skip("not on this CPU")
    linear = Linear(weight.shape[1], weight.shape[0])
    linear.weight = nn.Parameter(weight)
    nn.init.zeros_(linear.bias)
    with torch.inference_mode():
        return exchange(linear, body)(torch.ones(70, weight.shape[1]))


@pytest.mark.filterwarnings("ignore:torch.quantize")
@pytest.mark.parametrize("body", BODIES)
def test_strides_of_weights_change_nothing(body):
    weight = torch.randn(32, 96, generator=torch.Generator().manual_seed(0))
    assert torch.equal(by(body, weight), by(body, weight.t().contiguous().t()))


@pytest.mark.parametrize("value", [1e5, -1e5, float("inf"), float("nan")])
def test_weights_that_fp16_does_not_have_are_refused(value):
    weight = torch.ones(32, 96)
    weight[3, 4] = value
    with pytest.raises(ValueError, match=r"its weight holds (100000|1e\+05|inf|nan), and fp16"):
        by(HalfWeights, weight)

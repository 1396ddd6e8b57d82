"""Any BERT-shaped checkpoint by its config alone: real weights, the full size, every named size."""

from dataclasses import replace

import pytest
import torch
import transformers

import minibert
from minibert.checkpoint.sizes import SIZES
from tests.conftest import at_real, hf_model, ours_from, ragged_batch
from tests.families import adapted, build

PAIRS = [
    ("A short text.", "And its pair, which is somewhat longer than the text itself."),
    ("This was beyond incredible", "No."),
    ("Unaffordable, naïve, and 100% 日本語: all in one row! " * 8, "?"),
]


@torch.inference_mode()
def test_minilm_on_a_ragged_batch_of_pairs(minilm, parity):
    batch = minibert.WordPieceTokenizer.from_pretrained("minilm-l6")(
        [text for text, _ in PAIRS], pairs=[pair for _, pair in PAIRS]
    )
    wanted = transformers.AutoModel.from_pretrained(minilm)(**batch)
    got = minibert.BertModel.from_pretrained("minilm-l6")(**batch)
    miss = at_real(got.last_hidden_state - wanted.last_hidden_state, batch)
    parity.at_most("minilm-l6, real weights: last_hidden_state", miss)
    miss = (got.pooler_output - wanted.pooler_output).abs().max()
    parity.at_most("minilm-l6, real weights: pooler_output", miss)


FULL_SIZE = {
    **{"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    **{"intermediate_size": 3072, "max_position_embeddings": 512, "vocab_size": 28996},
}


@torch.inference_mode()
def check_full_size(spread, lengths, parity):
    """108 million random weights, with the usual spread and with a loud one.

    Loud models are far from linear and hide no mistake, but twelve layers of them amplify rounding
    beyond 1e-5 in any implementation, and the more so the longer the rows. So there we must be
    nearer to transformers than it is to its own result in fp64, and as near to that as it is,
    within a factor of two. Differences are relative then: norms over the output's norm.
    """
    name = f"bert-base-cased shape, initializer_range {spread}, {max(lengths)} tokens"
    reference = hf_model(**FULL_SIZE, initializer_range=spread)
    batch = ragged_batch(lengths, pairs=True)
    real = batch["attention_mask"].bool()
    wanted = reference(**batch).last_hidden_state[real]
    got = ours_from(reference)(**batch).last_hidden_state[real]
    if spread == 0.02:
        parity.at_most(f"{name}: last_hidden_state", (got - wanted).abs().max())
        return
    exact = reference.double()(**batch).last_hidden_state[real]

    def relative(difference):
        return (difference.norm() / exact.norm()).item()

    own = relative(wanted - exact)
    assert own < 1e-2, "rounding, not chaos"
    if max(lengths) < 128:
        # This model amplifies rounding: transformers' eager and sdpa are 1.2e-5 apart here.
        miss = relative(got - wanted)
        parity.at_most(f"{name}: difference over the output's size", miss, 2e-5)
    parity.at_most(f"{name}: difference over transformers' own", relative(got - wanted) / own, 1.0)
    parity.at_most(f"{name}: distance to fp64 over its own", relative(got - exact) / own, 2.0)


@pytest.mark.parametrize("spread", [pytest.param(0.02, marks=pytest.mark.slow), 0.2])
def test_full_size_bert_base_cased(spread, parity):
    check_full_size(spread, [24, 9, 17], parity)


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.02, 0.2])
@pytest.mark.parametrize("length", [128, 512])
def test_full_size_at_length(length, spread, parity):
    check_full_size(spread, [length, length // 3, 1], parity)


# Several checkpoints share a shape; the first one's name stands for it.
SHAPES = {size._replace(hub_name=""): name for name, size in reversed(SIZES.items())}


@torch.inference_mode()
@pytest.mark.parametrize(
    "name",
    [
        name if SIZES[name].hidden <= 256 else pytest.param(name, marks=pytest.mark.slow)
        for name in SHAPES.values()
    ],
)
def test_named_size_is_transformers_model(name, parity):
    """The shape of each published checkpoint with random weights, vocabulary included."""
    size = SIZES[name]
    config = minibert.BertConfig.from_size(name, initializer_range=0.02)
    reference = build(transformers.AutoConfig.for_model(**config.to_dict()))
    assert sum(p.numel() for p in reference.parameters()) == size.parameters
    ours = ours_from(reference)
    assert replace(ours.config, extra={}) == config
    batch = adapted(ragged_batch([20, 5, 11], pairs=True), config)
    if not config.type_vocab_size:
        del batch["token_type_ids"]
    miss = at_real(ours(**batch).last_hidden_state - reference(**batch).last_hidden_state, batch)
    parity.at_most(f"shape of {name}, {size.parameters:,} parameters", miss)


REFUSED = (
    "MPNet",
    "DeBERTaV2",
    "ConvBERT",
    "MobileBERT",
    "SqueezeBERT",
    "BigBird",
    "Nystromformer",
    "ModernBERT",
    "MegatronBERT",
)


@pytest.mark.parametrize("family", REFUSED)
def test_other_families_are_refused_by_name(family, tmp_path):
    names = {name.lower(): name for name in dir(transformers) if name.endswith("Config")}
    config = getattr(transformers, names[f"{family.lower()}config"])()
    config.save_pretrained(tmp_path)
    says = f"config.json: model_type is '{config.model_type}', which is no family that minibert has"
    with pytest.raises(ValueError, match=says) as caught:
        minibert.BertModel.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)

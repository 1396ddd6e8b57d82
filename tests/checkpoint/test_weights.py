"""The mapping table, both directions, key by key."""

import pytest
import torch

import minibert
from minibert.checkpoint.names import TABLE, Names, from_hf, to_hf
from tests.conftest import OURS, hf_model


def shapes_of(model):
    return {name: parameter.shape for name, parameter in model.named_parameters()}


@pytest.fixture(scope="module")
def classifier():
    return hf_model("BertForSequenceClassification", num_labels=3)


def ours_for(reference):
    config = minibert.BertConfig.from_dict(reference.config.to_dict())
    return minibert.BertForClassification(config)


def test_round_trip_key_by_key(classifier):
    theirs = classifier.state_dict()
    mine, report = from_hf(theirs, shapes_of(ours_for(classifier)), "x")
    back = to_hf(mine)
    assert back.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.equal(back[name], tensor), name
    assert not report.ignored and not report.newly_initialised and not report.renamed
    assert set(report.loaded) == set(mine)


def test_table_covers_the_models_and_nothing_else():
    config = minibert.BertConfig.from_dict(hf_model().config.to_dict())
    names = {name for kind in OURS.values() for name in shapes_of(kind(config))}
    used = {hf for name in names for hf in Names().of(name.removeprefix("bert."))}
    layers = range(config.num_hidden_layers)
    every = {hf.format(i) for names in TABLE.values() for hf in names for i in layers}
    assert used == every


def test_query_key_value_are_stacked_in_that_order(classifier):
    theirs = classifier.state_dict()
    mine, _ = from_hf(theirs, shapes_of(ours_for(classifier)), "x")
    stacked = mine["bert.encoder.layers.1.attention.query_key_value.weight"].chunk(3)
    for part, name in zip(stacked, ("query", "key", "value"), strict=True):
        assert torch.equal(part, theirs[f"bert.encoder.layer.1.attention.self.{name}.weight"])


def test_the_prefix_may_be_missing(classifier):
    bare = {name.removeprefix("bert."): t for name, t in classifier.state_dict().items()}
    mine, _ = from_hf(bare, shapes_of(ours_for(classifier)), "x")
    with_prefix, _ = from_hf(classifier.state_dict(), shapes_of(ours_for(classifier)), "x")
    assert all(torch.equal(mine[name], with_prefix[name]) for name in with_prefix)


def test_legacy_norm_names_are_renamed_and_no_others(classifier):
    legacy = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): t
        for name, t in classifier.state_dict().items()
    }
    mine, report = from_hf(legacy, shapes_of(ours_for(classifier)), "x")
    norms = 1 + 2 * classifier.config.num_hidden_layers
    assert len(report.renamed) == 2 * norms
    legacy["bert.embeddings.gamma"] = torch.zeros(1)
    with pytest.raises(ValueError, match="bert.embeddings.gamma"):
        from_hf(legacy, shapes_of(ours_for(classifier)), "x")


def test_result_is_a_new_fp32_tensor(classifier):
    half = {name: tensor.bfloat16() for name, tensor in classifier.state_dict().items()}
    mine, _ = from_hf(half, shapes_of(ours_for(classifier)), "x")
    assert {t.dtype for t in mine.values()} == {torch.float32}
    theirs = classifier.state_dict()
    mine, _ = from_hf(theirs, shapes_of(ours_for(classifier)), "x")
    stored = {t.data_ptr() for t in theirs.values()}
    assert not stored & {t.data_ptr() for t in mine.values()}


def test_heads_and_buffers_without_use_are_ignored_and_said(classifier):
    extra = {
        "bert.embeddings.position_ids": torch.arange(40)[None],
        "cls.predictions.bias": torch.zeros(211),
        "qa_outputs.weight": torch.zeros(2, 48),
    }
    _, report = from_hf({**classifier.state_dict(), **extra}, shapes_of(ours_for(classifier)), "x")
    assert set(report.ignored) == set(extra)
    assert "qa_outputs.weight" in str(report)


def test_missing_head_is_new_and_said(classifier):
    body = {k: v for k, v in classifier.state_dict().items() if not k.startswith("classifier")}
    _, report = from_hf(body, shapes_of(ours_for(classifier)), "x")
    assert set(report.newly_initialised) == {"classifier.weight", "classifier.bias"}


# --- the masked language model's shared tensors --------------------------------------------------


@pytest.fixture()
def masked_lm():
    """(our model's shapes, a file of transformers' model with the copies that old files have)."""
    reference = hf_model("BertForMaskedLM")
    config = minibert.BertConfig.from_dict(reference.config.to_dict())
    return shapes_of(minibert.BertForMaskedLM(config)), dict(reference.state_dict())


COPIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


def test_copies_of_tied_tensors_are_recognised(masked_lm):
    shapes, tensors = masked_lm
    assert COPIES.keys() <= tensors.keys()
    mine, report = from_hf(tensors, shapes, "x")
    assert set(report.tied) == set(COPIES)
    assert not report.ignored and not report.newly_initialised
    assert not COPIES.keys() & to_hf(mine).keys(), "and never written"


@pytest.mark.parametrize("copy", COPIES)
def test_either_name_of_a_tied_tensor_will_do(masked_lm, copy):
    shapes, tensors = masked_lm
    whole, _ = from_hf(tensors, shapes, "x")
    only_copy = {name: t for name, t in tensors.items() if name != COPIES[copy]}
    mine, report = from_hf(only_copy, shapes, "x")
    assert all(torch.equal(mine[name], whole[name]) for name in whole)
    assert (copy, COPIES[copy].removeprefix("bert.")) in report.renamed
    only_original = {name: t for name, t in tensors.items() if name != copy}
    mine, _ = from_hf(only_original, shapes, "x")
    assert all(torch.equal(mine[name], whole[name]) for name in whole)


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_that_differs_is_refused(masked_lm, copy):
    shapes, tensors = masked_lm
    with pytest.raises(ValueError, match=f"{copy} differs from {COPIES[copy]}"):
        from_hf({**tensors, copy: tensors[copy] + 1}, shapes, "x")


def test_a_model_without_that_head_does_not_mind(masked_lm):
    _, tensors = masked_lm
    config = minibert.BertConfig.from_dict(hf_model().config.to_dict())
    name = "cls.predictions.decoder.weight"
    shapes = shapes_of(minibert.BertModel(config, pooler=False))
    _, report = from_hf({**tensors, name: tensors[name] + 1}, shapes, "x")
    assert name in report.ignored


def test_untied_decoders_are_refused_by_name():
    for kind in (minibert.BertForMaskedLM, minibert.BertForPreTraining):
        config = minibert.BertConfig.from_dict({"tie_word_embeddings": False})
        with pytest.raises(ValueError, match="tie_word_embeddings = False"), torch.device("meta"):
            kind(config)


# --- what is refused -----------------------------------------------------------------------------


def spoil(kind, state):
    name = "bert.encoder.layer.1.attention.self.key.weight"
    if kind == "missing":
        del state[name]
    elif kind == "unknown":
        name = "bert.encoder.layer.0.adapter.weight"
        state[name] = torch.zeros(1)
    elif kind == "one layer too many":
        name = "bert.encoder.layer.3.output.dense.bias"
        state[name] = torch.zeros(48)
    elif kind == "shape":
        state["bert.pooler.dense.weight"] = torch.zeros(48, 47)
        name = "pooler.dense.weight"
    elif kind == "twice":
        name = "embeddings.word_embeddings.weight"
        state[name] = torch.zeros(211, 48)
    elif kind == "shapes that only add up":
        state[name] = torch.zeros(49, 48)
        state[name.replace("key", "query")] = torch.zeros(47, 48)
        name = "attention.self.query.weight has shape .47, 48.*needs .48, 48"
    return name


@pytest.mark.parametrize(
    "kind",
    ["missing", "unknown", "one layer too many", "shape", "shapes that only add up", "twice"],
)
def test_anything_unexplained_is_refused_by_name(classifier, kind):
    state = dict(classifier.state_dict())
    name = spoil(kind, state)
    with pytest.raises(ValueError, match=name.removeprefix("bert.")):
        from_hf(state, shapes_of(ours_for(classifier)), "x")

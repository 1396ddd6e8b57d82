"""A model without heads or a layer is transformers' without them, and whole again afterwards."""

import copy

import numpy as np
import pytest
import torch

import minibert
from minibert.inspect.ablation import without_heads, without_layer
from minibert.inspect.attributions import occlusion
from tests.conftest import hf_model, ours_from, ragged_batch, small_model, small_variant
from tests.inspect.classifiers import saved

BATCH = ragged_batch([7, 3, 5], pairs=True)
HEADS = {1: [2], 3: (1, 4)}
TEXTS = ["a good film", "no"]


@pytest.fixture(scope="module")
def both():
    """transformers' model and ours, with the same weights."""
    theirs = hf_model("BertForSequenceClassification")
    return theirs, ours_from(theirs)


def logits(model):
    with torch.inference_mode():
        return model(**BATCH).logits


def test_without_heads_is_transformers_without_their_weights(both):
    theirs, ours = both
    pruned = copy.deepcopy(theirs)
    for layer, heads in HEADS.items():
        weight = pruned.bert.encoder.layer[layer - 1].attention.output.dense.weight
        for head in heads:  # of 12 columns each
            weight.data[:, 12 * (head - 1) : 12 * head] = 0
    whole = logits(ours)
    with without_heads(ours, HEADS):
        torch.testing.assert_close(logits(ours), logits(pruned), atol=1e-5, rtol=0)
        assert (logits(ours) - whole).abs().max() > 1e-3
    assert torch.equal(logits(ours), whole)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_without_a_layer_is_transformers_with_one_less(both, layer):
    theirs, ours = both
    shorter = copy.deepcopy(theirs)
    del shorter.bert.encoder.layer[layer - 1]
    whole = logits(ours)
    with without_layer(ours, layer):
        torch.testing.assert_close(logits(ours), logits(shorter), atol=1e-5, rtol=0)
        assert (logits(ours) - whole).abs().max() > 1e-3
        output = ours(**BATCH, output_attentions=True, output_hidden_states=True)
        assert [bool(each.any()) for each in output.attentions] == [
            number != layer for number in (1, 2, 3)
        ]
        assert output.attentions[layer - 1].shape == output.attentions[layer - 2].shape
        assert torch.equal(output.hidden_states[layer], output.hidden_states[layer - 1])
    assert torch.equal(logits(ours), whole)


def test_an_error_inside_undoes_it_too_and_names_and_classes_are_as_before():
    model = small_model()
    names, classes, whole = [*model.state_dict()], [*map(type, model.modules())], logits(model)
    with pytest.raises(KeyError), without_heads(model, {2: [1]}), without_layer(model, 1):
        assert [*model.state_dict()] == names
        raise KeyError
    assert [*model.state_dict()] == names and [*map(type, model.modules())] == classes
    assert torch.equal(logits(model), whole)
    # A head that is not there changes nothing, though another one is.
    with pytest.raises(ValueError), without_heads(model, {1: [1], 2: [9]}):
        pass
    assert [*map(type, model.modules())] == classes


def test_several_may_be_in_force_at_once():
    model = small_model()
    with without_heads(model, {1: [1]}), without_heads(model, {2: [3]}):
        apart = logits(model)
    with without_heads(model, {1: [1], 2: [3]}):
        assert torch.equal(logits(model), apart)
    with without_layer(model, 1), without_layer(model, 2), without_heads(model, {1: [1]}):
        assert len(model(**BATCH, output_attentions=True).attentions) == 3


def test_weights_go_on_learning():
    model = small_model()
    with without_heads(model, {1: [1]}):
        model(**BATCH, labels=torch.tensor([0, 1, 0])).loss.backward()
    gradient = model.bert.encoder.layers[0].attention.output.weight.grad
    assert not gradient[:, :12].any() and gradient[:, 12:].any()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_classifier_predicts_without_them_whatever_it_computes_with(
    tmp_path, tokenizer, precision
):
    folder = saved(tmp_path / "model", tokenizer)
    classifier = minibert.TextClassifier.load(folder, precision=precision)
    whole = classifier.predict_proba(TEXTS)
    found = []
    for change in (without_heads(classifier.model_, {1: [1]}), without_layer(classifier.model_, 2)):
        with change:
            found.append(classifier.predict_proba(TEXTS))
        assert np.array_equal(classifier.predict_proba(TEXTS), whole)
    with without_heads(classifier.model_, {1: [2]}):
        found.append(classifier.predict_proba(TEXTS))
        if precision == "fp32":
            explained = occlusion(classifier, TEXTS[0])
            assert explained.probability == pytest.approx(found[-1][0].max(), abs=1e-5)
    assert all(np.abs(a - b).max() > 1e-4 for a in [whole, *found] for b in found if a is not b)


@pytest.mark.parametrize("family", ["distilbert", "roberta", "electra"])
def test_variants_have_layers_and_heads_too(family):
    model = small_variant(family)
    batch = ragged_batch([7, 3, 5])
    with torch.inference_mode(), without_layer(model, 3):
        changed = model(**batch, output_hidden_states=True)
        assert torch.equal(changed.hidden_states[3], changed.hidden_states[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: without_layer(m, 4), "there is no layer 4; this model's are 1 to 3"),
        (lambda m: without_layer(m, 0), "layer is 0; it must be a whole number of at least 1"),
        (lambda m: without_heads(m, {2: [5]}), "layer 2 has no head 5; its heads are 1 to 4"),
        (lambda m: without_heads(m, {2: [0]}), "a head of layer 2 is 0; it must be a whole"),
        (lambda m: without_heads(m, {9: [1]}), "there is no layer 9; this model's are 1 to 3"),
        (lambda m: without_heads(m, {1: 2}), "the heads of layer 1 are 2; give a list of numbers"),
        (lambda m: without_heads(m, [1, 2]), r"heads is \[1, 2\]; give {layer: \[heads\]}"),
        (lambda m: without_layer(minibert.optimize(m), 1), "optimized already; give without_layer"),
        (lambda m: without_heads("minilm-l6", {1: [1]}), "takes a model .* not a str"),
    ],
)
def test_what_is_not_there_is_told(change, message):
    with pytest.raises(ValueError, match=message) as error, change(small_model()):
        pass
    assert "\n" not in str(error.value)


def test_a_part_is_left_out_once():
    model = small_model()
    with without_heads(model, {1: [1]}):
        with pytest.raises(ValueError, match="layer 1 is without heads already.*all its heads"):
            with without_heads(model, {1: [2]}):
                pass
    with without_layer(model, 1):
        with pytest.raises(ValueError, match="layer 1 is left out already"):
            with without_layer(model, 1):
                pass


@pytest.mark.parametrize("change", [lambda m: without_layer(m, 1), lambda m: without_heads(m, {})])
def test_shared_layers_cannot_be_changed_one_by_one(change):
    with pytest.raises(ValueError, match="3 layers share the weights of 1, as ALBERT's do, so"):
        with change(small_variant("albert")):
            pass

"""Configs that contradict their family, and weights that do: each is refused in one clear line."""

import json
import re
from dataclasses import replace

import pytest
import transformers

import minibert
from minibert import BertConfig
from minibert.checkpoint.config_json import OPTIONAL
from minibert.variants import VARIANTS
from tests.conftest import TINY
from tests.families import hf_config, new_reference, ours
from tests.robustness.test_model_files import refusal

SMALL = {**TINY, "max_position_embeddings": 40}
ALBERT = {"model_type": "albert", "embedding_size": 16, "num_hidden_groups": 1}


# --- families ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("mpnet", "'mpnet', which is no family that minibert has .its attention adds a bias"),
        ("deberta-v2", "'deberta-v2', which is no family .*content and position apart"),
        ("modernbert", "'modernbert', which is no family .*rotary positions"),
        ("convbert", "'convbert', which is no family that minibert has; it has bert, distilbert, "),
        ("Roberta", "'Roberta', which is no family that minibert has; it has .*roberta"),
        ("", "model_type is ''"),
        (None, "model_type is None"),
        (7, "model_type is 7"),
    ],
)
def test_a_family_that_is_not_supported(model_type, message, tmp_path):
    assert re.search(message, refusal(BertConfig, model_type=model_type))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    line = refusal(BertConfig.from_pretrained, tmp_path)
    assert re.search(f"config.json: .*{message}", line)


def test_every_family_is_listed():
    line = refusal(BertConfig, model_type="xlnet")
    assert line.endswith(f"it has {', '.join(VARIANTS)}")


# --- configs by hand -----------------------------------------------------------------------------

CONTRADICTIONS = [
    ({"model_type": "distilbert"}, "'distilbert', which has type_vocab_size = 0; .* is 2"),
    (
        {"model_type": "distilbert", "type_vocab_size": 0, "layer_norm_eps": 1e-5},
        "'distilbert', which has layer_norm_eps = 1e-12; layer_norm_eps is 1e-05",
    ),
    *(
        ({"model_type": model_type, "type_vocab_size": 0}, "has segments; .* at least 1")
        for model_type in ("bert", "roberta", "xlm-roberta", "camembert", "electra")
    ),
    ({**ALBERT, "type_vocab_size": 0}, "has segments; type_vocab_size must be at least 1"),
    *(
        ({"model_type": model_type, "pad_token_id": None}, "pad_token_id, which is None; .*number")
        for model_type in ("roberta", "xlm-roberta", "camembert")
    ),
    (
        {"model_type": "roberta", "pad_token_id": 39},
        "after pad_token_id, which is 39; .*max_position_embeddings at least two more",
    ),
    ({**ALBERT, "embedding_size": 48}, "embedding_size is 48 and hidden_size 48"),
    ({**ALBERT, "embedding_size": None}, "embedding_size is None and hidden_size 48"),
    ({**ALBERT, "num_hidden_groups": 2}, "num_hidden_groups is 2; .*divides num_hidden_layers, 3"),
    ({**ALBERT, "num_hidden_groups": 6}, "num_hidden_groups is 6; .*divides num_hidden_layers, 3"),
    ({**ALBERT, "num_hidden_groups": None}, "num_hidden_groups is None; .*a number"),
    ({**ALBERT, "num_hidden_groups": 0}, "num_hidden_groups is 0; .*a whole number from 1"),
    ({**ALBERT, "embedding_size": 0}, "embedding_size is 0; .*a whole number from 1"),
    ({"model_type": "electra", "embedding_size": 1.5}, "embedding_size is 1.5"),
    (
        {"model_type": "distilbert", "type_vocab_size": 0, "qa_dropout": 1.0},
        "qa_dropout is 1.0; .*below 1",
    ),
]


@pytest.mark.parametrize(("fields", "message"), CONTRADICTIONS)
def test_a_config_that_contradicts_its_family(fields, message):
    assert re.search(message, refusal(BertConfig, **{**SMALL, **fields}))


ABSENT = [(v, field) for v in VARIANTS for field in OPTIONAL if field not in VARIANTS[v].optional]


@pytest.mark.parametrize(("family", "field"), ABSENT)
def test_a_field_that_the_family_has_not(family, field):
    fields = {**SMALL, **VARIANTS[family].fixed, "pad_token_id": 1, "model_type": family}
    if family == "albert":
        fields |= ALBERT
    fields[field] = {"embedding_size": 16, "num_hidden_groups": 1, "qa_dropout": 0.1}[field]
    line = refusal(BertConfig, **fields)
    assert line == f"model_type is '{family}', which has no {field}; leave it out"


def test_every_fixed_field_is_tested_above():
    fixed = {name for variant in VARIANTS.values() for name in variant.fixed}
    assert fixed == {"type_vocab_size", "layer_norm_eps"}


def test_inner_groups_of_albert_are_refused(tmp_path):
    config = hf_config("albert", inner_group_num=2)
    config.save_pretrained(tmp_path)
    line = refusal(BertConfig.from_pretrained, tmp_path)
    assert "inner_group_num = 2, which changes what the model computes" in line
    assert line.endswith("takes inner_group_num = 1 only")


def test_an_albert_of_transformers_whose_embeddings_are_as_wide_is_refused(tmp_path):
    """It has the product all the same, of which a config by hand could not know."""
    hf_config("albert", embedding_size=48).save_pretrained(tmp_path)
    line = refusal(BertConfig.from_pretrained, tmp_path)
    assert "config.json: model_type is 'albert', whose embeddings have another width" in line


def test_groups_that_do_not_divide_are_refused_from_a_file(tmp_path):
    hf_config("albert", num_hidden_layers=5, num_hidden_groups=2).save_pretrained(tmp_path)
    assert "divides num_hidden_layers, 5" in refusal(BertConfig.from_pretrained, tmp_path)


WRONG_KEYS = [
    ("distilbert", "dim", 7, "hidden_size 7 does not divide"),
    ("distilbert", "activation", "swish", "hidden_act is 'swish'"),
    ("distilbert", "seq_classif_dropout", 2, "classifier_dropout is 2"),
    ("distilbert", "dim", "many", "hidden_size is 'many'"),
    ("distilbert", "n_layers", None, "num_hidden_layers is None"),
    ("albert", "classifier_dropout_prob", "a", "classifier_dropout is 'a'"),
    ("roberta", "pad_token_id", None, "pad_token_id, which is None"),
    ("roberta", "position_embedding_type", "relative_key", "position_embedding_type = 'relative"),
    ("roberta", "is_decoder", True, "is_decoder = True"),
    ("electra", "embedding_size", "128", "embedding_size is '128'"),
]


@pytest.mark.parametrize(("family", "key", "value", "message"), WRONG_KEYS)
def test_a_wrong_value_in_a_family_s_own_key(family, key, value, message, tmp_path):
    data = {**hf_config(family).to_dict(), key: value}
    (tmp_path / "config.json").write_text(json.dumps(data))
    assert re.search(f"config.json: .*{message}", refusal(BertConfig.from_pretrained, tmp_path))


# --- heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["distilbert", "roberta", "electra", "albert"])
def test_pre_training_is_bert_s_alone(family, tmp_path):
    config = ours(family).config
    message = f"model_type is '{family}', and next sentence prediction is BERT's"
    assert re.search(message, refusal(minibert.BertForPreTraining, config))
    new_reference(family).save_pretrained(tmp_path)
    assert re.search(message, refusal(minibert.BertForPreTraining.from_pretrained, tmp_path))


@pytest.mark.parametrize(
    ("family", "key", "message"),
    [
        ("distilbert", "n_layers", "the weights have 3 layers, and num_hidden_layers is 1"),
        (
            "albert, 2 groups, gelu",
            "num_hidden_groups",
            "the weights have 2 layers, and num_hidden_groups is 1",
        ),
    ],
)
def test_the_number_of_layers_is_that_of_the_config(family, key, message, tmp_path):
    new_reference(family).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, key: 1}))
    assert message in refusal(minibert.BertModel.from_pretrained, tmp_path)


def test_a_model_type_of_bert_for_the_weights_of_roberta(tmp_path):
    """As people do who rename a config to open it: the table of segments has one row."""
    theirs = new_reference("roberta")
    theirs.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    bert = transformers.BertConfig(**{**config, "model_type": "bert", "type_vocab_size": 2})
    bert.save_pretrained(tmp_path)
    line = refusal(minibert.BertModel.from_pretrained, tmp_path)
    assert "token_type_embeddings.weight has shape (1, 48)" in line


def test_replacing_the_family_of_a_config_is_checked():
    line = refusal(replace, BertConfig(**SMALL), model_type="distilbert")
    assert "which has type_vocab_size = 0" in line

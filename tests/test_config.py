"""BertConfig reads, refuses and writes Hugging Face's config.json."""

from dataclasses import replace

import pytest
import torch
import transformers

import minibert
from minibert.checkpoint.sizes import SIZES
from minibert.config import BertConfig
from minibert.variants import VARIANTS


@pytest.mark.parametrize("name", SIZES)
def test_named_size_is_the_family_of_its_name(name):
    """The family's fields are there, and nobody has to know them."""
    config = BertConfig.from_size(name)
    assert config == BertConfig.from_dict(config.to_dict())
    assert config.max_length == 512


@pytest.mark.parametrize("name", SIZES)
def test_named_size_has_the_published_number_of_parameters(name):
    with torch.device("meta"):
        model = minibert.BertModel(BertConfig.from_size(name))
    assert sum(p.numel() for p in model.parameters()) == SIZES[name].parameters


def test_classification_head_of_two_labels_adds_its_weights():
    with torch.device("meta"):
        model = minibert.BertForClassification(BertConfig())
    assert sum(p.numel() for p in model.parameters()) == 108_311_810


def test_defaults_are_bert_base_cased():
    assert BertConfig() == BertConfig.from_size("bert-base-cased")


def test_reads_the_published_config(shared):
    config = BertConfig.from_pretrained(shared / "bert-base-cased")
    assert config == BertConfig(extra=config.extra)
    assert config.extra["use_cache"] is True


def test_unknown_keys_are_kept_and_written_back():
    data = {"model_type": "bert", "vocab_size": 99, "use_cache": True, "something_new": [1, 2]}
    written = BertConfig.from_dict(data).to_dict()
    assert {key: written[key] for key in data} == data


def test_transformers_reads_back_what_is_written():
    config = BertConfig.from_size(
        "bert-tiny", labels=("bad", "good", "so-so"), hidden_act="gelu_new"
    )
    theirs = transformers.BertConfig.from_dict(config.to_dict())
    assert theirs.id2label == {0: "bad", 1: "good", 2: "so-so"}
    assert theirs.hidden_act == "gelu_new"
    again = BertConfig.from_dict(theirs.to_dict())
    assert again == BertConfig.from_size("bert-tiny", **_free(config), extra=again.extra)


def _free(config):
    return {"labels": config.labels, "hidden_act": config.hidden_act}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "mpnet"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", True),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
        ("hidden_act", "silu"),
    ],
)
def test_what_changes_the_mathematics_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key) as caught:
        BertConfig.from_dict({key: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 7}, "768.*7"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"vocab_size": "many"}, "'many'"),
        ({"hidden_dropout_prob": 1.0}, "below 1"),
        ({"layer_norm_eps": 0}, "layer_norm_eps"),
        ({"attention": "flash"}, "flash.*readable"),
        ({"pad_token_id": 28996}, "28996"),
        ({"labels": ()}, "at least one"),
        ({"labels": "ab"}, "'ab'.*strings"),
        ({"labels": (0, 1)}, r"\(0, 1\).*strings"),
        ({"labels": ("a", None)}, "None.*strings"),
    ],
)
def test_impossible_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        BertConfig(**changes)


@pytest.mark.parametrize(
    ("id2label", "message"),
    [
        ({"0": "a", "2": "b"}, r"\[0, 2\]"),
        ({"LABEL_0": "a"}, "LABEL_0.*map ids to names"),
        (["a", "b"], "id2label is .'a', 'b'.; it must be an object"),
    ],
)
def test_labels_that_do_not_name_ids_are_refused(id2label, message):
    with pytest.raises(ValueError, match=message):
        BertConfig.from_dict({"id2label": id2label})


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ({"id2label": {"1": "b", "0": "a"}}, ("a", "b")),
        ({"id2label": {"0": "a", "1": "a"}}, ("a", "a")),  # transformers opens such files
        ({"id2label": None, "num_labels": None}, ("LABEL_0", "LABEL_1")),
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
    ],
)
def test_labels_are_read_in_the_order_of_their_ids(data, labels):
    assert BertConfig.from_dict(data).labels == labels


def test_labels_may_be_given_as_a_list():
    config = BertConfig(labels=["a", "b"])
    assert config == BertConfig(labels=("a", "b")) and hash(config)


def test_unknown_size_lists_the_sizes():
    with pytest.raises(ValueError, match="bert-tiny"):
        BertConfig.from_size("bert-huge")


@pytest.mark.parametrize("model_type", VARIANTS)
def test_a_key_that_the_file_leaves_out_has_the_familys_default(model_type):
    """Hugging Face writes only what differs from it in some files."""
    theirs = transformers.AutoConfig.for_model(model_type)
    silent = BertConfig.from_dict({"model_type": model_type})
    assert silent == replace(BertConfig.from_dict(theirs.to_dict()), extra={})

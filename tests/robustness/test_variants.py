"""What users of BERT's variants stumble over: each ends in one line that says what to do."""

import json

import pytest
import torch

import minibert
from minibert import BertConfig, BertModel, TextClassifier, TextEncoder
from minibert.checkpoint.sizes import SIZES
from tests.conftest import TEXTS, small_variant

LABELS = ["good" if i % 2 else "bad" for i in range(len(TEXTS))]


def line(act, *arguments, **named):
    """The message of the ValueError that this must end in."""
    with pytest.raises(ValueError) as caught:
        act(*arguments, **named)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 800, text
    return text


@pytest.fixture()
def folder(tmp_path, tokenizer):
    """Makes the folder of a tiny encoder with the packaged tokenizer."""

    def make(family, **changes):
        small_variant(family, **changes).bert.save_pretrained(tmp_path / family)
        tokenizer.write_files(tmp_path / family)
        return tmp_path / family

    return make


# --- layers that share weights --------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"trained_layers": 1}, {"layer_decay": 0.9}], ids=str)
def test_albert_has_no_last_layer(folder, changes, monkeypatch):
    model = folder("albert")

    def never(*_, **__):
        raise AssertionError("work has begun")

    monkeypatch.setattr(minibert.tasks.text_classifier, "starting_model", never)
    monkeypatch.setattr(minibert.tasks.text_classifier, "encode_texts", never)
    found = line(TextClassifier(model, epochs=40, **changes).fit, TEXTS, LABELS)
    assert "3 layers share the weights of 1, as ALBERT's do" in found
    assert "trained_layers=None or 0, and layer_decay=1" in found


# --- batches --------------------------------------------------------------------------------------


def test_row_of_513_tokens_is_told_of_512():
    """The table of positions has 514 entries, of which a token can have 512."""
    assert BertConfig.from_size("roberta-base").max_position_embeddings == 514
    model = BertModel(BertConfig(**{**SMALL_ROBERTA, "max_position_embeddings": 514}))
    ids = torch.full((1, 513), 7)
    assert "max_length=512 or less" in line(model, ids)
    assert model(ids[:, :512]).last_hidden_state.shape == (1, 512, 48)


SMALL_ROBERTA = {
    "model_type": "roberta",
    "vocab_size": 50,
    "hidden_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}


@pytest.mark.parametrize("family", ["distilbert", "roberta"])
def test_second_segment_of_a_family_without(family):
    model, ids = small_variant(family), torch.tensor([[5, 6, 7]])
    found = line(model, ids, token_type_ids=torch.tensor([[0, 1, 1]]))
    assert "token_type_ids contains 1" in found and "leave token_type_ids out" in found
    with torch.inference_mode():
        zeros = model(ids, token_type_ids=torch.zeros_like(ids)).logits
        assert torch.equal(model(ids).logits, zeros)


# --- sizes and files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["roberta", "distilbert", "albert-base", 5, None])
def test_size_of_no_such_name_lists_them(name):
    with pytest.raises(ValueError) as caught:
        BertConfig.from_size(name)
    assert f"{name!r}" in str(caught.value) and all(size in str(caught.value) for size in SIZES)


# --- files that do not belong together ------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "other"),
    [
        ("bert", "roberta"),
        ("roberta", "bert"),
        ("roberta", "distilbert"),
        ("distilbert", "bert"),
        ("electra", "bert"),
        ("electra", "albert"),
        ("albert", "bert"),
        ("albert", "distilbert"),
    ],
)
def test_weights_of_one_family_under_the_config_of_another(family, other, tmp_path):
    small_variant(family, vocab_size=50).bert.save_pretrained(tmp_path / "m")
    config = small_variant(other, vocab_size=50).config.to_dict()
    (tmp_path / "m" / "config.json").write_text(json.dumps(config), "utf-8")
    found = line(BertModel.from_pretrained, tmp_path / "m")
    assert "not a checkpoint of this config" in found or "has shape" in found, found


def test_tokenizer_with_more_tokens_than_the_model(folder):
    model = folder("roberta", vocab_size=500)
    told = "the tokenizer has ids up to 30521 and the model embeddings for 500"
    assert told in line(TextClassifier(model).fit, TEXTS, LABELS)
    assert told in line(TextEncoder.load, model)


@pytest.mark.filterwarnings("ignore:.*has no weights for")
def test_encoder_alone_is_no_classifier_and_its_new_layer_has_two_names(folder):
    found = line(TextClassifier.load, folder("roberta"))
    assert "bert.pooler.dense.weight (classifier.dense.weight in files)" in found
    assert "classifier.weight (classifier.out_proj.weight in files)" in found

"""`inspect.attentions`, `head_statistics` and `rollout`."""

import numpy as np
import pytest
import torch

from minibert import BertForMaskedLM, optimize
from minibert.inspect import attentions, head_statistics, rollout
from tests.conftest import FAMILIES, small_model, small_variant

TEXTS = ["The dog bites the man.", ("Good", "Unaffordable, they said!"), "No."]


@pytest.fixture(scope="module")
def statistics(real, tokenizer, sentences):
    return head_statistics(real, tokenizer, sentences)


def test_a_head_looks_at_the_token_before_and_another_at_the_next(statistics):
    assert statistics.strongest("previous") == (1, 3)
    assert statistics.previous[0, 2] == pytest.approx(0.9997, abs=0.001)
    assert statistics.strongest("next") == (2, 9)
    assert statistics.next[1, 8] == pytest.approx(0.69, abs=0.04)


def test_the_sink_is_cls(statistics):
    """In bert-base it is [SEP] (Clark et al. 2019, section 3.2)."""
    assert statistics.cls.mean() == pytest.approx(0.42, abs=0.03)
    assert statistics.sep.mean() == pytest.approx(0.03, abs=0.01)


def test_statistics_are_a_table(statistics):
    lines = str(statistics).splitlines()
    assert lines[0] == f"20 texts, {statistics.tokens} tokens"
    assert "previous            1     3  1.000" in lines
    assert lines[-1].split()[0] == "all" and len(lines[-1].split()) == 7


@pytest.mark.parametrize("family", ["bert", *FAMILIES])
def test_weights_are_those_of_a_batch(family, tokenizer):
    """Also of layers that share weights, without segments, and with counted positions."""
    model = small_variant(family)
    texts = [text[0] if isinstance(text, tuple) else text for text in TEXTS]
    found = attentions(model, tokenizer, texts)
    with torch.inference_mode():
        expected = model.bert(**tokenizer(texts), output_attentions=True).attentions
    for row, attention in enumerate(found):
        length = len(attention.tokens)
        assert attention.weights.shape == (3, 4, length, length)
        np.testing.assert_allclose(attention.weights.sum(axis=-1), 1, rtol=1e-5)
        for layer, weights in enumerate(expected):
            np.testing.assert_allclose(
                attention.weights[layer], weights[row, :, :length, :length], atol=1e-5
            )


def test_layers_and_heads_are_numbered_from_one(tokenizer):
    (found,) = attentions(small_model(), tokenizer, TEXTS[:1])
    assert (found.head(1, 4) == found.weights[0, 3]).all()
    with pytest.raises(ValueError, match="layer is 0; it must be a whole number of at least 1"):
        found.head(0, 1)
    with pytest.raises(ValueError, match="head is 5; it must be a whole number of at most 4"):
        found.head(3, 5)


def test_statistics_are_means_over_tokens(tokenizer):
    """Counted again, one token at a time."""
    model = small_model()
    found = head_statistics(model, tokenizer, TEXTS)
    values = {name: [] for name in ("previous", "next", "itself", "cls", "sep", "entropy")}
    for attention in attentions(model, tokenizer, TEXTS):
        for i, token in enumerate(attention.tokens):
            weights = attention.weights[1, 2, i]
            if i:
                values["previous"].append(weights[i - 1])
            if i + 1 < len(attention.tokens):
                values["next"].append(weights[i + 1])
            values["itself"].append(weights[i])
            values["cls"].append(weights[0])
            separators = [j for j, each in enumerate(attention.tokens) if each == "[SEP]"]
            values["sep"].append(weights[separators].sum())
            values["entropy"].append(-(weights * np.log(weights)).sum())
            assert token
    assert found.texts == 3 and found.tokens == len(values["itself"])
    for name, expected in values.items():
        assert getattr(found, name)[1, 2] == pytest.approx(np.mean(expected), abs=1e-6), name


def test_a_head_that_looks_everywhere_has_the_entropy_of_all_tokens(tokenizer):
    model = small_model()
    for layer in model.bert.encoder.layers:
        torch.nn.init.zeros_(layer.attention.query_key_value.weight)
    found = head_statistics(model, tokenizer, TEXTS[:1])
    np.testing.assert_allclose(found.entropy, np.log(found.tokens), rtol=1e-6)
    np.testing.assert_allclose(found.cls, 1 / found.tokens, rtol=1e-6)


def test_rollout_multiplies_layers_and_warns(tokenizer):
    (attention,) = attentions(small_model(), tokenizer, TEXTS[:1])
    found = rollout(attention)
    expected = np.eye(len(attention.tokens))
    for weights, mixed in zip(attention.weights.mean(axis=1), found.weights, strict=True):
        expected = (0.5 * weights + 0.5 * np.eye(len(expected))) @ expected
        np.testing.assert_allclose(mixed, expected, atol=1e-6)
    np.testing.assert_allclose(found.weights.sum(axis=-1), 1, rtol=1e-6)
    assert "Rollout is no explanation" in str(found)
    assert "A warning" in rollout.__doc__


def test_the_table_of_a_text_names_each_token(tokenizer):
    (attention,) = attentions(small_model(), tokenizer, TEXTS[1:2])
    lines = str(attention).splitlines()
    assert lines[0] == f"{len(attention.tokens)} tokens, 3 layers of 4 heads; the mean of all:"
    assert [line.split()[0] for line in lines[2:]] == attention.tokens


def test_the_model_is_left_as_it_was(tokenizer):
    """Weights before dropout, whatever mode it is in, and under any head."""
    model = BertForMaskedLM(small_model().config)
    expected = attentions(model, tokenizer, TEXTS[:1])[0].weights
    model.train()
    assert (attentions(model, tokenizer, TEXTS[:1])[0].weights == expected).all()
    assert model.training


def test_long_texts_are_cut_and_it_is_said(tokenizer):
    model = small_model()
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than 40 tokens and were cut"):
        found = attentions(model, tokenizer, ["film " * 50, "film"])
    assert [len(each.tokens) for each in found] == [40, 3]
    with pytest.warns(UserWarning, match="longer than 5 tokens"):
        (short,) = attentions(model, tokenizer, TEXTS[:1], max_length=5)
    assert short.tokens == ["[CLS]", "the", "dog", "bites", "[SEP]"]


@pytest.mark.parametrize("function", [attentions, head_statistics])
@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "there are no texts; give at least one"),
        (["fine", " "], "text 1 is ' ', which has no tokens; leave it out, or give one with"),
        ("a film", "texts is the string 'a film'; give a list of texts"),
        (["fine", None], "text 1 is None, a NoneType; it must be a string; leave it out"),
    ],
)
def test_bad_texts_are_one_line(function, texts, message, tokenizer):
    with pytest.raises(ValueError, match=message):
        function(small_model(), tokenizer, texts)


def test_bad_models_are_one_line(tokenizer):
    model = small_model()
    with pytest.raises(ValueError, match="is optimized already; give attentions the one"):
        attentions(optimize(model), tokenizer, TEXTS)
    with pytest.raises(ValueError, match="head_statistics takes a model such as"):
        head_statistics("minilm-l6", tokenizer, TEXTS)
    with pytest.raises(ValueError, match="tokenizer is 'minilm-l6', a str; give one of"):
        attentions(model, "minilm-l6", TEXTS)
    with pytest.raises(ValueError, match="they do not belong together"):
        attentions(small_model(vocab_size=50), tokenizer, TEXTS)
    with pytest.raises(ValueError, match="max_length is 41; it must be a whole number of at most"):
        attentions(model, tokenizer, TEXTS, max_length=41)


def test_bertviz_takes_what_the_model_gives(tokenizer):
    """Unchanged: (1, H, T, T) a layer."""
    bertviz = pytest.importorskip("bertviz", reason="needs bertviz: pip install bertviz")
    text, pair = TEXTS[1]
    model = small_model().bert
    with torch.inference_mode():
        output = model(**tokenizer(text, pair), output_attentions=True)
    row = tokenizer.encode(text, pair)
    for view in (bertviz.head_view, bertviz.model_view):
        page = view(
            output.attentions,
            row.tokens,
            sentence_b_start=row.type_ids.index(1),
            html_action="return",
        )
        assert "##ff" in page.data
        assert str(output.attentions[0][0, 3, 1].tolist()) in page.data

"""Which words speak for a label: against captum, and against texts with [MASK] written in."""

import numpy as np
import pytest
import torch
import transformers

import minibert
from minibert.inspect.attributions import integrated_gradients, occlusion
from minibert.inspect.explained import same_weights
from tests.inspect.classifiers import classifier, saved

TEXT = "Unaffordable, and I don't like the film."
PAIR = ("Unaffordable film", "not a good one")
THREE = ("bad", "fair", "good")


@pytest.fixture(scope="module")
def ours(tmp_path_factory, tokenizer):
    return classifier(tmp_path_factory.mktemp("explained") / "model", tokenizer, labels=THREE)


@pytest.fixture(scope="module")
def of_kind(tmp_path_factory, tokenizer):
    """Open a classifier that says other things."""

    def opened(**changes):
        return classifier(tmp_path_factory.mktemp("kind") / "model", tokenizer, **changes)

    return opened


def log_odds(probabilities, index):
    return np.log(probabilities[index] / (1 - probabilities[index]))


# --- integrated gradients -------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # captum's, of what is deprecated
@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("bert", PAIR),
        ("roberta", TEXT),
        *(pytest.param(f, TEXT, marks=pytest.mark.slow) for f in ("bert", "distilbert")),
        *(pytest.param(f, PAIR, marks=pytest.mark.slow) for f in ("albert", "electra")),
    ],
)
def test_integrated_gradients_are_captums(tmp_path, tokenizer, family, text):
    captum = pytest.importorskip("captum.attr")
    folder = saved(tmp_path / "model", tokenizer, family, labels=THREE)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    parts = (text,) if isinstance(text, str) else text
    encoding = tokenizer.encode(*parts)
    ids, types = torch.tensor([encoding.ids]), torch.tensor([encoding.type_ids])
    framed = torch.tensor([word is None for word in encoding.word_ids])
    segments = {"token_type_ids": types} if isinstance(text, tuple) else {}

    def forward(ids):
        given = {name: x.expand(len(ids), -1) for name, x in segments.items()}
        logits = theirs(ids, **given).logits
        return logits[:, 1] - logits[:, [0, 2]].logsumexp(dim=1)

    tool = captum.LayerIntegratedGradients(forward, theirs.base_model.embeddings.word_embeddings)
    baseline = torch.where(framed, ids, tokenizer.mask_token_id)
    of_tokens = tool.attribute(ids, baseline, n_steps=32)[0].sum(dim=1)
    found = integrated_gradients(minibert.TextClassifier.load(folder), text, "fair")
    wanted = np.zeros(len(found.words))
    for part, (start, _), weight in zip(
        encoding.type_ids, encoding.offsets, of_tokens.tolist(), strict=True
    ):
        for i, (first, end) in enumerate(found.spans):
            wanted[i] += weight * (part == found.parts[i] and first <= start < end)
    np.testing.assert_allclose(found.weights, wanted, atol=1e-4)
    assert np.abs(wanted).max() > 0.02
    values = forward(ids).item(), forward(baseline).item()
    assert (found.value, found.baseline) == pytest.approx(values, abs=1e-4)


def test_weights_share_out_the_difference_to_a_text_of_masks(ours, monkeypatch):
    found = integrated_gradients(ours, TEXT, steps=300)
    assert found.weights.sum() == pytest.approx(found.value - found.baseline, abs=0.005)
    assert abs(found.error) < 0.005
    monkeypatch.setattr("minibert.inspect.attributions._TOLERANCE", 1e-4)
    with pytest.warns(UserWarning, match="give more steps than 1$"):
        coarse = integrated_gradients(ours, TEXT, steps=1)
    assert coarse.error == pytest.approx(coarse.weights.sum() - (coarse.value - coarse.baseline))


def test_a_long_text_is_computed_in_parts(ours, monkeypatch):
    whole = [explain(ours, TEXT).weights for explain in (integrated_gradients, occlusion)]
    monkeypatch.setattr("minibert.inspect.explained._TOKENS", 40)
    parts = [explain(ours, TEXT).weights for explain in (integrated_gradients, occlusion)]
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-4)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-4)


# --- occlusion ------------------------------------------------------------------------------------


def test_occlusion_is_what_a_mask_in_the_text_does(ours):
    text = "a good film"
    masked = ["[MASK] good film", "a [MASK] film", "a good [MASK]", "[MASK] [MASK] [MASK]"]
    whole, *hidden = (log_odds(row, 2) for row in ours.predict_proba([text, *masked]))
    found = occlusion(ours, text, "good")
    assert found.weights == pytest.approx([whole - each for each in hidden[:3]], abs=1e-4)
    assert (found.value, found.baseline) == pytest.approx((whole, hidden[3]), abs=1e-4)
    assert found.error is None and found.label == "good"


def test_all_tokens_of_a_word_are_hidden_together(ours):
    found = occlusion(ours, "I don't", "good")
    masked = "I [MASK] [MASK] [MASK]"  # don ' t
    whole, hidden = (log_odds(row, 2) for row in ours.predict_proba(["I don't", masked]))
    assert found.words == ("I", "don't")
    assert found.weights[1] == pytest.approx(whole - hidden, abs=1e-4)


# --- words ----------------------------------------------------------------------------------------


def test_words_are_those_of_the_text(ours):
    found = occlusion(ours, TEXT)
    expected = ("Unaffordable", ",", "and", "I", "don't", "like", "the", "film", ".")
    assert found.words == expected
    assert tuple(TEXT[start:end] for start, end in found.spans) == expected


def test_a_pair_has_the_words_of_both(ours):
    found = occlusion(ours, PAIR)
    assert found.parts == (0, 0, 1, 1, 1, 1)
    assert tuple(PAIR[p][s:e] for p, (s, e) in zip(found.parts, found.spans, strict=True)) == (
        found.words
    )


def test_signs_that_no_tokenizer_keeps_are_left_out(ours):
    assert occlusion(ours, "good \u200d\u200d film").words == ("good", "film")


def test_a_special_token_in_a_text_is_a_word(ours):
    found = occlusion(ours, "a [MASK] film")
    assert found.words == ("a", "[MASK]", "film") and found.spans[1] == (2, 8)
    assert found.weights[1] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("truncation", "read"), [("head", "0 1 2 3 4 5 6 7"), ("head+tail", "0 1 14 15 16 17 18 19")]
)
def test_words_that_are_not_read_are_counted(ours, truncation, read):
    text = " ".join(map(str, range(20)))
    cut = minibert.TextClassifier.load(ours.model, max_length=10).set_params(truncation=truncation)
    found = occlusion(cut, text)
    assert found.words == tuple(read.split()) and found.unread == 12
    with pytest.warns(UserWarning, match="were cut"):
        scores = cut.predict_proba([text])[0]
    whole = log_odds(scores, THREE.index(found.label))
    assert found.value == pytest.approx(whole, abs=1e-4)
    assert "12 words more did not fit" in str(found)


# --- what is explained ----------------------------------------------------------------------------


def test_the_predicted_label_is_explained(ours):
    found = integrated_gradients(ours, TEXT)
    scores = ours.predict_proba([TEXT])[0]
    assert found.label == ours.predict([TEXT])[0]
    assert found.probability == pytest.approx(scores.max(), abs=1e-5)
    assert found.value == pytest.approx(log_odds(scores, scores.argmax()), abs=1e-4)
    assert found.explained == f"log-odds of {found.label!r}"


def test_of_two_labels_what_speaks_for_one_speaks_against_the_other(of_kind):
    two = of_kind()
    good, bad = (integrated_gradients(two, TEXT, label) for label in ("good", "bad"))
    np.testing.assert_allclose(good.weights, -bad.weights, atol=1e-5)


def test_several_labels_have_log_odds_of_their_own(of_kind):
    several = of_kind(problem_type="multi_label_classification")
    scores = several.predict_proba([TEXT])[0]
    found = occlusion(several, TEXT, "bad")
    assert found.value == pytest.approx(log_odds(scores, 0), abs=1e-4)
    assert found.probability == pytest.approx(scores[0], abs=1e-5)
    assert occlusion(several, TEXT).label == several.classes_[scores.argmax()]


def test_of_a_number_the_number_is_explained(of_kind):
    numbers = of_kind(problem_type="regression", labels=("LABEL_0",))
    found = integrated_gradients(numbers, TEXT)
    assert found.value == pytest.approx(numbers.predict([TEXT])[0], abs=1e-5)
    assert (found.label, found.probability, found.explained) == (None, None, "prediction")
    with pytest.raises(ValueError, match="label is 'x', and this model predicts a number; .*out"):
        occlusion(numbers, TEXT, "x")
    two = of_kind(problem_type="regression", labels=("price", "year"))
    assert occlusion(two, TEXT, "year").explained == "prediction of year"
    with pytest.raises(ValueError, match="predicts 2 numbers; name the one .*'price', 'year'"):
        occlusion(two, TEXT)


# --- nobody else notices --------------------------------------------------------------------------


def test_the_model_is_left_as_it_is_and_shares_its_weights(ours):
    copied = same_weights(ours.model_)
    own, others = dict(ours.model_.named_parameters()), dict(copied.named_parameters())
    assert own.keys() == others.keys()
    assert all(own[name].data_ptr() == others[name].data_ptr() for name in own)
    assert all(p.requires_grad for p in own.values())
    assert not any(p.requires_grad for p in others.values())
    assert {id(m) for m in ours.model_.modules()}.isdisjoint(map(id, copied.modules()))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_modes_of_the_caller_do_not_matter(ours, mode):
    wanted = integrated_gradients(ours, TEXT)
    ours.model_.train()
    with mode():
        found = integrated_gradients(ours, TEXT)
    assert ours.model_.training
    ours.model_.eval()
    np.testing.assert_allclose(found.weights, wanted.weights, atol=1e-6)


# --- what is refused, and how it looks ------------------------------------------------------------


@pytest.mark.parametrize("explain", [integrated_gradients, occlusion])
@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        ("", None, "text 0 is '', which has no words"),
        ("\u200d \u200d", None, "no words; give it one"),
        (["a"], None, "text 0 is .'a'., a list; it must be a string"),
        (TEXT, "best", r"label is 'best', which .* its labels are \['bad', 'fair', 'good'\]$"),
        (TEXT, ["good"], r"label: number 0 is \['good'\]"),
    ],
)
def test_what_cannot_be_explained_is_told(ours, explain, text, label, message):
    with pytest.raises(ValueError, match=message) as error:
        explain(ours, text, label)
    assert "\n" not in str(error.value)


def test_models_that_cannot_be_explained_are_refused(ours):
    with pytest.raises(ValueError, match="a TextClassifier, not a BertForClassification; open"):
        occlusion(ours.model_, TEXT)
    with pytest.raises(ValueError, match="is not trained; call fit"):
        occlusion(minibert.TextClassifier("minilm-l6"), TEXT)
    fast = minibert.TextClassifier.load(ours.model)
    fast.model_ = minibert.optimize(fast.model_)
    with pytest.raises(ValueError, match="optimized already; give explanations the one it was"):
        integrated_gradients(fast, TEXT)
    with pytest.raises(ValueError, match="steps is 0; it must be a whole number of at least 1"):
        integrated_gradients(ours, TEXT, steps=0)
    windows = minibert.TextClassifier.load(ours.model, max_length=10)
    windows.set_params(truncation="windows", stride=2)
    with pytest.raises(ValueError, match="4 tokens more than a row of 10, .* in several windows"):
        occlusion(windows, "good " * 12)
    assert occlusion(windows, "good film").words == ("good", "film")


def test_bars_are_text(ours):
    found = occlusion(ours, ("good\x1b[31m film", "<b>"), "good")
    head, *bars = str(found).splitlines()
    assert head.startswith("occlusion, log-odds of 'good': ")
    assert f"(probability {found.probability:.4f})" in head and "every word masked" in head
    assert bars[len([p for p in found.parts if p == 0])] == ""  # between the two texts
    assert all(line.isprintable() for line in bars)
    longest = np.abs(found.weights).argmax()
    line = [bar for bar in bars if bar][longest]
    assert line.endswith(found.words[longest])
    assert ("+" if found.weights[longest] > 0 else "-") * 16 in line

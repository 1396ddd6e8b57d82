"""ZeroShotClassifier: the order and scores of transformers' zero-shot-classification pipeline."""

import json

import numpy as np
import pytest
import transformers

from minibert import TextClassifier, Tokenizer
from minibert.tasks.zero_shot import ZeroShotClassifier
from tests.conftest import TEXTS, small_model, small_variant
from tests.tasks.test_variants import KINDS
from tests.text.kinds import write_folder

QUICK = ["bert", "roberta", "albert"]
EACH = [
    kind
    if kind[0] in QUICK and kind != ("roberta", "BertTokenizer")
    else pytest.param(kind, marks=pytest.mark.slow)
    for kind in [("bert", "BertTokenizer"), *KINDS]
]

ENGLISH = ("contradiction", "neutral", "entailment")
LABELS = ["good", "bad", "a film"]


def inference_model(tokenizer, family="bert", labels=ENGLISH):
    """A small random model of this family for this tokenizer."""
    sizes = {"vocab_size": max(tokenizer.tokens) + 1, "pad_token_id": tokenizer.pad_token_id}
    return small_variant(family, **sizes, labels=labels)


def both_of(model, tokenizer, folder):
    """(ours, opened again after `save`; the pipeline of transformers on what it wrote)."""
    ZeroShotClassifier(model, tokenizer).save(folder)
    theirs = transformers.pipeline("zero-shot-classification", str(folder), device="cpu")
    # It leaves out ALBERT's segments, and fails where BERT's tokenizer gives a RoBERTa two.
    names = ["input_ids", "attention_mask"]
    names += ["token_type_ids"] * (model.config.type_vocab_size > 1)
    theirs.tokenizer.model_input_names = names
    return ZeroShotClassifier.load(folder), theirs


@pytest.fixture(scope="module", params=EACH, ids="-".join)
def both(request, tokenizer, tmp_path_factory):
    family, name = request.param
    folder = tmp_path_factory.mktemp(family)
    if name != "BertTokenizer":
        tokenizer = Tokenizer.from_pretrained(write_folder(folder / "tokenizer", name))
    return both_of(inference_model(tokenizer, family), tokenizer, folder / "model")


@pytest.fixture(scope="module")
def zero_shot(tokenizer):
    return ZeroShotClassifier(inference_model(tokenizer), tokenizer)


def check(both, texts, labels, parity, template="This example is {}.", several=False):
    """The same labels in the same order, with the same scores."""
    ours, theirs = both
    found = ours.predict(texts, labels, template, several)
    expected = theirs(texts, labels, hypothesis_template=template, multi_label=several)
    assert [list(each.labels) for each in found] == [each["labels"] for each in expected]
    miss = np.abs(np.subtract([f.scores for f in found], [e["scores"] for e in expected])).max()
    parity.at_most(f"ZeroShotClassifier, {ours.model.config.model_type}: scores", float(miss))


def test_labels_and_scores_are_those_of_transformers(both, parity):
    check(both, TEXTS[:2], LABELS, parity)
    check(both, TEXTS[2:4], LABELS, parity, several=True)
    check(both, TEXTS[:2], ["good"], parity, template="it is {}, really!")


@pytest.mark.filterwarnings("ignore:2 of 2 texts are longer")
def test_only_the_text_is_cut(both, parity):
    check(both, ["good film " * 50, "bad number " * 50], ["good", "good film " * 5], parity)


@pytest.mark.parametrize(
    "labels", [("entailment", "neutral", "contradiction"), ("ENTAILED", "not_entailment")]
)
def test_labels_are_known_by_their_names(tokenizer, tmp_path, labels, parity):
    both = both_of(inference_model(tokenizer, labels=labels), tokenizer, tmp_path / "model")
    check(both, TEXTS[:1], LABELS, parity)
    check(both, TEXTS[:1], LABELS, parity, several=True)


def test_contradiction_is_found_wherever_it_stands(tokenizer):
    """transformers takes the first label for it, or the last where the first is entailment."""
    model = inference_model(tokenizer, labels=("neutral", "contradiction", "entailment"))
    (found,) = ZeroShotClassifier(model, tokenizer).predict(["a film"], ["good"])
    batch = tokenizer(["a film"], pairs=["This example is good."])
    wanted = model(**batch).logits[0, 1:].softmax(dim=0)[1]
    assert found.scores == pytest.approx((wanted.item(),), abs=1e-5)


def test_scores_are_plain_numbers_that_add_up(zero_shot):
    (found,) = zero_shot.predict(["a good film"], iter(LABELS))
    assert sorted(found.labels) == sorted(LABELS)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert sum(found.scores) == pytest.approx(1, abs=1e-6)
    assert json.loads(json.dumps(dict(zip(*found, strict=True)))).keys() == set(LABELS)


@pytest.mark.filterwarnings("ignore:epochs=1 makes only", "ignore:the trained model calls every")
def test_a_text_classifier_of_pairs_can_be_one(start, tmp_path):
    pairs = [(text, "This is good.") for text in TEXTS[:12]]
    answers = ["entailment" if "fine" in text else "contradiction" for text in TEXTS[:12]]
    trained = TextClassifier(start, epochs=1, max_length=20)
    trained.fit(pairs, answers).save(tmp_path / "model")
    loaded = ZeroShotClassifier.load(tmp_path / "model")
    assert loaded.max_length == 20
    found = loaded.predict(TEXTS[:12], ["good"], template="This is {}.")
    probabilities = trained.predict_proba(pairs)[:, list(trained.classes_).index("entailment")]
    np.testing.assert_allclose([each.scores[0] for each in found], probabilities, atol=1e-5)


def test_any_stream_is_read_as_it_comes(zero_shot):
    texts = iter(TEXTS)
    expected = zero_shot.predict(TEXTS[:3], LABELS)
    for text, wanted in zip(TEXTS[:3], expected, strict=True):
        given, found = next(zero_shot.stream(texts, LABELS, window=1))
        assert given == text and found.labels == wanted.labels
    assert next(texts) == TEXTS[3], "no text is read ahead"
    assert zero_shot.predict([], LABELS) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [(("a", "b"), "text 2 is a tuple; give a string"), (3, "text 2 is 3, a int")],
)
def test_what_is_finished_is_kept(zero_shot, bad, message):
    with pytest.raises(ValueError, match=message) as caught:
        zero_shot.predict(["one", "two", bad, "four"], LABELS)
    assert caught.value.finished == zero_shot.predict(["one", "two"], LABELS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": []}, "labels is empty; name at least one class"),
        ({"labels": "good, bad"}, "labels is the string 'good, bad'; give a list"),
        ({"labels": ["good", "bad", "good"]}, "label 2 is 'good', which was there before"),
        ({"labels": ["good", " "]}, "label 1 is ' ', which says nothing"),
        ({"labels": ["good", 3]}, "label 1 is 3, a int"),
        ({"template": "This is it."}, "'This is it.'; it must have {} where the label goes"),
        ({"template": None}, "template is None"),
        ({"several": "yes"}, "several is 'yes'"),
        ({"labels": ["good", "bad " * 40]}, "'bad bad.*' has 44 tokens, and a row 40"),
        ({"window": 0}, "window is 0"),
    ],
)
def test_bad_settings_are_refused_before_a_text_is_read(zero_shot, settings, message):
    texts = iter(["one"])
    with pytest.raises(ValueError, match=message):
        zero_shot.stream(texts, **{"labels": LABELS, **settings})
    assert next(texts) == "one"


@pytest.mark.parametrize(
    "labels", [("bad", "good"), ("entailment", "neutral", "other"), ("entailment", "entails")]
)
def test_a_model_that_infers_nothing_is_refused(tokenizer, labels):
    model = small_model(labels=labels)
    with pytest.raises(ValueError, match=f"the labels \\('{labels[0]}'.*'entailment' and a label"):
        ZeroShotClassifier(model, tokenizer)


@pytest.mark.filterwarnings("ignore:.*has no weights for")
def test_a_checkpoint_without_the_head_is_refused(start):
    with pytest.raises(ValueError, match="no trained weights for .*classifier.*nli-MiniLM2"):
        ZeroShotClassifier.load(start)
    with pytest.raises(ValueError, match="type BertModel .* give a BertForClassification"):
        ZeroShotClassifier(small_model().bert, Tokenizer.from_pretrained(start))

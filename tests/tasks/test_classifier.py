"""TextClassifier, from fit to a folder that transformers opens."""

import json

import numpy as np
import pytest
import sklearn.base
import torch
import transformers
from sklearn.model_selection import cross_val_score

import minibert
from minibert import TextClassifier
from tests.conftest import TEXTS, TINY, new_encoder

LABELS = ["good" if i % 2 else "bad" for i in range(24)]


@pytest.fixture(scope="module")
def start(tmp_path_factory, few_words):
    """A tiny random encoder, to fine-tune in no time."""
    folder = tmp_path_factory.mktemp("start") / "model"
    return new_encoder(folder, few_words, initializer_range=0.02)


def new(start, **changes):
    return TextClassifier(**{"model": start, "epochs": 8, "batch_size": 8, "lr": 1e-4, **changes})


@pytest.fixture(scope="module")
def fitted(start):
    with pytest.warns(UserWarning, match="high"):
        return new(start, lr=2e-3).fit(TEXTS, LABELS, validation=(TEXTS[:6], LABELS[:6]))


def test_learns_and_predicts_the_labels_it_was_given(fitted):
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.predict(TEXTS).tolist() == LABELS
    assert fitted.score(TEXTS, LABELS) == 1.0
    proba = fitted.predict_proba(TEXTS)
    assert proba.dtype == np.float32 and proba.shape == (24, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert proba.argmax(axis=1).tolist() == [fitted.classes_.tolist().index(y) for y in LABELS]


def test_history_has_an_evaluation_before_and_after_each_epoch(fitted):
    assert [e.step for e in fitted.history_.evaluations] == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert fitted.history_.evaluations[-1].accuracy == 1.0


def test_results_come_in_the_callers_order(fitted):
    together = fitted.predict_proba(TEXTS)
    alone = np.concatenate([fitted.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_saved_folder_opens_here_and_in_transformers(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    theirs = transformers.pipeline("text-classification", str(tmp_path / "m"), device="cpu")
    answers = theirs(TEXTS, batch_size=4)
    assert [answer["label"] for answer in answers] == LABELS
    scores = fitted.predict_proba(TEXTS).max(axis=1)
    np.testing.assert_allclose([answer["score"] for answer in answers], scores, atol=1e-5)


@pytest.mark.parametrize(
    "labels", [[i % 3 for i in range(24)], [bool(i % 2) for i in range(24)], np.arange(24) % 2]
)
def test_labels_keep_their_kind_through_a_folder(start, tmp_path, labels):
    classifier = new(start, epochs=1).fit(TEXTS, labels)
    assert classifier.predict(TEXTS[:1]).dtype == np.asarray(labels).dtype
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    assert again.classes_.tolist() == classifier.classes_.tolist()
    assert again.classes_.dtype == classifier.classes_.dtype


def test_pairs_of_texts(start):
    pairs = [(text, "yes" if i % 2 else "no") for i, text in enumerate(TEXTS)]
    classifier = new(start, epochs=1).fit(pairs, LABELS)
    batch = classifier.tokenizer_(TEXTS, pairs=[pair for _, pair in pairs])
    with torch.inference_mode():
        wanted = classifier.model_(**batch).logits.softmax(dim=1)
    np.testing.assert_allclose(classifier.predict_proba(pairs), wanted, atol=1e-6)
    alone = classifier.predict_proba(TEXTS)
    assert np.abs(alone - wanted.numpy()).max() > 1e-5, "the second text is read"


def test_scikit_learn(start):
    classifier = new(start, epochs=1)
    copy = sklearn.base.clone(classifier)
    assert copy.get_params() == classifier.get_params() and copy is not classifier
    assert sklearn.base.is_classifier(classifier)
    assert copy.set_params(epochs=2).epochs == 2
    with pytest.raises(ValueError, match="'depth'.*epochs"):
        copy.set_params(depth=3)
    assert cross_val_score(classifier, TEXTS, LABELS, cv=2).shape == (2,)


def test_long_texts_are_cut_counted_and_said_once(start):
    texts = [*TEXTS[:-1], "long " * 500]
    with pytest.warns(UserWarning, match="1 of 24 training texts .* 40 tokens") as caught:
        classifier = new(start, epochs=1).fit(texts, LABELS)
    assert sum("were cut" in str(warning.message) for warning in caught) == 1
    with pytest.warns(UserWarning, match="1 of 1 texts"):
        assert classifier.predict(["long " * 500]).shape == (1,)


def test_loaded_classifier_cuts_texts_where_the_trained_one_did(start, tmp_path):
    classifier = new(start, epochs=1, max_length=6)
    with pytest.warns(UserWarning, match="6 tokens"):
        classifier.fit(TEXTS, LABELS).save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    assert again.max_length == 6
    assert TextClassifier.load(tmp_path / "m", max_length=9).max_length == 9


def test_score_refuses_what_cannot_be_compared(fitted):
    for texts, labels, message in (
        (TEXTS, LABELS[:1], "24 texts and 1 labels"),
        ([], [], "not none"),
        (TEXTS, [0] * 24, "number 0 is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted.score(texts, labels)


def test_one_string_is_not_a_list_of_letters(fitted):
    with pytest.raises(ValueError, match="'Wonderful'; give a list"):
        fitted.predict("Wonderful")


def test_heads_of_other_tasks_are_refused(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    for changes, message in (
        ({"architectures": ["BertForTokenClassification"]}, "no trained weights.*another task"),
        ({"id2label": {"0": "only"}, "problem_type": "multi_label_classification"}, "1 label"),
    ):
        path.write_text(json.dumps({**config, **changes}))
        with pytest.raises(ValueError, match=message):
            TextClassifier.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (TEXTS, LABELS[:-1], "24 texts and 23 labels"),
        ([], [], "no texts"),
        (TEXTS, ["same"] * 24, "'same'.*two classes"),
        (TEXTS, [1.5] * 24, "float"),
        (TEXTS, [1, "a"] * 12, "int, str"),
        ([*TEXTS[:-1], 7], LABELS, "text 23 is 7"),
    ],
)
def test_unusable_data_is_refused(start, texts, labels, message):
    with pytest.raises(ValueError, match=message):
        new(start).fit(texts, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": -1}, "batch_size"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"seed": -1}, "seed is -1"),
        ({"precision": "fp8"}, "fp8.*bf16"),
        ({"device": "tpu9"}, "tpu9"),
        ({"model": "nothing-like-it"}, "minilm-l6"),
    ],
)
def test_unusable_settings_are_refused(start, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        new(start, **changes).fit(TEXTS, LABELS)


def test_validation_label_outside_the_training_set_is_named(start):
    with pytest.raises(ValueError, match="labels: number 1 is 'ugly'.*'bad', 'good'"):
        new(start).fit(TEXTS, LABELS, validation=(TEXTS[:2], ["good", "ugly"]))


def test_vocabulary_of_another_model_is_refused(start, tmp_path):
    config = minibert.BertConfig(**{**TINY, "vocab_size": 100})
    minibert.BertModel(config).save_pretrained(tmp_path / "m")
    minibert.WordPieceTokenizer.from_pretrained(start).write_files(tmp_path / "m")
    with pytest.raises(ValueError, match="3999.*100"):
        new(tmp_path / "m").fit(TEXTS, LABELS)


def test_untrained_classifiers_say_so(start):
    with pytest.raises(ValueError, match="call fit"):
        new(start).predict(TEXTS)
    with pytest.raises(ValueError, match="no trained weights for classifier.*fit"):
        TextClassifier.load(start)


def test_empty_input_gives_empty_output(fitted):
    assert fitted.predict_proba([]).shape == (0, 2)
    assert fitted.predict([]).shape == (0,)

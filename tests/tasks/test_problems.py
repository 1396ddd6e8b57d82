"""Several labels a text, numbers, weights of texts, windows: what a classifier says besides one
label, and what it says when asked badly."""

import json

import numpy as np
import pytest
import sklearn.base
import sklearn.metrics
import torch
import transformers
from sklearn.model_selection import cross_val_score

import minibert.training.finetune
from minibert import TextClassifier
from minibert.tasks.problems import Numbers
from minibert.training.batches import Classification, Examples, losses
from tests.conftest import TEXTS, small_model
from tests.tasks.conftest import LABELS, new

SETS = [["good", "even"] if i % 4 == 0 else ["odd"] if i % 2 else [] for i in range(24)]
PRICES = [1000.0 + 10 * (i % 7) for i in range(24)]
SEVERAL = {"problem_type": "multi_label_classification"}
NUMBER = {"problem_type": "regression"}

pytestmark = pytest.mark.filterwarnings("ignore:epochs=|the trained model|lr=")


@pytest.fixture(scope="module")
def tagger(start):
    settings = {**SEVERAL, "epochs": 3, "keep_best": True, "metric": "f1_micro"}
    return new(start, **settings).fit(TEXTS, SETS, (TEXTS, SETS))


@pytest.fixture(scope="module")
def pricer(start):
    return new(start, **NUMBER, epochs=3).fit(TEXTS, PRICES, (TEXTS[:9], PRICES[:9]))


def test_several_labels_are_those_probable_enough(tagger):
    assert tagger.classes_.tolist() == ["even", "good", "odd"]
    probabilities = tagger.predict_proba(TEXTS)
    assert probabilities.shape == (24, 3) and not np.allclose(probabilities.sum(axis=1), 1)
    threshold = float(np.median(probabilities))
    tagger.set_params(threshold=threshold)
    expected = [tuple(tagger.classes_[row >= threshold]) for row in probabilities]
    assert tagger.predict(TEXTS).tolist() == expected and len(set(expected)) > 1
    truth = np.array([[name in each for name in tagger.classes_] for each in SETS])
    exact = sklearn.metrics.accuracy_score(truth, probabilities >= threshold)
    assert tagger.score(TEXTS, SETS) == pytest.approx(exact)
    report = tagger.evaluate(TEXTS, [set(each) for each in SETS])
    f1 = sklearn.metrics.f1_score(truth, probabilities >= threshold, average="micro")
    assert report.metrics["f1_micro"] == pytest.approx(f1)


def test_numbers_are_said_as_they_were_given(pricer):
    """A head that started near 0 would be a thousand away from them after nine steps."""
    predicted = pricer.predict(TEXTS)
    assert predicted.shape == (24,) and predicted.dtype == np.float32
    assert 950 < predicted.min() and predicted.max() < 1100
    assert not hasattr(pricer, "classes_")
    r2 = sklearn.metrics.r2_score(PRICES, predicted)
    assert pricer.score(TEXTS, PRICES) == pytest.approx(r2, abs=1e-6)
    last = pricer.history_.evaluations[-1]
    squared = np.square(predicted[:9] - PRICES[:9]).mean()
    assert last.metrics["mean_squared_error"] == pytest.approx(squared, rel=1e-3)
    assert last.loss == pytest.approx(squared / np.var(PRICES), rel=1e-3)
    with pytest.raises(ValueError, match="predicts numbers, which have no probabilities"):
        pricer.predict_proba(TEXTS)


@pytest.mark.parametrize("kind", ["tagger", "pricer"])
def test_they_keep_what_they_learned_in_a_folder_of_transformers(kind, request, tmp_path):
    classifier = request.getfixturevalue(kind).set_params(threshold=0.4)
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    assert again.predict(TEXTS).tolist() == classifier.predict(TEXTS).tolist()
    assert again.threshold == (0.4 if kind == "tagger" else 0.5)
    theirs = transformers.pipeline("text-classification", str(tmp_path / "m"), top_k=None)
    ours = dict(zip(again.model_.config.labels, next(again.stream(TEXTS[:1]))[1], strict=True))
    for found in theirs(TEXTS[:1])[0]:
        assert found["score"] == pytest.approx(float(ours[found["label"]]), rel=1e-5, abs=1e-5)
    card = (tmp_path / "m" / "README.md").read_text()
    assert ("f1_micro" in card) if kind == "tagger" else ("numbers from 1000 to 1060" in card)


def test_a_trained_head_of_numbers_goes_on_where_it_was(pricer, tmp_path, planned):
    pricer.save(tmp_path / "m")
    model, _, _ = planned(TextClassifier(tmp_path / "m", **NUMBER), labels=PRICES)
    batch = pricer.tokenizer_(TEXTS)
    with torch.inference_mode():
        logits = model.eval()(**batch).logits[:, 0]
    said = logits * np.std(PRICES) + np.mean(PRICES)  # in training it speaks in deviations
    np.testing.assert_allclose(said, pricer.predict(TEXTS), rtol=1e-5)


def test_scaling_is_undone():
    head = torch.nn.Linear(4, 1)
    before = [parameter.detach().clone() for parameter in head.parameters()]
    problem = Numbers.of([3.0, 5.0, 10.0])
    problem.begin(head)
    problem.end(head)
    for parameter, old in zip(head.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, old)


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_the_loss_is_that_of_the_head(problem, tokenizer):
    problem_type = problem if problem == "regression" else f"{problem}_classification"
    model = small_model(problem_type=problem_type, labels=("a", "b", "c")).eval()
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(24, 3, generator=generator)
    if problem == "single_label":
        labels = torch.randint(3, (24,), generator=generator)
    rows = tokenizer.encode_batch(TEXTS)
    with torch.inference_mode():
        theirs = model(**tokenizer.pad(rows), labels=labels)
    ours = losses(problem_type, theirs.logits, labels, reduction="mean")
    assert ours.item() == pytest.approx(theirs.loss.item(), rel=1e-6)
    weights = [1.0 + i % 3 for i in range(24)]
    task = Classification(
        Examples(rows, labels.tolist(), weights), tokenizer, 24, problem=problem_type
    )
    each = losses(problem_type, theirs.logits, labels)
    wanted = float(each @ torch.tensor(weights)) / sum(weights)
    batch = task.batch(0)
    with torch.inference_mode():
        whole = task.loss(model, batch, batch)
        parts = task.loss(model, batch[:7], batch) + task.loss(model, batch[7:], batch)
    assert whole.item() == pytest.approx(wanted, rel=1e-5)
    assert parts.item() == pytest.approx(wanted, rel=1e-5)


def test_a_weight_of_two_is_the_text_twice(start, planned):
    weights = [2.0 if i < 4 else 1.0 for i in range(24)]
    _, task, _ = planned(new(start, batch_size=24), sample_weight=weights)
    _, twice, _ = planned(new(start, batch_size=28), [*TEXTS[:4], *TEXTS], [*LABELS[:4], *LABELS])
    model = small_model().eval()
    with torch.inference_mode():
        found = [each.loss(model, each.batch(0), each.batch(0)).item() for each in (task, twice)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "labels", "message"),
    [
        (SEVERAL, LABELS, "number 0 is 'bad', of type str; give a list, tuple or set of labels"),
        (SEVERAL, np.eye(24), r"shape \(24, 24\).*MultiLabelBinarizer"),
        (SEVERAL, [["a", "a"], *SETS[1:]], "number 0 is .*give each label once"),
        (SEVERAL, [[]] * 24, "there are no labels"),
        ({**SEVERAL, "threshold": 1.5}, SETS, "threshold is 1.5; it must be from 0 to 1"),
        ({**SEVERAL, "class_weight": "balanced"}, SETS, "class_weight is for one label a text"),
        (NUMBER, LABELS, "number 0 is 'bad'; each must be a number from -3.4"),
        (NUMBER, [float("nan"), *PRICES[1:]], "number 0 is nan; each must be a number from -3.4"),
        (NUMBER, [2.0] * 24, "labels are all 2.0.*nothing to learn"),
        ({**NUMBER, "metric": "f1_macro"}, PRICES, "metric is 'f1_macro'; for regression"),
        ({"metric": "f1:ugly"}, LABELS, "no such label, they are 'bad', 'good'"),
        ({"problem_type": "ranking"}, LABELS, "problem_type is 'ranking'; it must be one of"),
        ({"truncation": "windows", "max_length": 20, "stride": 9}, LABELS, "stride is 9 and .* 8"),
        ({"max_length": 1024}, LABELS, "max_length is 1024; this model takes 3 to 40"),
        ({"warmup": 2}, LABELS, "warmup is 2; it must be from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(start, settings, labels, message):
    with pytest.raises(ValueError, match=message):
        new(start, **settings).fit(TEXTS, labels)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 23, "24 texts and 23 sample_weight"),
        ([0.0] * 24, "sample_weight: number 0 is 0.0; it must be a number from 1e-30"),
        (["2"] * 24, "sample_weight: number 0 is '2'"),
    ],
)
def test_weights_of_texts_are_positive_numbers(start, weights, message):
    with pytest.raises(ValueError, match=message):
        new(start).fit(TEXTS, LABELS, sample_weight=weights)


def test_what_a_text_has_that_training_had_not(tagger):
    with pytest.raises(ValueError, match="number 1: number 0 is 'new', which is not in the train"):
        tagger.evaluate(TEXTS[:2], [["odd"], ["new"]])


@pytest.mark.parametrize("second", [(SEVERAL, SETS), (NUMBER, PRICES), ({}, ["a", "b"] * 12)])
def test_a_fit_that_fails_leaves_what_was_learned_before(start, monkeypatch, second):
    """Else the outputs of the old model would be read by the labels of the new data."""
    settings, labels = second
    classifier = new(start).fit(TEXTS, LABELS)
    before = classifier.predict(TEXTS).tolist()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(minibert.training.finetune, "train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classifier.set_params(**settings).fit(TEXTS, labels)
    assert classifier.predict(TEXTS).tolist() == before
    assert classifier.classes_.tolist() == ["bad", "good"]


def test_numbers_learned_after_labels_have_none(start):
    classifier = new(start).fit(TEXTS, LABELS)
    classifier.set_params(**NUMBER).fit(TEXTS, PRICES)
    assert not hasattr(classifier, "classes_") and not hasattr(new(start), "classes_")


# --- long texts -----------------------------------------------------------------------------------

LONG = [f"{text} {' '.join('abcdefghijklmnopqrst')} end" for text in TEXTS]
WINDOWS = {"truncation": "windows", "stride": 2, "max_length": 12}


def test_a_long_text_is_read_whole_in_windows(start, tmp_path):
    classifier = new(start, **WINDOWS).fit(LONG, LABELS, (LONG[:8], LABELS[:8]))
    found = classifier.predict_proba([LONG[0], "short", (LONG[1], "pair")])
    tokenizer, model = classifier.tokenizer_, classifier.model_
    pieces = tokenizer.backend.ids([LONG[0]])[0]
    windows = [pieces[i : i + 10] for i in range(0, len(pieces) - 2, 8)]
    assert windows[-1][-1] == pieces[-1] and len(windows) > 2
    logits, sizes = [], []
    for window in windows:
        ids = torch.tensor([[tokenizer.cls_token_id, *window, tokenizer.sep_token_id]])
        with torch.inference_mode():
            logits.append(model(ids, attention_mask=torch.ones_like(ids)).logits[0])
        sizes.append(float(ids.numel()))
    mean = torch.stack(logits).T @ torch.tensor(sizes) / sum(sizes)
    np.testing.assert_allclose(found[0], mean.softmax(0), atol=1e-5)
    cut = TextClassifier.load(_saved(classifier, tmp_path), truncation="head")
    short = [each.predict_proba(["short"]).tolist() for each in (cut, classifier)]
    assert short[0] == short[1], "it fits, and is the same to the last bit"
    assert TextClassifier.load(tmp_path / "m").stride == 2
    with pytest.raises(ValueError, match="stride is 99 and a window has room for"):
        TextClassifier.load(tmp_path / "m", stride=99)


def test_in_training_each_text_counts_as_much_whatever_its_length(start, planned):
    _, task, _ = planned(new(start, **WINDOWS), [*LONG[:12], *TEXTS[:12]])
    total = {}
    for row, weight in zip(task.examples.rows, task.examples.weights, strict=True):
        assert len(row.ids) <= 12 and row.dropped == 0
        total[weight] = total.get(weight, 0) + weight
    assert sum(total.values()) == pytest.approx(24) and len(total) > 1


def _saved(classifier, tmp_path):
    classifier.save(tmp_path / "m")
    return tmp_path / "m"


# --- scikit-learn ---------------------------------------------------------------------------------


def test_logarithms_are_those_of_the_probabilities(tagger):
    logs = tagger.predict_log_proba(TEXTS)
    np.testing.assert_allclose(np.exp(logs), tagger.predict_proba(TEXTS), rtol=1e-6)


def test_scikit_learn_knows_which_kind_it_is(start):
    assert sklearn.base.is_classifier(new(start)) and not sklearn.base.is_regressor(new(start))
    assert sklearn.base.is_regressor(new(start, **NUMBER))
    scores = cross_val_score(new(start, **NUMBER), TEXTS, PRICES, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()


def test_a_loaded_classifier_is_not_tested_on_what_it_has_learned(start, tmp_path):
    """Its clones would start from weights that have seen the test fold."""
    folder = _saved(new(start).fit(TEXTS, LABELS), tmp_path)
    loaded = TextClassifier.load(folder)
    for refused in (loaded, sklearn.base.clone(loaded)):
        with pytest.raises(ValueError, match="weights is 'loaded': this TextClassifier.*may have"):
            refused.fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="was loaded from"):
        cross_val_score(loaded, TEXTS, LABELS, cv=2, error_score="raise")
    further = TextClassifier(folder, epochs=1, batch_size=8).fit(TEXTS, LABELS)
    assert len(further.history_.losses) == 3


@pytest.mark.parametrize("value", [2, "half"])
def test_a_threshold_in_a_file_is_checked(tagger, tmp_path, value):
    folder = _saved(tagger, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "minibert_threshold": value}))
    with pytest.raises(ValueError, match="minibert_threshold is .*from 0 to 1"):
        TextClassifier.load(folder)

"""TextEncoder as a transformer of scikit-learn's, and what notebooks show of estimators."""

import pickle
import sys

import numpy as np
import pandas
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from minibert import TextClassifier, TextEncoder
from tests.conftest import TEXTS

LABELS = np.array(["good" if i % 2 else "bad" for i in range(24)])
SETTINGS = ["pooling", "normalize", "max_length", "truncation", "stride", "precision"]


@pytest.fixture(scope="module")
def shared(start):
    return TextEncoder.load(start)


@pytest.fixture()
def encoder(shared):
    return clone(shared)


def classifier(encoder):
    return make_pipeline(encoder, StandardScaler(), LogisticRegression())


def test_vectors_are_the_features_of_a_classifier(encoder):
    pipeline = classifier(encoder).fit(TEXTS, LABELS)
    assert pipeline.predict(TEXTS).tolist() == LABELS.tolist()
    vectors = encoder.encode(TEXTS)
    alone = pipeline[1:].fit(vectors, LABELS).predict_proba(vectors)
    np.testing.assert_array_equal(pipeline.predict_proba(TEXTS), alone)
    assert cross_val_score(pipeline, np.array(TEXTS), LABELS, cv=2).mean() > 0.7


def prefers_cls(pipeline, texts, labels):
    """A score that says which settings the search has tried, whatever they are worth here."""
    return float(pipeline[0].pooling == "cls" and len(pipeline.predict(texts)) == len(labels))


def search_over(grid, encoder):
    search = GridSearchCV(classifier(encoder), grid, cv=2, scoring=prefers_cls, error_score="raise")
    return search.fit(TEXTS, LABELS)


def test_a_grid_search_over_settings_shares_the_model(encoder):
    grid = {"textencoder__pooling": ["cls", "mean"], "textencoder__max_length": [None]}
    search = search_over(grid, encoder)
    best = search.best_estimator_[0]
    assert best is not encoder and best.model is encoder.model
    assert best.get_params() == {**encoder.get_params(), "max_length": None, "pooling": "cls"}
    assert search.cv_results_["mean_test_score"].tolist() == [1, 0]


def test_a_search_may_compare_encoders(encoder):
    grid = {"textencoder": [encoder, clone(encoder).set_params(pooling="cls")]}
    search = search_over(grid, encoder)
    assert search.best_estimator_[0].model is encoder.model
    assert search.best_estimator_[0].pooling == "cls"


def test_a_clone_has_its_own_settings_and_the_same_model(encoder):
    other = clone(encoder)
    assert list(other.get_params()) == SETTINGS
    assert other is not encoder and other.get_params() == encoder.get_params()
    assert other.model is encoder.model and other.tokenizer is encoder.tokenizer
    before = encoder.encode(TEXTS)
    other.set_params(precision="bf16", normalize=False, max_length=8)
    with pytest.warns(UserWarning, match="longer than 8 tokens"):
        assert other.encode(TEXTS).shape == before.shape
    np.testing.assert_array_equal(encoder.encode(TEXTS), before)
    assert (encoder.precision, encoder.normalize, encoder.max_length) == ("fp32", True, 40)


def test_settings_take_effect(start, encoder):
    encoder.set_params(pooling="cls", normalize=False, precision="bf16")
    wanted = TextEncoder.load(start, pooling="cls", normalize=False, precision="bf16")
    np.testing.assert_array_equal(encoder.transform(TEXTS), wanted.encode(TEXTS))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"pooling": "max"}, "'max'.*'cls', 'mean', 'pooler'"),
        ({"max_length": 41}, "max_length is 41; this model takes 3 to 40"),
        ({"truncation": "tail"}, "'tail'.*'head', 'head.tail', 'windows'"),
        ({"truncation": "windows", "stride": 30}, "stride is 30 .* room for 18"),
        ({"precision": "fp8"}, "'fp8'.*'fp32', 'bf16', 'int8'"),
    ],
)
def test_bad_settings_are_refused_by_fit_and_before_any_text_is_read(encoder, setting, message):
    encoder.set_params(**setting)
    for used in (encoder.fit, encoder.transform, encoder.encode):
        with pytest.raises(ValueError, match=message):
            used(iter(TEXTS))
    with pytest.raises(ValueError, match=message):
        TextEncoder(encoder.model, encoder.tokenizer, **setting)


def test_names_that_are_no_settings(encoder):
    with pytest.raises(ValueError, match="'poling' is no parameter; they are pooling, normalize"):
        encoder.set_params(poling="cls")


def test_there_is_nothing_to_fit(encoder):
    check_is_fitted(encoder)
    tags = get_tags(encoder)
    assert not tags.requires_fit and tags.input_tags.string and tags.transformer_tags is not None
    assert encoder.fit(TEXTS, LABELS) is encoder
    np.testing.assert_array_equal(encoder.fit_transform(iter(TEXTS)), encoder.encode(TEXTS))


def test_a_text_column_of_a_table(encoder):
    table = pandas.DataFrame({"text": TEXTS, "stars": np.arange(24.0)}, index=range(100, 124))
    columns = ColumnTransformer([("vectors", encoder, "text"), ("rest", "passthrough", ["stars"])])
    features = columns.fit_transform(table)
    np.testing.assert_array_equal(features[:, :48], encoder.encode(TEXTS))
    assert features.shape == (24, 49)
    names = columns.get_feature_names_out()
    assert names[0] == "vectors__textencoder0" and names[48] == "rest__stars"
    assert make_pipeline(columns, LogisticRegression()).fit(table, LABELS).predict(table).size == 24

    frame = columns.set_output(transform="pandas").fit_transform(table)
    assert list(frame.columns) == list(names) and list(frame.index) == list(table.index)
    np.testing.assert_array_equal(frame.to_numpy(), features)
    with pytest.raises(ValueError, match=r'columns text; give one column: table\["text"\]'):
        encoder.transform(table[["text"]])


def test_output_as_a_table(encoder):
    encoder.set_output(transform="pandas").set_output(transform=None)
    column = pandas.Series(TEXTS, index=range(100, 124))
    for texts, index in ((column, column.index), (TEXTS, range(24))):
        frame = clone(encoder).transform(texts)
        assert list(frame.index) == list(index) and frame.columns[47] == "textencoder47"
        np.testing.assert_array_equal(frame.to_numpy(), encoder.encode(TEXTS))
    assert isinstance(encoder.set_output(transform="default").transform(TEXTS), np.ndarray)
    with pytest.raises(ValueError, match="transform is 'polars'; it must be one of"):
        encoder.set_output(transform="polars")


def test_without_pandas_there_are_no_tables(encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match="'pandas', which is not installed: pip install pandas"):
        encoder.set_output(transform="pandas")


def test_it_survives_pickle(encoder):
    again = pickle.loads(pickle.dumps(encoder.set_params(pooling="cls")))
    assert again.get_params() == encoder.get_params()
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_its_representation_is_a_line_of_settings(encoder):
    assert repr(encoder) == (
        "TextEncoder(pooling='mean', normalize=True, max_length=40, truncation='head', stride=32, "
        "precision='fp32')"
    )


def test_notebooks_show_what_scikit_learn_draws(encoder):
    for estimator, name in ((encoder, "TextEncoder"), (TextClassifier(), "TextClassifier")):
        assert f"{name}(" in estimator._repr_html_()
        with sklearn.config_context(display="text"):
            assert estimator._repr_html_() is None
    assert "TextEncoder" in make_pipeline(encoder, LogisticRegression())._repr_html_()


def test_notebooks_show_the_plain_line_without_scikit_learn(encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert encoder._repr_html_() is None
    assert encoder.transform(TEXTS).shape == (24, 48)

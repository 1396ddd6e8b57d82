"""What scikit-learn asks of an estimator."""

import inspect
import pickle

import numpy as np
import pytest
import sklearn.base
from sklearn.model_selection import GridSearchCV

from minibert import TextClassifier
from tests.conftest import TEXTS, new_encoder

LABELS = ["good" if i % 2 else "bad" for i in range(24)]
pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]


@pytest.fixture(scope="module")
def start(tmp_path_factory, few_words):
    folder = tmp_path_factory.mktemp("start") / "model"
    return new_encoder(folder, few_words, initializer_range=0.02, num_hidden_layers=1)


def test_settings_are_kept_as_they_came_and_clones_have_the_same_objects():
    weights, epochs = {"good": 2.0, "bad": 1.0}, np.int64(3)
    classifier = TextClassifier(class_weight=weights, epochs=epochs, lr="nonsense")
    copy = sklearn.base.clone(classifier, safe=True)
    assert copy.epochs is epochs and copy.lr == "nonsense"
    assert copy.class_weight == weights
    assert copy != classifier and len({copy, classifier}) == 2, "two objects, and hashable"


def test_only_the_model_may_be_given_by_its_place():
    signature = inspect.signature(TextClassifier)
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    assert kinds == [inspect.Parameter.POSITIONAL_OR_KEYWORD] + [inspect.Parameter.KEYWORD_ONLY] * (
        len(kinds) - 1
    )
    assert list(signature.parameters) == list(TextClassifier().get_params())
    with pytest.raises(TypeError):
        TextClassifier("minilm-l6", 3)


def test_its_representation_makes_it_again():
    classifier = TextClassifier("here", epochs=2, class_weight={1: 0.5, 0: 2.0})
    assert eval(repr(classifier)).get_params() == classifier.get_params()


def test_a_grid_search_finds_the_number_of_epochs(start):
    settings = {"batch_size": 4, "lr": 1e-3, "weights": "random"}
    search = GridSearchCV(TextClassifier(start, **settings), {"epochs": [1, 20]}, cv=2)
    search.fit(np.array(TEXTS), np.array(LABELS))
    assert search.best_params_ == {"epochs": 20}
    assert search.best_estimator_.predict(TEXTS).tolist() == LABELS


def test_a_fitted_classifier_survives_pickle(start):
    classifier = TextClassifier(start, epochs=1).fit(TEXTS, LABELS)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    assert again.get_params() == classifier.get_params()

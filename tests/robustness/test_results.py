"""Results that are not numbers are said, and those before them are kept."""

import numpy as np
import pytest
import torch

import minibert
from tests.conftest import small_model


@pytest.fixture()
def spoilt(tokenizer, tmp_path):
    """A classifier that knows no number for the word "film"."""
    model = small_model()
    with torch.no_grad():
        model.bert.embeddings.token.weight[tokenizer.ids["film"]] = float("nan")
    good = small_model()
    good.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    classifier = minibert.TextClassifier.load(tmp_path / "model")
    classifier.model_ = model
    return classifier


def test_a_result_that_is_not_finite_is_an_error_after_those_before_it(spoilt):
    with pytest.raises(ValueError, match=r"text 2 has the result \[nan, nan\], which is not") as e:
        spoilt.predict(["good", "bad", "a film", "an end"])
    assert e.value.finished.tolist() == spoilt.predict(["good", "bad"]).tolist()


def test_a_stream_gives_what_comes_before_a_result_that_is_not_finite(spoilt):
    found = []
    with pytest.raises(ValueError, match="text 5 has the result"):
        for text, scores in spoilt.stream(["good"] * 5 + ["film"], window=3):
            assert np.isfinite(scores).all()
            found.append(text)
    assert found == ["good"] * 5


def test_a_vector_that_is_not_finite_is_an_error(spoilt, tokenizer):
    encoder = minibert.TextEncoder(spoilt.model_.bert, tokenizer)
    with pytest.raises(ValueError, match="text 0 has the result .*, which is not finite"):
        encoder.encode(["this film"])

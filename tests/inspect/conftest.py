"""The real model, and sentences for it."""

import pytest

from minibert import BertModel, data


@pytest.fixture(scope="session")
def real(minilm):
    """minilm-l6, which no test may change."""
    return BertModel.from_pretrained(minilm)


@pytest.fixture(scope="session")
def sentences():
    """Twenty of the bundled sample."""
    _, held_out = data.load("sample")
    return held_out.texts[:20]

"""What the tests of the command share: a tiny model that classifies, and texts in a file."""

import pytest

from tests.conftest import TEXTS, small_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    """The folder of a tiny classifier with its tokenizer."""
    folder = tmp_path_factory.mktemp("command") / "model"
    small_model(labels=("bad", "good"), max_position_embeddings=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of texts, one a line."""
    file = tmp_path_factory.mktemp("texts") / "texts.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    return file

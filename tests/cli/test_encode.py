"""`minibert encode` and `minibert tokenize`."""

import json

import numpy as np
import pytest

from minibert import TextEncoder, Tokenizer
from tests.conftest import TEXTS
from tests.programs import command


def test_vectors_are_those_of_the_encoder(monkeypatch, capsys, tmp_path, folder, file):
    found = command(
        monkeypatch, capsys, ["encode", folder, "--file", file, "-o", tmp_path / "x.npy"]
    )
    assert found == (0, "", "")
    vectors = np.load(tmp_path / "x.npy")
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, TextEncoder.load(folder).encode(TEXTS))


@pytest.mark.parametrize(
    ("given", "number", "code"), [(b"", 0, 0), (b"a\n" * 12, 12, 0), (b"a\n" * 12 + b"\xff", 12, 2)]
)
def test_any_number_of_vectors_is_an_array(
    monkeypatch, capsys, tmp_path, folder, given, number, code
):
    """The header is written again when the number is known, after an error too."""
    arguments = ["encode", folder, "-o", tmp_path / "x.npy"]
    assert command(monkeypatch, capsys, arguments, given)[0] == code
    (written,) = tmp_path.iterdir()
    assert np.load(written).shape == (number, 48)


def test_ids_and_special_tokens(monkeypatch, capsys):
    def tokens(*options):
        arguments = ["tokenize", "minilm-l6", "Unaffordable!", *options]
        return command(monkeypatch, capsys, arguments)[1].strip()

    encoding = Tokenizer.from_pretrained("minilm-l6").encode("Unaffordable!")
    assert tokens() == "una ##ff ##ord ##able !"
    assert tokens("--special") == "[CLS] una ##ff ##ord ##able ! [SEP]"
    assert tokens("--ids", "--special") == " ".join(map(str, encoding.ids))
    assert json.loads(tokens("--json")) == {
        "text": "Unaffordable!",
        "tokens": encoding.tokens[1:-1],
        "ids": encoding.ids[1:-1],
    }

"""`minibert info`: shapes, parameters, memory."""

import json

import pytest

import minibert
from minibert import BertModel
from minibert.checkpoint.sizes import SIZES
from tests.cli.conftest import new
from tests.conftest import small_variant
from tests.programs import command


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        ("bert", "BERT: 3 layers, 48 wide, 4 heads of 12, vocabulary 50, rows up to 40 tokens"),
        (
            "roberta",
            "RoBERTa: 3 layers, 48 wide, 4 heads of 12, vocabulary 50, rows up to 38 tokens",
        ),
        ("electra", "ELECTRA: 3 layers, 48 wide (embeddings 16), 4 heads of 12, vocabulary 50, "),
        (
            "albert",
            "ALBERT: 3 layers sharing the weights of 1, 48 wide (embeddings 16), 4 heads of 12, ",
        ),
    ],
)
def test_it_tells_what_a_family_changed(monkeypatch, capsys, tmp_path, family, shape):
    changes = {"pad_token_id": 1} if family == "roberta" else {}
    model = small_variant(family, vocab_size=50, **changes).bert
    model.save_pretrained(tmp_path / "m")
    out = command(monkeypatch, capsys, ["info", tmp_path / "m"])[1]
    assert f"\n{shape}" in out
    assert ("pooler" in out) == model.config.variant.has_pooler
    parameters = sum(
        p.numel() for p in minibert.BertModel.from_pretrained(tmp_path / "m").parameters()
    )
    assert f"\ntotal{'':<16}{parameters:>13,} parameters" in out


@pytest.mark.parametrize("name", ["bert-base-cased", "distilbert-base-uncased", "albert-base-v2"])
def test_a_name_alone_is_enough(monkeypatch, capsys, name):
    """Offline, and no model is made: bert-base-cased has 108,310,272 parameters."""
    code, out, err = command(monkeypatch, capsys, ["info", name])
    assert (code, err) == (0, "")
    assert f"\ntotal{'':<16}{SIZES[name].parameters:>13,} parameters" in out
    assert out.startswith("the published size of this name, without weights\n")


def test_a_config_alone_is_enough(monkeypatch, capsys, tmp_path, folder):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    found = [
        json.loads(command(monkeypatch, capsys, ["info", place, "--json"])[1])
        for place in (tmp_path, folder)
    ]
    assert found[0] == found[1]
    bert = new().bert
    assert found[0]["parameters"] == sum(p.numel() for p in bert.parameters())
    assert found[0]["parts"]["encoder"] == sum(p.numel() for p in bert.encoder.parameters())


def test_of_weights_it_is_said_what_was_read(monkeypatch, capsys, folder):
    out = command(monkeypatch, capsys, ["info", folder])[1]
    assert out.startswith(str(BertModel.from_pretrained(folder).load_report))
    assert "\nlabels: 'bad', 'good'\n" in out


def test_labels_that_are_numbers_alone_are_not_told(monkeypatch, capsys, masked_lm):
    assert "labels" not in command(monkeypatch, capsys, ["info", masked_lm])[1]
    assert (
        json.loads(command(monkeypatch, capsys, ["info", masked_lm, "--json"])[1])["labels"] == []
    )

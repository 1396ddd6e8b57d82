"""examples/trace.py follows a text through the model."""

from tests.conftest import small_variant
from tests.programs import example


def test_trace_follows_the_model(monkeypatch, capsys):
    code, out, _ = example(monkeypatch, capsys, "trace", "Hello there")
    assert code == 0 and "largest difference to the model called as a whole" in out


def test_trace_of_a_variant_is_refused_in_a_line(monkeypatch, capsys, tmp_path):
    small_variant("roberta", vocab_size=50).save_pretrained(tmp_path / "m")
    arguments = ["Hello there", "--model", tmp_path / "m"]
    code, _, err = example(monkeypatch, capsys, "trace", *arguments)
    assert code == 2 and err.count("\n") == 1
    assert "is of the family RoBERTa, and the trace follows BERT" in err

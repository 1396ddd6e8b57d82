"""examples/trace.py follows a text through the model."""

from tests.conftest import small_variant
from tests.programs import run


def test_trace_follows_the_model():
    result = run("examples/trace.py", "Hello there", check=True)
    assert "largest difference to the model called as a whole" in result.stdout


def test_trace_of_a_variant_is_refused_in_a_line(tmp_path):
    small_variant("roberta", vocab_size=50).save_pretrained(tmp_path / "m")
    result = run("examples/trace.py", "Hello there", "--model", tmp_path / "m")
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "is of the family RoBERTa, and the trace follows BERT" in result.stderr

"""examples/trace.py follows a text through the model."""

from tests.programs import run


def test_trace_follows_the_model():
    result = run("examples/trace.py", "Hello there", check=True)
    assert "largest difference to the model called as a whole" in result.stdout

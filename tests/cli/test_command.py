"""The `minibert` command, as a user runs it."""

from tests.programs import run


def test_command():
    result = run("-m", "minibert", "tokenize", "minilm-l6", input="Unaffordable!\n")
    assert result.stdout == "una ##ff ##ord ##able !\n"
    wrong = run("-m", "minibert", "info", "minilm-l7")
    assert wrong.returncode == 2 and "minilm-l6" in wrong.stderr

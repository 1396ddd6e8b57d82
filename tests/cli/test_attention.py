"""`minibert attention`; what its page shows is in tests/inspect/."""

import re

import pytest

from tests.programs import command


def test_the_command_cuts_and_says_so(monkeypatch, capsys, tmp_path, encoder):
    page = tmp_path / "page.html"
    given = ["attention", encoder, "word " * 600, "-o", page, "--layers", "2"]
    code, out, err = command(monkeypatch, capsys, given)
    assert (code, err) == (0, "")
    assert out.startswith(f"{page}: 512 tokens (90 more did not fit), 1 layer of 4 heads, ")
    text = page.read_text("utf-8")
    assert '"cut": 90' in text
    assert str(tmp_path) not in text and str(encoder.parent) not in text  # nobody's business


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "-o", "page.png"], "the page is written to a .html file"),
        (["a", "-o", "there.html"], "there.html exists; .* --overwrite"),
        (["", "-o", "page.html"], "has no tokens"),
        (["a", "-o", "page.html", "--layers", "4"], "layer is 4; .* at most 3"),
        (["a", "b", "c", "-o", "page.html"], "unrecognized arguments: c"),
        (["a"], "arguments are required: -o/--output"),
    ],
)
def test_what_the_command_refuses(
    monkeypatch,
    capsys,
    tmp_path,
    encoder,
    arguments,
    message,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.html").touch()
    code, out, err = command(monkeypatch, capsys, ["attention", encoder, *arguments])
    assert (code, out) == (2, "") and re.search(message, err) and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.html"]

"""Text files to pre-train from that are no text: one line that says where."""

import pytest

from minibert.corpus.text import LINE, TextFile

LINES = 3000 * b"A sentence. Another one.\n"
WIDE = "\u4e00".encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xe9t\xe9\n", "line 1 is not UTF-8 (byte 0, 0xe9). Save it as UTF-8"),
        # Far from the beginning of what Python reads at a time.
        (LINES + b"caf\xe9.\n" + LINES, "line 3001 is not UTF-8 (byte 75003, 0xe9)."),
        (b"a" * (LINE - 1) + WIDE + b"\n\xff", f"line 2 is not UTF-8 (byte {LINE + 3}, 0xff)."),
        (b"a" * (LINE - 1) + WIDE[:2], f"line 1 is not UTF-8 (byte {LINE - 1}, 0xe4)."),
        (b"a" * (LINE - 2) + WIDE[:2], f"line 1 is not UTF-8 (byte {LINE - 2}, 0xe4)."),
        ("One. Two.\n".encode("utf-16"), "line 1 is not UTF-8 (byte 0, 0xff)."),
        (LINES + b"a\0b\n", "line 3001 has a NUL character, so it is not text; save it as UTF-8"),
        ("One. Two.\n\nThree.".encode("utf-16-le"), "line 1 has a NUL character"),
    ],
)
def test_what_is_not_utf_8_is_said_with_its_line(tmp_path, content, message):
    path = tmp_path / "book.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        list(TextFile.at(path).sentences())
    assert str(caught.value).startswith(f"{path}: {message}") and "\n" not in str(caught.value)

"""The character tables against the reference, for every code point there is."""

import pytest
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from minibert.text.characters import (
    ACCENTS,
    CJK,
    CONTROL,
    PUNCTUATION,
    WHITESPACE,
    decompose,
    lowercase,
)

# Planes 3 to 13 are unassigned or more ideographs; one code point in 64 is looked at there.
POINTS = [
    p
    for p in range(0x110000)
    if not 0xD800 <= p < 0xE000 and (not 0x30000 <= p < 0xE0000 or p % 64 == 0)
]


def reference(**on):
    steps = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return BertNormalizer(**{**steps, **on}).normalize_str


def wrong(guess, truth):
    """The code points between two letters for which our guess differs from the reference."""
    return [f"U+{p:04X}" for p in POINTS if guess(p) != truth(f"a{chr(p)}b")]


def test_control_characters_and_whitespace():
    def ours(point):
        if point in CONTROL:
            return "ab"
        return "a b" if point in WHITESPACE else f"a{chr(point)}b"

    assert not wrong(ours, reference(clean_text=True))


def test_cjk():
    def ours(point):
        return f"a {chr(point)} b" if point in CJK else f"a{chr(point)}b"

    assert not wrong(ours, reference(handle_chinese_chars=True))


def test_decomposition_and_accents():
    def ours(point):
        return "".join(c for c, _ in decompose(f"a{chr(point)}b") if ord(c) not in ACCENTS)

    assert not wrong(ours, reference(strip_accents=True))


def test_lower_case():
    assert not wrong(lambda p: f"a{lowercase(chr(p))}b", reference(lowercase=True))


def test_punctuation_and_splitting():
    split = BertPreTokenizer().pre_tokenize_str

    def ours(point):
        if point in PUNCTUATION:
            return ["a", chr(point), "b"]
        return ["a", "b"] if point in WHITESPACE else [f"a{chr(point)}b"]

    assert not wrong(ours, lambda text: [word for word, _ in split(text)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("é", [("e", 0), ("\u0301", 0)]),
        ("ée", [("e", 0), ("\u0301", 0), ("e", 1)]),
        ("plain", [(c, i) for i, c in enumerate("plain")]),
    ],
)
def test_decomposition_remembers_where_from(text, expected):
    assert decompose(text) == expected

"""A text is a string or a pair of them; anything else is refused by its place."""

import pytest

from minibert.text.inputs import listed, paired, text_parts


@pytest.mark.parametrize(
    ("texts", "pairs", "both"),
    [
        ("one", None, ["one"]),
        ("one", "pair", [("one", "pair")]),
        (["one", "two"], ["a", "b"], [("one", "a"), ("two", "b")]),
    ],
)
def test_each_text_gets_its_pair_and_a_string_is_one_text(texts, pairs, both):
    assert paired(texts, pairs) == both


def test_a_string_is_not_a_list_of_letters():
    with pytest.raises(ValueError, match="texts is the string 'abc'; give a list"):
        listed("abc")


def test_a_text_has_one_part_and_a_pair_has_two():
    assert text_parts("a", 0) == ("a",)
    assert text_parts(("a", "b"), 0) == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (7, "text 3 is 7, a int"),
        (("a", "b", "c"), "text 3 is a tuple of 3"),
        (("a", None), "the pair of text 3 is None"),
    ],
)
def test_what_is_refused_is_named_by_its_place(text, message):
    with pytest.raises(ValueError, match=message):
        text_parts(text, 3)

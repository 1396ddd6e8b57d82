"""Which tokens of a text that is too long are kept."""

import pytest

LETTERS = "a b c d e f g h i j k l m n o p"


def cut(tokenizer, text, max_length, truncation="head+tail"):
    (row,) = tokenizer.encode_batch([text], max_length, truncation)
    return [tokenizer.tokens[i] for i in row.ids], row.type_ids, row.dropped


def test_head_and_tail_keep_a_quarter_of_the_beginning_and_the_end(tokenizer):
    tokens, type_ids, dropped = cut(tokenizer, LETTERS, 10)  # 8 beside [CLS] and [SEP]
    assert tokens == ["[CLS]", *"abklmnop", "[SEP]"]
    assert type_ids == [0] * 10 and dropped == 8
    assert cut(tokenizer, LETTERS, 10, "head")[0] == ["[CLS]", *"abcdefgh", "[SEP]"]
    assert cut(tokenizer, LETTERS, 5)[0] == ["[CLS]", *"nop", "[SEP]"], "a quarter of 3 is none"


def test_head_and_tail_of_pairs(tokenizer):
    # 13 - 3 is 10, for each text 5: a quarter of that is 1.
    tokens, type_ids, dropped = cut(tokenizer, (LETTERS, LETTERS), 13)
    assert tokens == ["[CLS]", *"amnop", "[SEP]", *"amnop", "[SEP]"]
    assert type_ids == [0] * 7 + [1] * 6 and dropped == 22
    # The longer text gives way; the shorter stays whole.
    tokens, type_ids, dropped = cut(tokenizer, ("a b", LETTERS), 13)
    assert tokens == ["[CLS]", *"ab", "[SEP]", *"abklmnop", "[SEP]"]
    assert type_ids == [0] * 4 + [1] * 9 and dropped == 8


def test_what_fits_is_not_cut_and_what_does_not_fills_the_row(tokenizer):
    for length in range(2, 25):
        tokens, _, dropped = cut(tokenizer, LETTERS, length)
        assert len(tokens) == min(length, 18) and dropped == max(0, 18 - length)
        short = "a b c"
        if length >= 5:
            assert cut(tokenizer, short, length) == cut(tokenizer, short, None, "head")


def test_an_unknown_truncation_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"truncation is 'tail'.*'head', 'head\+tail'"):
        cut(tokenizer, "a b c", 4, "tail")

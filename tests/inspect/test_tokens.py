"""`inspect.token_table`: the pieces of a text."""

import pytest

from minibert import Tokenizer
from minibert.inspect import TokenRow, TokenTable, token_table
from tests.text.kinds import write_folder


def test_every_row_is_what_the_tokenizer_says(tokenizer):
    text, pair = "Unaffordable, naïve joy!", "Yes."
    found = token_table(tokenizer, text, pair)
    row = tokenizer.encode(text, pair)
    assert [each.piece for each in found.rows] == row.tokens
    assert [each.id for each in found.rows] == row.ids
    assert [each.type for each in found.rows] == row.type_ids
    assert [each.word for each in found.rows] == row.word_ids
    assert [(each.start, each.end) for each in found.rows] == row.offsets
    assert [each.position for each in found.rows] == list(range(len(row.ids)))
    head, *lines = str(found).splitlines()
    assert head.split() == ["piece", "position", "id", "type", "word", "from", "to"]
    assert len(lines) == len(row.ids)
    assert lines[1].split() == ["una", "1", "14477", "0", "0", "0", "3"]
    assert lines[-1].split() == ["[SEP]", str(len(row.ids) - 1), "102", "1"]


@pytest.mark.parametrize("kind", ["RobertaTokenizer", "AlbertTokenizer"])
def test_tokens_of_other_kinds(kind, tmp_path):
    tokenizer = Tokenizer.from_pretrained(write_folder(tmp_path / "m", kind))
    found = token_table(tokenizer, "A fine\tfilm", "Yes.")
    assert [row.piece for row in found.rows] == tokenizer.encode("A fine\tfilm", "Yes.").tokens
    assert found.rows[0].word is None and len(str(found).splitlines()) == len(found.rows) + 1


def test_a_token_cannot_write_to_the_terminal():
    """Added tokens may be anything, as a model's files have them."""
    row = TokenRow(position=1, piece="\x1b[31m\u202e", id=5, type=0, word=0, start=0, end=1)
    assert str(TokenTable("a", None, (row,))).splitlines()[1].startswith(r"\x1b[31m\u202e ")


def test_no_tokens_are_a_table_of_the_frame(tokenizer):
    assert [row.piece for row in token_table(tokenizer, "").rows] == ["[CLS]", "[SEP]"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("minilm-l6", "a"), "tokenizer is 'minilm-l6', a str; give one of minibert.Tokenizer"),
        ((None, 3), "the text is 3, a int; it must be a string"),
        ((None, "a", ["b"]), "the pair is .*a list; it must be a string"),
    ],
)
def test_bad_input_is_one_line(tokenizer, arguments, message):
    first, *rest = arguments
    with pytest.raises(ValueError, match=message):
        token_table(first or tokenizer, *rest)

"""The pieces of a text, a row each: what the tokenizer hands to the model, laid open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from minibert._checks import shown
from minibert.tokenizer import Tokenizer
from minibert.training.results import aligned


class TokenRow(NamedTuple):
    """One token. position: its column, from 0. type: 0 in the first text, 1 in the second.

    word: the number of its word in its text, None for the tokens that frame it. start, end: where
    in that text it stands.
    """

    position: int
    piece: str
    id: int
    type: int
    word: int | None
    start: int
    end: int


@dataclass(frozen=True)
class TokenTable:
    """The tokens of a text, or of a text and its pair, in order."""

    text: str
    pair: str | None
    rows: tuple[TokenRow, ...]

    def __str__(self) -> str:
        table = [["piece", "position", "id", "type", "word", "from", "to"]]
        for row in self.rows:
            place = ("", "", "") if row.word is None else (row.word, row.start, row.end)
            numbers = (row.position, row.id, row.type, *place)
            table.append([visible(row.piece), *map(str, numbers)])
        return aligned(table)


def token_table(tokenizer: Tokenizer, text: str, pair: str | None = None) -> TokenTable:
    """What the tokenizer makes of a text, special tokens included.

    >>> tokenizer = Tokenizer.from_pretrained("minilm-l6")
    >>> print(token_table(tokenizer, "Unaffordable!"))
    piece   position     id  type  word  from  to
    [CLS]          0    101     0
    una            1  14477     0     0     0   3
    ##ff           2   4246     0     0     3   5
    ##ord          3   8551     0     0     5   8
    ##able         4   3085     0     0     8  12
    !              5    999     0     1    12  13
    [SEP]          6    102     0

    Raises `ValueError` for what is no tokenizer or no text.
    """
    check_tokenizer(tokenizer)
    found = tokenizer.encode(text, pair)
    rows = zip(found.tokens, found.ids, found.type_ids, found.word_ids, found.offsets, strict=True)
    return TokenTable(
        text,
        pair,
        tuple(
            TokenRow(position, piece, number, kind, word, *place)
            for position, (piece, number, kind, word, place) in enumerate(rows)
        ),
    )


def check_tokenizer(tokenizer: object) -> None:
    """Raise `ValueError` for what is no tokenizer of this library."""
    if not isinstance(tokenizer, Tokenizer):
        raise ValueError(
            f"tokenizer is {shown(tokenizer)}, a {type(tokenizer).__name__}; give one of "
            "minibert.Tokenizer.from_pretrained"
        )


def visible(token: str) -> str:
    """A token as a table shows it: a character that would not print is written as its escape.

    >>> visible("a\\u202eb")
    'a\\\\u202eb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in token)

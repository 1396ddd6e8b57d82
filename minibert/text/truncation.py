"""Truncation: how a text, or a pair of texts, is cut to the tokens a row may have."""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

from minibert.checkpoint.arguments import check_choice, whole_number

Truncation = Literal["head", "head+tail"]
TRUNCATIONS = get_args(Truncation)

Item = TypeVar("Item")  # an id, or a Piece


def check_limit(max_length: object, truncation: object = "head") -> int | None:
    """The longest row, or None for any length. Raises `ValueError` for what is no such setting."""
    check_choice("truncation", truncation, TRUNCATIONS)
    return None if max_length is None else whole_number("max_length", max_length, 2)


def truncate(
    first: list[Item],
    second: list[Item] | None,
    max_length: int | None,
    truncation: Truncation = "head",
    separators: int = 1,
) -> tuple[list[Item], list[Item] | None, int]:
    """What stays of each text beside the special tokens, and how many items were cut off.

    truncation: "head" keeps the beginning of a text; "head+tail" a quarter of the room from its
    beginning and the rest from its end. separators: special tokens between the texts. The settings
    were looked at by `check_limit`; raises `ValueError` for a max_length below the number of
    special tokens.
    """
    lengths = len(first), None if second is None else len(second)
    keep = truncated_lengths(*lengths, max_length, separators)
    dropped = len(first) + len(second or ()) - sum(keep)
    first = _shortened(first, keep[0], truncation)
    second = None if second is None else _shortened(second, keep[1], truncation)
    return first, second, dropped


def _shortened(items: list[Item], keep: int, truncation: Truncation) -> list[Item]:
    """The `keep` items that stay of a text."""
    if truncation == "head" or keep >= len(items):
        return items[:keep]
    head = keep // 4
    return items[:head] + items[len(items) - (keep - head) :]


def truncated_lengths(
    first: int, second: int | None, max_length: int | None, separators: int = 1
) -> tuple[int, int]:
    """How many pieces of each text fit beside [CLS] and [SEP]: the longer text gives way first.

    separators: special tokens between the texts. This is "longest first" of transformers.

    >>> from minibert.text.truncation import truncated_lengths
    >>> truncated_lengths(4, 4, max_length=7 + 3)
    (3, 4)
    """
    special = 2 if second is None else 2 + separators
    if max_length is None:
        return first, second or 0
    room = max_length - special
    if room < 0:
        raise ValueError(f"max_length is {max_length}; the special tokens alone need {special}")
    if second is None:
        return min(first, room), 0
    short, long = sorted((first, second))
    if short + long > room:
        # The longer text is cut until the row fits, but not below the shorter; if that is not
        # enough, each gets half.
        long = max(short, room - short)
        if short + long > room:
            short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)

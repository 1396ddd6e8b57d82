"""Windows: a text that is too long for a row is read in several, each beginning a little before the
last one ended, so that nothing is only seen cut in two."""

from __future__ import annotations

from minibert.checkpoint.arguments import whole_number

STRIDE = 32  # tokens that two windows share, unless somebody says otherwise


def spans(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of each window of `room` items over `length` items.

    stride: how many items two windows that follow each other share, as in Hugging Face's
    tokenizers. The last window ends with the text and may be shorter than the others. Raises
    `ValueError` where windows would not get on.

    >>> from minibert.text.windows import spans
    >>> spans(10, room=5, stride=2)
    [(0, 5), (3, 8), (6, 10)]
    """
    check_stride(stride, room)
    found = [(0, min(length, room))]
    while found[-1][1] < length:
        start = found[-1][0] + room - stride
        found.append((start, min(length, start + room)))
    return found


def check_stride(stride: object, room: int | None = None) -> int:
    """The number of tokens two windows share. Raises `ValueError` unless it is below `room`, the
    tokens of a text that fit into a window."""
    number = whole_number("stride", stride, 0)
    if room is not None and number >= room:
        raise ValueError(
            f"stride is {number} and a window has room for {room} token(s) of a text; two windows "
            "must share fewer than that: lower stride or raise max_length"
        )
    return number

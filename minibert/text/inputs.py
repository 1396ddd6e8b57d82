"""What a tokenizer takes: a text is a string, or a tuple of two, the text and its pair.

Everything else is refused here, by its place among the texts, before any of them is cut. The Rust
library would not say which text is wrong, nor what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Text = str | tuple[str, str]


def paired(texts: str | Sequence[str], pairs: str | Sequence[str] | None) -> list[Text]:
    """The texts, each with its pair if there are pairs; a string is one text.

    Raises `ValueError` if there is no text, or not a pair for each.
    """
    texts = [texts] if isinstance(texts, str) else texts
    pairs = [pairs] if isinstance(pairs, str) else pairs
    if pairs is not None and len(pairs) != len(texts):
        raise ValueError(f"there are {len(texts)} texts and {len(pairs)} pairs")
    if not texts:
        raise ValueError("there are no texts; give at least one")
    return list(texts) if pairs is None else list(zip(texts, pairs, strict=True))


def listed(texts: Iterable[Text]) -> list[Text]:
    """The texts as a list. Raises `ValueError` for a string, which would be read letter by letter.

    >>> from minibert.text.inputs import listed
    >>> listed(iter(["one", ("two", "its pair")]))
    ['one', ('two', 'its pair')]
    """
    if isinstance(texts, str):
        raise ValueError(f"texts is the string {texts[:40]!r}; give a list of texts")
    return list(texts)


def text_parts(text: Text, position: int) -> tuple[str, ...]:
    """The one or two strings of a text. Raises `ValueError` with its position among the texts."""
    if not isinstance(text, tuple):
        return (check_text(text, f"text {position}"),)
    if len(text) != 2:
        raise ValueError(f"text {position} is a tuple of {len(text)}; give (text, pair)")
    first, second = text
    return (
        check_text(first, f"text {position}"),
        check_text(second, f"the pair of text {position}"),
    )


def check_text(text: str, name: str) -> str:
    """The text itself. Raises `ValueError` if it is not a string of valid Unicode."""
    if not isinstance(text, str):
        raise ValueError(f"{name} is {text!r}, a {type(text).__name__}; it must be a string")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{name} has a lone surrogate, {text[error.start]!r}, at position {error.start}; "
                "it is not valid Unicode. Decode its source with errors='replace'"
            ) from error
    return text

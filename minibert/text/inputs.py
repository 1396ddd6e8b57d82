"""What a tokenizer takes: a text is a string, or a tuple of two, the text and its pair.

Everything else is refused here: what cannot be read as many texts at once, and an item that is not
a text by its place among them, before any is cut. A table would be read by the names of its
columns, a set in an order that nobody chose, and the Rust library would not say which text is
wrong, nor what is wrong with it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Reversible, Sequence, Set
from itertools import islice
from numbers import Integral
from typing import Any

from numpy import ndarray
from torch import Tensor, strided

from minibert._checks import shown

Text = str | tuple[str, str]


def paired(texts: str | Sequence[str], pairs: str | Sequence[str] | None) -> list[Text]:
    """The texts, each with its pair if there are pairs; a string is one text.

    Raises `ValueError` if there is no text, or not a pair for each.
    """
    many: list[Any] = [texts] if isinstance(texts, str) else listed(texts)
    if pairs is not None:
        seconds: list[Any] = [pairs] if isinstance(pairs, str) else listed(pairs, "pairs")
        if len(seconds) != len(many):
            raise ValueError(f"there are {len(many)} texts and {len(seconds)} pairs")
        many = list(zip(many, seconds, strict=True))
    if not many:
        raise ValueError("there are no texts; give at least one")
    return many


def id_list(ids: Any) -> list[int]:
    """The ids of one row, a tensor or an array included, as Python's numbers.

    Raises `ValueError` for several rows, what is no row, and an item that is no whole number.
    """
    rows = "give one row at a time: [tokenizer.decode(row) for row in ids]"
    kind = type(ids).__name__
    if (dimensions := _dimensions(ids)) not in (None, 1):
        raise ValueError(f"ids is a {kind} of {dimensions} dimensions; {rows}")
    if isinstance(ids, Tensor):
        if ids.is_meta or ids.layout != strided:
            raise ValueError("ids is a Tensor that is not dense; give whole numbers")
        ids = ids.tolist()
    if isinstance(ids, str | bytes | bytearray | Mapping | Set) or not isinstance(ids, Iterable):
        raise ValueError(f"ids is {shown(ids)}, a {kind}; give a list of whole numbers")
    numbers = []
    for position, i in enumerate(ids):
        if isinstance(i, Sequence | Tensor | ndarray) and not isinstance(i, str):
            raise ValueError(f"ids holds rows; {rows}")
        if not isinstance(i, Integral) or isinstance(i, bool):
            raise ValueError(f"id {position} is {shown(i)}; it must be a whole number")
        numbers.append(int(i))
    return numbers


def check_rows(rows: Any) -> None:
    """Raise `ValueError` unless these are rows of ids, at least one."""
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise ValueError(f"rows is {shown(rows)}; give the rows of tokenizer.encode_batch")
    if not rows:
        raise ValueError("there are no rows; give at least one")
    for position, row in enumerate(rows):
        if not (hasattr(row, "ids") and hasattr(row, "type_ids")):
            raise ValueError(
                f"row {position} is {shown(row)}; give the rows of tokenizer.encode_batch, or "
                "texts to the tokenizer itself, which pads them"
            )


def listed(texts: Iterable[Text], name: str = "texts") -> list[Text]:
    """The texts as a list. Raises `ValueError` as `check_many` does.

    >>> from minibert.text.inputs import listed
    >>> listed(iter(["one", ("two", "its pair")]))
    ['one', ('two', 'its pair')]
    """
    return list(iterated(texts, name))


def iterated(texts: Iterable[Text], name: str = "texts") -> Iterator[Text]:
    """The texts one by one, read as they are needed. Raises `ValueError` as `check_many` does."""
    check_many(texts, name)
    try:
        return iter(texts)
    except TypeError as error:
        raise ValueError(
            f"{name} is {shown(texts)}, a {type(texts).__name__}; give a list of strings, or "
            "anything else that yields strings one by one"
        ) from error


def check_many(texts: Any, name: str = "texts") -> None:
    """Raise `ValueError` for what can be iterated, but not as texts in their order.

    The items of a string are letters, those of a table or a mapping are names, a set has no order.
    """
    kind = type(texts).__name__
    if isinstance(texts, str):
        raise ValueError(f"{name} is the string {shown(texts)}; give a list of texts")
    if isinstance(texts, array) and texts.typecode in "uw":  # the letters of one
        raise ValueError(f"{name} is {shown(texts)}; give a list of texts")
    if isinstance(texts, bytes | bytearray | memoryview):
        raise ValueError(
            f"{name} is {kind}; give a list of strings, decoded as by .decode('utf-8')"
        )
    _check_not_a_table(texts, name)
    _check_one_dimension(texts, name)
    if isinstance(texts, Set) and not isinstance(texts, Reversible):
        raise ValueError(
            f"{name} is a {kind}, which has no order, so nobody could tell which result is whose; "
            "give a list"
        )


def _check_not_a_table(texts: Any, name: str) -> None:
    """Raise `ValueError` for what has columns or keys, whose names would be read as texts.

    No library of tables is a dependency, so a table is known by what all of them have.
    """
    kind = type(texts).__name__
    columns = getattr(getattr(texts, "dtype", None), "names", None)  # numpy's records
    if _dimensions(texts) != 1:  # a single column may have an entry of any name
        for attribute in ("column_names", "columns"):
            columns = getattr(texts, attribute, None) if columns is None else columns
    if isinstance(columns, Iterable):
        names, first = _first_names(columns)
        raise ValueError(
            f"{name} is a {kind} with the columns {names}; give one column: table[{first}]"
        )
    has_keys = callable(getattr(texts, "keys", None)) and not isinstance(texts, type)
    if isinstance(texts, Mapping) or (has_keys and _dimensions(texts) != 1):
        names, first = _first_names(texts.keys())
        raise ValueError(
            f"{name} is a {kind} with the keys {names}; give a list of texts, such as "
            f"mapping[{first}] or list(mapping.values())"
        )


def _check_one_dimension(texts: Any, name: str) -> None:
    """Raise `ValueError` for arrays that are not one row of texts, and for tensors."""
    kind, dimensions = type(texts).__name__, _dimensions(texts)
    if isinstance(texts, Tensor):
        raise ValueError(f"{name} is a {kind}, which holds numbers; give a list of strings")
    if dimensions not in (None, 1):
        advice = "array.reshape(-1) if all of it is texts"
        if dimensions == 2:
            advice = "one column, array[:, 0], or pairs, list(map(tuple, array))"
        raise ValueError(
            f"{name} is a {kind} of {dimensions} dimensions; give a list, an array of one "
            f"dimension, or {advice}"
        )


def _dimensions(value: Any) -> int | None:
    """Of an array or a table; None for other things."""
    if isinstance(value, Tensor):  # a nested one has no shape
        return value.dim()
    shape = getattr(value, "shape", None)
    return len(shape) if isinstance(shape, tuple) else None


def _first_names(names: Iterable[Any]) -> tuple[str, str]:
    """The first few names as an error tells them, and how the first is written in code."""
    some = list(islice(names, 7))
    quoted = [shown(n).replace("'", '"') if isinstance(n, str) else shown(n) for n in some]
    more = ", ..." if len(some) > 6 else ""
    return ", ".join(q.strip('"') for q in quoted[:6]) + more, quoted[0] if quoted else "..."


def text_parts(text: Text, position: int) -> tuple[str, ...]:
    """The one or two strings of a text. Raises `ValueError` with its position among the texts."""
    if not isinstance(text, tuple):
        if isinstance(text, list) and len(text) == 2:
            raise ValueError(f"text {position} is a list of 2; give (text, pair) as a tuple")
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
        advice = ""
        if text is None or (isinstance(text, float) and text != text):  # a gap in a table
            advice = '; leave it out, or give "" for a missing text'
        elif isinstance(text, bytes):
            advice = ": decode it, as by .decode('utf-8')"
        raise ValueError(
            f"{name} is {shown(text)}, a {type(text).__name__}; it must be a string{advice}"
        )
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{name} has a lone surrogate, {text[error.start]!r}, at position {error.start}; "
                "it is not valid Unicode. Decode its source with errors='replace'"
            ) from error
    return text

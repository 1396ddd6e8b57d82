"""Tables that are in memory already: of pandas, `datasets`, pyarrow, polars; and Parquet files.

No library of tables is a dependency. Theirs are known by the names of their columns, and a column
is `table[name]` in all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from minibert._checks import shown


class Columns(NamedTuple):
    """A table: the names of its columns, and its rows, with a value for each."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def is_frame(source: object) -> bool:
    """Whether it has columns with names, and is no mapping of tables."""
    return not isinstance(source, Mapping | type) and _names(source) is not None


def frame_columns(frame: Any) -> Columns:
    """Its rows as Python's own values.

    Raises `ValueError` for what has no rows to count, as a stream has, and two columns of a name.
    """
    names = list(_names(frame))
    for name, number in Counter(map(str, names)).items():
        if number > 1:
            raise ValueError(f"it has two columns called {shown(name)}; rename all but one")
    try:
        columns = [_values(frame[name]) for name in names]
    except (TypeError, NotImplementedError) as error:
        raise ValueError(
            f"the columns of a {type(frame).__name__} cannot be read as a whole; collect it first"
        ) from error
    return Columns(tuple(map(str, names)), list(zip(*columns, strict=True)))


def parquet_columns(data: bytes) -> Columns:
    """The rows of a Parquet file. Raises `ImportError` without pyarrow, and `ValueError` for a file
    that is damaged or none."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install -e '.[tables]'") from error
    try:
        table = parquet.ParquetFile(pyarrow.BufferReader(data)).read()
    except (OSError, ValueError, NotImplementedError, pyarrow.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"it cannot be read as Parquet: {reason[:200]}") from error
    return frame_columns(table)


def _names(source: Any) -> Any:
    """In pyarrow's tables `columns` are the columns themselves."""
    for attribute in ("column_names", "columns"):
        names = getattr(source, attribute, None)
        if names is not None and hasattr(names, "__iter__"):
            return names
    return None


def _values(column: Any) -> list[Any]:
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(column, method):
            return getattr(column, method)()
    return list(column)

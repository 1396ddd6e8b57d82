"""A file for each lesson. WRONG has wrong answers to its exercises, what each is called, and words
of the hint that it gets; PRINTED is what the lesson prints, as patterns, in short runs as well."""

from typing import Any, NamedTuple


class Wrong(NamedTuple):
    """An answer with one mistake. name: which; hint: what is said of it, or a part of that."""

    name: str
    answer: Any
    hint: str

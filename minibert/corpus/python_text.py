"""A text that is there without a network: the documentation that comes with Python.

The language reference (`pydoc_data.topics`, what `help("calls")` shows) and the docstrings of the
standard library: some 170,000 words of careful prose, enough for a small model to learn grammar
from. Their licence allows it (PSF License Version 2). The text differs a little from one version of
Python to the next, and where a distribution leaves something out.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

# Of the standard library: tests, programs, and what others wrote.
_LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip"}
_DOCSTRING = re.compile(r'^[ \t]*[rR]?"""(.*?)"""', re.DOTALL | re.MULTILINE)
_UNDERLINE = re.compile(r"[*=\-~^]{4,}")  # of a heading
_MARKS = re.compile(r"[\"*`]|^[*-] ")  # of words meant as code, emphasis, and items of lists
_SENTENCE_END = re.compile(r"[.!?:;]\)?$")
_WORD = re.compile(r"[^\W\d_]+(['’-][^\W\d_]+)*")
_SHORTEST = 8  # words of a paragraph
_PROSE = 0.75  # the share of a paragraph's words that are words, not code


def python_documentation() -> list[str]:
    """The paragraphs of the documentation that are prose, each once and on one line.

    Raises `ModuleNotFoundError` where Python was installed without the reference.
    """
    found: dict[str, None] = {}  # in their order
    for text in (*_reference(), *_docstrings()):
        for block in re.split(r"\n\s*\n", text):
            lines = (line.strip() for line in block.splitlines())
            kept = [_MARKS.sub("", line) for line in lines if not _UNDERLINE.fullmatch(line)]
            paragraph = " ".join(" ".join(kept).split())
            if _is_prose(paragraph):
                found[paragraph] = None
    return list(found)


def write_python_documentation(path: str | Path) -> None:
    """The same as a text for pre-training, UTF-8. Each paragraph is a document: its neighbours need
    not have to do with it."""
    Path(path).write_text("\n\n".join(python_documentation()) + "\n", encoding="utf-8")


def _reference() -> list[str]:
    try:
        topics: dict[str, str] = import_module("pydoc_data.topics").topics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this Python was installed without pydoc_data, the text behind help(); take a Python "
            "from python.org, or a text of your own"
        ) from error
    return list(topics.values())


def _docstrings() -> Iterator[str]:
    """Of all modules, classes and functions, by the names of the files."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if _LEFT_OUT.isdisjoint(path.relative_to(library).parts):
            code = path.read_text("utf-8", errors="ignore")
            if "copyright" not in code.lower():  # some files have notices and terms of their own
                yield from _DOCSTRING.findall(code)


def _is_prose(paragraph: str) -> bool:
    """Neither code nor a grammar nor a table: words, and an end of a sentence."""
    if "::=" in paragraph or ">>>" in paragraph or not _SENTENCE_END.search(paragraph):
        return False
    words = paragraph.split()
    plain = sum(_WORD.fullmatch(word.strip(".,;:!?()“”‘’")) is not None for word in words)
    return len(words) >= _SHORTEST and plain >= _PROSE * len(words)

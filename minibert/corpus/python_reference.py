"""A text that is there without a network: the language reference that comes with Python.

`pydoc_data.topics` is what `help("calls")` shows, some 60,000 words of careful prose, grammars and
code. The prose is enough for a small model to learn grammar from, and its licence allows it (PSF
License Version 2). The text differs a little from one version of Python to the next.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

_UNDERLINE = re.compile(r"[*=\-~^]{4,}")  # of a heading
_MARKS = re.compile(r"[\"*`]|^[*-] ")  # of words meant as code, emphasis, and items of lists
_SENTENCE_END = re.compile(r"[.!?:;]\)?$")
_WORD = re.compile(r"[^\W\d_]+(['’-][^\W\d_]+)*")
_SHORTEST = 6  # words of a paragraph
_PROSE = 0.75  # the share of a paragraph's words that are words, not code


def python_reference() -> list[list[str]]:
    """The prose of the reference: sections, each a list of paragraphs on one line each, none of
    them twice.

    Raises `ModuleNotFoundError` where Python was installed without it.
    """
    try:
        topics = import_module("pydoc_data.topics").topics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this Python was installed without pydoc_data, the text behind help(); take a Python "
            "from python.org, or a text of your own"
        ) from error
    sections: list[list[str]] = []
    seen = set()
    for topic in topics.values():
        sections.append([])
        for block in re.split(r"\n\s*\n", topic):
            lines = block.splitlines()
            if any(_UNDERLINE.fullmatch(line.strip()) for line in lines):
                sections.append([])
                continue
            paragraph = " ".join(_MARKS.sub("", line.strip()) for line in lines).strip()
            if paragraph not in seen and _is_prose(paragraph):
                seen.add(paragraph)
                sections[-1].append(paragraph)
    return [section for section in sections if section]


def write_python_reference(path: str | Path) -> None:
    """The same as a text for pre-training, UTF-8: a paragraph a line, and a blank line between
    sections, which are its documents."""
    sections = ("".join(f"{paragraph}\n" for paragraph in each) for each in python_reference())
    Path(path).write_text("\n".join(sections), encoding="utf-8")


def _is_prose(paragraph: str) -> bool:
    """Neither code nor a grammar nor a table: words, and an end of a sentence."""
    if "::=" in paragraph or ">>>" in paragraph or not _SENTENCE_END.search(paragraph):
        return False
    words = paragraph.split()
    plain = sum(_WORD.fullmatch(word.strip(".,;:!?()“”‘’")) is not None for word in words)
    return len(words) >= _SHORTEST and plain >= _PROSE * len(words)

"""Book and lessons point at each other, and every link of the course leads somewhere."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.lessons.exercises import LESSONS, cells_of, lesson_files
from tests.test_house import CHAPTERS

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
PAGES = [ROOT / "README.md", ROOT / "minibert" / "README.md", LESSONS / "README.md"]


def text_of(lesson: Path) -> str:
    """What a lesson says in words."""
    cells = cells_of(lesson.read_text("utf-8"))
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


TEXTS = {lesson: text_of(lesson) for lesson in lesson_files()}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_names_its_lesson_and_the_lesson_the_chapter(chapter):
    code = (ROOT / "minibert" / f"{chapter}.py").read_text("utf-8")
    named = re.findall(r"Lesson: (examples/lessons/\w+\.py)\.", ast.get_docstring(ast.parse(code)))
    (lesson,) = named
    assert f"(../../minibert/{chapter}.py)" in TEXTS[ROOT / lesson]


@pytest.mark.parametrize("lesson", TEXTS, ids=lambda lesson: lesson.stem)
def test_a_lesson_names_what_to_read_beside_it(lesson):
    """The code of the library, and sections of a paper."""
    begin = " ".join(TEXTS[lesson].partition("\n## ")[0].split())
    assert begin.startswith(f"# {int(lesson.name[:2])}. ")
    assert "(../../minibert/" in begin
    assert re.search(r"\[arXiv \d{4}\.\d{5}\]\(https://arxiv\.org/abs/\d{4}\.\d{5}\)", begin)
    assert re.search(r"\bsections? \w", begin)
    assert "## What goes wrong in practice" in TEXTS[lesson]


@pytest.mark.parametrize("page", [*TEXTS, *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = LINK.findall(TEXTS.get(page) or page.read_text("utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_ten_lessons():
    assert [lesson.name[:2] for lesson in TEXTS] == [f"{i:02}" for i in range(1, 11)]


def test_no_lesson_gives_a_solution_away():
    told = [lesson.name for lesson, text in TEXTS.items() if "solutions" in text]
    code = [lesson.name for lesson in TEXTS if "solutions" in lesson.read_text("utf-8")]
    assert not told + code

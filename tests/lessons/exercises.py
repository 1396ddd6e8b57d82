"""The exercises of all lessons, found in them; and the table of what their checks are proven to do.

python -m tests.lessons.exercises     # writes the table into examples/lessons/README.md
"""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ROOT

LESSONS = ROOT / "examples" / "lessons"
sys.path[:0] = [str(LESSONS)] * (str(LESSONS) not in sys.path)

from make_notebooks import cells_of, lesson_files  # noqa: E402

from tests.lessons.wrong import Wrong  # noqa: E402

README = LESSONS / "README.md"
BEGIN, END = "<!-- made by tests/lessons -->", "<!-- end -->"
# Whatever an exercise asks for, these are not it.
NO_ANSWERS = [None, ..., "text", float("nan"), object(), [], {}]


class Exercise(NamedTuple):
    """lesson: its file. name: of the check, of the answer, and of its solution. cell: the code that
    the learner is given, with the line that calls the check."""

    lesson: Path
    name: str
    cell: str

    @property
    def number(self) -> str:
        return self.lesson.name[:2]

    @property
    def check(self) -> Any:
        return getattr(import_module(f"checks.lesson{self.number}"), self.name)

    @property
    def right(self) -> Any:
        return getattr(import_module(f"solutions.lesson{self.number}"), self.name)

    @property
    def wrong(self) -> list[Wrong]:
        return import_module(f"tests.lessons.wrong.lesson{self.number}").WRONG[self.name]

    @property
    def start(self) -> Any:
        """The answer that the starting cell makes, without the cells before it."""
        code = ast.parse("from __future__ import annotations\n" + self.cell)
        code.body.pop()  # the line that calls the check
        names: dict[str, Any] = {}
        exec(compile(code, self.lesson.name, "exec"), names)
        return names[self.name]


def exercises_of(lesson: Path) -> list[Exercise]:
    """The exercises of a lesson: cells whose last line prints what a check says."""
    call = re.compile(rf"^print\(lesson{lesson.name[:2]}\.(\w+)\((\w+)\)\)$")
    found = []
    for cell in cells_of(lesson.read_text("utf-8")):
        if cell["cell_type"] == "code" and (match := call.match(cell["source"][-1])):
            assert match[1] == match[2], "an answer has the name of its check"
            found.append(Exercise(lesson, match[1], "".join(cell["source"])))
    return found


EXERCISES = [exercise for lesson in lesson_files() for exercise in exercises_of(lesson)]


def table() -> str:
    """What each check does with the right answer, the starting cell and each wrong answer."""
    lines = [
        "| lesson | exercise | the right answer | the starting cell | wrong answers it refuses, "
        "each with a hint |",
        "|---|---|---|---|---|",
    ]
    for exercise in EXERCISES:
        verdicts = [exercise.check(answer) for answer in (exercise.right, exercise.start)]
        right, start = ("passes" if verdict.passed else "fails" for verdict in verdicts)
        refused = [w.name for w in exercise.wrong if not exercise.check(w.answer).passed]
        cells = [str(int(exercise.number)), f"`{exercise.name}`", right, start, ", ".join(refused)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table in its place."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")

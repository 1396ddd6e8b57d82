"""The lessons run from top to bottom, print what they promise, and their notebooks show it."""

import base64
import json
import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from course import SWITCH, picture
from make_notebooks import LARGEST, cells_of, executed, lesson_files

from minibert.training.report import new_figure
from tests.conftest import ROOT
from tests.lessons.exercises import exercises_of

LARGEST_PICTURE = 60_000  # bytes


@pytest.fixture(params=lesson_files(), ids=lambda lesson: lesson.stem)
def lesson(request) -> Path:
    return request.param


def check_output(lesson: Path, output: str) -> None:
    """What a lesson printed, its exercises not yet done."""
    for pattern in import_module(f"tests.lessons.wrong.lesson{lesson.name[:2]}").PRINTED:
        assert re.search(pattern, output), pattern
    assert output.count("not yet: not written yet") == len(exercises_of(lesson))
    assert output.count("picture output") >= 1
    assert "no picture" not in output


def test_a_lesson_runs_from_top_to_bottom(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SWITCH, "short")
    runpy.run_path(str(lesson), run_name="__main__")
    check_output(lesson, capsys.readouterr().out)


@pytest.mark.slow
def test_a_lesson_runs_in_full(lesson, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    command = [sys.executable, "-W", "error", str(lesson)]
    environment["PYTHONPATH"] = str(ROOT)
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    check_output(lesson, result.stdout)


@pytest.mark.slow
def test_a_lesson_runs_as_a_notebook(lesson):
    pytest.importorskip("nbclient", reason="needs the extra lessons")
    made = executed(lesson)
    outputs = [output for cell in made["cells"] for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert len(json.dumps(made)) < LARGEST


def test_a_notebook_shows_its_lesson(lesson):
    path = lesson.with_suffix(".ipynb")
    notebook = json.loads(path.read_text("utf-8"))
    cells = cells_of(lesson.read_text("utf-8"))
    kept = ("id", "cell_type", "source")
    shown = [{name: cell[name] for name in kept} for cell in notebook["cells"]]
    assert shown == [{name: cell[name] for name in kept} for cell in cells], (
        f"run  python examples/lessons/make_notebooks.py {lesson.name[:2]}"
    )
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


def test_a_notebook_is_small_and_says_what_its_pictures_show(lesson):
    text = lesson.with_suffix(".ipynb").read_text("utf-8")
    assert len(text.encode()) < LARGEST
    outputs = [o for cell in json.loads(text)["cells"] for o in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for output in pictures:
        assert len(base64.b64decode(output["data"]["image/png"])) <= LARGEST_PICTURE
        assert len(output["metadata"]["image/png"]["alt"]) > 20
    printed = json.dumps([output for output in outputs if output not in pictures])
    assert not re.search(r"/(tmp|home|root|work)/|stderr|Traceback", printed)


def test_a_lesson_goes_on_without_matplotlib(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    picture(new_figure, 1, 1, alt="a square")
    assert capsys.readouterr().out == (
        "no picture (a square): drawing needs matplotlib: pip install -e '.[viz]'\n"
    )

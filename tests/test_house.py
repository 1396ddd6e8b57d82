"""The rule of the house: who imports whom, and how long the book is."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

CHAPTERS = [
    "config",
    "wordpiece",
    "tokenizer",
    "embeddings",
    "linear",
    "packing",
    "attention",
    "encoder",
    "model",
    "pretraining",
    "heads",
]
BEHIND = ["text", "checkpoint", "variants", "_checks"]  # what a chapter may rest on


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def modules_in(root: Path) -> dict[str, ast.Module]:
    """The modules of minibert, each with its code."""
    files = (root / "minibert").rglob("*.py")
    return {module_name(file, root): ast.parse(file.read_text("utf-8")) for file in files}


def imports(code: ast.AST, modules: dict[str, ast.Module]) -> set[str]:
    """The modules of minibert that this code imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: from . import; write the whole name"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else str(node.module) for name in names}
    return found & modules.keys()


MODULES = modules_in(ROOT)
IMPORTS = {name: imports(code, MODULES) for name, code in MODULES.items()}


def room(name: str) -> str:
    """The chapter or the folder of a module; of minibert itself, minibert."""
    return name.split(".")[:2][-1]


def imported_by(*rooms: str) -> set[tuple[str, str]]:
    """(module, room that it imports) for every module of these rooms."""
    return {
        (name, room(other)) for name in IMPORTS if room(name) in rooms for other in IMPORTS[name]
    }


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_imports_only_earlier_ones_and_what_stands_behind_them(chapter):
    allowed = {*CHAPTERS[: CHAPTERS.index(chapter)], *BEHIND}
    assert {other for _, other in imported_by(chapter)} <= allowed


def test_text_and_checkpoint_import_no_chapter_but_wordpiece():
    found = imported_by("text", "checkpoint")
    assert not [(name, other) for name, other in found if other in set(CHAPTERS) - {"wordpiece"}]


def test_engine_and_training_know_nothing_of_tasks():
    found = imported_by("engine", "training", "corpus", "data")
    assert not [(name, other) for name, other in found if other in ("tasks", "minibert")]


def test_nobody_imports_the_command():
    rooms = {room(name) for name in IMPORTS} - {"cli", "__main__"}
    assert "cli" not in {other for _, other in imported_by(*rooms)}


def test_nobody_but_the_command_looks_inside():
    rooms = {room(name) for name in IMPORTS} - {"cli", "inspect"}
    assert "inspect" not in {other for _, other in imported_by(*rooms)}


def test_no_circle():
    TopologicalSorter(IMPORTS).prepare()  # a CycleError names the modules of the circle


def test_no_import_is_hidden_in_a_function():
    functions = [
        (name, node)
        for name, code in MODULES.items()
        for node in ast.walk(code)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    assert not [(name, node.lineno) for name, node in functions if imports(node, MODULES)]


def test_every_kind_of_import_is_seen(tmp_path):
    (tmp_path / "minibert" / "text").mkdir(parents=True)
    for name in ("__init__", "a", "b", "c", "d", "text/__init__", "text/e"):
        (tmp_path / "minibert" / f"{name}.py").write_text("")
    (tmp_path / "minibert" / "a.py").write_text(
        "import torch, minibert.b\n"
        "from minibert import c, __version__\n"
        "if TYPE_CHECKING:\n"
        "    from minibert.text.e import name\n"
        "def function():\n"
        "    from minibert.text import e, name\n"
        "    import minibert.d as d\n"
    )
    modules = modules_in(tmp_path)
    found = imports(modules["minibert.a"], modules)
    assert found == modules.keys() - {"minibert.a"}


def test_the_book_is_short():
    lines = {
        chapter: len((ROOT / "minibert" / f"{chapter}.py").read_text("utf-8").splitlines())
        for chapter in CHAPTERS
    }
    assert {chapter: count for chapter, count in lines.items() if count > 260} == {}
    assert sum(lines.values()) <= 1870


def test_the_first_look_at_the_package_is_a_short_one():
    entries = {entry.name for entry in (ROOT / "minibert").iterdir()}
    seen = {name for name in entries if not re.match(r"\.|__pycache__$", name)}
    assert len(seen - {f"{chapter}.py" for chapter in CHAPTERS}) <= 17

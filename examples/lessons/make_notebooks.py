"""Run the lessons and write them as notebooks, to be read on the web.

    python examples/lessons/make_notebooks.py            # all ten, some minutes
    python examples/lessons/make_notebooks.py 04 07      # these

A lesson is a Python file in cells: `# %%` begins code, `# %% [markdown]` text. The notebooks beside
them are made from it and nothing else; change the file and run this. Needs
`pip install -e '.[lessons]'`.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from minibert._programs import run_program

LESSONS = Path(__file__).parent
LARGEST = 400_000  # bytes of a notebook
_MARK = re.compile(r"^# %%(?P<markdown> \[markdown\])?$", re.MULTILINE)


def lesson_files() -> list[Path]:
    """The lessons in their order."""
    return sorted(LESSONS.glob("[0-9][0-9]_*.py"))


def cells_of(source: str) -> list[dict[str, Any]]:
    """The cells of a lesson, as a notebook has them before it is run."""
    marks = list(_MARK.finditer(source))
    if not marks or marks[0].start():
        raise ValueError("a lesson begins with # %% or # %% [markdown]")
    cells: list[dict[str, Any]] = []
    ends = [mark.start() for mark in marks[1:]] + [len(source)]
    for number, (mark, end) in enumerate(zip(marks, ends, strict=True), 1):
        text = source[mark.end() : end].strip("\n")
        cell: dict[str, Any] = {"id": f"cell-{number:02}", "metadata": {}}
        if mark["markdown"]:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.split("\n"))
            cell |= {"cell_type": "markdown"}
        else:
            cell |= {"cell_type": "code", "execution_count": None, "outputs": []}
        cells.append(cell | {"source": text.splitlines(keepends=True)})
    return cells


def notebook_of(path: Path) -> dict[str, Any]:
    """A lesson as a notebook that was not run."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells_of(path.read_text("utf-8")),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def executed(path: Path) -> dict[str, Any]:
    """The notebook with its outputs; what went to stderr, such as bars of progress, is left out."""
    try:
        import nbformat
        from nbclient import NotebookClient
    except ImportError as error:
        raise ImportError("notebooks are run with: pip install -e '.[lessons]'") from error

    notebook = nbformat.reads(json.dumps(notebook_of(path)), as_version=4)
    here = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=300, record_timing=False, resources=here).execute()
    made: dict[str, Any] = json.loads(nbformat.writes(notebook))
    for cell in made["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [out for out in cell["outputs"] if out.get("name") != "stderr"]
    made["metadata"] = notebook_of(path)["metadata"]  # without the version of this Python
    return made


def main() -> None:
    chosen = [
        path
        for path in lesson_files()
        if not sys.argv[1:] or path.name.startswith(tuple(sys.argv[1:]))
    ]
    if not chosen:
        raise ValueError(f"no lesson begins with {' or '.join(sys.argv[1:])}; 04 is one")
    # Of the notebook's process: bars would be drawn, and a matplotlib with a window asked for.
    os.environ |= {"TQDM_DISABLE": "1", "MPLBACKEND": "Agg"}
    for path in chosen:
        text = json.dumps(executed(path), indent=1, ensure_ascii=False) + "\n"
        size = len(text.encode())
        if size > LARGEST:
            raise ValueError(f"{path.stem}.ipynb would have {size} bytes; at most {LARGEST}")
        path.with_suffix(".ipynb").write_text(text, "utf-8")
        print(f"{path.stem}.ipynb: {size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    run_program(main)

"""results.json of `gpu.py`: replaced whole at each change, so that a killed run leaves it readable.

    {"command": ..., "date": ..., "minutes": ..., "device": "cuda", "tiny": false,
     "sections": {name: {"status": ..., "seconds": ..., "planned": [names of cells],
                         "log": [last lines], "warnings": [], "cells": {name: cell}}}}

A cell is {"status": "begun" | "done" | "late" | "failed" | "left out", "seconds": ..., "result":
{...}} and, where it ended badly, has "error", one line, and "traceback".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class Results:
    """The file. One process at a time changes it: the section at work, or else the command."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.json"

    def read(self) -> Json:
        """Raises `ValueError` for a file that is none of ours."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.path} is no JSON: {error}") from error
        if not isinstance(found, dict) or not isinstance(found.get("sections"), dict):
            raise ValueError(f"{self.path} was not written by benchmarks/gpu.py")
        return found

    def write(self, found: Json) -> None:
        beside = self.path.with_suffix(".part")
        # In one line: indented, Python would take 20 times as long, and there are many cells.
        beside.write_text(json.dumps(found), encoding="utf-8")
        os.replace(beside, self.path)

    @contextmanager
    def section(self, name: str) -> Iterator[Json]:
        """What is known of a section, to be changed inside; written at the end."""
        found = self.read()
        yield found["sections"].setdefault(name, {"status": "working", "planned": [], "cells": {}})
        self.write(found)

    def results_of(self, section: str) -> dict[str, Json]:
        """Name of a cell -> result, for those that are done."""
        return done_cells(self.read(), section)


def done_cells(found: Json, section: str) -> dict[str, Json]:
    """Name of a cell -> result, for those of a section that are done."""
    cells = found["sections"].get(section, {}).get("cells", {})
    return {name: cell["result"] for name, cell in cells.items() if cell["status"] == "done"}

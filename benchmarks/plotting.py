"""Charts: figures of matplotlib that touch no global state and open no window.

A `matplotlib.figure.Figure` made by hand belongs to no backend and to nobody's list of open
figures, so whoever imports a benchmark keeps the backend they have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

MISSING = "a chart needs matplotlib: pip install -e '.[viz]'"


def new_figure(columns: int = 1, size: tuple[float, float] = (8, 4)) -> tuple[Any, list[Any]]:
    """(figure, its panels in a row). size: inches. Raises ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(MISSING) from error
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def check_outputs(*paths: Path | None) -> None:
    """What cannot be written is found before the work, not after. Raises `OSError`."""
    for path in paths:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()


def save(figure: Any, path: Path) -> None:
    """Write it, with the folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def rates(panel: Any, found: dict[str, float], label: str) -> None:
    """Horizontal bars, name -> rate, ours in a colour of their own."""
    names = list(found)[::-1]
    colors = ["tab:orange" if name.startswith("minibert") else "tab:gray" for name in names]
    panel.barh(names, [found[name] for name in names], color=colors)
    panel.bar_label(panel.containers[0], fmt="%.1f", padding=3)
    panel.set_xlabel(label)

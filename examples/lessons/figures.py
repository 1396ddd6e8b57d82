"""Plain pictures that several lessons draw: tables of numbers, bars, strips, curves.
`minibert.inspect` has those of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minibert.inspect.drawing import empty_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Line by line, told apart in grey and by the colour-blind: Okabe & Ito 2008.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
STYLES = ("-", "--", ":", "-.")


def tables(
    matrices: Mapping[str, Any],
    rows: Sequence[str],
    columns: Sequence[str],
    xlabel: str = "",
) -> Figure:
    """Matrices side by side, with their numbers; the larger, the darker. matrices: title -> (R, K)
    of any K; those of as many columns as there are names have them below."""
    widths = [np.shape(matrix)[1] for matrix in matrices.values()]
    figure = empty_figure(1.5 + 0.72 * sum(widths), 1.3 + 0.62 * len(rows))
    row_of_axes = figure.subplots(1, len(matrices), squeeze=False, width_ratios=widths)[0]
    for axes, (title, matrix) in zip(row_of_axes, matrices.items(), strict=True):
        numbers = np.asarray(matrix, dtype=float)
        # Up to a blue on which black is still read.
        axes.imshow(numbers, cmap="Blues", vmin=min(0, numbers.min()), vmax=1.6 * numbers.max())
        for (i, j), number in np.ndenumerate(numbers):
            axes.text(j, i, f"{number:.3g}", ha="center", va="center")
        axes.set_title(title, fontsize=10)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xticks([])
        if numbers.shape[1] == len(columns):
            axes.set_xticks(range(len(columns)), columns)
            axes.set_xlabel(xlabel)
    return figure


def bars(
    values: Mapping[str, float],
    title: str,
    xlabel: str,
    form: str = "{:.2f}",
    errors: Sequence[float] | None = None,
    line: tuple[str, float] | None = None,
) -> Figure:
    """A bar for each name, the first on top, with its number. errors: one standard error of each;
    line: a value to compare with, and what it is."""
    figure = empty_figure(8, 1.3 + 0.36 * len(values))
    axes = figure.subplots()
    names, numbers = list(values), list(values.values())
    drawn = axes.barh(range(len(names)), numbers, color=COLOURS[0], xerr=errors, ecolor="black")
    axes.bar_label(drawn, [form.format(number) for number in numbers], padding=4)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    figure.suptitle(title, fontsize=11, parse_math=False)  # which may be wider than the axes
    axes.set_xlabel(xlabel)
    if line is not None:
        axes.axvline(line[1], color="black", linestyle="--", label=line[0])
        axes.legend(loc="lower right")
    return figure


def strips(rows: Mapping[str, Sequence[str]], title: str) -> Figure:
    """A strip of boxes for each name, the first on top: a text in each box, which is as wide as the
    text is long."""
    figure = empty_figure(8, 0.8 + 0.4 * len(rows))
    axes = figure.subplots()
    for line, texts in enumerate(rows.values()):
        left = 0.0
        for text in texts:
            width = len(text) + 1.5  # in letters
            axes.barh(line, width, 0.7, left, color="#d6e6f2", edgecolor="black", linewidth=0.8)
            axes.text(left + width / 2, line, text, ha="center", va="center", family="monospace")
            left += width
    axes.set_yticks(range(len(rows)), list(rows), parse_math=False)
    axes.tick_params(left=False)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    axes.invert_yaxis()
    return figure


def curves(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    xlabel: str,
    ylabel: str,
    level: tuple[str, float] | None = None,
) -> Figure:
    """A curve for each name, through its (x, y). level: a value to compare with, and what it is."""
    figure = empty_figure(8, 4)
    axes = figure.subplots()
    for number, (name, (x, y)) in enumerate(lines.items()):
        colour, style = COLOURS[number % 4], STYLES[number % 4]
        axes.plot(x, y, color=colour, linestyle=style, marker="o", markersize=3, label=name)
    if level is not None:
        axes.axhline(level[1], color="black", linewidth=1, linestyle=(0, (6, 2)), label=level[0])
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    return figure


def scatters(
    panels: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    names: Sequence[str] = (),
) -> Figure:
    """Points (x, y) in panels side by side, with the same axes. names: what is written beside each
    point, "" for nothing; none at all for nothing anywhere."""
    figure = empty_figure(1 + 4.2 * len(panels), 4.2)
    row_of_axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (title, (x, y)) in zip(row_of_axes, panels.items(), strict=True):
        axes.scatter(x, y, color=COLOURS[0], s=16)
        middle = (min(x) + max(x)) / 2
        for name, *point in zip(names or [""] * len(x), x, y, strict=True):
            left = point[0] > middle  # names are written towards the middle
            style: dict[str, Any] = {"ha": "right" if left else "left", "fontsize": 8}
            axes.annotate(
                name, point, xytext=(-4 if left else 4, 3), textcoords="offset points", **style
            )
        axes.axhline(0, color="black", linewidth=0.8, linestyle="--")
        axes.set(title=title, xlabel=xlabel)
    row_of_axes[0].set_ylabel(ylabel)
    return figure

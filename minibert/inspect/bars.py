"""Pictures in bars: what words count for, what a deletion test found, how big parts are.

Each takes a result of this room and returns a figure, as in `pictures`. A sign is the direction of
a bar and in its number, and never in the colour alone. Raises `ImportError` without matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minibert.inspect.attributions import Attribution
from minibert.inspect.deletion import DeletionTest
from minibert.inspect.drawing import AGAINST, FOR, TITLE, empty_figure, label_of, signed
from minibert.inspect.sizes import Part, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WORDS = 40  # most bars of words


def plot_importance(found: Attribution) -> Figure:
    """How much each word speaks for what a classifier says, to the right, or against it, to the
    left; in the order of the text. Of many words the 40 of most weight."""
    order = np.sort(np.argsort(-np.abs(found.weights), kind="stable")[:_WORDS])
    weights = found.weights[order]
    figure = empty_figure(7, 1.7 + 0.27 * len(order))
    axes = figure.subplots()
    _bars(axes, weights, [label_of(found.words[i]) for i in order], "+.2f")
    axes.axvline(0, color="black", linewidth=0.8)
    value, baseline = (signed(number, "+.2f") for number in (found.value, found.baseline))
    chance = "" if found.probability is None else f" (probability {found.probability:.3f})"
    axes.set_title(
        f"{found.method.capitalize()}: {label_of(found.explained, TITLE)}\n"
        f"{value}{chance}, {baseline} with every word masked",
        parse_math=False,
        fontsize=11,
    )
    unit = "prediction" if found.probability is None else "log-odds (nats)"
    left_out = len(found.words) - len(order)
    axes.set_xlabel(f"weight, {unit}" + (f"; {left_out} lesser words left out" if left_out else ""))
    return figure


def plot_deletion(test: DeletionTest) -> Figure:
    """By how much hiding the word of most weight lowers the probability, a bar for each way of
    explaining, the furthest first; with standard errors."""
    order = np.argsort(-test.means, kind="stable")
    means, errors = test.means[order], np.nan_to_num(test.standard_errors[order])
    figure = empty_figure(7, 1.7 + 0.35 * len(order))
    axes = figure.subplots()
    _bars(axes, means, [test.methods[i] for i in order], "+.3f", errors)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(
        title=f"Deletion test, {test.falls.shape[1]} texts",
        xlabel="mean fall of the probability, with one standard error",
    )
    return figure


def plot_sizes(summary: Summary) -> Figure:
    """The parameters of each part, in the model's order."""
    parts = [leaf for part in summary.parts for leaf in _leaves(part)]
    numbers = np.array([number for _, number in parts])
    figure = empty_figure(7.5, 1.7 + 0.35 * len(parts))
    axes = figure.subplots()
    _bars(axes, numbers, [name for name, _ in parts], ",")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}")
    config = summary.config
    axes.set(
        title=f"{config.variant.name}, {config.num_hidden_layers} layers: "
        f"{summary.parameters / 1e6:,.1f} million parameters, "
        f"{summary.memory.weights / 1e6:,.0f} MB in fp32",
        xlabel="parameters (millions)",
    )
    return figure


def _bars(
    axes: Axes,
    values: np.ndarray,
    names: Sequence[str],
    form: str,
    errors: np.ndarray | None = None,
) -> None:
    """Horizontal bars, the first on top, each with its number at its end."""
    places = range(len(values))
    colours = [FOR if value >= 0 else AGAINST for value in values]
    axes.barh(places, values, xerr=errors, color=colours, capsize=3 if errors is not None else 0)
    ends = values if errors is None else values + np.copysign(errors, values)
    for place, (value, end) in enumerate(zip(values, ends, strict=True)):
        side, shift = ("left", 4) if value >= 0 else ("right", -4)
        axes.annotate(
            signed(value, form),
            (end, place),
            (shift, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=8,
        )
    axes.set_yticks(places, names, parse_math=False)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.margins(x=0.15)  # room for the numbers
    axes.spines[["top", "right"]].set_visible(False)


def _leaves(part: Part) -> list[tuple[str, int]]:
    """The smallest parts, by name and number of parameters."""
    if not part.inside:
        return [(part.name, part.parameters)]
    return [
        (f"{part.name}: {name}", number) for each in part.inside for name, number in _leaves(each)
    ]

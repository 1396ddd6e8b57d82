"""What a run came to, in pictures that a script saves and a notebook shows; and what else a program
puts beside its model."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minibert.checkpoint.folders import new_files
from minibert.training.history import ERRORS, History
from minibert.training.results import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE, CONFUSION, CALIBRATION = "learning_curve.png", "confusion.png", "calibration.png"
# What a picture calls a metric, and its axis, where that is not the name.
_NAMED = {"accuracy": ("Accuracy", "share correct")}


def plot_history(
    history: History,
    to_beat: float | None = None,
    *,
    metric: str | None = None,
    training: str = "training",
    evaluated: str = "development",
    baseline: str = "majority baseline",
    loss: str = "cross-entropy (nats)",
) -> Figure:
    """Loss and a metric against the steps, as a figure: a notebook shows it, `.savefig(path)`
    writes it. pyplot and its settings are left alone.

    metric: None for the task's own, such as accuracy. to_beat: its value for the baseline, that of
    always naming the most frequent class for example. training, evaluated, baseline, loss: what
    lines and axes are called. Raises `ImportError` without matplotlib.
    """
    figure = new_figure(11, 4)
    left, right = figure.subplots(1, 2)
    window = max(1, len(history.losses) // 100)  # average, or the noise of batches hides the curve
    starts = range(0, len(history.losses), window)
    smooth = [sum(part) / len(part) for part in (history.losses[s : s + window] for s in starts)]
    left.plot(
        [s + window / 2 for s in starts], smooth, label=f"{training},\nmean of {window} steps"
    )
    steps = [evaluation.step for evaluation in history.evaluations]
    left.plot(steps, [e.loss for e in history.evaluations], "o-", label=evaluated)
    left.set(xlabel="step", ylabel=loss, title="Loss", ylim=(0, None))
    left.legend()
    if metric is None:
        metric = history.evaluations[0].metric if history.evaluations else "accuracy"
    values = [evaluation.value(metric) for evaluation in history.evaluations]
    right.plot(steps, values, "o-", label=evaluated)
    if to_beat is not None:
        right.axhline(to_beat, color="grey", linestyle="--", label=baseline)
    # A correlation may be negative, and r2 before training any number below.
    limits = (0, None) if metric in ERRORS else (max(-1, min([0, *values])), 1)
    title, axis = _NAMED.get(metric, (metric, metric))
    right.set(xlabel="step", ylabel=axis, title=title, ylim=limits)
    right.legend()
    return figure


def plot_confusion(report: Report) -> Figure:
    """How many texts of each true class, in rows, were called by each class, in columns; colours
    show the share of the row. Of many classes the most frequent.

    Raises `ImportError` without matplotlib, and `ValueError` where texts do not have one label.
    """
    if report.confusion is None:
        raise ValueError(
            "this report has no confusion matrix; there is one where each text has one label"
        )
    (_, *names), *_ = report.confusion_rows()
    counts = report.confusion[np.ix_(report.listed, report.listed)]
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    size = 3 + 0.5 * len(names)  # inches
    figure = new_figure(size, size)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set(xlabel="predicted", ylabel="true", title="Confusion")
    axes.set_xticks(ticks, names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=colour)
    return figure


def plot_calibration(report: Report) -> Figure:
    """The reliability curve: of decisions made with a probability, the share that is right; and how
    many decisions are made with it.

    Raises `ImportError` without matplotlib, and `ValueError` for a report without calibration.
    """
    found = report.calibration
    if found is None:
        raise ValueError(
            "this report has no calibration; probabilities have one, and scikit-learn computes it: "
            "pip install -e '.[metrics]'"
        )
    figure = new_figure(5, 6)
    curve, histogram = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    curve.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfectly calibrated")
    curve.plot(found.probability, found.right, "o-", label="this model")
    title = f"Calibration: expected error {found.error:.3f}"
    curve.set(ylabel="share right", title=title, xlim=(0, 1), ylim=(-0.02, 1.02))
    curve.legend()
    histogram.bar(found.probability, found.decisions, width=0.05)
    histogram.set(xlabel="probability of the decision", ylabel="decisions")
    return figure


def add_to_model(
    folder: Path, log: Path, draw: Callable[[], Figure], report: Report | None = None
) -> str:
    """Put a run's log, its learning curve and the pictures of a report into the folder of its
    model, which is as good without them: what cannot be written is left out. Returns what to tell
    of it."""
    told = []
    try:
        with new_files(folder) as unfinished:
            if log.is_file():  # somebody may have tidied up
                shutil.copy2(log, unfinished)
    except OSError as error:
        told.append(f"no log: {error}")
    pictures = {CURVE: draw}
    if report is not None and report.confusion is not None:
        pictures[CONFUSION] = partial(plot_confusion, report)
    if report is not None and report.calibration is not None:
        pictures[CALIBRATION] = partial(plot_calibration, report)
    for name, picture in pictures.items():
        what = name.removesuffix(".png").replace("_", " ")
        try:
            figure = picture()
            with new_files(folder) as unfinished:
                figure.savefig(unfinished / name)
            told.append(f"{what} drawn to {folder / name}")
        except (ImportError, OSError) as error:
            told.append(f"no {what}: {error}")
    return "\n".join(told)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that a notebook shows and that knows nothing of pyplot.

    A figure of pyplot's would switch its backend, or depend on the one in use; and a plain one is
    shown by notebooks only once pyplot was imported.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install -e '.[viz]'") from error

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Picture(figsize=(width, height), dpi=120, layout="tight")

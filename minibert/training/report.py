"""A run's learning curve, as a figure that a script saves and a notebook shows; and what else a
program puts beside its model."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.checkpoint.folders import new_files
from minibert.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE = "learning_curve.png"


def plot_history(
    history: History,
    to_beat: float,
    *,
    training: str = "training",
    evaluated: str = "development",
    baseline: str = "majority baseline",
) -> Figure:
    """Loss and accuracy against the steps, as a figure: a notebook shows it, `.savefig(path)`
    writes it. pyplot and its settings are left alone.

    to_beat: the accuracy of the baseline, that of always naming the most frequent class for
    example. training, evaluated, baseline: what the lines are called. Raises `ImportError` without
    matplotlib.
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
    left.set(xlabel="step", ylabel="cross-entropy (nats)", title="Loss", ylim=(0, None))
    left.legend()
    right.plot(steps, [e.accuracy for e in history.evaluations], "o-", label=evaluated)
    right.axhline(to_beat, color="grey", linestyle="--", label=baseline)
    right.set(xlabel="step", ylabel="share correct", title="Accuracy", ylim=(0, 1))
    right.legend()
    return figure


def add_to_model(folder: Path, log: Path, draw: Callable[[], Figure]) -> str:
    """Put a run's log and its learning curve into the folder of its model, which is as good without
    them: what cannot be written is left out. Returns what to tell of it."""
    told = []
    try:
        with new_files(folder) as unfinished:
            if log.is_file():  # somebody may have tidied up
                shutil.copy2(log, unfinished)
    except OSError as error:
        told.append(f"no log: {error}")
    try:
        figure = draw()
        with new_files(folder) as unfinished:
            figure.savefig(unfinished / CURVE)
        told.append(f"learning curve drawn to {folder / CURVE}")
    except (ImportError, OSError) as error:
        told.append(f"no learning curve: {error}")
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

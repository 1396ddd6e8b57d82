"""What a finished run shows: its learning curve and the model's card."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import tokenizers
import torch

from minibert.config import BertConfig
from minibert.training.loop import History


def plot_history(
    history: History,
    to_beat: float,
    path: str | Path,
    *,
    training: str = "training",
    evaluated: str = "development",
    baseline: str = "majority baseline",
) -> None:
    """Draw loss and accuracy against the steps.

    to_beat: the accuracy of the baseline, that of always naming the most frequent class for
    example. training, evaluated, baseline: what the lines are called. Raises `ImportError` without
    matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "drawing a learning curve needs matplotlib: pip install -e '.[viz]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    window = max(1, len(history.losses) // 100)  # average, or the noise of batches hides the curve
    starts = range(0, len(history.losses), window)
    smooth = [sum(part) / len(part) for part in (history.losses[s : s + window] for s in starts)]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
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
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def model_card(
    config: BertConfig, training: Mapping[str, Any], history: History, data: str = ""
) -> str:
    """The README.md of a fine-tuned classifier, as model hubs show it.

    training: "texts", "validation texts", "classes" with the number of texts of each, "recipe", the
    settings by name, and "processes". data: what the texts are.
    """
    recipe = training["recipe"]
    balance = ", ".join(
        f"{label} {number} ({number / training['texts']:.1%})"
        for label, number in training["classes"].items()
    )
    number = training["processes"]
    processes = f" in each of {number} processes" if number > 1 else ""
    start = "fine-tuned with minibert from"
    if recipe["weights"] == "random":
        start = "trained with minibert from random weights in the shape of"
    lines = [
        "---",
        "pipeline_tag: text-classification",
        "library_name: transformers",
        "---",
        "",
        "# Text classifier",
        "",
        f"A BERT of {config.num_hidden_layers} layers, {config.hidden_size} wide, {start} "
        f"`{Path(str(recipe['model'])).name}` to tell apart: {', '.join(config.labels)}.",
        "",
        "## Data",
        "",
        *([data, ""] if data else []),
        f"{training['texts']} texts for training: {balance}. "
        f"{training['validation texts']} for development. No text outside of these was looked at, "
        "so nothing is known about other kinds of text.",
        "",
        "## Results on the development texts",
        "",
    ]
    if history.evaluations:
        lines += ["| step | accuracy | loss, nats |", "|---|---|---|"]
        lines += [f"| {e.step} | {e.accuracy:.2%} | {e.loss:.4f} |" for e in history.evaluations]
        if recipe["keep_best"] and history.best is not None:
            lines += ["", f"The weights are those of step {history.best.step}, the best of these."]
    else:
        lines += ["There were none."]
    lines += [
        "",
        "## Recipe",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in recipe.items() if name != "model"),
        "",
        f"{len(history.losses)} steps, {history.examples} examples, {history.seconds:.0f} s on "
        f"{datetime.date.today()}; Python {platform.python_version()}, torch {torch.__version__} "
        f"with {torch.get_num_threads()} threads{processes}, tokenizers {tokenizers.__version__}, "
        f"numpy {numpy.__version__}.",
    ]
    return "\n".join(lines) + "\n"

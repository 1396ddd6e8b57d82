"""The card of a fine-tuned model: what it is, learned from what, how, and how good it is."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import tokenizers
import torch

from minibert.checkpoint.sizes import SIZES
from minibert.config import BertConfig
from minibert.training.history import Evaluation, History


@dataclass(frozen=True)
class Fit:
    """What a model card tells of a `fit`, beside the model and its history.

    classes: the number of training texts of each. held_out: the number of development texts.
    settings: the recipe by name, with "model", "weights" and "keep_best". base_model, licence: the
    name on the hub and the licence of the model whose weights it began with, where they are known.
    """

    classes: Mapping[str, int]
    held_out: int
    settings: Mapping[str, Any]
    processes: int = 1
    base_model: str | None = None
    licence: str | None = None


def model_card(name: str, config: BertConfig, fit: Fit, history: History, data: str = "") -> str:
    """The README.md of a fine-tuned classifier, as model hubs show and read it.

    name: the model's. data: what the texts are.
    """
    return f"---\n{_metadata(name, fit, history)}\n---\n\n{_body(config, fit, history, data)}"


def _metadata(name: str, fit: Fit, history: History) -> str:
    """The front matter in YAML, without what is not known: the data set's name on the hub, and
    often the licence."""
    from huggingface_hub import EvalResult, ModelCardData

    kept = _kept(fit, history)
    results = None
    if kept is not None:
        results = [
            EvalResult(
                task_type="text-classification",
                dataset_type="development",
                dataset_name="development texts",
                metric_type=metric,
                metric_value=round(value, 6),
            )
            for metric, value in (("accuracy", kept.accuracy), ("loss", kept.loss))
        ]
    card = ModelCardData(
        license=fit.licence,
        base_model=fit.base_model,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["minibert"],
        metrics=None if kept is None else ["accuracy"],
        model_name=None if kept is None else name,
        eval_results=results,
    )
    return card.to_yaml().strip()


def _kept(fit: Fit, history: History) -> Evaluation | None:
    """The evaluation of the weights that were kept."""
    if fit.settings["keep_best"] or not history.evaluations:
        return history.best
    return history.evaluations[-1]


def hub_name(model: str | Path) -> str | None:
    """The name on the hub of a model that was given so; None for a folder, and if unsure."""
    name = str(model)
    if Path(model).is_dir():
        return None
    if name in SIZES:
        return SIZES[name].hub_name
    return name if "/" in name else None


def licence_of(folder: Path) -> str | None:
    """The licence that the model's own card states, if its folder has one."""
    from huggingface_hub import metadata_load

    try:
        licence = (metadata_load(folder / "README.md") or {}).get("license")
    except Exception:  # there is none, or it is not YAML; its parser has errors of many kinds
        return None
    return licence if isinstance(licence, str) else None


def _body(config: BertConfig, fit: Fit, history: History, data: str) -> str:
    settings, texts = fit.settings, sum(fit.classes.values())
    balance = ", ".join(
        f"{label} {number} ({number / texts:.1%})" for label, number in fit.classes.items()
    )
    processes = f" in each of {fit.processes} processes" if fit.processes > 1 else ""
    start = "fine-tuned with minibert from"
    if settings["weights"] == "random":
        start = "trained with minibert from random weights in the shape of"
    lines = [
        "# Text classifier",
        "",
        f"{config.variant.name} of {config.num_hidden_layers} layers, {config.hidden_size} wide, "
        f"{start} `{Path(str(settings['model'])).name}` to tell apart: {', '.join(config.labels)}. "
        f"transformers opens it as {config.variant.architecture('BertForSequenceClassification')}.",
        "",
        "## Data",
        "",
    ]
    if data:
        lines += [data, ""]
    lines += [
        f"{texts} texts for training: {balance}. {fit.held_out} for development. No text outside "
        "of these was looked at, so nothing is known about other kinds of text.",
        "",
        "## Results on the development texts",
        "",
    ]
    if history.evaluations:
        lines += ["| step | accuracy | loss, nats |", "|---|---|---|"]
        lines += [f"| {e.step} | {e.accuracy:.2%} | {e.loss:.4f} |" for e in history.evaluations]
        if settings["keep_best"] and history.best is not None:
            lines += ["", f"The weights are those of step {history.best.step}, the best of these."]
    else:
        lines += ["There were none."]
    lines += ["", "## Recipe", "", "| setting | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in settings.items() if name != "model"]
    lines += [
        "",
        f"{len(history.losses)} steps, {history.examples} examples, {history.seconds:.0f} s on "
        f"{datetime.date.today()}; Python {platform.python_version()}, torch {torch.__version__} "
        f"with {torch.get_num_threads()} threads{processes}, tokenizers {tokenizers.__version__}, "
        f"numpy {numpy.__version__}.",
    ]
    return "\n".join(lines) + "\n"

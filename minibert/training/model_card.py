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

from minibert._checks import enumerated
from minibert.checkpoint.sizes import SIZES
from minibert.config import BertConfig
from minibert.training.history import Evaluation, History, as_text
from minibert.training.metrics import of_the_whole
from minibert.training.results import LISTED, Report, markdown

# The ids of metrics on the hub, where scikit-learn has another name. A mean over classes is an
# argument there: "f1_macro" is f1 with the average macro.
_HUB_METRICS = {
    "matthews_corrcoef": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "r2": "r_squared",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
}
_AVERAGES = ("macro", "micro", "weighted")


@dataclass(frozen=True)
class Fit:
    """What a model card tells of a `fit`, beside the model and its history.

    classes: the number of training texts of each label; empty where labels are no classes of texts.
    held_out: the number of development texts. settings: the recipe by name, with "model",
    "weights", "keep_best" and "metric". base_model, licence: the name on the hub and the licence of
    the model whose weights it began with, where they are known. texts: the number of training
    texts, None: as many as `classes` has. contents: what training texts are labelled with, where
    `classes` does not tell. report: on the development texts, of the weights that were kept.

    title, purpose ("to predict a number"; labels that are classes are told after it), pipeline_tag
    (the hub's) and architecture (BERT's class in transformers) are the task's.
    """

    classes: Mapping[str, int]
    held_out: int
    settings: Mapping[str, Any]
    processes: int = 1
    base_model: str | None = None
    licence: str | None = None
    texts: int | None = None
    contents: str = ""
    report: Report | None = None
    title: str = "Text classifier"
    purpose: str = "to tell apart"
    pipeline_tag: str = "text-classification"
    architecture: str = "BertForSequenceClassification"


def model_card(name: str, config: BertConfig, fit: Fit, history: History, data: str = "") -> str:
    """The README.md of a fine-tuned model, as model hubs show and read it.

    name: the model's. data: what the texts are.
    """
    return f"---\n{_metadata(name, fit, history)}\n---\n\n{_body(config, fit, history, data)}"


def _metadata(name: str, fit: Fit, history: History) -> str:
    """The front matter in YAML, without what is not known: the data set's name on the hub, and
    often the licence."""
    from huggingface_hub import EvalResult, ModelCardData

    kept = _kept(fit, history)
    results: list[EvalResult] = []
    if kept is not None:
        results = [
            EvalResult(
                task_type=fit.pipeline_tag,
                dataset_type="development",
                dataset_name="development texts",
                metric_value=round(value, 6),
                **_on_the_hub(metric),
            )
            for metric, value in {**_measured(fit, kept), "loss": kept.loss}.items()
        ]
    names = dict.fromkeys(result.metric_type for result in results if result.metric_type != "loss")
    card = ModelCardData(
        license=fit.licence,
        base_model=fit.base_model,
        library_name="transformers",
        pipeline_tag=fit.pipeline_tag,
        tags=["minibert"],
        metrics=list(names) or None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return card.to_yaml().strip()


def _on_the_hub(metric: str) -> dict[str, Any]:
    """What the hub calls a metric.

    >>> _on_the_hub("f1_macro")
    {'metric_type': 'f1', 'metric_name': 'f1_macro', 'metric_args': {'average': 'macro'}}
    """
    name = metric.partition(":")[0]  # of one class
    kind, _, average = name.rpartition("_")
    if average in _AVERAGES:
        return {
            "metric_type": kind,
            "metric_name": metric,
            "metric_args": {"average": average},
        }
    return {"metric_type": _HUB_METRICS.get(name, name), "metric_name": metric}


def _measured(fit: Fit, kept: Evaluation) -> dict[str, float]:
    """The metrics of the whole, and the chosen one if it is of one class."""
    chosen = fit.settings.get("metric")
    whole = of_the_whole(kept.metrics)
    return whole | {name: kept.metrics[name] for name in kept.metrics if name == chosen}


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
    settings = fit.settings
    texts = sum(fit.classes.values()) if fit.texts is None else fit.texts
    counted = [f"{label} {number} ({number / texts:.1%})" for label, number in fit.classes.items()]
    contents = enumerated(counted, LISTED) or fit.contents
    labels = f": {enumerated(config.labels, LISTED)}" if fit.classes else ""
    processes = f" in each of {fit.processes} processes" if fit.processes > 1 else ""
    start = "fine-tuned with minibert from"
    if settings["weights"] == "random":
        start = "trained with minibert from random weights in the shape of"
    lines = [
        f"# {fit.title}",
        "",
        f"{config.variant.name} of {config.num_hidden_layers} layers, {config.hidden_size} wide, "
        f"{start} `{Path(str(settings['model'])).name}` {fit.purpose}{labels}. "
        f"transformers opens it as {config.variant.architecture(fit.architecture)}.",
        "",
        "## Data",
        "",
    ]
    if data:
        lines += [data, ""]
    lines += [
        f"{texts} texts for training{f': {contents}' if contents else ''}. {fit.held_out} for "
        "development. No text outside of these was looked at, so nothing is known about other "
        "kinds of text.",
        "",
        "## Results on the development texts",
        "",
        *_results(config, fit, history),
        "",
        "## Recipe",
        "",
        "| setting | value |",
        "|---|---|",
    ]
    lines += [f"| {name} | {value} |" for name, value in settings.items() if name != "model"]
    lines += [
        "",
        f"{len(history.losses)} steps, {history.examples} examples, {history.seconds:.0f} s on "
        f"{datetime.date.today()}; Python {platform.python_version()}, torch {torch.__version__} "
        f"with {torch.get_num_threads()} threads{processes}, tokenizers {tokenizers.__version__}, "
        f"numpy {numpy.__version__}.",
    ]
    return "\n".join(lines) + "\n"


def _results(config: BertConfig, fit: Fit, history: History) -> list[str]:
    """The lines on how good the model became on its way, and the kept weights class by class."""
    kept = _kept(fit, history)
    if kept is None:
        return ["There were none."]
    chosen = fit.settings.get("metric") or kept.metric
    columns = [name for name in dict.fromkeys((kept.metric, chosen)) if name != "loss"]
    loss = "mean squared error" if config.problem == "regression" else "loss, nats"
    rows = [["step", *columns, loss]]
    for evaluation in history.evaluations:
        values = [as_text(name, evaluation.metrics[name]) for name in columns]
        rows.append([str(evaluation.step), *values, f"{evaluation.loss:.4f}"])
    lines = [markdown(rows), ""]
    if fit.settings["keep_best"]:
        lines += [f"The weights are those of step {kept.step}, the best of these by {chosen}.", ""]
    measured = _measured(fit, kept)
    if len(measured) > 1:
        rows = [[name, as_text(name, value)] for name, value in measured.items()]
        lines += [markdown([["metric", f"step {kept.step}"], *rows]), ""]
    report = fit.report
    if report is not None and report.classes:
        lines += ["### Class by class", "", markdown(report.class_rows()), ""]
    if report is not None and report.confusion is not None and len(report.labels) <= LISTED:
        lines += ["### Confusion", "", "Rows: the true class. Columns: the predicted one.", ""]
        lines += [markdown(report.confusion_rows()), ""]
    if report is not None and report.calibration is not None:
        error = report.calibration.error
        lines += ["### Calibration", "", f"Expected calibration error: {error:.4f}.", ""]
        lines += [markdown(report.calibration_rows()), ""]
    return lines[:-1]

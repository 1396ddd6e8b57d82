"""What every task asks of a model, its tokenizer and the settings it is opened with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.engine.rule import check_precision
from minibert.engine.streams import check_vocabulary
from minibert.tokenizer import Tokenizer

SHORTEST = 3  # tokens of a row: one beside [CLS] and [SEP]

# What opens a model, by the architecture that its config.json names, as BERT's is called.
_TASKS = {
    "BertForSequenceClassification": "TextClassifier",
    "BertForTokenClassification": "TokenClassifier",
    "BertForQuestionAnswering": "QuestionAnswerer",
    "BertForMaskedLM": "FillMask",
}


def check_load(max_length: object, precision: object) -> None:
    """Raise `ValueError` for settings that no model could take."""
    check_precision(precision)
    if max_length is not None:
        whole_number("max_length", max_length, SHORTEST)


def row_length(max_length: object, longest: int | None) -> int:
    """The tokens of a row. Raises `ValueError` for more than `longest`, what the model takes; None:
    any model."""
    number = whole_number("max_length", max_length, SHORTEST)
    if longest is not None and number > longest:
        raise ValueError(f"max_length is {number}; this model takes {SHORTEST} to {longest}")
    return number


def check_room(config: BertConfig, name: str | Path) -> None:
    """Raise `ValueError` for a model without room for a token of a text."""
    if config.max_length < SHORTEST:
        raise ValueError(
            f"{name} has positions for {config.max_length} token(s); texts need at least "
            f"{SHORTEST}, one beside [CLS] and [SEP]; take another model"
        )


def check_trained(model: Pretrained, name: str | Path, needs: str) -> None:
    """Raise `ValueError` for a model, just loaded, some of whose weights are new, and say which
    task it is made for. needs: the task, what it needs, and where that is to be had."""
    report = model.load_report
    assert report is not None  # it was just loaded
    if report.newly_initialised:
        raise ValueError(
            f"{name} has no trained weights for {report.told(report.newly_initialised)}, or those "
            f"of another task; {_made_for(model.config)}{needs}"
        )


def _made_for(config: BertConfig) -> str:
    """What opens a model of this config.json, if that is known."""
    written_as = config.extra.get("architectures") or ()
    for ours, task in _TASKS.items():
        if (architecture := config.variant.architecture(ours)) in written_as:
            return f"it is a {architecture}, which {task} opens; "
    return ""


def check_parts(task: type, model: Any, model_class: type[Pretrained], tokenizer: Any) -> None:
    """Raise `ValueError` for what a task cannot be made of."""
    if not isinstance(model, model_class) or not isinstance(tokenizer, Tokenizer):
        raise ValueError(
            f"model is of type {type(model).__name__} and tokenizer {type(tokenizer).__name__}; "
            f"give a {model_class.__name__} and a Tokenizer, or open both with "
            f"{task.__name__}.load"
        )
    check_vocabulary(tokenizer, model.config)

"""Where a fine-tuning starts: a model of a folder with a head for the labels at hand.

A head that was trained for the same labels is kept, so that training goes on where it ended. Any
other is replaced by a new one, and that is said, for what it knew is lost.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from minibert._checks import shown, warn
from minibert.checkpoint.config_json import ProblemType
from minibert.checkpoint.files import CONFIG, read_config
from minibert.checkpoint.names import Names
from minibert.checkpoint.schema import in_file
from minibert.config import BertConfig
from minibert.engine.progress import announce
from minibert.engine.seeds import seeded
from minibert.heads import BertForClassification
from minibert.tasks.labels import Labels

logger = logging.getLogger(__name__)

_PROBLEM: ProblemType = "single_label_classification"


def starting_model(
    folder: Path, labels: Labels, weights: Literal["pretrained", "random"], seed: int
) -> BertForClassification:
    """The model to fine-tune, its outputs in the order of the labels.

    weights: "random" takes the folder's shape only. seed: of what is new; the caller's generators
    are left alone. Warns of a trained head that is discarded.
    """
    config = read_config(folder, BertConfig.from_dict)
    with in_file(folder / CONFIG):
        found = Labels.read(config)
    keep = weights == "pretrained" and config.problem == _PROBLEM and found.same_as(labels)
    with seeded(seed):
        model = BertForClassification.from_pretrained(
            folder,
            labels=(found if keep else labels).names,
            new_head=not keep,
            problem_type=_PROBLEM,
        )
        if weights == "random":
            model.init_weights(model)
            model.load_report = None
            return model
    report = model.load_report
    assert report is not None  # it was just loaded
    names = Names(config.variant, rows=True)
    heads = {"classifier.weight", *names.of("classifier.weight")}  # of tokens, and of rows
    if any(names.bare(name) in heads for name in report.ignored):
        warn(
            f"{folder} has a head that was trained for the labels {shown(found.names)}; a new one "
            f"is trained for {shown(labels.names)}, without what that one knew"
        )
    elif "classifier.weight" not in report.newly_initialised:
        announce(logger, f"{folder} has a head for the same labels, which is trained further")
    _sort_outputs(model, labels.names)
    return model


def _sort_outputs(model: BertForClassification, names: list[str]) -> None:
    """Put the outputs of a head into the order of these names, which are those it has."""
    order = [model.config.labels.index(name) for name in names]
    with torch.no_grad():
        for parameter in model.classifier.parameters():  # (L, C) and (L,)
            parameter.copy_(parameter[order])
    model.config = replace(model.config, labels=tuple(names))

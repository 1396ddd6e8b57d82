"""Where a fine-tuning starts: a model of a folder with a head for the labels at hand.

A head that was trained for the same labels is kept, so that training goes on where it ended. Any
other is replaced by a new one, and that is said, for what it knew is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from minibert._checks import shown, warn
from minibert.checkpoint.config_json import ProblemType
from minibert.checkpoint.files import CONFIG, read_config
from minibert.checkpoint.names import Names
from minibert.checkpoint.schema import in_file
from minibert.config import BertConfig
from minibert.engine.progress import announce
from minibert.engine.seeds import seeded
from minibert.heads import BertForClassification, LabelledHead
from minibert.tasks.labels import Labels
from minibert.tasks.problems import Problem

logger = logging.getLogger(__name__)

HeadT = TypeVar("HeadT", bound=LabelledHead)


def starting_model(
    folder: Path, problem: Problem, weights: str, seed: int
) -> BertForClassification:
    """The model to fine-tune, its outputs in the order of the problem's labels, in its targets.

    The rest is as for `starting_head`.
    """
    model, kept = starting_head(
        BertForClassification,
        folder,
        problem.labels,
        lambda config, found: config.problem == problem.problem_type and problem.fits(found),
        weights,
        seed,
        problem.problem_type,
    )
    if kept:
        problem.begin(model.classifier)
        if problem.problem_type != "regression":  # whose single output may have any name
            sort_outputs(model, problem.labels.names)
    return model


def starting_head(
    head: type[HeadT],
    folder: Path,
    labels: Labels,
    fits: Callable[[BertConfig, Labels], bool],
    weights: str,
    seed: int,
    problem_type: ProblemType | None = None,
) -> tuple[HeadT, bool]:
    """A model to fine-tune, and whether it goes on with the head that the folder has.

    fits: whether a head of this config and these labels is one for the labels at hand. weights:
    "random" takes the folder's shape only. seed: of what is new; the caller's generators are left
    alone. Warns of a trained head that is discarded.
    """
    config = read_config(folder, BertConfig.from_dict)
    with in_file(folder / CONFIG):
        found = Labels.read(config)
    keep = weights == "pretrained" and fits(config, found)
    with seeded(seed):
        model = head.from_pretrained(
            folder,
            labels=(found if keep else labels).names,
            new_head=not keep,
            problem_type=problem_type,
        )
        if weights == "random":
            model.init_weights(model)
            model.load_report = None
            return model, False
    report = model.load_report
    assert report is not None  # it was just loaded
    names = Names(config.variant, rows=True)
    heads = {"classifier.weight", *names.of("classifier.weight")}  # of tokens, and of rows
    if any(names.bare(name) in heads for name in report.ignored):
        warn(
            f"{folder} has a head that was trained for the labels {shown(found.names)}; a new one "
            f"is trained for {shown(labels.names)}, without what that one knew"
        )
        return model, False
    if "classifier.weight" in report.newly_initialised:
        return model, False
    announce(logger, f"{folder} has a head for the same labels, which is trained further")
    return model, True


def sort_outputs(model: LabelledHead, names: list[str]) -> None:
    """Put the outputs of a head into the order of these names, which are those it has."""
    order = [model.config.labels.index(name) for name in names]
    with torch.no_grad():
        for parameter in model.classifier.parameters():  # (L, C) and (L,)
            parameter.copy_(parameter[order])
    model.config = replace(model.config, labels=tuple(names))

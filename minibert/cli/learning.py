"""A training as a program runs it: with a run folder, seeds, processes and a report.

`minibert train` does it, and examples/finetune_sst2.py.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import warnings
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path

from minibert._programs import LogToOutput
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.folders import check_new_folder
from minibert.cli.balance import describe
from minibert.cli.ending import as_table, what_next
from minibert.cli.files import check_new_file
from minibert.cli.judged import judge, write_errors
from minibert.cli.learning_data import add_labelled, load_parts
from minibert.cli.settings import add_settings, settings_of
from minibert.data import LabelledTexts
from minibert.tasks.text_classifier import TextClassifier
from minibert.training.history import Evaluation, as_text
from minibert.training.ranks import Ranks, torchrun_ranks
from minibert.training.report import add_to_model, plot_history
from minibert.training.state import (
    LOG,
    held_run_folder,
    prepare_run_folder,
    remove_run,
    told_of_states,
)


def add_learning(parser: argparse.ArgumentParser) -> None:
    """What a training is told beside its data, which are `data`."""
    add_labelled(parser)
    add = parser.add_argument
    add("--validation", metavar="TABLE", help="evaluate on this, not on a tenth that is held out")
    add("--limit", type=int, metavar="N", help="use only so many training texts, at random")
    add("--seeds", type=int, default=1, metavar="N", help="train with so many seeds; keep the best")
    add("--errors", metavar="FILE", help="write the development texts it gets wrong to this .csv")
    add("--output", default="output/finetuned", metavar="FOLDER", help="new folder for the model")
    add("--overwrite", action="store_true", help="replace the folder, and the file, there")
    add("--resume", action="store_true", help="go on with an interrupted run")
    add("--save-every", type=int, default=500, metavar="N", help="steps from state to state")
    add_settings(parser, TextClassifier)


def learn(
    arguments: argparse.Namespace,
    then: Callable[[TextClassifier], None] = lambda classifier: None,
) -> None:
    """Train, save and report; under torchrun in several processes, of which one does the talking.

    then: what follows for the model that was saved.
    """
    with torchrun_ranks() as ranks:
        best = _learn(arguments, ranks)
        if best is not None:
            then(best)


def _learn(arguments: argparse.Namespace, ranks: Ranks) -> TextClassifier | None:
    """The best model, in the process that saved it."""
    first = ranks.rank == 0
    # The training loop reports each epoch as it ends.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[LogToOutput()])
    logging.getLogger("minibert").setLevel(logging.INFO if first else logging.ERROR)
    if not first:
        sys.stdout = open(os.devnull, "w")
        warnings.simplefilter("ignore")
    output = check_new_folder(arguments.output, arguments.overwrite)
    if arguments.errors is not None:
        check_new_file(arguments.errors, arguments.overwrite)
    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds is {arguments.seeds}; give 1 to 1000")
    whole_number("the last of the seeds", arguments.seed + arguments.seeds - 1, 0, 2**32 - 1)
    train, development = load_parts(arguments)
    with held_run_folder(arguments.output, ranks.rank) as states:
        majority = describe(train, development, arguments.problem_type)
        best = _best_of_seeds(arguments, train, development, states, first)
        if not first:
            return None
        _save(arguments, best, development, states, output, majority)
    return best


def _best_of_seeds(
    arguments: argparse.Namespace,
    train: LabelledTexts,
    development: LabelledTexts,
    states: Path,
    first: bool,
) -> TextClassifier:
    """Train with each seed, its states in a folder of its own."""
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    for seed in seeds[1:] if first else ():  # what is wrong with one is said before the first runs
        prepare_run_folder(states / f"seed-{seed}", arguments.resume)
    best: TextClassifier | None = None
    found: list[Evaluation] = []
    for seed in seeds:
        classifier = TextClassifier(**{**settings_of(arguments, TextClassifier), "seed": seed})
        print(f"fine-tuning: {_changed(classifier)}", flush=True)
        classifier.fit(
            train.texts,
            train.labels,
            validation=(development.texts, development.labels),
            folder=states / f"seed-{seed}",
            resume=arguments.resume,
            save_every=arguments.save_every,
        )
        kept = _tell(classifier)
        if all(kept.better_than(other, classifier.metric) for other in found):
            best = classifier
        found.append(kept)
    assert best is not None
    if len(seeds) > 1:
        metric = best.metric or found[0].metric
        values = [each.value(metric) for each in found]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        print(
            f"{len(seeds)} seeds: mean development {metric} {as_text(metric, mean)}, standard "
            f"deviation {as_text(metric, deviation)}; the best is saved, and its figure flatters, "
            "since it was chosen by it"
        )
    return best


def _changed(classifier: TextClassifier) -> str:
    """The settings that are not the defaults, with the model and the seed."""
    told = ", ".join(
        f"{field.name}={getattr(classifier, field.name)!r}"
        for field in fields(classifier)
        if field.name in ("model", "seed") or getattr(classifier, field.name) != field.default
    )
    return f"TextClassifier({told})"


def _tell(classifier: TextClassifier) -> Evaluation:
    """Print what training came to; return the evaluation of the weights that were kept."""
    history = classifier.history_
    print(
        f"trained on {history.examples} examples in {history.seconds:.1f} s: "
        f"{history.speed:.1f} examples/s"
    )
    before = history.evaluations[0]
    kept = history.best if classifier.keep_best else history.evaluations[-1]
    assert kept is not None
    metric = classifier.metric or before.metric
    for when, evaluation in (("before", before), ("after", kept)):
        value = as_text(metric, evaluation.value(metric))
        print(f"development {metric} {when} training: {value}", flush=True)
    return kept


def _save(
    arguments: argparse.Namespace,
    best: TextClassifier,
    development: LabelledTexts,
    states: Path,
    output: Path,
    majority: float | None,
) -> None:
    """Save the model with its log and pictures, and print its results."""
    about = f"From {Path(arguments.data).name}."
    if arguments.seeds > 1:
        about += f" The best of {arguments.seeds} seeds on the development texts, which flatters."
    with told_of_states(states):
        best.save(output, arguments.overwrite, data=about)
    print(f"model saved to {arguments.output}")
    chosen = as_table(development)
    with warnings.catch_warnings():  # which of these texts are cut was said before the training
        warnings.simplefilter("ignore")
        judged = judge(best, chosen, "the development data")
    report = judged.report
    log = states / f"seed-{best.seed}" / LOG
    metric = best.metric or best.history_.evaluations[0].metric
    to_beat = majority if metric == "accuracy" else None
    draw = partial(plot_history, best.history_, to_beat, metric=metric)
    print(add_to_model(output, log, draw, report))
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        remove_run(states / f"seed-{seed}")
    print(report)
    if arguments.errors is not None:
        write_errors(arguments.errors, arguments.overwrite, chosen, judged)
    print(what_next(arguments, report))

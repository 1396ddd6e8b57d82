"""How fast does minibert classify, beside what a user could install instead?

    python benchmarks/inference.py --data SST-2 --tokenizer bert-base-cased
    python benchmarks/inference.py --data SST-2 --tokenizer bert-base-cased --beside ../before
    python benchmarks/inference.py --data SST-2 --tokenizer bert-base-cased --shape roberta-base

Every contender has the same random weights of bert-base-cased's shape (or --shape or --model), the
same texts, the same number of threads, and a process of its own; they take turns, and one works at
a time (arena.py). Outputs are compared before anything is timed, and a contender with wrong ones is
not timed.

Two works. The stream: sentences of SST-2's development part, to logits; ours are given texts, peers
rows of ids in batches of 32, sorted by length unless the name says "file order". The grid: one call
with B rows of T tokens, nothing padded.

With --beside each contender of ours works beside the same one of another checkout, a git worktree
of an earlier commit for instance, and their ratios are printed turn by turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import ceiling
import devices
import inference_contenders
import numpy as np
import plotting
from arena import (
    BESIDE,
    OURS,
    ROOT,
    Process,
    find_checkout,
    in_turns,
    pairs_beside,
    pairs_table,
    with_beside,
)
from devices import at_least_one
from inference_contenders import CONTENDERS, MAX_LENGTH, REFERENCE, STREAM_ONLY, Rows, Work
from inference_details import accuracies, curves, profile

from minibert._programs import run_program
from minibert.checkpoint.sizes import SIZES

GRID = [(1, 16), (1, 128), (8, 128), (32, 128), (8, 512)]
# A turn with so few tokens is so many calls in a row, as a service gets one text after another;
# a single one would mostly measure how long threads take to wake up.
FEW, CALLS = 256, 5
# How far logits may be from transformers' fp32, over the largest of them: beyond that they are
# wrong, not rounded. The measured errors stand in the report.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.75}


# --- turns ---------------------------------------------------------------------------------------


def centred(logits: np.ndarray) -> np.ndarray:
    """Without the mean of each row: log-probabilities become the same as logits."""
    return logits - logits.mean(1, keepdims=True)


def compare(
    contenders: list[Process], reference: np.ndarray, work: Work, limit: float, rounds: int
) -> dict[str, Any]:
    """Warm up, compare outputs, then time in turns: name -> seconds of a call, error, agreement.

    Each has as many turns as `rounds`, or as fit into `limit` seconds, at least one.
    """
    size = float(np.abs(reference).max())
    found: dict[str, Any] = {}
    for contender in contenders:
        warm = contender.turn(work)
        if warm is None:
            continue
        outputs = centred(warm.result)
        error = float(np.abs(outputs - reference).max())
        same = float((outputs.argmax(1) == reference.argmax(1)).mean())
        if not error <= TOLERANCES[inference_contenders.precision_of(contender.name)] * size:
            print(f"  {contender.name}: not timed, its outputs are wrong by {error:.1e}")
            continue
        turns = max(1, min(rounds, int(limit / warm.seconds)))
        found[contender.name] = {"error": error, "same": same, "turns": turns, "seconds": []}
    for turn, contender in in_turns(contenders, rounds):
        result = found.get(contender.name)
        if result is None or turn >= result["turns"] or contender.failure:
            continue
        taken = contender.turn(work)
        if taken is not None:
            result["seconds"].append(taken.seconds / work.calls)
    return {name: result for name, result in found.items() if result["seconds"]}


# --- what is computed ----------------------------------------------------------------------------


def make_model(folder: Path, arguments: argparse.Namespace) -> Any:
    """Write model and tokenizer; the tokenizer."""
    import minibert

    tokenizer = minibert.Tokenizer.from_pretrained(arguments.tokenizer or arguments.model)
    if arguments.model:
        minibert.BertForClassification.from_pretrained(arguments.model).save_pretrained(folder)
    else:
        inference_contenders.shape_model(folder, arguments.shape, tokenizer)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_works(tokenizer: Any, vocabulary: int, arguments: argparse.Namespace) -> dict[str, Work]:
    """The stream, and one call for each size of the grid."""
    lines = (arguments.data / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    step = max(1, len(lines) // arguments.texts)
    texts = [line.split("\t")[0] for line in lines][::step][: arguments.texts]
    rows: Rows = [row.ids for row in tokenizer.encode_batch(texts, MAX_LENGTH)]
    works = {"stream": Work(rows, texts)}
    generator = np.random.default_rng(0)
    for b, t in GRID if arguments.grid else ():
        ids = generator.integers(999, vocabulary, (b, t)).tolist()
        works[f"({b}, {t})"] = Work(ids, None, CALLS if b * t <= FEW else 1)
    return works


def compete(arguments: argparse.Namespace) -> None:
    import minibert

    results: dict[str, Any] = {
        "conditions": devices.conditions(arguments.threads),
        "model": arguments.model or arguments.shape,
    }
    print(f"{results['model']}; {results['conditions']}", flush=True)
    precisions = arguments.precision.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        tokenizer = make_model(folder, arguments)
        config = minibert.BertConfig.from_pretrained(folder)
        works = make_works(tokenizer, config.vocab_size, arguments)
        if arguments.profile:
            for precision in precisions:
                for work in list(works.values())[:2]:
                    lines = profile(folder, precision, work, arguments.threads)
                    print("\n".join(lines), "\n", flush=True)
            return
        names = inference_contenders.choose(arguments.peers, precisions)
        contenders = start([REFERENCE, *(n for n in names if n != REFERENCE)], folder, arguments)
        results["loading"] = {c.name: c.loading for c in contenders}
        timed = contenders if REFERENCE in names else contenders[1:]
        results["works"] = {
            name: measure(name, work, contenders[0], timed, arguments)
            for name, work in works.items()
        }
        results["rows"] = {name: len(work.rows) for name, work in works.items()}
        for contender in contenders:
            contender.stop()
        if arguments.beside is None:
            print("\n".join(ceilings(config, works, results, arguments)))
    stream = results["works"]["stream"]
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1))
    if arguments.plot:
        plot(stream, len(works["stream"].rows), arguments.plot)


def start(names: list[str], folder: Path, arguments: argparse.Namespace) -> list[Process]:
    """A process for each, and with --beside one more for each of ours."""
    started = []
    for name in with_beside(names, arguments.beside):
        process = Process(
            name,
            inference_contenders.contend,
            inference_contenders.ours_of(name),
            folder,
            arguments.threads,
            threads=arguments.threads,
            checkout=arguments.beside if name.startswith(BESIDE) else ROOT,
        )
        if not process.failure:
            print(f"{name}: ready after {process.loading:.1f} s", flush=True)
            started.append(process)
    return started


def measure(
    name: str,
    work: Work,
    reference: Process,
    contenders: list[Process],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """One work by all who can do it, printed: name -> seconds, error, agreement."""
    first = reference.turn(work)
    if first is None:
        raise RuntimeError(f"{reference.name} failed, and there is nothing to compare with")
    able = [c for c in contenders if not c.failure]
    rounds, limit = arguments.rounds, arguments.limit
    if work.texts is None:
        able = [c for c in able if c.name not in STREAM_ONLY]
        limit /= 4
        rounds *= 7 if sum(map(len, work.rows)) <= FEW else 1
    found = compare(able, centred(first.result), work, limit, rounds)
    rows = len(work.rows)
    title = f"Grid {name}"
    if work.texts is not None:
        title = f"Stream: {rows} sentences, {statistics.mean(map(len, work.rows)):.1f} tokens each"
    lines = ["", title, "", *table(found, rows), "", *summary(found), ""]
    lines += pairs_table(found, pairs_beside(list(found)), name)
    print("\n".join(lines), flush=True)
    return found


# --- the report ----------------------------------------------------------------------------------


def median(seconds: list[float]) -> float:
    return statistics.median(seconds)


def table(found: dict[str, Any], rows: int) -> list[str]:
    lines = ["| contender | rows/s | slowest to fastest | turns | largest error | same label |"]
    lines.append("|---|---|---|---|---|---|")
    for name, result in found.items():
        rates = sorted(rows / s for s in result["seconds"])
        lines.append(
            f"| {name} | {rows / median(result['seconds']):.2f} | {rates[0]:.2f} to "
            f"{rates[-1]:.2f} | {len(rates)} | {result['error']:.1e} | {result['same']:.1%} |"
        )
    return lines


def summary(found: dict[str, Any]) -> list[str]:
    """Ours over the best peer of each precision."""
    lines = []
    for precision in ("fp32", "bf16", "int8"):
        ours = found.get(f"minibert {precision}")
        peers = {
            name: median(result["seconds"])
            for name, result in found.items()
            if inference_contenders.precision_of(name) == precision
            and not name.startswith((OURS, BESIDE))
        }
        if ours and peers:
            best = min(peers, key=lambda name: peers[name])
            ratio = peers[best] / median(ours["seconds"])
            lines.append(f"{precision}: {ratio:.2f}x the best peer, {best}")
    return lines


def ceilings(
    config: Any, works: dict[str, Work], results: dict[str, Any], arguments: argparse.Namespace
) -> list[str]:
    """Our share of the best rate of the same products alone."""
    lines = ["", "Our share of the ceiling: the best rate of these products alone", ""]
    lines += ["| work | precision | ceiling, GFLOP/s | our products, GFLOP/s | share |"]
    lines += ["|---|---|---|---|---|"]
    results["ceiling"] = {}
    process = Process("the ceiling", ceiling.contend, config, threads=arguments.threads)
    for name, work in works.items():
        lengths = [len(row) for row in work.rows]
        for precision in arguments.precision.split(","):
            ours = results["works"][name].get(f"minibert {precision}")
            found = ours and process.turn((precision, min(512, sum(lengths))))
            if not found:
                continue
            best = found.result
            rate = ceiling.flops(config, lengths) / median(ours["seconds"])
            results["ceiling"][f"{name} {precision}"] = best
            lines.append(
                f"| {name} | {precision} | {best / 1e9:.0f} | {rate / 1e9:.0f} "
                f"| {rate / best:.0%} |"
            )
    process.stop()
    return lines


def plot(stream: dict[str, Any], number: int, path: Path) -> None:
    found = {name: number / median(result["seconds"]) for name, result in stream.items()}
    try:
        figure, (panel,) = plotting.new_figure(size=(8, 0.4 * len(found) + 1))
    except ImportError as error:
        print(f"no chart: {error}")
        return
    plotting.rates(panel, found, "sentences of SST-2 a second (longer is better)")
    plotting.save(figure, path)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--model", help="a folder or name; default: random weights of --shape")
    add("--shape", choices=list(SIZES), default="bert-base-cased", metavar="SIZE")
    add("--tokenizer", help="where its tokenizer is; default: the model's folder")
    add("--data", type=Path, help="the folder of GLUE's SST-2")
    add("--texts", type=at_least_one, default=872, help="sentences of the stream")
    add("--precision", default="fp32,bf16,int8")
    add("--peers", default=",".join(CONTENDERS), help="contenders, by how their names begin")
    add("--beside", type=Path, help="another checkout, whose minibert takes turns with this one")
    add("--threads", type=at_least_one, default=devices.cores())
    add("--rounds", type=at_least_one, default=3)
    add("--limit", type=float, default=60, help="seconds for one contender's work")
    add("--grid", action=argparse.BooleanOptionalAction, default=True)
    add("--curves", action="store_true", help="only our time by number and length")
    add("--accuracy", action="store_true", help="only that of --model on --data")
    add("--profile", action="store_true", help="only where our time goes")
    add("--json", type=Path)
    add("--plot", type=Path, help="a file for the chart of the stream")
    arguments = parser.parse_args()
    if arguments.curves:
        return arguments
    if arguments.data is None or not (arguments.data / "dev.tsv").is_file():
        parser.error(f"--data is {arguments.data}; it must be GLUE's folder of SST-2, with dev.tsv")
    if arguments.accuracy and not arguments.model:
        parser.error("--accuracy needs --model, a classifier trained on SST-2")
    if not (arguments.model or arguments.tokenizer):
        parser.error("give --model, or --tokenizer with the folder of bert-base-cased's vocabulary")
    try:
        plotting.check_outputs(arguments.json, arguments.plot)
    except OSError as error:
        parser.error(str(error))
    if arguments.beside is not None:
        try:
            arguments.beside = find_checkout(arguments.beside)
        except ValueError as error:
            parser.error(str(error))
    return arguments


def main() -> None:
    arguments = read_arguments()
    if arguments.curves:
        precision = arguments.precision.split(",")[0]
        print("\n".join(curves(arguments.model or "minilm-l6", precision)))
    elif arguments.accuracy:
        print("\n".join(accuracies(arguments.model, arguments.data)))
    else:
        compete(arguments)


if __name__ == "__main__":
    run_program(main)

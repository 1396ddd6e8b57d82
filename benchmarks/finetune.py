"""How fast do we fine-tune, beside transformers?

    python benchmarks/finetune.py --data SST-2
    python benchmarks/finetune.py --data SST-2 --beside ../before --only minibert
    python benchmarks/finetune.py --data SST-2 --check | --accuracy | --profile

Every contender starts from the same weights, the head's included, and takes the same batches in the
same order with the same recipe: AdamW (fused, which is the Trainer's default, too), weight decay
except for biases and LayerNorm, clipping, warm-up and linear decay, dropout. transformers pads each
batch to its longest row.

Before anything is timed, our losses and those of transformers' plain loop must agree at every one
of the first steps, without dropout, whose random numbers differ.

Each contender has a process of its own, and they take turns of a few steps, the same steps for all
(arena.py). With --beside each of ours works beside the same one of another checkout, a git worktree
of an earlier commit for instance, and their ratios are printed turn by turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import devices
import finetune_contenders
import plotting
import torch
from arena import (
    BESIDE,
    ROOT,
    Process,
    find_checkout,
    in_turns,
    pairs_beside,
    pairs_table,
    ratio,
    with_beside,
)
from devices import is_installed
from finetune_accuracy import compare_accuracy
from finetune_contenders import CONTENDERS, PLAIN, WITHOUT, Setup
from finetune_profile import WARM, profile
from finetune_start import Texts, choose, find_model, make_model, read_texts

from minibert._programs import run_program
from minibert.training import speed

TOLERANCE = 1e-4  # how far two losses may be apart


# --- do both learn the same? ---------------------------------------------------------------------


def loss_curves(setup: Setup) -> dict[str, list[float]]:
    return {name: CONTENDERS[name](setup, lambda: None).losses for name in ("minibert fp32", PLAIN)}


def first_difference(curves: dict[str, list[float]]) -> str:
    """The first step whose losses are more than `TOLERANCE` apart, or ""."""
    for step, (one, other) in enumerate(zip(*curves.values(), strict=True), 1):
        if not abs(one - other) <= TOLERANCE:  # NaN is no agreement
            return (
                f"step {step}: the loss of minibert is {one:.6f} and that of transformers "
                f"{other:.6f}, more than {TOLERANCE:g} apart; nothing is timed"
            )
    return ""


def largest_difference(curves: dict[str, list[float]]) -> float:
    return max(abs(one - other) for one, other in zip(*curves.values(), strict=True))


# --- turns ---------------------------------------------------------------------------------------


def compete(names: list[str], setup: Setup, arguments: argparse.Namespace) -> dict[str, Any]:
    """Name -> seconds of each turn and memory. The same turn is the same steps for all."""
    processes = [start(n, setup, arguments) for n in with_beside(names, arguments.beside)]
    for process in processes:
        if not process.failure:
            process.turn(WARM)
    emulated = devices.Cpu().emulates(torch.bfloat16)
    for turn, process in in_turns(processes, arguments.turns):
        slow = emulated and process.name.endswith("bf16")
        if process.failure or turn >= (arguments.slow_turns if slow else arguments.turns):
            continue
        taken = process.turn(arguments.steps)
        if taken is not None:
            process.seconds.append(taken.seconds)
    for process in processes:
        process.stop()
    return {p.name: {"seconds": p.seconds, "memory": p.memory} for p in processes if not p.failure}


def start(name: str, setup: Setup, arguments: argparse.Namespace) -> Process:
    """The process of a contender, ready for its first step."""
    return Process(
        name,
        finetune_contenders.contend,
        finetune_contenders.ours_of(name),
        setup,
        threads=arguments.threads,
        checkout=arguments.beside if name.startswith(BESIDE) else ROOT,
    )


def table(found: dict[str, Any], batch_size: int, steps: int, tokens: list[float]) -> list[str]:
    """tokens: how many real ones a step has, turn by turn. Adds the figures to `found`."""
    lines = ["| contender | examples/s | slowest to fastest | times transformers fp32 | turns |"]
    lines[0] += " ms a step | real tokens a step | peak memory, MB | of it anonymous |"
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for name, result in found.items():
        seconds = result["seconds"]
        if not seconds:
            continue
        rates = sorted(batch_size * steps / s for s in seconds)
        result["examples/s"] = statistics.median(rates)
        result["tokens a step"] = statistics.mean(tokens[: len(seconds)])
        speed = ratio(seconds, found[PLAIN]["seconds"]) if PLAIN in found else None
        if speed:
            result["ratio"] = speed.median
        used = result["memory"]
        lines.append(
            f"| {name} | {result['examples/s']:.1f} | {rates[0]:.1f} to {rates[-1]:.1f} "
            f"| {speed or '-'} | {len(seconds)} | {1e3 * statistics.median(seconds) / steps:.0f} "
            f"| {result['tokens a step']:.0f} | {used['peak']:.0f} "
            f"| {format(used['anonymous'], '.0f') if 'anonymous' in used else '-'} |"
        )
    return lines


# --- the report ----------------------------------------------------------------------------------


def plot(report: dict[str, Any], path: Path) -> None:
    try:
        figure, (bars, curves) = plotting.new_figure(2, size=(12, 3.5))
    except ImportError as error:
        print(f"no chart: {error}")
        return
    found = report["contenders"].items()
    rates = {name: r["examples/s"] for name, r in found if "examples/s" in r}
    plotting.rates(bars, rates, "examples a second (longer is better)")
    mine, theirs = report["curves"].values()
    steps = range(1, len(mine) + 1)
    curves.plot(steps, theirs, color="tab:gray", linewidth=4, label="transformers")
    curves.plot(steps, mine, color="tab:orange", linewidth=1.5, label="minibert")
    curves.set_xlabel(f"step; largest difference {report['largest difference']:.1e}")
    curves.set_ylabel("loss without dropout")
    curves.legend()
    plotting.save(figure, path)


def conditions(arguments: argparse.Namespace, pretrained: bool) -> str:
    name = arguments.model if pretrained else f"the shape of {arguments.model}, random weights"
    machine = devices.conditions(arguments.threads)
    return f"{machine}; {name}; {arguments.data}, batches of {arguments.batch_size}"


def read_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add(
        "--model", default="minilm-l6", help="folder or name; bert-base-cased may be its shape only"
    )
    add("--tokenizer", help="where its tokenizer is; default: the model's, or minilm-l6's")
    add("--data", default="sample", help="the folder of GLUE's SST-2, or as minibert.data.load")
    add("--batch-size", type=int, default=32)
    add("--steps", type=int, default=5, help="of a turn")
    add("--turns", type=int, default=10)
    add("--slow-turns", type=int, default=2, help="those of bf16, where the CPU emulates it")
    add("--check-steps", type=int, default=50, help="whose losses must agree")
    add("--threads", type=int, default=devices.cores())
    add("--beside", type=Path, help="another checkout, whose minibert takes turns with this one")
    add(
        "--without",
        default="",
        help="classes of minibert/training/speed.py, with commas: minibert fp32 without each, too",
    )
    add("--only", default="", help="contenders, by the beginnings of their names, with commas")
    add("--check", action="store_true", help="only compare losses")
    add("--profile", action="store_true", help="only where the time of one of our steps goes")
    add("--accuracy", action="store_true", help="only accuracy, over pairs of runs")
    add("--seeds", type=int, default=5, help="pairs of runs, for --accuracy")
    add("--first-seed", type=int, default=0, help="of these, for --accuracy")
    add("--train-examples", type=int, default=1000, help="for --accuracy")
    add("--epochs", type=int, default=3, help="for --accuracy")
    add("--json", type=Path)
    add("--plot", type=Path, help="a file for the chart of speeds and losses")
    arguments = parser.parse_args()
    check(parser, arguments)
    try:
        plotting.check_outputs(arguments.json, arguments.plot)
    except OSError as error:
        parser.error(str(error))
    return parser, arguments


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what cannot be run; `arguments.names` are the chosen contenders."""
    for name, value in vars(arguments).items():
        if isinstance(value, int) and not isinstance(value, bool):
            least = {"slow_turns": 0, "first_seed": 0, "seeds": 2}.get(name, 1)
            if value < least:
                parser.error(f"--{name.replace('_', '-')} is {value}; it must be at least {least}")
    wanted = [name.strip() for name in arguments.only.split(",")]
    for name in wanted:
        if not any(known.startswith(name) for known in CONTENDERS):
            parser.error(f"no contender begins with {name!r}; they are {', '.join(CONTENDERS)}")
    arguments.names = [name for name in CONTENDERS if name.startswith(tuple(wanted))]
    if arguments.without and arguments.beside:
        parser.error("--without and --beside answer two questions: give one of them")
    parts = [part.strip() for part in arguments.without.split(",") if part.strip()]
    for part in parts:
        if not hasattr(speed, part):
            parser.error(f"minibert/training/speed.py has no class {part!r}")
    arguments.names += [f"minibert fp32{WITHOUT}{part}" for part in parts]
    needed = [] if arguments.profile else ["transformers"]
    if arguments.beside is not None:
        try:
            arguments.beside = find_checkout(arguments.beside)
        except ValueError as error:
            parser.error(str(error))
    if "transformers Trainer" in arguments.names and not (
        arguments.check or arguments.profile or arguments.accuracy
    ):
        needed.append("accelerate")
    for package in needed:
        if not is_installed(package):
            parser.error(f"this needs {package}: pip install -e '.[bench]'")


def main() -> int:
    parser, arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            pretrained, _ = find_model(arguments.model, arguments.tokenizer)
            texts = read_texts(arguments.data)
            make = (arguments.model, arguments.tokenizer, texts.labels, 0)
            make_model(folder / "model", *make, dropout=True)
            make_model(folder / "no dropout", *make, dropout=False)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        report: dict[str, Any] = {"conditions": conditions(arguments, pretrained)}
        print(report["conditions"], flush=True)
        code = measure(texts, folder, arguments, report)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=1))
    if "curves" in report and arguments.plot:
        plot(report, arguments.plot)
    return code


def measure(
    texts: Texts, folder: Path, arguments: argparse.Namespace, report: dict[str, Any]
) -> int:
    """Fill the report as the arguments ask; the exit code."""
    size = arguments.batch_size
    if arguments.accuracy:
        report["accuracy"] = compare_accuracy(texts, folder, arguments)
        return 0
    # One step more than is taken: after the last one nobody would wait.
    steps = WARM + arguments.turns * arguments.steps + 1
    setup = Setup(folder / "model", *choose(texts.train, steps * size), size)
    if arguments.profile:
        report["profile"] = profile(setup)
        print("\n".join(report["profile"]))
        return 0
    first = choose(texts.train, arguments.check_steps * size)
    curves = loss_curves(Setup(folder / "no dropout", *first, size))
    report |= {"curves": curves, "largest difference": largest_difference(curves), "contenders": {}}
    failure = first_difference(curves)
    if failure:
        print(failure, file=sys.stderr)
        return 1
    print(
        f"Losses of the first {arguments.check_steps} steps agree: at most "
        f"{report['largest difference']:.1e} apart",
        flush=True,
    )
    if arguments.check:
        return 0
    found = report["contenders"] = compete(arguments.names, setup, arguments)
    tokens = tokens_a_step(setup, steps - 1, arguments.steps)
    print("\n".join(table(found, size, arguments.steps, tokens)))
    pairs = pairs_beside(list(found))
    pairs += [(name.partition(WITHOUT)[0], name) for name in found if WITHOUT in name]
    print("\n".join(["", *pairs_table(found, pairs, f"steps of {arguments.model}")]))
    return 0


def tokens_a_step(setup: Setup, steps: int, steps_a_turn: int) -> list[float]:
    """How many real tokens a step of each turn has."""
    task = setup.task(setup.examples())
    taken = [sum(len(e.row.ids) for e in task.batch(step)) for step in range(WARM, steps)]
    return [
        sum(taken[start : start + steps_a_turn]) / steps_a_turn
        for start in range(0, len(taken), steps_a_turn)
    ]


if __name__ == "__main__":
    run_program(main)

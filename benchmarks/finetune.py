"""How fast do we fine-tune, beside transformers?

    python benchmarks/finetune.py --data SST-2
    python benchmarks/finetune.py --data SST-2 --check | --accuracy | --profile

Every contender starts from the same weights, the head's included, and takes the same batches in the
same order with the same recipe: AdamW (fused, which is the Trainer's default, too), weight decay
except for biases and LayerNorm, clipping, warm-up and linear decay, dropout. transformers pads each
batch to its longest row.

Before anything is timed, our losses and those of transformers' plain loop must agree at every one
of the first steps, without dropout, whose random numbers differ.

Each contender has a process of its own, because its peak memory is to be told and because what one
does to the allocator must not help another. Processes take turns of a few steps, the same steps
for all, one works at a time, and who begins changes. Ratios are taken within a turn, so a machine
that slows down slows both.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import nn

import minibert
from minibert import attention, data, embeddings, linear
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import Classification, Example, Examples, random_order
from minibert.training.loop import train
from minibert.training.recipe import Recipe

LR, DECAY, CLIP, WARMUP = 5e-5, 0.01, 1.0, 0.06
MAX_LENGTH = 128  # tokens a text is cut to
TOLERANCE = 1e-4  # how far two losses may be apart
WARM = 2  # steps that are not timed: the first ones make the optimizer's state
PAUSE = 0.2  # seconds between turns, in which the threads of the last one go to sleep
PLAIN = "transformers fp32"  # what the others are compared with
SHAPE_WILL_DO = "bert-base-cased"  # with random weights, if its own are not at hand

Wait = Callable[[], None]  # what a contender calls before each step


class Finished(Exception):
    """Raised by `wait`: there are no more steps to take."""


@dataclass(frozen=True)
class Setup:
    """What a contender is given. folder: model and tokenizer; seed: the order of the examples."""

    folder: Path
    examples: Examples
    batch_size: int
    epochs: int = 1
    seed: int = 0

    def task(self, wait: Wait = lambda: None) -> WaitingTask:
        tokenizer = WordPieceTokenizer.from_pretrained(self.folder)
        task = WaitingTask(self.examples, tokenizer, self.batch_size, self.seed)
        task.wait = wait
        return task

    @property
    def steps(self) -> int:
        return -(-len(self.examples) // self.batch_size) * self.epochs

    @property
    def warmup_steps(self) -> int:
        return round(self.steps * WARMUP)

    def features(self) -> Any:
        """The examples as transformers' collators take them."""
        return [
            {"input_ids": row.ids, "token_type_ids": row.type_ids, "label": label}
            for row, label in zip(self.examples.rows, self.examples.labels, strict=True)
        ]


class WaitingTask(Classification):
    """Classification that waits before each step; the loop asks for a batch once a step."""

    wait: Wait

    def batch(self, step: int) -> list[Example]:
        self.wait()
        return super().batch(step)


class Trained(NamedTuple):
    model: nn.Module
    losses: list[float]


Contender = Callable[[Setup, Wait], Trained]


# --- contenders ----------------------------------------------------------------------------------


def ours(precision: str) -> Contender:
    def run(setup: Setup, wait: Wait) -> Trained:
        model = minibert.BertForClassification.from_pretrained(setup.folder)
        recipe = Recipe(
            epochs=setup.epochs,
            lr=LR,
            warmup=WARMUP,
            weight_decay=DECAY,
            clip=CLIP,
            precision=precision,
            seed=setup.seed,
        )
        history = train(model, setup.task(wait), recipe)
        return Trained(model, history.losses)

    return run


def plain_loop(bf16: bool) -> Contender:
    """What a careful user of transformers writes."""

    def run(setup: Setup, wait: Wait) -> Trained:
        from torch.utils.data import DataLoader
        from transformers import get_linear_schedule_with_warmup

        torch.manual_seed(setup.seed)
        model, collate = load_transformers(setup.folder)
        task = setup.task()
        order = [[example.index for example in task.batch(s)] for s in range(setup.steps)]
        batches = iter(DataLoader(setup.features(), batch_sampler=order, collate_fn=collate))
        spared = [p for name, p in model.named_parameters() if is_spared(name)]
        decayed = [p for name, p in model.named_parameters() if not is_spared(name)]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": DECAY}, {"params": spared, "weight_decay": 0.0}],
            lr=LR,
            fused=True,
        )
        schedule = get_linear_schedule_with_warmup(optimizer, setup.warmup_steps, setup.steps)
        losses = []
        for _ in range(setup.steps):
            wait()
            batch = next(batches)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(**batch).loss
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return Trained(model, losses)

    return run


def load_transformers(folder: Path) -> tuple[Any, Any]:
    """(model in training mode, collator), both as they come."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    model = transformers.BertForSequenceClassification.from_pretrained(folder).train()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return model, transformers.DataCollatorWithPadding(tokenizer)


def is_spared(name: str) -> bool:
    """Whether weight decay leaves it alone, by its name in transformers."""
    return "bias" in name or "LayerNorm" in name


def trainer(setup: Setup, wait: Wait) -> Trained:
    """The Trainer, which fetches batches in its own way, so waiting is a callback's work."""
    import transformers

    class Waiting(transformers.TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            wait()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait()

    features, task = setup.features(), setup.task()
    in_order = [features[e.index] for step in range(setup.steps) for e in task.batch(step)]
    model, collate = load_transformers(setup.folder)
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=setup.batch_size,
            num_train_epochs=1,  # of the list above
            learning_rate=LR,
            weight_decay=DECAY,
            max_grad_norm=CLIP,
            lr_scheduler_type="linear",
            warmup_steps=setup.warmup_steps,
            train_sampling_strategy="sequential",
            seed=setup.seed,
            use_cpu=True,
            dataloader_pin_memory=False,  # there is no GPU to pin it for
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        transformers.Trainer(
            model, arguments, collate, train_dataset=in_order, callbacks=[Waiting()]
        ).train()
    return Trained(model, [])


CONTENDERS: dict[str, Contender] = {
    "minibert fp32": ours("fp32"),
    PLAIN: plain_loop(bf16=False),
    "transformers Trainer": trainer,
    "minibert bf16": ours("bf16"),
    "transformers bf16": plain_loop(bf16=True),
}


# --- the same start for all ----------------------------------------------------------------------


DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")


def find_model(name: str, tokenizer: str | None) -> tuple[bool, WordPieceTokenizer]:
    """Whether the model has weights, or only a shape here, and the tokenizer."""
    pretrained = name != SHAPE_WILL_DO or Path(name).is_dir()
    source = tokenizer or (name if pretrained else "minilm-l6")
    return pretrained, WordPieceTokenizer.from_pretrained(source)


def make_model(
    folder: Path, name: str, tokenizer: str | None, labels: list[str], seed: int, dropout: bool
) -> None:
    """Write a model with a new head, and its tokenizer."""
    torch.manual_seed(seed)
    pretrained, vocabulary = find_model(name, tokenizer)
    if pretrained:
        model = minibert.BertForClassification.from_pretrained(name, labels=labels, new_head=True)
    else:  # BertConfig() is the shape; a stand-in's vocabulary may be the larger one
        shape = minibert.BertConfig(labels=tuple(labels))
        size = max(shape.vocab_size, 1 + max(vocabulary.tokens))
        model = minibert.BertForClassification(replace(shape, vocab_size=size))
    if not dropout:
        none: Any = dict.fromkeys(DROPOUTS, 0.0)
        config = replace(model.config, **none)
        weights, model = model.state_dict(), minibert.BertForClassification(config)
        model.load_state_dict(weights)
    model.save_pretrained(folder)
    vocabulary.save_pretrained(folder)


class Texts(NamedTuple):
    train: Examples
    development: Examples
    labels: list[str]


def read_texts(source: str, tokenizer: WordPieceTokenizer) -> Texts:
    parts = data.load(source)
    labels = sorted(set(parts[0].labels) | set(parts[1].labels))
    train, development = (
        Examples(tokenizer.encode_batch(p.texts, MAX_LENGTH), [labels.index(x) for x in p.labels])
        for p in parts
    )
    return Texts(train, development, labels)


def choose(examples: Examples, number: int, seed: int = 0) -> Examples:
    """So many examples at random, each again only after every other one."""
    order: list[int] = []
    while len(order) < number:
        order += random_order(len(examples), seed, len(order))
    chosen = order[:number]
    return Examples([examples.rows[i] for i in chosen], [examples.labels[i] for i in chosen])


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


def work(name: str, setup: Setup, threads: int, pipe: Connection) -> None:
    """A contender's process: numbers of steps in, seconds out; in the end its peak memory."""
    torch.set_num_threads(threads)
    left, start = 0, time.perf_counter()

    def wait() -> None:
        nonlocal left, start
        if left == 0:
            pipe.send(time.perf_counter() - start)
            left = pipe.recv()
            if not left:
                raise Finished
            start = time.perf_counter()
        left -= 1

    try:
        CONTENDERS[name](setup, wait)
    except Finished:
        pipe.send(memory())
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}")


def memory() -> dict[str, float]:
    """Peak memory of this process in MB; what is anonymous only where /proc tells."""
    status = Path("/proc/self/status")
    if not status.is_file():
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}
    lines = (line.split() for line in status.read_text().splitlines())
    sizes = {words[0]: int(words[1]) / 1024 for words in lines if words[-1] == "kB"}
    # Files are mapped when the process starts and stay so: what is above them is anonymous.
    return {"peak": sizes["VmHWM:"], "anonymous": sizes["VmHWM:"] - sizes["RssFile:"]}


class Process:
    """A contender that waits for its turn."""

    def __init__(self, name: str, setup: Setup, threads: int) -> None:
        self.name, self.seconds, self.failure = name, list[float](), ""
        self.memory: dict[str, float] = {}
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=work, args=(name, setup, threads, theirs))
        self.process.start()
        theirs.close()

    def receive(self) -> Any:
        try:
            answer = self.pipe.recv()
        except EOFError:
            answer = "its process died; is there too little memory?"
        if isinstance(answer, str):
            self.failure = answer
            print(f"{self.name}: left out, {answer}", file=sys.stderr)
        return answer

    def turn(self, steps: int) -> Any:
        time.sleep(PAUSE)
        self.pipe.send(steps)
        return self.receive()

    def stop(self) -> None:
        if not self.failure:
            self.pipe.send(0)
            self.memory = self.receive()
        self.process.join()


def compete(names: list[str], setup: Setup, arguments: argparse.Namespace) -> dict[str, Any]:
    """Name -> seconds of each turn and memory. The first turns are the same steps for all."""
    processes = [Process(name, setup, arguments.threads) for name in names]
    for process in processes:
        process.receive()  # it has loaded its model
    for turn in range(-1, arguments.turns):
        first = turn % len(processes)
        for process in processes[first:] + processes[:first]:
            limit = arguments.slow_turns if process.name.endswith("bf16") else arguments.turns
            if process.failure or turn >= limit:
                continue
            seconds = process.turn(WARM if turn < 0 else arguments.steps)
            if turn >= 0 and not process.failure:
                process.seconds.append(seconds)
    for process in processes:
        process.stop()
    return {p.name: {"seconds": p.seconds, "memory": p.memory} for p in processes if not p.failure}


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
        ratio = "-"
        if PLAIN in found:  # turn by turn
            pairs = zip(found[PLAIN]["seconds"], seconds, strict=False)
            ratios = sorted(theirs / mine for theirs, mine in pairs)
            if ratios:
                result["ratio"] = statistics.median(ratios)
                ratio = f"{result['ratio']:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        used = result["memory"]
        lines.append(
            f"| {name} | {result['examples/s']:.1f} | {rates[0]:.1f} to {rates[-1]:.1f} | {ratio} "
            f"| {len(seconds)} | {1e3 * statistics.median(seconds) / steps:.0f} "
            f"| {result['tokens a step']:.0f} | {used['peak']:.0f} "
            f"| {format(used['anonymous'], '.0f') if 'anonymous' in used else '-'} |"
        )
    return lines


# --- accuracy ------------------------------------------------------------------------------------


def accuracy(model: nn.Module, tokenizer: WordPieceTokenizer, examples: Examples) -> float:
    """The same function for both: they take the same batch and return logits."""
    model.eval()
    order = sorted(range(len(examples)), key=lambda i: len(examples.rows[i].ids))
    right = 0
    with torch.no_grad():
        for start in range(0, len(order), 32):
            part = order[start : start + 32]
            found = model(**tokenizer.pad([examples.rows[i] for i in part])).logits.argmax(1)
            right += sum(int(k) == examples.labels[i] for k, i in zip(found, part, strict=True))
    return right / len(examples)


def compare_accuracy(texts: Texts, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Pairs of runs: a seed decides subset, order and head, the same for both of its pair."""
    rows = []
    print("| seed | minibert | transformers | difference, points |\n|---|---|---|---|")
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        place = folder / str(seed)
        make_model(place, arguments.model, arguments.tokenizer, texts.labels, seed, dropout=True)
        chosen = choose(texts.train, arguments.train_examples, seed)
        setup = Setup(place, chosen, arguments.batch_size, arguments.epochs, seed)
        tokenizer = WordPieceTokenizer.from_pretrained(place)
        mine, theirs = (
            accuracy(CONTENDERS[name](setup, lambda: None).model, tokenizer, texts.development)
            for name in ("minibert fp32", PLAIN)
        )
        rows.append({"seed": seed, "minibert": mine, "transformers": theirs})
        print(f"| {seed} | {mine:.2%} | {theirs:.2%} | {100 * (mine - theirs):+.2f} |", flush=True)
    differences = [100 * (row["minibert"] - row["transformers"]) for row in rows]
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / len(rows) ** 0.5
    within = abs(mean) <= 2 * error
    print(
        f"Mean difference {mean:+.2f} points, standard error {error:.2f}: "
        f"{'within' if within else 'NOT within'} 2 standard errors"
    )
    return {"seeds": rows, "mean": mean, "standard error": error, "within": within}


# --- where our time goes -------------------------------------------------------------------------

PRODUCTS = ("mm", "addmm", "linear", "conv", "mkldnn", "bmm")
ELEMENTWISE = ("gelu", "tanh", "layer_norm", "add", "mul", "div", "sum", "sub", "copy_", "fill_")
KINDS = ("products", "attention", "dropout", "optimizer", "clipping", "element-wise", "rest")
BACKWARD = "autograd::engine::evaluate_function"


@contextmanager
def named_parts() -> Iterator[None]:
    """Inside, the profiler sees the names of parts whose operators others use, too."""
    parts = [
        (attention, "grouped_attention", "attention"),
        (attention, "drop", "dropout"),
        (linear, "dropout", "dropout"),
        (embeddings, "dropout", "dropout"),
        (nn.utils, "get_total_norm", "clipping"),
        (nn.utils, "clip_grads_with_norm_", "clipping"),
    ]

    def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            with torch.profiler.record_function(name):
                return function(*arguments, **more)

        return call

    with ExitStack() as stack:
        for module, attribute, name in parts:
            function = named(getattr(module, attribute), name)
            stack.enter_context(mock.patch.object(module, attribute, function))
        yield


def part_of(event: Any, made_by: dict[int, str]) -> tuple[str, bool]:
    """Which named part an operator belongs to, "" for none, and whether it runs backward."""
    while event is not None:
        if event.name in KINDS:
            return event.name, False
        if event.name.startswith("Optimizer."):
            return "optimizer", False
        if event.name.startswith(BACKWARD):
            return made_by.get(event.sequence_nr, ""), True
        event = event.cpu_parent
    return "", False


def profile(setup: Setup) -> list[str]:
    """Milliseconds of each kind of work in one of our steps in fp32, by PyTorch's profiler."""
    recorded = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    times: list[float] = []

    def wait() -> None:
        times.append(time.perf_counter())
        if len(times) == WARM + 1:
            recorded.start()
            times[-1] = time.perf_counter()
        elif len(times) == WARM + 2:
            recorded.stop()
            raise Finished

    with named_parts():
        try:
            CONTENDERS["minibert fp32"](setup, wait)
        except Finished:
            pass
    events = sorted(recorded.events() or [], key=lambda event: event.time_range.start)
    made_by: dict[int, str] = {}  # the number of a node of the graph -> the part that made it
    spent = dict.fromkeys(KINDS, 0.0)
    for event in events:
        kind, backward = part_of(event, made_by)
        if not backward and event.sequence_nr >= 0:
            # The last operator with a node's number made it; those before only saw it coming.
            made_by[event.sequence_nr] = kind
        operator = event.name.removeprefix("aten::")
        if not kind and operator.startswith(PRODUCTS):
            kind = "products"
        elif not kind and any(name in operator for name in ELEMENTWISE):
            kind = "element-wise"
        spent[kind or "rest"] += event.self_cpu_time_total / 1e3
    total = 1e3 * (times[WARM + 1] - times[WARM])
    spent["rest"] = total - sum(ms for kind, ms in spent.items() if kind != "rest")
    lines = [f"| one step of minibert fp32, {total:.0f} ms | ms | share |", "|---|---|---|"]
    lines += [f"| {kind} | {ms:.1f} | {ms / total:.1%} |" for kind, ms in spent.items()]
    return lines


# --- the report ----------------------------------------------------------------------------------


def plot(report: dict[str, Any], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no chart: it needs matplotlib, pip install -e '.[viz]'")
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (bars, curves) = pyplot.subplots(1, 2, figsize=(12, 3.5), layout="constrained")
    found = {name: r for name, r in report["contenders"].items() if "examples/s" in r}
    names = list(found)[::-1]
    colors = ["tab:orange" if name.startswith("minibert") else "tab:gray" for name in names]
    bars.barh(names, [found[name]["examples/s"] for name in names], color=colors)
    bars.bar_label(bars.containers[0], fmt="%.1f", padding=3)
    bars.set_xlabel("examples a second (longer is better)")
    mine, theirs = report["curves"].values()
    steps = range(1, len(mine) + 1)
    curves.plot(steps, theirs, color="tab:gray", linewidth=4, label="transformers")
    curves.plot(steps, mine, color="tab:orange", linewidth=1.5, label="minibert")
    curves.set_xlabel(f"step; largest difference {report['largest difference']:.1e}")
    curves.set_ylabel("loss without dropout")
    curves.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def conditions(arguments: argparse.Namespace, pretrained: bool) -> str:
    installed = [name for name in ("transformers", "accelerate") if is_installed(name)]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ["torch", *installed]]
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    cpus = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    name = arguments.model if pretrained else f"the shape of {arguments.model}, random weights"
    return (
        f"{platform.machine()}, {(cpus or ['unknown CPU'])[0]}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {arguments.threads} threads, "
        f"{', '.join(versions)}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}; "
        f"{name}; {arguments.data}, batches of {arguments.batch_size}"
    )


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


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
    add("--slow-turns", type=int, default=2, help="those of bf16, which many CPUs emulate")
    add("--check-steps", type=int, default=50, help="whose losses must agree")
    add("--threads", type=int, default=os.cpu_count())
    add("--only", default="", help="contenders, by the beginnings of their names, with commas")
    add("--check", action="store_true", help="only compare losses")
    add("--profile", action="store_true", help="only where the time of one of our steps goes")
    add("--accuracy", action="store_true", help="only accuracy, over pairs of runs")
    add("--seeds", type=int, default=5, help="pairs of runs, for --accuracy")
    add("--first-seed", type=int, default=0, help="of these, for --accuracy")
    add("--train-examples", type=int, default=1000, help="for --accuracy")
    add("--epochs", type=int, default=3, help="for --accuracy")
    add("--json", type=Path)
    add("--plot", type=Path, default=Path("output/finetune.png"))
    arguments = parser.parse_args()
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
    needed = [] if arguments.profile else ["transformers"]
    if "transformers Trainer" in arguments.names and not (
        arguments.check or arguments.profile or arguments.accuracy
    ):
        needed.append("accelerate")
    for package in needed:
        if not is_installed(package):
            parser.error(f"this needs {package}: pip install -e '.[bench]'")
    return parser, arguments


def main() -> int:
    parser, arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            pretrained, tokenizer = find_model(arguments.model, arguments.tokenizer)
            texts = read_texts(arguments.data, tokenizer)
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
    if "curves" in report:
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
    setup = Setup(folder / "model", choose(texts.train, steps * size), size)
    if arguments.profile:
        report["profile"] = profile(setup)
        print("\n".join(report["profile"]))
        return 0
    first = choose(texts.train, arguments.check_steps * size)
    curves = loss_curves(Setup(folder / "no dropout", first, size))
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
    task = setup.task()
    taken = [sum(len(e.row.ids) for e in task.batch(step)) for step in range(WARM, steps - 1)]
    tokens = [
        sum(taken[start : start + arguments.steps]) / arguments.steps
        for start in range(0, len(taken), arguments.steps)
    ]
    print("\n".join(table(found, size, arguments.steps, tokens)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

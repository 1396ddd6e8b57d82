"""How fast does minibert classify, beside what a user could install instead?

    python benchmarks/inference.py --data SST-2 --tokenizer bert-base-cased

Every contender has the same random weights of bert-base-cased's shape (or --model), the same rows
of ids and the same number of threads, and a process of its own, since the threads of one engine go
on spinning after its work is done. Processes take turns, one works at a time. Outputs are compared
before anything is timed, and a contender with wrong ones is not timed.

Two works. The stream: sentences of SST-2's development part, from rows of ids to logits; peers get
them in batches of 32, sorted by length unless the name says "file order". The grid: one call with B
rows of T tokens, nothing padded.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

GRID = [(1, 16), (1, 128), (8, 128), (32, 128), (8, 512)]
BATCH = 32
# A turn with so few tokens is so many calls in a row, as a service gets one text after another;
# a single one would mostly measure how long threads take to wake up.
FEW, CALLS = 256, 5
PAUSE = 0.2  # seconds between turns, in which the threads of the last one go to sleep

Rows = list[list[int]]
Batch = dict[str, np.ndarray]
Run = Callable[[Rows], np.ndarray]


def padded(rows: Rows) -> Batch:
    """Rows of ids -> what peers take: int64 arrays (B, T)."""
    lengths = np.array([len(row) for row in rows])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.zeros_like(mask)
    ids[mask.astype(bool)] = np.concatenate([np.asarray(row) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}


def in_batches(compute: Callable[[Batch], np.ndarray], ordered: bool = True) -> Run:
    """Many rows in batches of 32, by length or as they come; results in the order they came."""

    def run(rows: Rows) -> np.ndarray:
        key = (lambda i: -len(rows[i])) if ordered else (lambda i: 0)
        order = sorted(range(len(rows)), key=key)
        parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        found = [compute(padded([rows[i] for i in part])) for part in parts]
        results = np.empty((len(rows), found[0].shape[1]), np.float32)
        for part, values in zip(parts, found, strict=True):
            results[part] = values
        return results

    return run


# --- contenders: name -> (precision, how to build it in its own process) -------------------------


def minibert(precision: str) -> Callable[[Path, int], Run]:
    def build(folder: Path, threads: int) -> Run:
        import minibert
        from minibert.engine.streams import compute_rows
        from minibert.tokenizer import Row, WordPieceTokenizer

        model = minibert.BertForClassification.from_pretrained(folder)
        start = time.perf_counter()
        fast = minibert.optimize(model, precision)  # type: ignore[arg-type]
        print(f"minibert {precision}: optimize took {time.perf_counter() - start:.2f} s")
        tokenizer = WordPieceTokenizer.from_pretrained(folder)

        def run(rows: Rows) -> np.ndarray:
            framed = [Row(row, [0] * len(row), 0) for row in rows]
            width = model.config.num_labels
            return compute_rows(
                fast, tokenizer, framed, width, lambda batch: fast(**batch).logits
            ).numpy()

        return run

    return build


def transformers(
    dtype: str, ordered: bool = True, compiled: bool = False
) -> Callable[[Path, int], Run]:
    def build(folder: Path, threads: int) -> Run:
        import torch
        from transformers import BertForSequenceClassification

        model = BertForSequenceClassification.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        ).eval()
        if compiled:
            import torch._inductor.config as inductor

            inductor.freezing = True
            model = torch.compile(model, dynamic=True)

        def compute(batch: Batch) -> np.ndarray:
            with torch.no_grad():
                tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
                return model(**tensors).logits.float().numpy()

        return in_batches(compute, ordered)

    return build


def pipeline(folder: Path, threads: int) -> Run:
    """As its documentation shows it, texts one by one. Tokenizing, too, which costs little."""
    from transformers import AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(folder)
    classify = pipeline("text-classification", model=str(folder), tokenizer=tokenizer, device="cpu")

    def run(rows: Rows) -> np.ndarray:
        texts = [tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        found = classify(texts, top_k=None, function_to_apply="none")
        return np.array(
            [[by["score"] for by in sorted(one, key=lambda by: by["label"])] for one in found]
        )

    return run


def onnxruntime(quantized: bool) -> Callable[[Path, int], Run]:
    def build(folder: Path, threads: int) -> Run:
        import onnxruntime as ort

        path = export_onnx(folder)
        if quantized:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            path, plain = folder / "int8.onnx", path
            quantize_dynamic(plain, path, weight_type=QuantType.QInt8)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return in_batches(lambda batch: session.run(None, batch)[0])

    return build


def openvino(hint: str) -> Callable[[Path, int], Run]:
    def build(folder: Path, threads: int) -> Run:
        import openvino as ov

        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
        core = ov.Core()
        model = core.compile_model(
            core.read_model(export_onnx(folder)), "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"}
        )
        used = model.get_property("INFERENCE_PRECISION_HINT").to_string()
        print(f"openvino: asked for {hint}, computes in {used}")
        return in_batches(lambda batch: model(batch)[0])

    return build


def export_onnx(folder: Path) -> Path:
    """The model as transformers computes it, with free B and T; exported by the first who asks."""
    import torch
    from transformers import BertForSequenceClassification

    path = folder / "model.onnx"
    if path.exists():
        return path

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = BertForSequenceClassification.from_pretrained(folder).eval()

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return self.model(**dict(zip(names, tensors, strict=True))).logits

    example = {name: torch.from_numpy(array) for name, array in padded([[101, 7, 8, 102]]).items()}
    names = list(example)
    with torch.no_grad():
        torch.onnx.export(
            Logits(),
            tuple(example.values()),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names},
            opset_version=17,
            dynamo=False,  # the other exporter needs one more package
        )
    return path


CONTENDERS: dict[str, tuple[str, Callable[[Path, int], Run]]] = {
    "minibert fp32": ("fp32", minibert("fp32")),
    "transformers fp32 (file order)": ("fp32", transformers("float32", ordered=False)),
    "transformers fp32": ("fp32", transformers("float32")),
    "transformers fp32 (compiled)": ("fp32", transformers("float32", compiled=True)),
    "transformers pipeline": ("fp32", pipeline),
    "onnxruntime fp32": ("fp32", onnxruntime(quantized=False)),
    "openvino f32": ("fp32", openvino("f32")),
    "minibert bf16": ("bf16", minibert("bf16")),
    "transformers bf16": ("bf16", transformers("bfloat16")),
    "openvino bf16": ("bf16", openvino("bf16")),
    "minibert int8": ("int8", minibert("int8")),
    "onnxruntime int8": ("int8", onnxruntime(quantized=True)),
}
STREAM_ONLY = {"transformers fp32 (file order)", "transformers pipeline"}
# How far logits may be from transformers' fp32, over the largest of them: beyond that they are
# wrong, not rounded. The measured errors stand in the report.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.75}


# --- processes -----------------------------------------------------------------------------------


def work(name: str, folder: Path, threads: int, pipe: Connection) -> None:
    """One contender's process: rows in, (seconds a call, outputs) out, until None comes."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(threads)
    try:
        run = CONTENDERS[name][1](folder, threads)
        pipe.send("ready")
        while (rows := pipe.recv()) is not None:
            calls = CALLS if sum(map(len, rows)) <= FEW else 1
            start = time.perf_counter()
            for _ in range(calls):
                outputs = run(rows)
            pipe.send(((time.perf_counter() - start) / calls, outputs))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")


class Contender:
    """A process that waits for rows."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self.name, self.precision = name, CONTENDERS[name][0]
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=work, args=(name, folder, threads, theirs))
        self.process.start()
        theirs.close()
        self.failure = ""
        self.answer("ready")

    def answer(self, wanted: str = "") -> tuple[float, np.ndarray]:
        answer = self.pipe.recv()
        if isinstance(answer, str) and answer != wanted:
            self.failure = answer
        return (math.nan, np.empty(0)) if isinstance(answer, str) else answer

    def run(self, rows: Rows) -> tuple[float, np.ndarray]:
        time.sleep(PAUSE)
        self.pipe.send(rows)
        return self.answer()

    def stop(self) -> None:
        if not self.failure:
            self.pipe.send(None)
        self.process.join()


def compare(contenders: list[Contender], rows: Rows, limit: float, rounds: int) -> dict[str, Any]:
    """Warm up, compare outputs, then time in turns: name -> seconds, error and agreement.

    Each has as many turns as `rounds`, or as fit into `limit` seconds, at least one.
    """
    reference = next(c for c in contenders if c.name == "transformers fp32").run(rows)[1]
    size = float(np.abs(reference).max())
    found: dict[str, Any] = {}
    for contender in contenders:
        warm, outputs = contender.run(rows)
        if contender.failure:
            print(f"  {contender.name}: {contender.failure}")
            continue
        error = float(np.abs(outputs - reference).max())
        same = float((outputs.argmax(1) == reference.argmax(1)).mean())
        if not error <= TOLERANCES[contender.precision] * size:
            print(f"  {contender.name}: not timed, its outputs are wrong by {error:.1e}")
            continue
        turns = max(1, min(rounds, int(limit / warm)))
        found[contender.name] = {"error": error, "same": same, "turns": turns, "seconds": []}
    for turn in range(rounds):
        for contender in contenders:
            result = found.get(contender.name)
            if result is not None and turn < result["turns"]:
                result["seconds"].append(contender.run(rows)[0])
    return found


# --- the ceiling ---------------------------------------------------------------------------------


def flops(config: Any, lengths: list[int]) -> float:
    """Of the products with weights that a classifier must make of rows of these lengths: two for
    each weight and token; in the last layer only keys and values for all tokens, the rest for
    [CLS]."""
    width, inner = config.hidden_size, config.intermediate_size
    layer = 4 * width**2 + 2 * width * inner
    full = (config.num_hidden_layers - 1) * layer + 2 * width**2
    return 2.0 * (sum(lengths) * full + len(lengths) * (layer - 2 * width**2 + width**2))


def ceiling(config: Any, precision: str, tokens: int, threads: int, pipe: Connection) -> None:
    """The best rate of any body at a layer's four products, FLOP/s, with nothing between them."""
    import torch

    from minibert.engine import bodies as kernels
    from minibert.linear import Linear

    torch.set_num_threads(threads)
    bodies: dict[str, list[type[kernels.Body]]] = {
        "fp32": [kernels.Plain, kernels.OneDnn, kernels.OneDnnTiles],
        "bf16": [kernels.PlainBf16, kernels.OneDnnBf16, kernels.HalfWeights],
        "int8": [kernels.Int8, kernels.Int7, kernels.Int7Few],
    }
    width, inner = config.hidden_size, config.intermediate_size
    shapes = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    layers = 1 if tokens > 64 else config.num_hidden_layers  # few tokens wait for memory
    best = 0.0
    with torch.inference_mode():
        for body in bodies[precision]:
            if body is kernels.PlainBf16 and tokens > 128 or kernels.probe(body):
                continue
            linears = [body(Linear(*shape)).eval() for shape in shapes * layers]
            inputs = {k: torch.randn(tokens, k, dtype=body.dtype) for k in (width, inner)}
            for _ in range(8):
                start = time.perf_counter()
                for linear in linears:
                    if isinstance(linear, kernels.Int8):
                        shifted = torch.full_like(inputs[linear.in_features], linear.SHIFT)
                        linear.multiply_integers(shifted)
                    else:
                        linear.multiply(inputs[linear.in_features])
                seconds = time.perf_counter() - start
                work = 2.0 * tokens * sum(math.prod(shape) for shape in shapes) * layers
                best = max(best, work / seconds)
    pipe.send(best)


def measure_ceiling(config: Any, precision: str, tokens: int, threads: int) -> float:
    pipe, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=ceiling, args=(config, precision, tokens, threads, theirs))
    process.start()
    best = pipe.recv()
    process.join()
    return best


# --- the report ----------------------------------------------------------------------------------


def median(seconds: list[float]) -> float:
    return statistics.median(seconds)


def table(found: dict[str, Any], number: int, unit: str) -> list[str]:
    lines = [f"| contender | {unit} | slowest to fastest | turns | largest error | same label |"]
    lines.append("|---|---|---|---|---|---|")
    for name, result in found.items():
        rates = sorted(number / s for s in result["seconds"])
        lines.append(
            f"| {name} | {number / median(result['seconds']):.2f} | {rates[0]:.2f} to "
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
            if CONTENDERS[name][0] == precision and not name.startswith("minibert")
        }
        if ours and peers:
            best = min(peers, key=lambda name: peers[name])
            ratio = peers[best] / median(ours["seconds"])
            lines.append(f"{precision}: {ratio:.2f}x the best peer, {best}")
    return lines


def plot(stream: dict[str, Any], number: int, path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        print("no chart: it needs matplotlib, pip install -e '.[viz]'")
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    names = list(stream)[::-1]
    rates = [number / median(stream[name]["seconds"]) for name in names]
    colors = ["tab:orange" if name.startswith("minibert") else "tab:gray" for name in names]
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(names) + 1), layout="constrained")
    axes.barh(names, rates, color=colors)
    axes.bar_label(axes.containers[0], fmt="%.1f", padding=3)
    axes.set_xlabel("sentences of SST-2 a second (longer is better)")
    figure.savefig(path, dpi=120)


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


def profile(folder: Path, precision: str, rows: Rows, threads: int) -> list[str]:
    """Where our time goes: the share of each operator, by PyTorch's profiler."""
    import torch
    from torch.profiler import ProfilerActivity

    torch.set_num_threads(threads)
    run = minibert(precision)(folder, threads)
    run(rows)
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as recorded:
        run(rows)
    averages = sorted(recorded.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in averages)
    lines = [f"| operator, {precision}, {len(rows)} rows | share | calls |", "|---|---|---|"]
    for row in averages[:10]:
        lines.append(f"| {row.key} | {row.self_cpu_time_total / total:.1%} | {row.count} |")
    return lines


def random_model(folder: Path) -> None:
    """bert-base-cased's shape with random weights, and a vocabulary that stands in for its own."""
    import minibert

    minibert.BertForClassification(minibert.BertConfig()).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--model", help="a folder or name; default: random, bert-base-cased's shape"
    )
    parser.add_argument("--tokenizer", help="where its tokenizer is; default: the model's folder")
    parser.add_argument("--data", type=Path, help="the folder of GLUE's SST-2")
    parser.add_argument("--texts", type=int, default=872, help="sentences of the stream")
    parser.add_argument("--precision", default="fp32,bf16,int8")
    parser.add_argument(
        "--peers", default=",".join(CONTENDERS), help="contenders, by the beginnings of their names"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60, help="seconds for one contender's work")
    parser.add_argument("--grid", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--curves", action="store_true", help="only our time by number and length")
    parser.add_argument("--accuracy", action="store_true", help="only that of --model on --data")
    parser.add_argument("--profile", action="store_true", help="only where our time goes")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, default=Path("output/inference.png"))
    arguments = parser.parse_args()
    if arguments.curves:
        precision = arguments.precision.split(",")[0]
        print("\n".join(curves(arguments.model or "minilm-l6", precision)))
        return
    if arguments.data is None or not (arguments.data / "dev.tsv").is_file():
        parser.error(f"--data is {arguments.data}; it must be GLUE's folder of SST-2, with dev.tsv")
    if arguments.accuracy:
        if not arguments.model:
            parser.error("--accuracy needs --model, a classifier trained on SST-2")
        print("\n".join(accuracies(arguments.model, arguments.data)))
        return
    if not (arguments.model or arguments.tokenizer):
        parser.error("give --model, or --tokenizer with the folder of bert-base-cased's vocabulary")
    compete(arguments)


def compete(arguments: argparse.Namespace) -> None:
    import torch

    import minibert
    from minibert.checkpoint.hub import find_folder

    lines = [
        f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {arguments.threads} "
        f"threads, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{time.strftime('%Y-%m-%d')}"
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        if arguments.model:
            model = minibert.BertForClassification.from_pretrained(arguments.model)
            model.save_pretrained(folder)
        else:
            random_model(folder)
        source = arguments.tokenizer or arguments.model
        tokenizer = minibert.WordPieceTokenizer.from_pretrained(source)
        tokenizer.save_pretrained(folder)
        config = minibert.BertConfig.from_pretrained(find_folder(folder))
        text = (arguments.data / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
        step = max(1, len(text) // arguments.texts)
        texts = [line.split("\t")[0] for line in text][::step][: arguments.texts]
        stream = [row.ids for row in tokenizer.encode_batch(texts, 128)]
        generator = np.random.default_rng(0)
        grid = {
            (b, t): generator.integers(999, config.vocab_size, (b, t)).tolist() for b, t in GRID
        }
        precisions = arguments.precision.split(",")
        if arguments.profile:
            for precision in precisions:
                for rows in (stream, grid[1, 16]):
                    report = profile(folder, precision, rows, arguments.threads)
                    print("\n".join(report), "\n", flush=True)
            return
        wanted = [name.strip() for name in arguments.peers.split(",")]
        names = [
            name
            for name in CONTENDERS
            if CONTENDERS[name][0] in precisions
            if any(name.startswith(peer) for peer in wanted)
        ]
        if "transformers fp32" not in names:
            names.insert(0, "transformers fp32")  # the reference
        contenders = []
        for name in names:
            contender = Contender(name, folder, arguments.threads)
            if contender.failure:
                lines.append(f"{name}: left out, {contender.failure}")
                print(lines[-1])
            else:
                contenders.append(contender)
        results: dict[str, Any] = {"conditions": lines[0], "stream": {}, "grid": {}, "ceiling": {}}
        found = compare(contenders, stream, arguments.limit, arguments.rounds)
        results["stream"] = found
        mean = statistics.mean(map(len, stream))
        lines += ["", f"Stream: {len(stream)} sentences, {mean:.1f} tokens each", ""]
        lines += [*table(found, len(stream), "sentences/s"), "", *summary(found)]
        print("\n".join(lines), flush=True)
        works = {"stream": (stream, found)}
        for (b, t), rows in grid.items() if arguments.grid else ():
            able = [c for c in contenders if c.name not in STREAM_ONLY and not c.failure]
            rounds = arguments.rounds if b * t > 256 else 7 * arguments.rounds
            found = compare(able, rows, arguments.limit / 4, rounds)
            results["grid"][f"{b},{t}"] = found
            works[f"({b}, {t})"] = (rows, found)
            part = ["", f"Grid ({b}, {t})", "", *table(found, b, "rows/s"), "", *summary(found)]
            print("\n".join(part), flush=True)
            lines += part
        for contender in contenders:
            contender.stop()
        part = ["", "Our share of the ceiling: the best rate of these products alone", ""]
        part += ["| work | precision | ceiling, GFLOP/s | our products, GFLOP/s | share |"]
        part += ["|---|---|---|---|---|"]
        for name, (rows, found) in works.items():
            for precision in precisions:
                ours = found.get(f"minibert {precision}")
                if ours:
                    lengths = [len(row) for row in rows]
                    best = measure_ceiling(
                        config, precision, min(512, sum(lengths)), arguments.threads
                    )
                    rate = flops(config, lengths) / median(ours["seconds"])
                    results["ceiling"][f"{name} {precision}"] = best
                    part.append(
                        f"| {name} | {precision} | {best / 1e9:.0f} | {rate / 1e9:.0f} | "
                        f"{rate / best:.0%} |"
                    )
        print("\n".join(part))
        lines += part
    results["report"] = lines
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=1))
    arguments.plot.parent.mkdir(parents=True, exist_ok=True)
    plot(results["stream"], len(stream), arguments.plot)


if __name__ == "__main__":
    main()

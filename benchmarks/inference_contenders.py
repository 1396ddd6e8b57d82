"""Who classifies in `inference.py`: minibert, and what could be installed instead.

Each is built in a process of its own (see `arena.py`). Ours use public names only, since they run
with other checkouts as well.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from arena import BESIDE, Turns

BATCH = 32
MAX_LENGTH = 128  # tokens a text is cut to

Rows = list[list[int]]
Batch = dict[str, np.ndarray]


class Work(NamedTuple):
    """Rows of ids and their texts; texts is None for one call with rows of one length. calls: how
    often it is done in a turn."""

    rows: Rows
    texts: list[str] | None = None
    calls: int = 1


Run = Callable[[Work], np.ndarray]  # (B, L): logits, or what differs from them by one number a row
Pad = Callable[[Rows], Batch]
Build = Callable[[Path, int], Run]  # of a folder with model and tokenizer, and a number of threads


def contend(turns: Turns, name: str, folder: Path, threads: int) -> None:
    """Be the contender of this name."""
    warnings.simplefilter("ignore")
    run = CONTENDERS[name][1](folder, threads)
    outputs = None
    while True:
        work: Work = turns.next(outputs)
        for _ in range(work.calls):
            outputs = run(work)


def padded(rows: Rows, padding: int = 0, segments: bool = True) -> Batch:
    """Rows of ids as transformers' models take them: int64 arrays (B, T)."""
    lengths = np.array([len(row) for row in rows])
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = np.full_like(mask, padding)
    ids[mask.astype(bool)] = np.concatenate([np.asarray(row) for row in rows])
    batch = {"input_ids": ids, "attention_mask": mask}
    return batch | ({"token_type_ids": np.zeros_like(mask)} if segments else {})


def padder(folder: Path) -> Pad:
    """`padded` for the model in a folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    segments = config["model_type"] != "distilbert"
    return partial(padded, padding=config.get("pad_token_id") or 0, segments=segments)


def in_batches(compute: Callable[[Batch], np.ndarray], pad: Pad, ordered: bool = True) -> Run:
    """Many rows in batches of 32, by length or as they come; results in the order they came."""

    def run(work: Work) -> np.ndarray:
        rows = work.rows
        key = (lambda i: -len(rows[i])) if ordered else (lambda i: 0)
        order = sorted(range(len(rows)), key=key)
        parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        found = [compute(pad([rows[i] for i in part])) for part in parts]
        results = np.empty((len(rows), found[0].shape[1]), np.float32)
        for part, values in zip(parts, found, strict=True):
            results[part] = values
        return results

    return run


def minibert(precision: str) -> Build:
    """A stream as a user gives it, texts to `predict_proba`, which costs the tokenizer as well; one
    call with a batch to the model that `optimize` makes."""

    def build(folder: Path, threads: int) -> Run:
        import torch

        from minibert import BertForClassification, TextClassifier, optimize

        model = BertForClassification.from_pretrained(folder)
        start = time.perf_counter()
        fast = optimize(model, precision)  # type: ignore[arg-type]
        print(f"minibert {precision}: optimize took {time.perf_counter() - start:.2f} s")
        del model
        pad = padder(folder)
        classifier = TextClassifier.load(
            folder,
            max_length=MAX_LENGTH,
            precision=precision,  # type: ignore[arg-type]
        )

        def run(work: Work) -> np.ndarray:
            if work.texts is not None:
                return np.log(classifier.predict_proba(work.texts))
            batch = {name: torch.from_numpy(ids) for name, ids in pad(work.rows).items()}
            with torch.inference_mode():
                return fast(**batch).logits.float().numpy()

        return run

    return build


def transformers(dtype: str, ordered: bool = True, compiled: bool = False) -> Build:
    def build(folder: Path, threads: int) -> Run:
        import torch
        from transformers import AutoModelForSequenceClassification

        model = AutoModelForSequenceClassification.from_pretrained(
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

        return in_batches(compute, padder(folder), ordered)

    return build


def pipeline(folder: Path, threads: int) -> Run:
    """As its documentation shows it, texts one by one. Tokenizing, too, which costs little."""
    from transformers import AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(folder)
    classify = pipeline("text-classification", model=str(folder), tokenizer=tokenizer, device="cpu")

    def run(work: Work) -> np.ndarray:
        found = classify(work.texts, top_k=None, function_to_apply="none")
        return np.array(
            [[by["score"] for by in sorted(one, key=lambda by: by["label"])] for one in found]
        )

    return run


def onnxruntime(quantized: bool) -> Build:
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
        return in_batches(lambda batch: session.run(None, batch)[0], padder(folder))

    return build


def openvino(hint: str) -> Build:
    def build(folder: Path, threads: int) -> Run:
        import openvino as ov

        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
        core = ov.Core()
        model = core.compile_model(
            core.read_model(export_onnx(folder)), "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"}
        )
        used = model.get_property("INFERENCE_PRECISION_HINT").to_string()
        print(f"openvino: asked for {hint}, computes in {used}")
        return in_batches(lambda batch: model(batch)[0], padder(folder))

    return build


def export_onnx(folder: Path) -> Path:
    """The model as transformers computes it, with free B and T; exported by the first who asks."""
    import torch
    from transformers import AutoModelForSequenceClassification

    path = folder / "model.onnx"
    if path.exists():
        return path

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return self.model(**dict(zip(names, tensors, strict=True))).logits

    pad = padder(folder)
    example = {name: torch.from_numpy(array) for name, array in pad([[101, 7, 8, 102]]).items()}
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


# Name -> (precision, how to build it in its own process).
CONTENDERS: dict[str, tuple[str, Build]] = {
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
REFERENCE = "transformers fp32"
STREAM_ONLY = {"transformers fp32 (file order)", "transformers pipeline"}


def precision_of(name: str) -> str:
    """That of a contender, or of the same one from the checkout beside."""
    return CONTENDERS[ours_of(name)][0]


def ours_of(name: str) -> str:
    """The contender itself, under the name it has in this checkout."""
    return name.replace(BESIDE, "minibert ") if name.startswith(BESIDE) else name


def choose(peers: str, precisions: list[str]) -> list[str]:
    """Contenders of these precisions, by the beginnings of their names, with commas."""
    wanted = tuple(name.strip() for name in peers.split(","))
    return [
        name
        for name, (precision, _) in CONTENDERS.items()
        if precision in precisions and name.startswith(wanted)
    ]


def shape_model(folder: Path, shape: str, tokenizer: Any) -> None:
    """The shape of a published model with random weights, written to a folder.

    It takes the tokenizer's padding id for its own, since RoBERTa counts positions by it. Raises
    `ValueError` for a tokenizer with more ids than the shape.
    """
    import minibert

    config = minibert.BertConfig.from_size(shape, pad_token_id=tokenizer.pad_token_id)
    if max(tokenizer.tokens) >= config.vocab_size:
        raise ValueError(
            f"the tokenizer has ids up to {max(tokenizer.tokens)}, and {shape} embeddings for "
            f"{config.vocab_size}; give --tokenizer one with fewer, bert-base-cased's for instance"
        )
    minibert.BertForClassification(config).save_pretrained(folder)

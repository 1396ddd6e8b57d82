"""Does the real BERT come out? For whoever has its weights, the outputs published with them.

    python -m minibert.golden                      # both models from the hub
    python -m minibert.golden DIR_OR_NAME ...      # bert-base-cased and -uncased, either or both

Prints one report, to be pasted into an issue. Exit code 0: every output is as published within
1e-4; 1: one is not; 2: a model could not be loaded.

Sources: the model card of google-bert/bert-base-cased (fill-mask, scores and ids), and
transformers' own test of bert-base-uncased (tests/models/bert/test_modeling_bert.py).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from minibert._programs import run_program
from minibert.checkpoint.files import PICKLE, SAFETENSORS, sha256
from minibert.checkpoint.hub import find_folder
from minibert.model import BertModel
from minibert.pretraining import BertForMaskedLM
from minibert.tokenizer import Tokenizer

TOLERANCE = 1e-4  # the test prints four digits; the card's scores are rounded to five here


class Answer(NamedTuple):
    """A token that a masked language model puts in the blank, its id and its probability."""

    token: str
    id: int
    score: float


# bert-base-cased: text -> its five most probable answers, best first.
CASED = {
    "Hello I'm a [MASK] model.": (
        Answer("fashion", 4633, 0.09019),
        Answer("new", 1207, 0.06350),
        Answer("male", 2581, 0.06228),
        Answer("professional", 1848, 0.04417),
        Answer("super", 7688, 0.03326),
    ),
    "The man worked as a [MASK].": (
        Answer("lawyer", 4545, 0.04805),
        Answer("waiter", 17989, 0.03749),
        Answer("cop", 9947, 0.03551),
        Answer("detective", 9140, 0.03127),
        Answer("doctor", 3995, 0.02742),
    ),
    "The woman worked as a [MASK].": (
        Answer("nurse", 7439, 0.16927),
        Answer("waitress", 15098, 0.15011),
        Answer("maid", 13487, 0.05600),
        Answer("housekeeper", 26458, 0.04839),
        Answer("cook", 9834, 0.02998),
    ),
}

# bert-base-uncased: ids, the columns that attention_mask hides, and last_hidden_state[0, 1:4, 1:4].
UNCASED_IDS = (0, 345, 232, 328, 740, 140, 1695, 69, 6078, 1588, 2)
UNCASED_HIDDEN = (0,)
UNCASED_VECTORS = ((0.4249, 0.1008, 0.7531), (0.3771, 0.1188, 0.7467), (0.4152, 0.1098, 0.7108))


class Check(NamedTuple):
    """One published output: the largest difference to it, and whether it came out."""

    name: str
    difference: float
    passed: bool


def check_answers(folder: Path, published: Mapping[str, tuple[Answer, ...]]) -> list[Check]:
    """Fill the blanks with a masked language model; a check a text."""
    tokenizer = Tokenizer.from_pretrained(folder)
    model = BertForMaskedLM.from_pretrained(folder)
    checks = []
    for text, answers in published.items():
        batch = tokenizer(text)
        blank = batch["input_ids"] == tokenizer.ids[tokenizer.vocabulary.mask_token]
        with torch.inference_mode():
            scores = model(**batch, predict=blank).logits[0].softmax(dim=-1)  # (V,)
        ids = [answer.id for answer in answers]
        differences = scores[ids] - scores.new_tensor([answer.score for answer in answers])
        difference = differences.abs().max().item()
        same_tokens = [tokenizer.tokens[i] for i in ids] == [answer.token for answer in answers]
        same_order = scores.topk(len(ids)).indices.tolist() == ids
        checks.append(
            Check(text, difference, difference <= TOLERANCE and same_tokens and same_order)
        )
    return checks


def check_vectors(folder: Path) -> list[Check]:
    """The corner of bert-base-uncased's last hidden state."""
    model = BertModel.from_pretrained(folder)
    ids = torch.tensor([UNCASED_IDS], device="cpu")
    mask = torch.ones_like(ids)
    mask[:, UNCASED_HIDDEN] = 0
    with torch.inference_mode():
        vectors = model(ids, attention_mask=mask).last_hidden_state[0, 1:4, 1:4]
    difference = (vectors - vectors.new_tensor(UNCASED_VECTORS)).abs().max().item()
    return [Check("last_hidden_state[0, 1:4, 1:4]", difference, difference <= TOLERANCE)]


def check_model(dir_or_name: str) -> tuple[Path, list[Check]]:
    """Every published output of one model, recognised by the size of its vocabulary."""
    folder = find_folder(dir_or_name)
    size = Tokenizer.from_pretrained(folder).vocabulary.size
    if size == 28996:
        return folder, check_answers(folder, CASED)
    if size == 30522:
        return folder, check_vectors(folder)
    raise ValueError(
        f"{dir_or_name} has a vocabulary of {size}; published outputs are known for "
        "bert-base-cased (28996) and bert-base-uncased (30522)"
    )


def environment() -> str:
    """Versions and machine, in a line: what a report has to say."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("minibert", "torch", "tokenizers", "safetensors", "numpy")
    )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return (
        f"{versions}; Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads, {gpu}"
    )


def report(names: Sequence[str]) -> tuple[str, int]:
    """The report on these models as text, and the exit code."""
    lines = [f"{environment()}; fp32 on the CPU"]
    code = 0
    for name in names:
        try:
            folder, checks = check_model(name)
        except (ValueError, OSError) as error:
            lines += ["", f"{name}: NOT CHECKED: {error}"]
            code = 2
            continue
        lines += ["", f"{name}: {_fingerprint(folder)}"]
        for check in checks:
            verdict = "ok  " if check.passed else "FAIL"
            lines.append(
                f"  {verdict} {check.difference:.1e} (at most {TOLERANCE:g})  {check.name}"
            )
            code = code or int(not check.passed)
    return "\n".join(lines), code


def _fingerprint(folder: Path) -> str:
    """Which file the weights came from, by name and SHA-256."""
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return f"{name} {sha256(folder / name)}"
    return "weights in shards"


def main() -> int:
    """Print the report; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m minibert.golden", description="Compare with the published outputs of BERT."
    )
    parser.add_argument(
        "models",
        nargs="*",
        default=["bert-base-cased", "bert-base-uncased"],
        help="folders or hub names of bert-base-cased and bert-base-uncased",
    )
    text, code = report(parser.parse_args().models)
    print(text)
    return code


if __name__ == "__main__":
    run_program(main)

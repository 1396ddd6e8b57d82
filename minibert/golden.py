"""Does the real model come out? For whoever has its weights, the outputs published with them.

    python -m minibert.golden                      # the two BERTs from the hub
    python -m minibert.golden DIR_OR_NAME ...      # any of the models in `KNOWN`

Prints one report, to be pasted into an issue. Exit code 0: every output is as published within
1e-4, and 1e-5 of the largest; 1: one is not; 2: a model could not be loaded.

Sources: the model card of google-bert/bert-base-cased (fill-mask, scores and ids), for python-bert,
which comes with minibert, its own answers when it was made, and for the others transformers' own
tests (tests/models/*/test_modeling_*.py) and copies of them.
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
from minibert.config import BertConfig
from minibert.heads import BertForClassification
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


# The same of python-bert, noted when it was made.
PYTHON = {
    "The arguments [MASK] evaluated from left to right.": (
        Answer("are", 190, 0.92230),
        Answer("is", 132, 0.03229),
        Answer("s", 94, 0.01002),
    ),
    "The argument [MASK] evaluated first.": (
        Answer("is", 132, 0.84530),
        Answer("are", 190, 0.08838),
        Answer("was", 589, 0.00615),
    ),
    "This method should [MASK] the result.": (
        Answer("return", 165, 0.27088),
        Answer("be", 150, 0.08884),
        Answer("have", 439, 0.05778),
    ),
}
ANSWERS: dict[str, Mapping[str, tuple[Answer, ...]]] = {
    "bert-base-cased": CASED,
    "python-bert": PYTHON,
}


class Corner(NamedTuple):
    """A published corner of one output: rows and columns from `start` on, of the first text.

    hidden: the columns that attention_mask hides.
    """

    kind: type[BertModel] | type[BertForMaskedLM] | type[BertForClassification]
    ids: tuple[int, ...]
    hidden: tuple[int, ...]
    start: int
    values: tuple[tuple[float, ...], ...]

    @property
    def name(self) -> str:
        """Where it is in the output, as in Python."""
        if self.kind is BertForClassification:
            return "logits[0]"
        output = "last_hidden_state" if self.kind is BertModel else "logits of the masked LM"
        rows, columns = len(self.values), len(self.values[0])
        start = self.start or ""
        return f"{output}[0, {start}:{self.start + rows}, {start}:{self.start + columns}]"


# In BERT's vocabulary and in RoBERTa's: ids that somebody wrote down, no sentence.
_IDS = (0, 345, 232, 328, 740, 140, 1695, 69, 6078, 1588, 2)
_ROBERTA_IDS = (0, 31414, 232, 328, 740, 1140, 12695, 69, 46078, 1588, 2)
_EMOTION_IDS = (0, 31414, 6, 127, 2335, 16, 11962, 37, 11639, 1168, 2)


def _hidden(*values: tuple[float, ...]) -> tuple[Corner, ...]:
    return (Corner(BertModel, _IDS, (0,), 1, values),)


CORNERS: dict[str, tuple[Corner, ...]] = {
    "bert-base-uncased": _hidden(
        (0.4249, 0.1008, 0.7531), (0.3771, 0.1188, 0.7467), (0.4152, 0.1098, 0.7108)
    ),
    "distilbert-base-uncased": _hidden(
        (-0.1639, 0.3299, 0.1648), (-0.1746, 0.3289, 0.1710), (-0.1884, 0.3357, 0.1810)
    ),
    "electra-small-discriminator": _hidden(
        (0.4471, 0.6821, -0.3265), (0.4627, 0.5255, -0.3668), (0.4532, 0.3313, -0.4344)
    ),
    "albert-base-v2": _hidden(
        (-0.6513, 1.5035, -0.2766), (-0.6515, 1.5046, -0.2780), (-0.6512, 1.5049, -0.2784)
    ),
    "roberta-base": (
        Corner(
            BertModel,
            _ROBERTA_IDS,
            (),
            0,
            ((-0.0231, 0.0782, 0.0074), (-0.1854, 0.0540, -0.0175), (0.0548, 0.0799, 0.1687)),
        ),
        Corner(
            BertForMaskedLM,
            _ROBERTA_IDS,
            (),
            0,
            (
                (33.8802, -4.3103, 22.7761),
                (4.6539, -2.8098, 13.6253),
                (1.8228, -3.6898, 8.8600),
            ),
        ),
    ),
    "cardiffnlp/twitter-roberta-base-emotion": (
        Corner(
            BertForClassification,
            _EMOTION_IDS,
            (),
            0,
            ((-1.3661, 3.0174, -0.9609, -0.4145),),
        ),
    ),
}

# (family, size of the vocabulary, whether it classifies rows) -> the model it is taken for.
NAMES = {
    ("bert", 28996, False): "bert-base-cased",
    ("bert", 30522, False): "bert-base-uncased",
    ("distilbert", 30522, False): "distilbert-base-uncased",
    ("electra", 30522, False): "electra-small-discriminator",
    ("albert", 30000, False): "albert-base-v2",
    ("roberta", 50265, False): "roberta-base",
    ("roberta", 50265, True): "cardiffnlp/twitter-roberta-base-emotion",
}
# It comes with minibert, and its shape is that of others: it is known by its name alone.
OURS = "python-bert"
KNOWN = (*NAMES.values(), OURS)


class Check(NamedTuple):
    """One published output: the largest difference to it, the limit, and whether it came out."""

    name: str
    difference: float
    limit: float
    passed: bool


def check_answers(folder: Path, published: Mapping[str, tuple[Answer, ...]]) -> list[Check]:
    """Fill the blanks with a masked language model; a check a text."""
    tokenizer = Tokenizer.from_pretrained(folder)
    model = BertForMaskedLM.from_pretrained(folder)
    checks = []
    for text, answers in published.items():
        batch = tokenizer(text)
        blank = batch["input_ids"] == tokenizer.mask_token_id
        with torch.inference_mode():
            scores = model(**batch, predict=blank).logits[0].softmax(dim=-1)  # (V,)
        ids = [answer.id for answer in answers]
        differences = scores[ids] - scores.new_tensor([answer.score for answer in answers])
        difference = differences.abs().max().item()
        same_tokens = [tokenizer.tokens[i] for i in ids] == [answer.token for answer in answers]
        same_order = scores.topk(len(ids)).indices.tolist() == ids
        passed = difference <= TOLERANCE and same_tokens and same_order
        checks.append(Check(text, difference, TOLERANCE, passed))
    return checks


def check_corner(folder: Path, corner: Corner) -> Check:
    """One corner of one output."""
    model = corner.kind.from_pretrained(folder)
    ids = torch.tensor([corner.ids], device="cpu")
    mask = torch.ones_like(ids)
    mask[:, list(corner.hidden)] = 0
    with torch.inference_mode():
        output = model(ids, attention_mask=mask)[0]  # (1, T, C), (1, T, V) or (1, L)
    published = output.new_tensor(corner.values)
    start, (rows, columns) = corner.start, published.shape
    found = output.view(-1, output.shape[-1])[start : start + rows, start : start + columns]
    difference = (found - published).abs().max().item()
    # fp32 does not know logits of 34 to 1e-4; transformers' tests allow as much more.
    limit = TOLERANCE + 1e-5 * published.abs().max().item()
    return Check(corner.name, difference, limit, difference <= limit)


def check_model(dir_or_name: str) -> tuple[Path, list[Check]]:
    """Every published output of one model, recognised by its family and vocabulary."""
    folder = find_folder(dir_or_name)
    config = BertConfig.from_pretrained(folder)
    classifies = config.variant.architecture("BertForSequenceClassification")
    is_classifier = classifies in (config.extra.get("architectures") or ())
    shape = (config.model_type, config.vocab_size, is_classifier)
    name = OURS if dir_or_name == OURS else NAMES.get(shape)
    if name is None:
        kind = "a classifier" if is_classifier else "a model"
        raise ValueError(
            f"{dir_or_name} is {kind} of the family {config.variant.name} with a vocabulary of "
            f"{config.vocab_size}; published outputs are known for {', '.join(KNOWN)}"
        )
    if name in ANSWERS:
        return folder, check_answers(folder, ANSWERS[name])
    return folder, [check_corner(folder, corner) for corner in CORNERS[name]]


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
                f"  {verdict} {check.difference:.1e} (at most {check.limit:.1e})  {check.name}"
            )
            code = code or int(not check.passed)
    return "\n".join(lines), code


def _fingerprint(folder: Path) -> str:
    """Which file the weights came from, by name and SHA-256."""
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return f"{name} {sha256(folder / name)}"
    return "weights in shards"


def add_models(parser: argparse.ArgumentParser) -> None:
    """The models to compare, as arguments of a program."""
    parser.add_argument(
        "models",
        nargs="*",
        default=["bert-base-cased", "bert-base-uncased"],
        help=f"folders or names of any of {', '.join(KNOWN)}",
    )


def main() -> int:
    """Print the report; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m minibert.golden", description="Compare with published outputs."
    )
    add_models(parser)
    text, code = report(parser.parse_args().models)
    print(text)
    return code


if __name__ == "__main__":
    run_program(main)

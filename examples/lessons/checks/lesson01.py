"""Lesson 1: the parameters of one layer, and the bytes that training keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from checks.verdict import called, compare, exercise, number, whole
from minibert.config import BertConfig
from minibert.encoder import EncoderLayer


def _parts(hidden: int, intermediate: int) -> dict[str, int]:
    """The parameters of the library's layer, by name."""
    config = BertConfig(hidden_size=hidden, intermediate_size=intermediate, num_attention_heads=1)
    with torch.device("meta"):  # shapes without numbers
        layer = EncoderLayer(config)
    return {name: tensor.numel() for name, tensor in layer.named_parameters()}


def _total(hidden: int, intermediate: int) -> int:
    return sum(_parts(hidden, intermediate).values())


def _miscounted(hidden: int, intermediate: int) -> dict[str, int]:
    """What each mistake gives in place of the parameters of a layer."""
    parts, right = _parts(hidden, intermediate), _total(hidden, intermediate)

    def of(name: str) -> int:
        return sum(size for part, size in parts.items() if part.startswith(name))

    norm, square = of("attention_norm"), of("attention.output")
    up, down = of("feed_forward.up.bias"), of("feed_forward.down.bias")
    biases = of("attention.query_key_value.bias") + of("attention.output.bias") + up + down
    return {
        "these are the matrices alone; each has a bias, and there are two LayerNorms": (
            right - biases - 2 * norm
        ),
        "the biases are missing: each matrix has one, a number for each result": right - biases,
        "the biases of the feed-forward network are missing": right - up - down,
        # Two mistakes give the same number here, and two in the next line.
        "4 · hidden too few: either attention's biases are missing, or the LayerNorms": (
            right - 2 * norm
        ),
        "2 · hidden too few: there are two LayerNorms, each with a scale and a shift": right - norm,
        "two matrices of attention are missing: query, key and value are three, and output is a "
        "fourth": right - 2 * square,
        "a matrix of attention is missing: after query, key and value comes output": right - square,
        "three matrices of attention are missing: count query, key, value and output": (
            right - 3 * square
        ),
        "attention is missing: query, key, value and output": right - 4 * square,
        "the second matrix of the feed-forward network is missing, which leads down again": (
            right - of("feed_forward.down")
        ),
        "the first matrix of the feed-forward network is missing, which leads up": (
            right - of("feed_forward.up.")
        ),
        "a bias has a number for each result, and the first matrix of the feed-forward network has "
        "intermediate results": right - up + down,
        "a bias has a number for each result, and the second matrix of the feed-forward network "
        "has hidden results": right + up - down,
        "hidden and intermediate have changed places": _total(intermediate, hidden),
        "this takes 4 · hidden for intermediate, which need not be so": _total(hidden, 4 * hidden),
        "this is the same whatever the sizes are; use hidden and intermediate": _total(768, 3072),
        "these are the layers of a whole model; count one": 12 * right,
        "these are bytes; count the numbers": 4 * right,
    }


@exercise
def layer_parameters(answer: Callable[..., Any]) -> str:
    """hidden and intermediate -> the parameters of one layer."""
    # In the first shape each mistake has a number of its own. In the second, BERT's, I is 4 C, and
    # all of attention has as many parameters as one matrix of the feed-forward network.
    for shape in ((10, 24), (768, 3072)):
        found = whole(called(answer, *shape))
        right = _total(*shape)
        off = f"{abs(found - right):,} too {'many' if found > right else 'few'}"
        compare(
            found,
            right,
            _miscounted(*shape),
            f"for hidden = {shape[0]} and intermediate = {shape[1]} you count {found:,}, which is "
            f"{off}; which part of the table has so many?",
            tolerance=0,
        )
    return "your formula counts what the library's layers have"


BERT_BASE, ITS_POOLER = 108_310_272, 590_592
UNITS = {"MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30, "bits": 1 / 8}


@exercise
def training_bytes(answer: Callable[..., Any]) -> str:
    """All parameters, and those that are trained -> bytes, without activations."""
    found = number(called(answer, BERT_BASE, BERT_BASE))
    right = 16 * BERT_BASE
    compare(
        found,
        right,
        {
            "4 for each weight: either the weights alone are counted, or the four numbers that "
            "belong to it, but not their bytes": 4 * BERT_BASE,
            "8 bytes for each weight: that is itself and its gradient; where are the moments? (If "
            "you took 2 bytes for a number: fp32 has 4.)": 8 * BERT_BASE,
            "12 bytes for each weight: that is three numbers, and one is missing; there are the "
            "weight itself, its gradient, and two moments": 12 * BERT_BASE,
            "20 bytes for each weight: that is five numbers; the trained weights are among the "
            "parameters, so count each once": 20 * BERT_BASE,
            **_in_other_units(right),
        },
        f"with all weights trained you count {found / BERT_BASE:.3g} bytes for each; which numbers "
        "belong to a weight, and how many bytes does each take?",
        tolerance=1e-9,
    )
    found = number(called(answer, BERT_BASE, ITS_POOLER))
    frozen = BERT_BASE - ITS_POOLER
    right_for_frozen = right - 12 * frozen
    each = (found - 16 * ITS_POOLER) / frozen
    compare(
        found,
        right_for_frozen,
        {
            "frozen weights are counted as if they were trained; they have neither gradients nor "
            "moments": right,
            "frozen weights are left out, but they are in memory too": right - 16 * frozen,
            "8 bytes for each frozen weight: it is there, but it has no gradient": (
                right - 8 * frozen
            ),
            "12 bytes for each frozen weight: it is there, but it has no moments": (
                right - 4 * frozen
            ),
            **_in_other_units(right_for_frozen),
        },
        f"with most weights frozen you count {each:.3g} bytes for each frozen one; what of it is "
        "in memory?",
        tolerance=1e-9,
    )
    return (
        f"bert-base-cased takes {right / 1e9:.2f} GB however short the texts are, and "
        f"{right_for_frozen / 1e9:.2f} GB where only its pooler is trained"
    )


def _in_other_units(right: int) -> dict[str, float]:
    return {f"this is in {unit}; give bytes": right / size for unit, size in UNITS.items()}

"""`minibert info`: what a model is, from its weights, its config or its name alone."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from minibert._checks import enumerated, shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.config_json import numbered_labels
from minibert.checkpoint.files import PICKLE, SAFETENSORS
from minibert.checkpoint.hub import ALIASES, find_folder
from minibert.checkpoint.sizes import SIZES
from minibert.cli.command import Command, add_model
from minibert.cli.lines import write_line
from minibert.config import BertConfig
from minibert.inspect.sizes import Summary, summary
from minibert.model import BertModel
from minibert.training.results import LISTED


class Known(NamedTuple):
    """A model, on the meta device if only its shape is known, and where that is from."""

    model: BertModel
    source: str


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add = parser.add_argument
    add("--batch-size", type=int, default=32, help="texts at once, for the memory (default: 32)")
    add("--length", type=int, help="tokens of each, for the memory (default: 128, or the most)")
    add("--json", action="store_true", help="write one JSON object")


def _run(arguments: argparse.Namespace) -> None:
    batch = whole_number("--batch-size", arguments.batch_size, 1)
    asked = arguments.length
    length = None if asked is None else whole_number("--length", asked, 1)
    known = _known(arguments.model)
    longest = known.model.config.max_length
    if length is not None and length > longest:
        raise ValueError(f"--length is {length}; rows of this model have up to {longest}")
    found = summary(known.model, batch, length)
    facts = _facts(found)
    if arguments.json:
        write_line(json.dumps(facts, ensure_ascii=False))
        return
    write_line(known.source)
    if facts["labels"]:
        write_line(f"labels: {enumerated([shown(label) for label in facts['labels']], LISTED)}")
    write_line(str(found))


def _known(name: str) -> Known:
    """The model with its weights if they are at hand, or else its shape; nothing large is fetched.

    The name of a published size needs nothing at all.
    """
    published = name in SIZES and not os.path.isdir(name)
    if published and name not in ALIASES:
        return _shape_alone(BertConfig.from_size(name), "the published size of this name")
    try:
        folder = find_folder(name, weights=False)
    except FileNotFoundError:
        if not published:  # an alias that is not installed
            raise
        return _shape_alone(BertConfig.from_size(name), "the published size of this name")
    if _has_weights(folder):
        model = BertModel.from_pretrained(name)
        return Known(model, str(model.load_report))
    return _shape_alone(BertConfig.from_pretrained(folder), f"config.json of {folder}")


def _has_weights(folder: Path) -> bool:
    return any(
        (folder / f"{file}{index}").exists()
        for file in (SAFETENSORS, PICKLE)
        for index in ("", ".index.json")
    )


def _shape_alone(config: BertConfig, source: str) -> Known:
    with torch.device("meta"):
        return Known(BertModel(config), f"{source}, without weights")


def _facts(found: Summary) -> dict[str, Any]:
    """What the command says, for JSON."""
    config = found.config
    return {
        "family": config.variant.name,
        "layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "heads": config.num_attention_heads,
        "vocabulary": config.vocab_size,
        "max_length": config.max_length,
        "labels": [] if config.labels == numbered_labels(config.num_labels) else [*config.labels],
        "parameters": found.parameters,
        "parts": {part.name: part.parameters for part in found.parts},
        "flops": found.flops,
        "memory": {
            "batch_size": found.batch,
            "length": found.length,
            **found.memory._asdict(),
        },
    }


COMMAND = Command(
    name="info",
    about="a model's shape, its parameters and the memory it takes",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        "minibert info bert-base-cased",
        "minibert info minilm-l6 --batch-size 8 --length 256",
        "minibert info roberta-base --json",
    ],
    more=(
        "A published name or a config.json is enough; weights are looked at where they are at "
        "hand. Memory is reckoned, not measured, in fp32. For inference: the weights, and the "
        "widest point of a layer. For training with AdamW: 12 bytes a parameter, and the "
        "activations that each layer keeps, or the gradients, if they take more. On CPUs there is "
        "no fused attention with dropout, so activations have attention weights, too. MB are "
        "millions of bytes; PyTorch itself takes some hundred more."
    ),
)

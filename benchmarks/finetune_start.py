"""What every contender of `finetune.py` starts from: a model with a new head, and chosen texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

import minibert
from minibert import Tokenizer, data
from minibert.training.batches import random_order

SHAPE_WILL_DO = "bert-base-cased"  # with random weights, if its own are not at hand
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")


def find_model(name: str, tokenizer: str | None) -> tuple[bool, Tokenizer]:
    """Whether the model has weights, or only a shape here, and the tokenizer."""
    pretrained = name != SHAPE_WILL_DO or Path(name).is_dir()
    source = tokenizer or (name if pretrained else "minilm-l6")
    return pretrained, Tokenizer.from_pretrained(source)


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


class Part(NamedTuple):
    """Texts and the numbers of their classes."""

    texts: list[str]
    labels: list[int]


class Texts(NamedTuple):
    train: Part
    development: Part
    labels: list[str]


def read_texts(source: str) -> Texts:
    parts = data.load(source)
    labels = sorted(set(parts[0].labels) | set(parts[1].labels))
    train, development = (
        Part(list(map(str, part.texts)), [labels.index(label) for label in part.labels])
        for part in parts
    )
    return Texts(train, development, labels)


def choose(part: Part, number: int, seed: int = 0) -> Part:
    """So many texts at random, each again only after every other one."""
    order: list[int] = []
    while len(order) < number:
        order += random_order(len(part.texts), seed, len(order))
    chosen = order[:number]
    return Part([part.texts[i] for i in chosen], [part.labels[i] for i in chosen])

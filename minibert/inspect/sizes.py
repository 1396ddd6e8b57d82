"""How big a model is: its parameters by part, the memory it takes, and what a token costs.

Only reckoned, in fp32; nothing is run. Beside it there is what PyTorch itself takes, some hundred
MB, and the freed memory that an allocator keeps: in training glibc's kept a fifth to a third more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.engine.optimize import check_original
from minibert.model import BertModel

_LENGTH = 128  # tokens, as a classifier's max_length
_FLOAT = 4  # bytes
_STATES = 3  # numbers kept for each weight in training: itself and two moments of AdamW


class Memory(NamedTuple):
    """Bytes that a model takes, in fp32, for batches of one shape.

    training: with AdamW, on a GPU. training_on_cpu: the same as `fit` does it on a CPU.
    """

    weights: int
    inference: int
    training: int
    training_on_cpu: int


class Part(NamedTuple):
    """A part of a model, and the parts in it that have parameters, those of all layers added up."""

    name: str
    parameters: int
    inside: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Summary:
    """How big a model is, and what it takes for `batch` rows of `length` tokens.

    flops: those of one token in the encoder, forward, a multiplication and an addition counted as
    two. A step of training takes three times as many.
    """

    config: BertConfig
    batch: int
    length: int
    parts: tuple[Part, ...]
    memory: Memory
    flops: int

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts)

    def __str__(self) -> str:
        lines = [_shape(self.config)]
        for part in self.parts:
            lines.append(_line(part.name, part.parameters))
            lines += [_line(f"  {each.name}", each.parameters) for each in part.inside]
        lines.append(_line("total", self.parameters) + " in fp32")
        for use, number, how in (
            ("inference", self.memory.inference, "in fp32"),
            ("training", self.memory.training, "with AdamW in fp32 on a GPU"),
            ("", self.memory.training_on_cpu, "with AdamW in fp32 on a CPU"),
        ):
            lines.append(
                f"{use:<20} {number / 1e6:>13,.0f} MB, reckoned {how} for {self.batch} x "
                f"{self.length} tokens"
            )
        lines.append(f"{'a token':<20} {self.flops / 1e6:>13,.0f} million FLOPs, forward")
        return "\n".join(lines)


def summary(
    model_or_config: Pretrained | BertConfig, batch: int = 32, length: int | None = None
) -> Summary:
    """The sizes of a model, or of the bare encoder that a config describes.

    batch, length: the rows and tokens that memory is reckoned for; None takes 128 tokens, or as
    many as the model has positions. Activations of a head are left out: they are few, except where
    one predicts words.

    A config takes no memory, so any shape can be asked for. A decoder's layer has the weights of an
    encoder's (the mask is what differs), so this is GPT-3, 175 billion parameters in 700 GB:

    >>> gpt3 = BertConfig(
    ...     model_type="distilbert",  # neither segments nor pooler
    ...     type_vocab_size=0, vocab_size=50257, max_position_embeddings=2048,
    ...     hidden_size=12288, intermediate_size=49152,
    ...     num_hidden_layers=96, num_attention_heads=96,
    ... )
    >>> found = summary(gpt3, batch=1)
    >>> round(found.parameters / 1e9), round(found.memory.weights / 1e9)
    (175, 698)

    Raises `ValueError` for what is neither, for an optimized model, and for rows longer than the
    model takes.
    """
    batch = whole_number("batch", batch, 1)
    if isinstance(model_or_config, BertConfig):
        with torch.device("meta"):
            model: Pretrained = BertModel(model_or_config)
    else:
        if not isinstance(model_or_config, Pretrained):
            kind = type(model_or_config).__name__
            raise ValueError(
                f"summary takes a model such as BertModel or a BertConfig, not "
                f"{shown(model_or_config)}, a {kind}"
            )
        check_original(model_or_config, "summary")
        model = model_or_config
    config: BertConfig = model.config
    if length is None:
        length = min(_LENGTH, config.max_length)
    else:
        length = whole_number("length", length, 1)
        if length > config.max_length:
            raise ValueError(
                f"length is {length}; rows of this model have up to {config.max_length}"
            )
    parts = tuple(_parts(model))
    total = sum(part.parameters for part in parts)
    return Summary(
        config, batch, length, parts, memory(config, total, batch, length), flops(config, length)
    )


def memory(config: BertConfig, parameters: int, batch: int, length: int) -> Memory:
    """The memory for a model with so many parameters and batches without padding.

    Inference: the weights, and what a token has at the widest point of a layer, in the feed-forward
    network: x (C), and I numbers before and after GELU.

    Training keeps 12 bytes a weight throughout, for AdamW has two moments. To them come what each
    layer keeps for the way back and the gradients, 4 bytes a weight; the latter grow as the former
    go, so the larger of the two counts. A layer keeps 8 C + 2 I numbers a token and the masks of
    its dropout, a byte each. Source: Korthikanti et al. 2022, arXiv 2205.05198, section 4.1: 34
    bytes a token and hidden unit in fp16, where I is 4 C, which are 16 numbers and 2 bytes of
    masks. Its second term, the attention weights, is left out: fused attention does not keep them.

    On CPUs there is no fused attention with dropout, and the weights are kept: after the softmax,
    after dropout, and the mask, which is of floats there. And `fit` keeps the gradient of the token
    table from step to step (training/speed.py).
    """
    width, inner = config.hidden_size, config.intermediate_size
    tokens = batch * length
    weights = _FLOAT * parameters
    widest = _FLOAT * (width + 2 * inner)
    kept = _FLOAT * (8 * width + 2 * inner)  # 8: five products and two norms read them
    masks = width * ((config.attention_dropout > 0) + (config.feed_forward_dropout > 0))
    drops_weights = config.attention_probs_dropout_prob > 0
    heads = 3 * _FLOAT * config.num_attention_heads * length if drops_weights else 0
    table = _FLOAT * config.vocab_size * config.embedding_width
    computed = tokens * config.num_hidden_layers
    on_gpu = computed * (kept + masks)
    on_cpu = computed * (kept + _FLOAT * masks + heads)
    return Memory(
        weights=weights,
        inference=weights + tokens * widest,
        training=_STATES * weights + max(on_gpu, weights),
        training_on_cpu=_STATES * weights + table + max(on_cpu, weights - table),
    )


def flops(config: BertConfig, length: int) -> int:
    """The products for one token of a row of `length` in the encoder, forward.

    Each weight of a product is multiplied and added once: 2 (4 C^2 + 2 C I) a layer. A query meets
    `length` keys and mixes as many values: 4 C length. Norms, GELU and softmax are left out.
    """
    width = config.hidden_size
    products = 2 * (4 * width**2 + 2 * width * config.intermediate_size)
    narrow = config.embedding_width != width
    widening = 2 * config.embedding_width * width if narrow else 0
    return widening + config.num_hidden_layers * (products + 4 * width * length)


def _parts(model: nn.Module) -> Iterator[Part]:
    """The parts of the encoder, and what a head adds."""
    for name, module in model.named_children():
        if isinstance(module, BertModel):
            yield from _parts(module)
        elif parameters := _count(module):
            yield Part(name, parameters, tuple(_inside(module)))


def _inside(module: nn.Module) -> Iterator[Part]:
    """Its direct parts; of a stack of layers, their parts added up."""
    children = list(module.named_children())
    if len(children) == 1 and isinstance(children[0][1], nn.ModuleList):
        children = [each for layer in children[0][1] for each in layer.named_children()]
    found: dict[str, int] = {}
    for name, child in children:
        if parameters := _count(child):
            found[name] = found.get(name, 0) + parameters
    if len(found) > 1:
        yield from (Part(name, number) for name, number in found.items())


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _line(name: str, parameters: int) -> str:
    return f"{name:<20} {parameters:>13,} parameters {parameters * _FLOAT / 1e6:>8.1f} MB"


def _shape(config: BertConfig) -> str:
    shared = narrow = ""
    if config.layers_with_weights < config.num_hidden_layers:
        shared = f" sharing the weights of {config.layers_with_weights}"
    if config.embedding_width != config.hidden_size:
        narrow = f" (embeddings {config.embedding_width})"
    return (
        f"{config.variant.name}: {config.num_hidden_layers} layers{shared}, {config.hidden_size} "
        f"wide{narrow}, {config.num_attention_heads} heads of {config.head_size}, "
        f"vocabulary {config.vocab_size}, rows up to {config.max_length} tokens"
    )

"""Take a part away and see what is lost: a model without some of its heads, or without a layer.

    with without_heads(model, {4: [2, 7]}):
        model(**batch)

What is said of a head that "follows syntax" is a hypothesis, and this is the experiment. Michel et
al. 2019, arXiv 1905.10650, found that most heads can go, one at a time, with hardly a loss.

Layers and heads are numbered from 1. The model itself is changed and changed back (see
`engine/exchange.py`), its weights are left alone: threads that share it meet the change, what is
saved meanwhile is the whole model, and a `TextClassifier` predicts without the part as long as its
`model_` is. Several of these may be in force at once, for different layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.encoder import EncoderLayer
from minibert.engine.exchange import exchanged
from minibert.engine.optimize import check_original
from minibert.inspect.running import encoder
from minibert.linear import Linear
from minibert.model import BertModel
from minibert.packing import Packing, Record


@contextmanager
def without_heads(model: torch.nn.Module, heads: Mapping[int, Iterable[int]]) -> Iterator[None]:
    """Inside, these heads of the model add nothing: {layer: [heads]}, both from 1.

    A head's columns of its layer's W^O count as zeros, which is what transformers' prune_heads
    comes to. Attention weights are computed and returned as before.

    Raises `ValueError` for a layer or head that there is not, an optimized model, one whose layers
    share their weights (ALBERT), and a layer that is without heads already.
    """
    bert = _encoder_of(model, "without_heads")
    if not isinstance(heads, Mapping):
        raise ValueError(f"heads is {shown(heads)}; give {{layer: [heads]}}, numbered from 1")
    size = bert.config.head_size
    columns: dict[Linear, list[int]] = {}
    for number, some in heads.items():
        output = _layer(bert, number).attention.output
        if type(output) is not Linear:
            raise ValueError(
                f"layer {number} is without heads already, or its W^O is a "
                f"{type(output).__name__}; name all its heads at once, in a model as loaded"
            )
        chosen = [_head(bert, number, head) for head in _listed(some, number)]
        columns[output] = [h * size + i for h in chosen for i in range(size)]
    with exchanged((output, WithoutHeads) for output in columns):
        for output, dropped in columns.items():
            output.kept[dropped] = 0  # type: ignore[operator]
        yield


@contextmanager
def without_layer(model: torch.nn.Module, layer: int) -> Iterator[None]:
    """Inside, a layer, counted from 1, hands on what it is given.

    If attention weights are asked for, its are zeros. Raises `ValueError` as `without_heads`.
    """
    skipped = _layer(_encoder_of(model, "without_layer"), layer)
    if type(skipped) is not EncoderLayer:
        raise ValueError(
            f"layer {layer} is left out already, or a {type(skipped).__name__}; leave it out once, "
            "of a model as loaded"
        )
    with exchanged([(skipped, SkippedLayer)]):
        yield


class WithoutHeads(Linear):
    """W^O that is handed zeros by some heads.

    kept: (C,), 1 for what comes from the other heads.
    """

    kept: Tensor

    def enter(self) -> None:
        self.register_buffer("kept", torch.ones_like(self.weight[0].detach()), persistent=False)
        _notice(self.weight)

    def leave(self) -> None:
        del self.kept
        _notice(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The heads side by side, (..., C) -> (..., C)."""
        return super().forward(x * self.kept)


class SkippedLayer(EncoderLayer):
    """A layer that hands on what it is given."""

    def enter(self) -> None:
        _notice(self.attention.output.weight)

    def leave(self) -> None:
        _notice(self.attention.output.weight)

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """(N, C) -> (N, C) or (R, C)."""
        if record is not None and record.attentions is not None:
            heads = self.attention.config.num_attention_heads
            shapes = [(group.rows, heads, group.width, group.width) for group in packing.groups]
            record.add_attentions([x.new_zeros(shape) for shape in shapes])
        return x if wanted is None else x[wanted]


def _notice(weight: Tensor) -> None:
    """Count this as a change of the weight, for whoever computed something of it, as an optimized
    copy of the model, and must do so anew."""
    if not weight.is_inference():
        increment_version(weight)


def _encoder_of(model: Any, function: str) -> BertModel:
    """The model's encoder, whose layers can be changed one by one."""
    check_original(model, function)
    bert = encoder(model)
    config = bert.config
    if config.layers_with_weights < config.num_hidden_layers:
        raise ValueError(
            f"the model's {config.num_hidden_layers} layers share the weights of "
            f"{config.layers_with_weights}, as {config.variant.name}'s do, so {function} could not "
            "change one without the others; take a model with layers of their own"
        )
    return bert


def _layer(bert: BertModel, number: object) -> EncoderLayer:
    layers = bert.encoder.layers
    if (place := whole_number("layer", number, 1)) > len(layers):
        raise ValueError(f"there is no layer {place}; this model's are 1 to {len(layers)}")
    layer = layers[place - 1]
    assert isinstance(layer, EncoderLayer)
    return layer


def _head(bert: BertModel, layer: int, number: object) -> int:
    """The place of a head, from 0."""
    heads = bert.config.num_attention_heads
    if (place := whole_number(f"a head of layer {layer}", number, 1)) > heads:
        raise ValueError(f"layer {layer} has no head {place}; its heads are 1 to {heads}")
    return place - 1


def _listed(heads: Any, layer: int) -> list[object]:
    if isinstance(heads, str) or not isinstance(heads, Iterable):
        raise ValueError(f"the heads of layer {layer} are {shown(heads)}; give a list of numbers")
    return list(heads)

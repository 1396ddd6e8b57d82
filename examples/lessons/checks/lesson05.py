"""Lesson 5: LayerNorm, and a layer of its parts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checks.verdict import Hint, called, compare, exercise, tensor
from minibert import BertConfig, BertModel
from minibert.encoder import EncoderLayer, gelu, gelu_tanh
from minibert.packing import Packing

T, C, EPS = 3, 5, 0.75  # not the lesson's C; an eps that no mistake can hide behind


@exercise
def layer_norm(answer: Callable[..., Any]) -> str:
    """(T, C) tokens, a (C,) scale, a (C,) shift and eps -> (T, C)."""
    draw = torch.Generator().manual_seed(5)
    x = 2 + torch.randn(T, C, generator=draw) * torch.tensor([[1.0], [2.0], [0.5]])
    scale, shift = torch.randn(2, C, generator=draw)
    try:
        result = called(answer, x, scale, shift, EPS)
    except Hint as hint:
        if "must match the size" not in str(hint):
            raise
        raise Hint(f"{hint}. To subtract a number from each row, keepdim=True is needed") from hint
    found = tensor(result, (T, C))
    right = F.layer_norm(x, (C,), scale, shift, EPS)
    row = int((found - right).abs().sum(dim=1).argmax())
    compare(
        found,
        right,
        _misnormalised(x, scale, shift),
        f"eps is {EPS}, row {row} of x is {_listed(x[row])}; you make {_listed(found[row])} of it, "
        f"and the library {_listed(right[row])}. With a scale of 1, a shift of 0 and an eps "
        "of 0 your function should make [[-1, -0.333, -0.333, 1.667], [-1, -1, 1, 1]] of the "
        "lesson's rows: try that first",
    )
    return "your LayerNorm is the library's, wherever eps, scale and shift matter"


def _misnormalised(x: Tensor, scale: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """What each known mistake gives, and what two of them do together."""
    ends = {
        "the scale and the shift are missing": lambda y: y,
        "the shift is missing": lambda y: y * scale,
        "the scale is missing": lambda y: y + shift,
        "scale and shift have changed places: weight multiplies, bias is added": (
            lambda y: y * shift + scale
        ),
        "the shift is multiplied by the scale; multiply first, and then add it": (
            lambda y: (y + shift) * scale
        ),
    }
    right = F.layer_norm(x, (C,), eps=EPS)
    begun = _badly_normalised(x)
    found = {hint: y * scale + shift for hint, y in begun.items()}
    found |= {hint: end(right) for hint, end in ends.items()}
    for first, y in begun.items():
        found |= {
            f"more than one thing: {first}. And {second}": end(y) for second, end in ends.items()
        }
    return found | {
        "the scale and the shift come too early: normalise first, and apply them to the result": (
            F.layer_norm(x * scale + shift, (C,), eps=EPS)
        ),
        "only the mean is subtracted; what is still to be divided by?": (
            (x - x.mean(dim=1, keepdim=True)) * scale + shift
        ),
    }


def _badly_normalised(x: Tensor) -> dict[str, Tensor]:
    """What each known mistake gives before the scale and the shift."""
    away, away_from_all = x - x.mean(dim=1, keepdim=True), x - x.mean()
    variance = x.var(dim=1, correction=0, keepdim=True)
    sample = x.var(dim=1, keepdim=True)  # divided by C - 1
    no_eps = "eps changes nothing; add it to the variance before the root"
    for_all = "there is one mean and one variance for all tokens together; each token has its own: "
    return {
        "the variance is divided by C - 1, as PyTorch's var and std do; it is the mean of the "
        "squares, divided by C": away / (sample + EPS).sqrt(),
        "eps is added after the root; it belongs under the root, to the variance": (
            away / (variance.sqrt() + EPS)
        ),
        "PyTorch's std divides by C - 1, and it should be C; and eps belongs under the root, to "
        "the variance": away / (sample.sqrt() + EPS),
        no_eps: away / variance.sqrt(),
        "eps changes nothing, and the variance is divided by C - 1, as PyTorch's var and std do": (
            away / sample.sqrt()
        ),
        "the root is missing: this divides by the variance, not by the standard deviation": (
            away / (variance + EPS)
        ),
        "the squares are added up; take their mean": away / (C * variance + EPS).sqrt(),
        "this takes the root of eps times the variance; eps is added to the variance": (
            away / (variance * EPS).sqrt()
        ),
        "the mean is not subtracted from the numbers; only the variance knows it": (
            x / (variance + EPS).sqrt()
        ),
        "the mean is not subtracted, neither from the numbers nor in the variance": (
            F.rms_norm(x, (C,), eps=EPS)
        ),
        "the mean is subtracted from the numbers, but not before they are squared for the "
        "variance": away / (x.square().mean(dim=1, keepdim=True) + EPS).sqrt(),
        "each column is normalised over the tokens; take the mean and the variance of each token, "
        "along its row: dim=1": F.layer_norm(x.T, (T,), eps=EPS).T,
        f"{for_all}dim=1, keepdim=True": F.layer_norm(x, (T, C), eps=EPS),
        f"{for_all}dim=1, keepdim=True. And {no_eps}": F.layer_norm(x, (T, C), eps=0.0),
        "there is one variance for all tokens together; each token has its own: dim=1, also where "
        "you take the mean of the squares": away / (away.square().mean() + EPS).sqrt(),
        "the mean that is subtracted is that of all tokens; each token has its own: dim=1, "
        "keepdim=True": (
            away_from_all / (away_from_all.square().mean(dim=1, keepdim=True) + EPS).sqrt()
        ),
    }


class _Instead(nn.Module):
    """A function in place of a part of a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, *_: Any) -> Tensor:
        return self.function(x)


class _Taken:
    """A layer of the library, taken to pieces. parts: in the order in which they run. given: what
    the learner gave to each."""

    def __init__(self, layer: EncoderLayer, x: Tensor) -> None:
        self.layer, self.x = layer, x
        self.packing = Packing(torch.ones(1, len(x), dtype=torch.bool))
        self.parts: dict[str, nn.Module] = {
            "attention": layer.attention,
            "attention_norm": layer.attention_norm,
            "up": layer.feed_forward.up,
            "down": layer.feed_forward.down,
            "feed_forward_norm": layer.feed_forward_norm,
        }
        self.given: dict[str, list[Any]] = {}

    def attention(self, x: Tensor) -> Tensor:
        return self.layer.attention(x, self.packing)

    def asked(self, answer: Callable[..., Any]) -> Tensor:
        """The learner's result."""
        self.given = {name: [] for name in self.parts}
        functions: dict[str, Callable[[Tensor], Tensor]]
        functions = {**self.parts, "attention": self.attention}
        kept = [self._kept(name, function) for name, function in functions.items()]
        return tensor(called(answer, self.x, *kept), tuple(self.x.shape))

    def _kept(self, name: str, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            self.given[name].append(copy.deepcopy(x))  # it may be changed later
            return function(x)

        return run

    def result(self, **instead: Callable[[Tensor], Tensor]) -> Tensor:
        """The library's result, with functions in place of some of the layer's parts."""
        altered = copy.copy(self.layer)
        altered._modules = self.layer._modules | {
            name: _Instead(function) for name, function in instead.items()
        }
        return altered(self.x, self.packing)

    def first_difference(self) -> str:
        """In words, the first part that the learner uses otherwise than the library."""
        right: dict[str, Tensor] = {}
        hooks = [
            part.register_forward_pre_hook(
                lambda _, arguments, name=name: right.update({name: arguments[0]})
            )
            for name, part in self.parts.items()
        ]
        self.result()
        for hook in hooks:
            hook.remove()
        for name, found in self.given.items():
            if len(found) != 1:
                return f"`{name}` is called {len(found)} times; call each part once"
            if not _same(found[0], right[name]):
                return (
                    f"`{name}` is the first part that is given other numbers than in the library's "
                    "layer; look at what stands in its brackets"
                )
        return "each part is given the right numbers; look at what you return"


def _same(found: Any, right: Tensor) -> bool:
    found = torch.as_tensor(found).double()
    return found.shape == right.shape and torch.allclose(found, right.double(), atol=1e-4)


@exercise
def layer(answer: Callable[..., Any]) -> str:
    """(T, C) tokens and the five parts of a layer -> what the layer makes of them, (T, C)."""
    made_up = _made_up()
    found = made_up.asked(answer)
    right = made_up.result()
    compare(found, right, _miswired(made_up), made_up.first_difference())
    real = _real()
    found = real.asked(answer)
    compare(
        found,
        real.result(),
        {},
        "right with a made-up layer, but not with layer 3 of minilm-l6: " + real.first_difference(),
        tolerance=1e-5,
    )
    return "your layer is the library's, a made-up one and layer 3 of minilm-l6, to 0.00001"


@cache
def _made_up() -> _Taken:
    """A layer with numbers so large that every mistake shows, the other GELU's as well."""
    config = BertConfig(hidden_size=6, intermediate_size=10, num_attention_heads=2)
    made = EncoderLayer(config).eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(5)
    for numbers in made.parameters():
        numbers.normal_(0, 1, generator=draw)
    return _Taken(made, torch.randn(T, config.hidden_size, generator=draw))


@cache
def _real() -> _Taken:
    model = BertModel.from_pretrained("minilm-l6").requires_grad_(False)
    ids = torch.arange(2000, 2012)[None]  # any twelve tokens
    states = model(ids, output_hidden_states=True).hidden_states
    assert states is not None  # was asked for
    third = model.encoder.layers[2]
    assert isinstance(third, EncoderLayer)
    return _Taken(third, states[2][0])


def _miswired(taken: _Taken) -> dict[str, Tensor]:
    """What each known mistake gives: the library's layer with something else for some part."""
    x, own = taken.x, taken.layer
    attention, norm_1, norm_2 = taken.attention, own.attention_norm, own.feed_forward_norm
    up, down, network = own.feed_forward.up, own.feed_forward.down, own.feed_forward

    def same(y: Tensor) -> Tensor:
        return y

    def nothing(y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    mistakes: dict[str, dict[str, Callable[[Tensor], Tensor]]] = {
        "this is pre-LN, each LayerNorm before its part; BERT has it after the sum": {
            "attention": lambda y: attention(norm_1(y)),
            "attention_norm": same,
            "feed_forward": lambda y: network(norm_2(y)),
            "feed_forward_norm": same,
        },
        "each LayerNorm is applied to what its part gives, before the sum; it comes after": {
            "attention": lambda y: norm_1(attention(y)),
            "attention_norm": same,
            "feed_forward": lambda y: norm_2(network(y)),
            "feed_forward_norm": same,
        },
        "no part has its residual connection: what goes into a part is added to its result": {
            "attention": lambda y: attention(y) - y,
            "feed_forward": lambda y: network(y) - y,
        },
        "the residual connection of attention is missing: add x to what it gives": {
            "attention": lambda y: attention(y) - y
        },
        "the residual connection of feed-forward is missing: add what went into `up` to what "
        "`down` gives": {"feed_forward": lambda y: network(y) - y},
        "what goes into attention is added twice": {"attention": lambda y: attention(y) + y},
        "what goes into feed-forward is added twice": {"feed_forward": lambda y: network(y) + y},
        "what goes into each part is added twice": {
            "attention": lambda y: attention(y) + y,
            "feed_forward": lambda y: network(y) + y,
        },
        "the second sum takes the x that the layer was given; take what went into `up`": {
            "feed_forward": lambda y: network(y) - y + x
        },
        "both are added in the second sum, the x that the layer was given and what went into "
        "`up`; only the latter belongs there": {"feed_forward": lambda y: network(y) + x},
        "`up` is given the x of the layer; it is given what the first LayerNorm gives": {
            "feed_forward": lambda y: network(x)
        },
        "attention and feed-forward both work on the x of the layer, and the first sum is lost": {
            "feed_forward": lambda y: network(x) - y + x
        },
        "the LayerNorms have changed places: attention_norm belongs to the first sum": {
            "attention_norm": norm_2,
            "feed_forward_norm": norm_1,
        },
        "attention_norm is used twice; the second sum has one of its own": {
            "feed_forward_norm": norm_1
        },
        "feed_forward_norm is used twice; the first sum has one of its own": {
            "attention_norm": norm_2
        },
        "the first LayerNorm is missing, after the sum with attention": {"attention_norm": same},
        "the second LayerNorm is missing, after the sum with feed-forward": {
            "feed_forward_norm": same
        },
        "both LayerNorms are missing": {"attention_norm": same, "feed_forward_norm": same},
        "this is the GELU by tanh; BERT has the exact one, `gelu`": {
            "feed_forward": lambda y: down(gelu_tanh(up(y)))
        },
        "this has ReLU where BERT has GELU": {"feed_forward": lambda y: down(up(y).relu())},
        "GELU is missing: without it `up` and `down` are one matrix": {
            "feed_forward": lambda y: down(up(y))
        },
        "GELU comes after `down`; it stands between `up` and `down`": {
            "feed_forward": lambda y: gelu(down(up(y)))
        },
        "GELU stands before `up`; it stands between `up` and `down`": {
            "feed_forward": lambda y: down(up(gelu(y)))
        },
        "there is one GELU too many, after `down`": {"feed_forward": lambda y: gelu(network(y))},
        "this is the first half; feed-forward is still to come": {
            "feed_forward": nothing,
            "feed_forward_norm": same,
        },
        "feed-forward is missing; `up`, gelu and `down`": {"feed_forward": nothing},
        "attention is missing": {"attention": nothing},
    }
    return {hint: taken.result(**instead) for hint, instead in mistakes.items()}


def _listed(row: Tensor) -> str:
    return "[" + ", ".join(f"{number:.3f}" for number in row.tolist()) + "]"

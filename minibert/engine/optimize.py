"""optimize: a copy of a model that computes the same, fast, for inference only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from minibert._checks import check_has_weights, shown
from minibert.attention import SelfAttention
from minibert.checkpoint.pretrained import Pretrained
from minibert.embeddings import Embeddings
from minibert.encoder import Encoder
from minibert.engine.attention import PackedAttention
from minibert.engine.bodies import Body, Plain, refuse_move, refuse_state_dict
from minibert.engine.exchange import exchange
from minibert.engine.forks import survive_fork
from minibert.engine.graphs import GraphedEncoder
from minibert.engine.host import HostPackedModel
from minibert.engine.memory import keep_freed_memory
from minibert.engine.rule import Precision, body_for, choose
from minibert.linear import Linear
from minibert.model import BertModel

ModelT = TypeVar("ModelT", bound=Pretrained)


class SettledEmbeddings(Embeddings):
    """Embeddings that refuse to move, as the bodies after them do.

    They are the first part of every model. So a model that is told to move refuses before any part
    of it has.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SettledEmbeddings:
        refuse_move(self.norm.bias, fn)
        return self


def optimize(model: ModelT, precision: Precision = "fp32") -> ModelT:
    """A new model with the same forward and outputs, for inference only, made fast.

    Its `Linear` layers have the bodies that rule.py names for the model's device and this
    precision, "fp32", "bf16" or "int8"; where they compute in bfloat16, all the rest and the
    outputs are in it, too. Where a precision has no fast kernel, a warning says what is used
    instead. Call the result in `torch.inference_mode()`; with gradients enabled it raises
    `RuntimeError`. On a GPU it takes its batch from the CPU, where it is packed; one that is on the
    GPU is fetched first. The model can be copied, pickled and used by threads, but not saved, moved
    or trained: for that there is the original, which stays as it is. Layers that are pruned or
    parametrized compute as before.

    Raises `ValueError` for what is not such a model or cannot be copied, and for weights that the
    precision's number format cannot hold.
    """
    check_original(model, "optimize")
    check_has_weights(model.device)
    keep_freed_memory()
    survive_fork()
    with torch.inference_mode(False), torch.no_grad():
        body = body_for(precision, model.device)
        optimized = _copy(model)
        linears = {n: part for n, part in optimized.named_modules() if _is_plain(part)}
        if not linears:
            raise ValueError(
                "this model has no plain Linear to optimize; if it is being trained, leave "
                "fast_training first, and make pruning and parametrizations permanent"
            )
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # packing one uses one core
            list(pool.map(lambda name: _pack(name, linears[name], body), linears))
        optimized.to(body.dtype)
    classes = classes_for(model.device)
    for module in optimized.modules():
        if type(module) in classes:
            exchange(module, classes[type(module)])
    optimized.register_load_state_dict_pre_hook(refuse_state_dict)
    return optimized.eval().requires_grad_(False)


def classes_for(device: torch.device) -> dict[type[nn.Module], type[nn.Module]]:
    """What modules other than `Linear` become in an optimized model on this device."""
    classes: dict[type[nn.Module], type[nn.Module]] = {Embeddings: SettledEmbeddings}
    if device.type != "cpu":
        classes[BertModel] = HostPackedModel
    if device.type == "cuda":
        classes[SelfAttention] = PackedAttention
        classes[Encoder] = GraphedEncoder
    return classes


def _pack(name: str, linear: Linear, body: type[Body]) -> None:
    try:
        exchange(linear, body)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _is_plain(module: torch.nn.Module) -> bool:
    """Whether it is a `Linear` with a weight of its own. Pruning and weight norm compute one anew,
    from other parameters, before each product, and what they left there last may be old."""
    return type(module) is Linear and "weight" in dict(module.named_parameters(recurse=False))


def _copy(model: ModelT) -> ModelT:
    """A deep copy, in which the weights that are packed at once anyway are still the original's.

    A deep copy takes what it finds in its memo for a copy made already. A weight that another kind
    of module uses, too, must be copied after all. So must results of computations, with which
    PyTorch refuses to begin: a pruned weight, or an output that somebody's hook has kept.
    """
    memo: dict[int, Any] = {}
    others: set[int] = set()
    for module in model.modules():
        if _is_plain(module):
            memo[id(module.weight)] = module.weight
        else:
            others.update(id(parameter) for parameter in module.parameters(recurse=False))
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(model, {i: made for i, made in memo.items() if i not in others})
    except Exception as error:  # of a hook or an attribute, which may be anything
        raise ValueError(
            f"this model cannot be copied ({shown(error)}); remove the hooks and attributes that "
            "were added to it first"
        ) from error


def is_optimized(model: torch.nn.Module) -> bool:
    """Whether `optimize` made this model."""
    return any(isinstance(module, Body) for module in model.modules())


def check_original(model: object, function: str) -> None:
    """Raise `ValueError` for what this function cannot take: no model, or an optimized one."""
    if not isinstance(model, Pretrained):
        raise ValueError(
            f"{function} takes a model such as BertForClassification, not a "
            f"{type(model).__name__}; a TextClassifier has one, model_, and a TextEncoder, too, is "
            "loaded with precision= instead of optimized"
        )
    if is_optimized(model):
        raise ValueError(
            f"this model is optimized already; give {function} the one it was made from"
        )


class Engine:
    """The model that predictions compute with: an optimized copy, made when it is first asked for,
    and again after the weights have changed, as far as PyTorch counts changes (through
    `parameter.data` it does not). Copies and pickles leave it out and make their own."""

    def __init__(self, precision: Precision = "fp32") -> None:
        self.precision = precision
        self._lock = Lock()
        self._optimized: Pretrained | None = None
        self._made_from: list[tuple[int, int]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {"precision": self.precision}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["precision"])  # type: ignore[misc]

    def optimized(self, model: Pretrained) -> Any:
        """The model to compute with instead of this one: itself, if it is optimized already or
        plain products in fp32 on a CPU are the best there is."""
        on_cpu = model.device.type == "cpu"
        plain_fp32 = self.precision == "fp32" and choose("fp32", model.device).body is Plain
        if (on_cpu and plain_fp32) or is_optimized(model):
            return model
        state = [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in model.parameters()]
        with self._lock:
            if self._optimized is None or state != self._made_from:
                self._optimized, self._made_from = optimize(model, self.precision), state
            return self._optimized

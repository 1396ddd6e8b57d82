"""A copy of a model that computes the same, fast: for inference only."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

import torch

from minibert.attention import SelfAttention
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.bodies import (
    Body,
    Plain,
    Precision,
    body_for,
    choose,
    has_varlen,
    keep_freed_memory,
    refuse_state_dict,
    varlen_attention,
)
from minibert.linear import Linear

ModelT = TypeVar("ModelT", bound=Pretrained)


def optimize(model: ModelT, precision: Precision = "fp32") -> ModelT:
    """A new model with the same forward and outputs, for inference only, as fast as is known here.

    Its `Linear` layers have the bodies that `kernels.choose` names for the model's device and this
    precision, "fp32", "bf16" or "int8"; where they compute in bfloat16, all the rest and the
    outputs are in it, too. Where a precision has no fast kernel, a warning says what is used
    instead. Call the result in `torch.inference_mode()`; with
    gradients enabled it raises `RuntimeError`. It can be copied, pickled and used by threads, but
    not saved, moved or trained: for that there is the original, which stays as it is.
    """
    if not isinstance(model, Pretrained):
        raise ValueError(
            f"optimize takes a model such as BertForClassification, not a {type(model).__name__}; "
            "a TextClassifier or TextEncoder is loaded with precision= instead"
        )
    if any(isinstance(module, Body) for module in model.modules()):
        raise ValueError("this model is optimized already; optimize the one it was made from")
    keep_freed_memory()
    with torch.inference_mode(False), torch.no_grad():
        body = body_for(precision, model.device)
        linears = [module for module in model.modules() if type(module) is Linear]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # packing one uses one core
            bodies = dict(zip(map(id, linears), pool.map(body, linears), strict=True))
        # A deep copy takes what it finds here for copies already made.
        optimized = copy.deepcopy(model, bodies).to(body.dtype)
    if has_varlen(model.device, body.dtype):
        for module in optimized.modules():
            if isinstance(module, SelfAttention):
                module.attend_packed = varlen_attention
    optimized.register_load_state_dict_pre_hook(refuse_state_dict)
    return optimized.eval().requires_grad_(False)


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
        plain products in fp32 are the best there is."""
        if any(isinstance(module, Body) for module in model.modules()) or (
            self.precision == "fp32" and choose("fp32", model.device).body is Plain
        ):
            return model
        state = [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in model.parameters()]
        with self._lock:
            if self._optimized is None or state != self._made_from:
                self._optimized, self._made_from = optimize(model, self.precision), state
            return self._optimized

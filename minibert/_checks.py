"""What the models refuse before they compute anything, and how the library warns.

An id outside its table would read foreign memory on some devices and stop others for good, and a
label in the wrong place would train the wrong thing in silence. So each forward looks at its
arguments first, even where that costs a synchronisation with the device. Every function raises
`ValueError` with the value seen, what is allowed and, where there is one, the next step.
"""

from __future__ import annotations

import os
import reprlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol, cast

import numpy as np
import torch
from torch import Tensor, fx

IGNORED = -100  # a label that means "nothing to predict here": PyTorch's ignore_index
# Number formats of an attention mask: those that can be compared with truth values.
_WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MASKS = (*_WHOLE, *_FLOATS)


class _Quotes(reprlib.Repr):
    """Quotes of values: of bounded length, made without a repr of the whole."""

    def repr_int(self, x: int, level: int) -> str:
        """Python itself refuses to print numbers of thousands of digits."""
        if x.bit_length() > 1024:
            return f"a whole number of {x.bit_length()} bits"
        return super().repr_int(x, level)


_SHORT = _Quotes()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlong = 40
_SHORT.maxlevel = 3

# Where a warning never points to: into this library, and into PyTorch, which calls it.
_INSIDE = tuple(str(Path(file).parent) + os.sep for file in (__file__, torch.__file__))


def warn(message: str) -> None:
    """A `UserWarning` at the line of the user's own code that led here.

    That is the innermost one outside of this library and PyTorch, however many calls, hooks and
    wrappers lie between.
    """
    frame, level = sys._getframe(1), 2  # 2: the line that called this function
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def shown(value: object) -> str:
    """A value as an error quotes it: its repr, with the middle cut out where it is long.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxx'"
    """
    line = " ".join(_SHORT.repr(value).splitlines())  # the repr of an array has several
    return line if len(line) <= 200 else f"{line[:98]}...{line[-98:]}"  # lists in lists add up


def enumerated(items: Sequence[str], most: int) -> str:
    """The items in one line, of many the first.

    >>> enumerated(["good", "bad", "odd"], 2)
    'good, bad and 1 more'
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


class Sizes(Protocol):
    """What of a `BertConfig` decides which batches a model takes."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def type_vocab_size(self) -> int: ...
    @property
    def max_length(self) -> int: ...
    @property
    def pad_token_id(self) -> int | None: ...


def check_batch(
    config: Sizes,
    input_ids: Tensor,
    token_type_ids: Tensor | None,
    attention_mask: Tensor | None,
) -> Tensor:
    """The attention mask of a batch as (B, T) bool, or an error saying what is wrong with it."""
    if isinstance(input_ids, fx.Proxy):  # of torch.fx.symbolic_trace
        refuse_tracing()
    _check_tensor("input_ids", input_ids)
    shape = tuple(input_ids.shape)
    if len(shape) != 2 or not input_ids.numel():
        raise ValueError(f"input_ids has shape {shape}; it must be (B, T) and not empty")
    if shape[1] > config.max_length:
        raise ValueError(
            f"the batch is {shape[1]} tokens long and this model has positions for "
            f"{config.max_length}; tokenize with max_length={config.max_length} or less"
        )
    fits = "does the tokenizer belong to the model?"
    tables = [("input_ids", input_ids, config.vocab_size, fits)]
    if token_type_ids is not None:
        # A family without segments takes zeros, which say nothing.
        segments = max(1, config.type_vocab_size)
        note = fits if segments > 1 else "this model knows no segments, so leave token_type_ids out"
        tables.append(("token_type_ids", token_type_ids, segments, note))
    for name, ids, size, note in tables:
        _check_tensor(name, ids)
        if tuple(ids.shape) != shape or ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"{name} has shape {tuple(ids.shape)} and dtype {ids.dtype}; "
                f"it must be {shape} and int64 or int32"
            )
        _check_range(name, ids, size, note)
    if attention_mask is None:
        if config.pad_token_id is not None and bool((input_ids == config.pad_token_id).any()):
            warn(
                f"input_ids contains the padding id {config.pad_token_id} but no attention_mask "
                "was given, so padding is read as text; pass attention_mask"
            )
        return torch.ones_like(input_ids, dtype=torch.bool)
    _check_tensor("attention_mask", attention_mask)
    comparable = attention_mask.dtype in _MASKS and tuple(attention_mask.shape) == shape
    mask = attention_mask.bool()
    if not comparable or bool((mask != attention_mask).any()):
        raise ValueError(
            f"attention_mask has shape {tuple(mask.shape)} and dtype {attention_mask.dtype}; it "
            f"must be {shape} and hold 1 (or True) at real tokens and 0 (or False) at padding"
        )
    return mask


def refuse_tracing() -> NoReturn:
    """Raise `ValueError`: torch.jit, torch.export and their like would write down one batch."""
    raise ValueError(
        "this model cannot be traced or exported: which operators it runs depends on the padding "
        "of each batch; save it by save_pretrained and export that folder with transformers or "
        "optimum, which open it unchanged"
    )


def given(arguments: Mapping[str, object]) -> dict[str, object]:
    """Those of a call's arguments that have a value: others pass None for what they do not give,
    some of it under names that only transformers has. `return_dict=True` asks for what is done
    anyway. Vectors in place of ids are refused."""
    if arguments.get("inputs_embeds") is not None:
        raise ValueError(
            "inputs_embeds are vectors, and this model takes input_ids; for attributions give the "
            "layer bert.embeddings of minibert.engine.explaining.explainable(model), whose vectors "
            "stand as the batch does, (B, T, C), and which hooks may replace"
        )
    return {
        name: value
        for name, value in arguments.items()
        if not (value is None or (name == "return_dict" and value is True))
    }


def check_devices(device: torch.device, arguments: Mapping[str, object]) -> None:
    """A model with weights, and all tensors on its device. Asked once PyTorch has failed, for there
    are wrappers that bring weights or tensors to a device as they are needed."""
    check_has_weights(device)
    for name, value in arguments.items():
        if isinstance(value, Tensor) and value.device != device:
            raise ValueError(
                f"{name} is on {value.device} and the model on {device}; move the batch to the "
                "model: {name: tensor.to(model.device) for name, tensor in batch.items()}"
            )


def check_has_weights(device: torch.device) -> None:
    """The device of a model is not "meta", where tensors have a shape and no values."""
    if device.type == "meta":
        raise ValueError(
            "this model is on the meta device and has no weights; load it by from_pretrained, or "
            'make it inside  with torch.device("cpu"):'
        )


def check_switch(name: str, value: object) -> None:
    """True or False; None means False, as it does in transformers."""
    if value is not None and not isinstance(value, (int, np.bool_)):
        raise ValueError(f"{name} is {shown(value)}; it must be True or False")


def check_labels(labels: Tensor, batch_size: int, classes: int, name: str = "labels") -> None:
    """(B,) ids of classes, one a row."""
    if classes < 2:
        raise ValueError(
            f"this model has {classes} label and its loss tells classes apart, so it needs two or "
            "more; with problem_type='regression' it predicts a number"
        )
    _check_shape(name, labels, (batch_size,))
    _check_range(name, labels, classes)


def check_targets(labels: Tensor, shape: tuple[int, int], probabilities: bool) -> None:
    """Floating-point targets of the logits' (B, L): any numbers, or probabilities from 0 to 1."""
    _check_tensor("labels", labels)
    allowed = "probabilities, one a label, from 0 to 1" if probabilities else "finite numbers"
    shapes = (shape, shape[:1]) if shape[1] == 1 else (shape,)
    if tuple(labels.shape) not in shapes or labels.dtype not in _FLOATS:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)} and dtype {labels.dtype}; this model's loss "
            f"takes {allowed}: {' or '.join(map(str, shapes))} and floating-point, 16 bits or more"
        )
    # Both are NaN if any label is.
    low, high = (float(bound) for bound in labels.detach().aminmax())
    if not (bool(labels.isfinite().all()) and (not probabilities or 0 <= low <= high <= 1)):
        raise ValueError(f"labels runs from {low:g} to {high:g}; it must hold {allowed}")


def check_token_labels(labels: Tensor, mask: Tensor, classes: int) -> None:
    """(B, T) ids of classes, -100 where there is nothing to predict; mask: as `check_batch`."""
    _check_shape("labels", labels, tuple(mask.shape))
    chosen = labels != IGNORED  # (B, T)
    if not bool(chosen.any()):
        raise ValueError(f"labels is {IGNORED} everywhere; there is no token to predict")
    _check_range("labels", labels[chosen], classes, f"{IGNORED} means nothing to predict")
    _check_visible(chosen, mask, "labels", f"put {IGNORED} there")


def check_predict(predict: Tensor, mask: Tensor, labels: Tensor | None) -> None:
    """(B, T) bool, some of it True, only at real tokens and wherever there is a label."""
    _check_tensor("predict", predict)
    if tuple(predict.shape) != tuple(mask.shape) or predict.dtype != torch.bool:
        raise ValueError(
            f"predict has shape {tuple(predict.shape)} and dtype {predict.dtype}; it must be "
            f"{tuple(mask.shape)} and bool, True at the tokens to predict"
        )
    if not bool(predict.any()):
        raise ValueError("predict is False everywhere; leave it out to predict every token")
    _check_visible(predict, mask, "predict", "make it False there")
    if labels is not None and bool(((labels != IGNORED) & ~predict).any()):
        row, column = _first((labels != IGNORED) & ~predict)
        raise ValueError(
            f"there is a label at row {row}, column {column}, but predict is False there; pass "
            f"predict=labels != {IGNORED}"
        )


def check_spans(starts: Tensor | None, ends: Tensor | None, mask: Tensor) -> None:
    """Both or neither: (B,) columns of real tokens, start <= end; both -100: a row to ignore."""
    if starts is None or ends is None:
        if starts is not ends:
            raise ValueError("give start_positions and end_positions, or neither")
        return
    batch_size, length = mask.shape
    for name, positions in (("start_positions", starts), ("end_positions", ends)):
        _check_shape(name, positions, (batch_size,))
        columns = positions.masked_fill(positions == IGNORED, 0)
        _check_range(name, columns, length, f"{IGNORED} means a row to ignore")
        marked = torch.zeros_like(mask)  # (B, T), True at each row's position
        rows = (positions != IGNORED).nonzero().squeeze(1)
        marked[rows, positions[rows]] = True
        _check_visible(marked, mask, name, "an answer lies in the text")
    if bool((starts == IGNORED).all()):
        raise ValueError(f"start_positions is {IGNORED} everywhere; there is no answer to learn")
    odd = ((starts > ends) | ((starts == IGNORED) != (ends == IGNORED))).nonzero()
    if len(odd):
        row = int(odd[0])
        raise ValueError(
            f"row {row} starts at {int(starts[row])} and ends at {int(ends[row])}; a start comes "
            f"before its end or at it, and only both together may be {IGNORED}"
        )


def _check_visible(chosen: Tensor, mask: Tensor, name: str, advice: str) -> None:
    """Nothing is chosen, (B, T) bool, where the attention mask hides the token."""
    hidden = chosen & ~mask
    if bool(hidden.any()):
        row, column = _first(hidden)
        raise ValueError(
            f"{name} marks row {row}, column {column}, which attention_mask hides; {advice}"
        )


def _check_tensor(name: str, tensor: Tensor) -> None:
    """A plain tensor that has values."""
    if not isinstance(tensor, Tensor):
        raise ValueError(
            f"{name} is of type {type(tensor).__name__}; it must be a tensor, as in "
            "model(**tokenizer(texts)); torch.as_tensor makes one of an array or a list, and "
            "transformers' tokenizers do with return_tensors='pt'"
        )
    refusal = ""
    if tensor.is_nested:
        refusal = "is nested; its to_padded_tensor(0) makes a padded batch"
    elif tensor.layout is not torch.strided:
        refusal = f"has the layout {tensor.layout}; its to_dense() makes a plain tensor"
    elif tensor.is_quantized:
        refusal = "is quantized; its dequantize() makes a plain tensor"
    elif tensor.is_meta:
        refusal = "is on the meta device and has no values; make it on another device"
    if refusal:
        raise ValueError(f"{name} {refusal}")


def _check_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    _check_tensor(name, tensor)
    if tuple(tensor.shape) != shape or tensor.dtype != torch.int64:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)} and dtype {tensor.dtype}; "
            f"it must be {shape} and int64"
        )


def _check_range(name: str, ids: Tensor, size: int, note: str = "") -> None:
    try:
        low, high = (int(bound) for bound in ids.aminmax())
    except RuntimeError as error:
        if "vmap" not in str(error):
            raise
        raise ValueError(
            f"{name} cannot be looked at under torch.vmap, and packing must know its values; call "
            "the model with whole batches"
        ) from error
    if low < 0 or high >= size:
        raise ValueError(
            f"{name} contains {low if low < 0 else high}; values run from 0 to {size - 1}"
            + (f"; {note}" if note else "")
        )


def _first(marked: Tensor) -> tuple[int, int]:
    """(row, column) of the first True."""
    return cast(tuple[int, int], tuple(marked.nonzero()[0].tolist()))

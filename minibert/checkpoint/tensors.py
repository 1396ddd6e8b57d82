"""From the tensors of a file to those of a model: shapes, number formats, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from minibert._checks import shown


def stack(parts: Mapping[str, Tensor], shape: torch.Size, source: str) -> Tensor:
    """One of our tensors, new and fp32, of the one or three that the file has for it.

    parts: by name. shape: of the result.
    """
    part_shape = (shape[0] // len(parts), *shape[1:])
    for name, part in parts.items():
        check_kind(name, part, source)
        if part.shape != part_shape:
            raise ValueError(
                f"{source}: {name} has shape {tuple(part.shape)}, and this config needs "
                f"{part_shape}; config.json does not belong to these weights"
            )
    if len(parts) > 1:
        return torch.cat([part.float() for part in parts.values()])
    return next(iter(parts.values())).to(torch.float32, copy=True)


def check_kind(name: str, tensor: Tensor, source: str) -> None:
    """Raise `ValueError` for a tensor that is not plain numbers in memory.

    A pickle may hold any kind that PyTorch has, one that repeats few numbers to fill a huge shape
    included.
    """
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        kind = "on the meta device, without numbers" if tensor.is_meta else "sparse or nested"
        raise ValueError(f"{source}: {name} is {kind}; save a model whose weights are dense")
    if not tensor.is_floating_point():
        raise ValueError(
            f"{source}: {name} is {tensor.dtype}; minibert reads floating-point weights, "
            "not quantized ones"
        )
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    if tensor.numel() > stored:
        raise ValueError(
            f"{source}: {name} has {tensor.numel()} values by its shape, and the file holds "
            f"{stored}; save tensor.contiguous()"
        )


def check_loadable(tensors: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
    """Raise `ValueError` for the tensors of a model that is no longer what its config says.

    tensors: by our names. shapes: by the same, of a new model with this config.
    """
    for name in {**shapes, **tensors}:
        if name not in tensors:
            fault = "is missing"
        elif name not in shapes:
            fault = "is not part of a model with this config"
        elif tensors[name].shape != shapes[name]:
            fault = f"has shape {tuple(tensors[name].shape)}, and the config {tuple(shapes[name])}"
        elif tensors[name].layout != torch.strided or not tensors[name].is_floating_point():
            fault = f"is {tensors[name].dtype}, {tensors[name].layout}; it must be dense floats"
        else:
            continue
        raise ValueError(
            f"nothing could load this model from a folder: {shown(name)} {fault}. Change its "
            "config with it (model.config = dataclasses.replace(model.config, ...)), merge "
            "adapters and make pruning and parametrizations permanent, or keep the model as it is "
            "by torch.save(model.state_dict(), path)"
        )


def are_same(pair: Mapping[str, Tensor], source: str) -> bool:
    """Whether two tensors, by name, hold the same values, NaN at the same places included."""
    for name, tensor in pair.items():
        check_kind(name, tensor, source)
    one, other = pair.values()
    return torch.equal(one, other) or torch.equal(one.nan_to_num(), other.nan_to_num())


def nonfinite(parts: Mapping[str, Tensor], stacked: Tensor) -> dict[str, int]:
    """How many values of each part are NaN or infinite, where there are any; stacked: the parts.

    A sum is NaN or infinite if a term is, so weights as they should be cost one fast pass.
    """
    if stacked.sum().isfinite():
        return {}
    counts = {name: int((~part.float().isfinite()).sum()) for name, part in parts.items()}
    return {name: count for name, count in counts.items() if count}


def check_finite(found: Mapping[str, int], source: str) -> None:
    """Raise `ValueError` if there are such values; found: names and counts as of `nonfinite`."""
    if found:
        others = f", as {len(found) - 1} more tensors have" if len(found) > 1 else ""
        name, count = next(iter(found.items()))
        raise ValueError(
            f"{source}: {name} has {count} values that are NaN or infinite in fp32{others}; the "
            "file is damaged or its training diverged. Use another checkpoint, or open "
            "this one by BertModel.from_pretrained(..., allow_nonfinite=True) to look into it"
        )

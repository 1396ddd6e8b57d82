"""The host's part of a batch: checked and packed on the CPU, and then sent to the device.

A GPU is told what to do and does it while Python goes on; but whoever asks it for a number waits
until everything it was told is done, and meanwhile nobody tells it more. Checking a batch and
packing it ask a dozen times. So both are done where the batch was made, on the CPU, and what the
layers need of it is sent in one piece: 16,384 tokens are 0.7 MB of numbers, some 20 microseconds on
the way to a GPU; the padding stays behind.

Never run on a GPU by us: only on CPUs, where nothing has to be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from minibert._checks import check_batch
from minibert.model import BertModel
from minibert.packing import Group, Packing


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of the CPU, on a device; the CPU waits for nothing.

    There is one transfer for each dtype. It starts from pinned memory, which the GPU reads itself;
    PyTorch keeps that memory until it has. What is on another device is moved as usual.
    """
    if device.type != "cuda" or not all(tensor.is_cpu for tensor in tensors):
        return [tensor.to(device) for tensor in tensors]
    sent: dict[int, Tensor] = {}
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        chosen = [i for i, tensor in enumerate(tensors) if tensor.dtype == dtype]
        sizes = [tensors[i].numel() for i in chosen]
        joined = torch.empty(sum(sizes), dtype=dtype, device="cpu", pin_memory=True)
        torch.cat([tensors[i].flatten() for i in chosen], out=joined)
        parts = joined.to(device, non_blocking=True).split(sizes)
        sent |= {i: part.view_as(tensors[i]) for i, part in zip(chosen, parts, strict=True)}
    return [sent[i] for i in range(len(tensors))]


class SentPacking(Packing):
    """A `Packing` made on the CPU. What the layers read of it is on the device.

    mask: stays where the batch is, as the checks of labels want it. Tensors given to `pack` and
    `indices` may be on the CPU or on the device.
    """

    def __init__(self, host: Packing, mask: Tensor, device: torch.device) -> None:
        self.host, self.mask, self.device = host, mask, device
        self.batch_size, self.length, self.lengths = host.batch_size, host.length, host.lengths
        numbers = [host.row, host.column, host.order, host.first, host.first_row, host.starts]
        sent = send(numbers, device)
        self.row, self.column, self.order, self.first, self.first_row, self.starts = sent

    @cached_property
    def groups(self) -> list[Group]:  # type: ignore[override]
        """Only a kernel that needs rectangles reads them, and only then what their padding needs is
        sent, of all at once."""
        padded = [group for group in self.host.groups if group.mask is not None]
        needed = [x for group in padded for x in (group.mask, group.slots) if x is not None]
        arrived = iter(send(needed, self.device))
        return [
            group if group.mask is None else _moved(group, next(arrived), next(arrived))
            for group in self.host.groups
        ]

    def pack(self, x: Tensor) -> Tensor:
        return send([self.host.pack(x)], self.device)[0] if x.is_cpu else super().pack(x)

    def indices(self, chosen: Tensor) -> Tensor:
        if chosen.is_cpu:
            return send([self.host.indices(chosen)], self.device)[0]
        return super().indices(chosen)


class HostPackedModel(BertModel):
    """A `BertModel` on a device that takes its batch on the CPU; so do heads on it their labels.

    From a device the batch is fetched.
    """

    arguments_anywhere = (
        "input_ids",
        "token_type_ids",
        "attention_mask",
        "predict",
        "labels",
        "next_sentence_label",
        "start_positions",
        "end_positions",
    )

    def make_packing(
        self, input_ids: Tensor, token_type_ids: Tensor | None, attention_mask: Tensor | None
    ) -> Packing:
        fetched = [_fetched(x) for x in (input_ids, token_type_ids, attention_mask)]
        mask = check_batch(self.config, *fetched)  # type: ignore[arg-type]
        (given,) = send([mask], input_ids.device)
        return SentPacking(Packing(mask, mixed=self.training), given, self.device)


def placed(model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch made on the CPU, where this model wants it: on the CPU still, if that is where the
    model packs it, and otherwise where the model's weights are."""
    device = next(model.parameters()).device
    if device.type == "cpu" or any(isinstance(part, HostPackedModel) for part in model.modules()):
        return dict(batch)
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _moved(group: Group, mask: Tensor, slots: Tensor) -> Group:
    moved = replace(group, mask=mask)
    vars(moved)["slots"] = slots  # which it would look for on the device, and wait
    return moved


def _fetched(x: Tensor | None) -> Tensor | None:
    """On the CPU, if it is a tensor that has values; what else it may be is for the check."""
    return x.cpu() if isinstance(x, Tensor) and x.device.type == "cuda" else x

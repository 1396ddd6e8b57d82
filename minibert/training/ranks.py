"""Several processes that train one model, as `torchrun` starts them.

Each process, a rank, has the whole model and a share of every batch. PyTorch's
DistributedDataParallel adds up their gradients, so that all make the same step. What is written is
written by rank 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


class Ranks:
    """The processes of this run; only one, number 0 of 1, unless torchrun started more."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.number = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, with gradients averaged over the ranks where there are several."""
        if self.number == 1:
            return model
        # The gradients are laid into the buffers they are sent from, instead of copied.
        return DistributedDataParallel(model, gradient_as_bucket_view=True)

    def no_sync(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, gradients are summed in this rank only: for all but the last part of a batch."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def sum(self, value: Tensor) -> float:
        """The sum of a number over the ranks."""
        if self.number > 1:
            dist.all_reduce(value)
        return value.item()

    def from_first(self, make: T | None) -> T:
        """What rank 0 has, for all of them."""
        if self.number == 1:
            return make  # type: ignore[return-value]
        box = [make]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]


@contextmanager
def torchrun_ranks() -> Iterator[Ranks]:
    """Join the other processes if torchrun started this one; leave them at the end.

    On GPUs each process takes the one of its local rank, by NCCL; on CPUs they talk by gloo.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        dist.init_process_group("gloo")
    try:
        yield Ranks()
    finally:
        dist.destroy_process_group()

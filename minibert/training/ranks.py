"""Several processes that train one model, as `torchrun` starts them.

Each process, a rank, has the whole model and a share of every batch. PyTorch's
DistributedDataParallel averages their gradients, so that all make the same step. What is written is
written by rank 0, and read by it: the others need no disk in common with it.

If a process ends early, the others cannot go on. They notice when its connection closes, raise
`ConnectionError`, and torchrun ends the job; `resume` goes on from the last state.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

# How long a process waits for the others before it gives up. While rank 0 evaluates, the others
# wait: NCCL's usual 10 minutes would cut a long evaluation off. A process that ends is noticed at
# once whatever this is, a machine that loses its power is not.
WAIT = datetime.timedelta(hours=1)


class Ranks:
    """The processes of this run; only one, rank 0 of 1, unless torchrun started more."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.world_size = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, with gradients averaged over the ranks where there are several."""
        if self.world_size == 1:
            return model
        # The gradients are laid into the buffers they are sent from, instead of copied.
        return DistributedDataParallel(model, gradient_as_bucket_view=True)

    def no_sync(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, gradients are summed in this rank only: for all but the last part of a batch."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a number over the ranks, on its device; a GPU is not waited for."""
        if self.world_size > 1:
            dist.all_reduce(value)
        return value

    def largest(self, value: int, device: torch.device) -> Tensor:
        """The largest of the ranks' numbers, on the device; a GPU is not waited for."""
        box = torch.full((), value, dtype=torch.float32, device=device)
        if self.world_size > 1:
            dist.all_reduce(box, dist.ReduceOp.MAX)
        return box

    def broadcast(self, value: T | None) -> T:
        """Rank 0's value, in every rank."""
        if self.world_size == 1:
            return value  # type: ignore[return-value]
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def wait_for_first(self) -> None:
        """Wait until rank 0 comes here, too; it may write something that all will read."""
        self.broadcast(None)

    def check_same(self, mine: Mapping[str, Any]) -> None:
        """Raise `ValueError`, in every rank, if one was given something else than rank 0: other
        data, for example, whose gradients do not belong to theirs."""
        if self.world_size == 1:
            return
        everyones: list[Any] = [None] * self.world_size
        dist.all_gather_object(everyones, dict(mine))
        for rank, other in enumerate(everyones):
            for name, value in everyones[0].items():
                if other[name] != value:
                    raise ValueError(
                        f"the processes do not train the same: {name} is {value!r} in rank 0 and "
                        f"{other[name]!r} in rank {rank}; give all of them the same"
                    )


@contextmanager
def torchrun_ranks() -> Iterator[Ranks]:
    """Join the other processes if torchrun started this one; leave them at the end.

    On GPUs each process takes the one of its local rank, by NCCL; on CPUs they talk by gloo.

    An error inside is told to torchrun, whose report then shows it. Raises `ConnectionError` where
    another process was lost, and `ValueError` if there are more processes than GPUs.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Ranks()
        return
    if torch.cuda.is_available():
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise ValueError(
                f"torchrun started more processes on this machine than it has GPUs, {gpus}; give "
                f"--nproc-per-node {gpus}"
            )
        torch.cuda.set_device(local)
        # gloo carries what is on CPUs: the state of a run, for example.
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=WAIT)
    else:
        dist.init_process_group("gloo", timeout=WAIT)
    ranks = Ranks()
    try:
        yield ranks
    except Exception as error:
        # gloo's errors have no class of their own; they begin with the path of a file of gloo.
        if isinstance(error, dist.DistError) or "gloo/transport" in str(error):
            # Not for torchrun's report: that is to name the process that was the first to fail.
            raise ConnectionError(
                f"rank {ranks.rank} of {ranks.world_size} lost another process of this run, which "
                "ended, was killed or is stuck; its own error or torchrun's report says why. A run "
                "with a folder can be resumed from its last state "
                f"({str(error).splitlines()[0]})"
            ) from error
        with suppress(OSError):
            from torch.distributed.elastic.multiprocessing.errors import get_error_handler

            get_error_handler().record_exception(error)
        raise
    finally:
        dist.destroy_process_group()

"""Numbers of a step, read when they have arrived.

A GPU is told what to do and does it while Python goes on. Whoever asks it for a loss at once waits
until it has done everything; then it waits in turn, until Python has told it of the next step. So
the loss of a step is only sent for, and read a few steps later. By then it is there, or the GPU has
work for as long as it takes. A CPU computes each number before Python goes on: nothing is late.

Never run on a GPU by us.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

# How many steps later the numbers of a step are read; 0: at once. The GPU has so many steps of work
# left while Python is held up by something else. A fixed number, and not "whatever has arrived", so
# that all processes of a run read the same after the same step.
LATE = {"cuda": 4}

StepT = TypeVar("StepT")


class Readings(Generic[StepT]):
    """Numbers of steps on the way from a device, each with what the CPU knows of its step.

    stop: (), 1 once a number was not finite and 0 before, on the device. The fused optimizers of
    PyTorch take it as `found_inf`: while it is 1 they change neither weights nor moments. So the
    weights stay those of the step before, though Python does not know yet.
    """

    def __init__(self, device: torch.device) -> None:
        self.late = LATE.get(device.type, 0)
        self.stop = torch.zeros((), dtype=torch.float32, device=device)
        self.coming: deque[tuple[StepT, Callable[[], list[float]]]] = deque()

    def send_for(self, step: StepT, numbers: list[Tensor]) -> None:
        """numbers: each (), on the device."""
        values = torch.stack(numbers)
        self.stop.masked_fill_(values.isfinite().all().logical_not(), 1.0)
        self.coming.append((step, fetch(values)))

    def read(self, *, everything: bool = False) -> list[tuple[StepT, list[float]]]:
        """The steps whose numbers are due, the oldest first; everything: those of all steps."""
        due = []
        while len(self.coming) > (0 if everything else self.late):
            step, arrive = self.coming.popleft()
            due.append((step, arrive()))
        return due


def fetch(values: Tensor) -> Callable[[], list[float]]:
    """Start to copy numbers, (n,), to the CPU. What is returned waits for them and gives them."""
    on_gpu = values.device.type == "cuda"
    # A GPU writes to pinned memory by itself; to any other the CPU would have to help, and wait.
    copy = torch.empty(values.shape, dtype=values.dtype, device="cpu", pin_memory=on_gpu)
    copy.copy_(values, non_blocking=True)
    if not on_gpu:
        return copy.tolist
    copied = torch.cuda.Event(blocking=True)  # the CPU sleeps until then, and does not spin
    copied.record(torch.cuda.current_stream(values.device))

    def arrive() -> list[float]:
        copied.synchronize()
        return copy.tolist()

    return arrive

"""Random numbers that follow from a seed, and leave those of everybody else alone.

PyTorch draws from one generator, whichever thread asks: two threads that train at once would seed
it for each other, and neither would end as it does alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TURN = threading.RLock()


def _renew() -> None:
    """In a forked process nobody is left who would give the lock back."""
    global _TURN
    _TURN = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_renew)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, PyTorch's random numbers follow from the seed; after, they go on as if none had been
    drawn. One thread at a time is inside.

    GPUs that this process has not used are left alone: to ask for their state would start them,
    which takes memory of each, and fails in a process forked from one that has used them.
    """
    used = torch.cuda.is_initialized()
    with _TURN, torch.random.fork_rng(range(torch.cuda.device_count()) if used else ()):
        if used or not torch.backends.cuda.is_built():
            torch.manual_seed(seed)
        else:  # or the GPUs would be given this seed when they are first used
            torch.default_generator.manual_seed(seed)
        yield

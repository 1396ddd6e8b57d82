"""Processes that are forked from this one."""

from __future__ import annotations

import os
from functools import cache

import torch


@cache
def survive_fork() -> None:
    """Let processes that are forked from this one, from now on, compute with one thread.

    To be called before PyTorch computes with several. A forked process has the memory of its parent
    but only one of its threads, so the first product that it shared out among the others would wait
    for ever. Gunicorn forks its workers, and so does multiprocessing on Linux up to Python 3.13.
    """
    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

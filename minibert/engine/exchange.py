"""Exchange: make a model compute in another way from outside, without the book knowing.

A module is its parameters and its class, and the class says what `forward` makes of them. Give the
module another class, one derived from its own, and it makes something else of the same parameters:
the same names, the same state dict, nothing wrapped and nothing copied. All that makes minibert
fast is put in place by this one move: bodies of `Linear`, kernels of attention, cheaper dropout,
recomputed layers. (PyTorch's own `fully_shard` and `parametrize` work so.)

A class that has to prepare says so in `enter`; what it leaves behind is undone in `leave`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def exchange(module: nn.Module, to: type[ModuleT]) -> ModuleT:
    """Make a module one of the class `to`, which is derived from its own; returns it.

    Raises `TypeError` if it is not.
    """
    if not issubclass(to, type(module)):
        raise TypeError(f"a {type(module).__name__} cannot become a {to.__name__}")
    module.__class__ = to
    assert isinstance(module, to)
    enter = getattr(module, "enter", None)
    if enter is not None:
        enter()
    return module


@contextmanager
def exchanged(parts: Iterable[tuple[nn.Module, type[nn.Module]]]) -> Iterator[None]:
    """Inside, each of these modules is of the class beside it; after, of its own again."""
    before: list[tuple[nn.Module, type[nn.Module]]] = []
    try:
        for module, to in parts:
            before.append((module, type(module)))
            exchange(module, to)
        yield
    finally:
        for module, own in reversed(before):
            leave = getattr(module, "leave", None)
            if leave is not None:
                leave()
            module.__class__ = own

"""Exchange: make a model compute in another way from outside, without the book knowing.

A module is its parameters and its class, and the class says what `forward` makes of them. Give the
module another class, one derived from its own, and it makes something else of the same parameters.
All that makes minibert fast is put in place by this one move: bodies of `Linear`, kernels of
attention, cheaper dropout, recomputed layers. (PyTorch's own `fully_shard` and `parametrize` work
so.) As long as the new class leaves the parameters alone, names and state dict are as before and
the way back is open: `exchanged`. A `Body` is the exception: it replaces the weights by a format of
its own, for good, in a copy of the model.

The new class's `__init__` never runs. What it needs it makes in `enter`; what it would leave behind
it takes away in `leave`. Whoever exchanges asks `type(module) is Linear`, not `isinstance`: a
subclass may compute something else, so it is left alone until it has a class of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def exchange(module: nn.Module, to: type[ModuleT]) -> ModuleT:
    """Make a module one of the class `to`, which is derived from its own; returns it.

    Raises `TypeError` if it is not, or if the module is a `to` already. If `enter` fails, the
    module is of its own class again.
    """
    own = type(module)
    if own is to or not issubclass(to, own):
        raise TypeError(f"a {own.__name__} cannot become a {to.__name__}")
    module.__class__ = to
    try:
        enter = getattr(module, "enter", None)
        if enter is not None:
            enter()
    except BaseException:
        module.__class__ = own
        raise
    assert isinstance(module, to)
    return module


@contextmanager
def exchanged(parts: Iterable[tuple[nn.Module, type[nn.Module]]]) -> Iterator[None]:
    """Inside, each of these modules is of the class beside it; after, of its own again."""
    before: list[tuple[nn.Module, type[nn.Module]]] = []
    try:
        for module, to in parts:
            own = type(module)
            exchange(module, to)
            before.append((module, own))
        yield
    finally:
        for module, own in reversed(before):
            leave = getattr(module, "leave", None)
            if leave is not None:
                leave()
            module.__class__ = own

"""Contenders of test_arena.py; they import no minibert, as those of other checkouts must not."""

import importlib
import os

from arena import serve


def squares(turns, offset=0):
    """A contender whose work is a number."""
    print("this is no answer")
    serve(turns, lambda number: number**2 + offset)


def origin(turns):
    """A contender that says whose minibert it imports."""
    serve(turns, lambda _: importlib.import_module("minibert").__file__)


def fails(turns):
    turns.next()
    raise ValueError("no such\nthing")


def dies(turns):
    turns.next()
    os._exit(1)

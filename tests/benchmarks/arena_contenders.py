"""Contenders of test_arena.py; they import no minibert at the top, for other checkouts run them."""

import importlib
import os


def squares(turns, offset=0):
    """A contender whose work is a number."""
    print("this is no answer")
    result = None
    while True:
        result = turns.next(result) ** 2 + offset


def origin(turns):
    """A contender that says whose minibert it imports."""
    turns.next()
    while True:
        turns.next(importlib.import_module("minibert").__file__)


def fails(turns):
    turns.next()
    raise ValueError("no such\nthing")


def dies(turns):
    turns.next()
    os._exit(1)

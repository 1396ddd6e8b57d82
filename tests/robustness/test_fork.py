"""Processes that are forked from one that loaded a model, or has computed with it."""

import sys

import pytest
import torch

from tests.programs import run

PROGRAM = """
import os, sys, time
import torch
import minibert

torch.set_num_threads(2)
tokenizer = minibert.WordPieceTokenizer.from_pretrained("minilm-l6")
texts = ["a good film, and a long one"] * 64


def forked(compute):
    child = os.fork()
    if child == 0:
        compute()
        os._exit(torch.get_num_threads())
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return f"{os.waitstatus_to_exitcode(status)} threads"
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"


classifier = minibert.BertForClassification.from_pretrained("minilm-l6", num_labels=3)
print("model loaded:", forked(lambda: classifier(**tokenizer(texts))))
encoder = minibert.TextEncoder.load("minilm-l6")
print("encoder loaded:", forked(lambda: encoder.encode(texts)))
encoder.encode(texts)
print("encoder computed:", forked(lambda: encoder.encode(texts)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.skipif(torch.get_num_threads() < 2, reason="with one thread nothing can hang")
def test_forked_processes_answer(tmp_path):
    """With all threads if nothing was computed before, with one thread after."""
    result = run("-c", PROGRAM, timeout=100)
    assert result.stdout.splitlines() == [
        "model loaded: 2 threads",
        "encoder loaded: 2 threads",
        "encoder computed: 1 threads",
    ], result.stderr

"""What a run says while it goes on: one line an epoch, to whoever is there to read it."""

import logging
import sys

import pytest
import torch

import minibert
from minibert.engine.progress import announce
from minibert.training.batches import Classification, Examples
from minibert.training.history import Evaluation
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from tests.conftest import FEW, TEXTS, TINY


def logger_with(level, *handlers):
    """One that nothing else, pytest for example, listens to."""
    logger = logging.Logger("alone", level)
    for handler in handlers:
        logger.addHandler(handler)
    return logger


@pytest.fixture()
def prompt(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)


@pytest.mark.parametrize(
    ("level", "handlers"),
    [
        (logging.WARNING, []),
        (logging.INFO, []),
        (logging.INFO, [logging.NullHandler()]),
    ],
)
def test_a_session_with_a_prompt_sees_the_line_without_logging(prompt, capsys, level, handlers):
    announce(logger_with(level, *handlers), "epoch 1 of 2")
    assert capsys.readouterr().out == "epoch 1 of 2\n"


def test_a_program_decides_by_logging(capsys):
    announce(logger_with(logging.WARNING), "epoch 1 of 2")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("level", "printed"), [(logging.INFO, 0), (logging.WARNING, 1)])
def test_a_line_that_logging_shows_is_not_printed_again(prompt, capsys, level, printed):
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    announce(logger_with(logging.INFO, handler), "epoch 1 of 2")
    out, err = capsys.readouterr()
    assert (out.count("epoch"), err.count("epoch")) == (printed, 1 - printed)


@pytest.mark.parametrize("evaluated", [True, False])
def test_each_epoch_is_a_line(caplog, evaluated, tokenizer):
    torch.manual_seed(0)
    model = minibert.BertForClassification(minibert.BertConfig(**{**TINY, "vocab_size": FEW}))
    examples = Examples(tokenizer.encode_batch(TEXTS), [i % 2 for i in range(24)])
    caplog.set_level(logging.INFO, "minibert")
    history = train(
        model,
        Classification(examples, tokenizer, 8),
        Recipe(epochs=2, lr=1e-4),
        (lambda step: Evaluation(step, 0.25, {"accuracy": 0.5})) if evaluated else None,
    )
    found = ", development accuracy 50.00%, development loss 0.250" if evaluated else ""
    first, second = (sum(history.losses[i : i + 3]) / 3 for i in (0, 3))
    lines = [
        f"epoch 1 of 2: training loss {first:.3f}{found}",
        f"epoch 2 of 2: training loss {second:.3f}{found}",
    ]
    if evaluated:
        lines.insert(0, "before training: development accuracy 50.00%, development loss 0.250")
    assert [record.getMessage() for record in caplog.records] == lines

"""Warnings point at the user's own line, whatever lies between; values are quoted in one."""

import inspect
import warnings

import numpy as np
import pytest
import torch

import minibert
from minibert._checks import shown, warn
from tests.conftest import TINY


def line_of(call) -> tuple[str, int]:
    """Where the one warning of a call points to."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    (warning,) = caught
    return warning.filename, warning.lineno


def test_a_warning_points_at_the_line_that_called():
    here = inspect.currentframe().f_lineno
    assert line_of(lambda: warn("look here")) == (__file__, here + 1)


@pytest.mark.parametrize("hooks", [0, 1])
@pytest.mark.parametrize("kind", ["BertModel", "BertForClassification", "BertForMaskedLM"])
def test_padding_without_a_mask_is_said_at_the_call_with_and_without_hooks(kind, hooks):
    model = getattr(minibert, kind)(minibert.BertConfig(**TINY)).eval()
    for _ in range(hooks):
        for module in model.modules():
            module.register_forward_hook(lambda *_: None)

    def deeper():
        return model(torch.tensor([[5, 6, 0]]))

    assert line_of(deeper) == (__file__, inspect.getsourcelines(deeper)[1] + 1)
    assert line_of(torch.inference_mode()(deeper))[0] == __file__


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        [-(10**5000)],
        ["x" * 10**6] * 10**4,
        [[["x" * 50] * 9] * 9] * 9,
        {"a": [{"b": [{"c": [{}] * 9}] * 9}] * 9},
        np.zeros((3, 3)),
        torch.zeros(3, 3),
        "two\nlines\u2028three",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_quoted_value_is_one_short_line(value):
    line = shown(value)
    assert len(line) <= 200 and len(line.splitlines()) == 1


def test_a_number_too_long_to_print_is_quoted_by_its_size():
    assert shown(10**5000) == "a whole number of 16610 bits"

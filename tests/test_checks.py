"""Warnings point at the user's own line, whatever lies between."""

import inspect
import warnings

import pytest
import torch

import minibert
from minibert._checks import warn
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

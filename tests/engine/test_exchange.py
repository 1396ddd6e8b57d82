"""A module becomes one of another class, and nothing is left of an attempt that failed."""

import pytest
import torch
from torch import nn

from minibert.engine.exchange import exchange, exchanged
from minibert.linear import Linear


class Doubled(Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Failing(Linear):
    def enter(self):
        raise OSError("not today")

    def leave(self):
        raise AssertionError("it never came in")


def test_the_parameters_stay_and_forward_changes():
    module, x = Linear(3, 4), torch.ones(1, 3)
    wanted, state = 2 * module(x), list(module.state_dict())
    with exchanged([(module, Doubled)]):
        assert torch.equal(module(x), wanted) and list(module.state_dict()) == state
    assert type(module) is Linear and torch.equal(2 * module(x), wanted)


def test_a_class_that_cannot_prepare_leaves_the_module_as_it_was():
    first, second = Linear(3, 4), Linear(3, 4)
    with pytest.raises(OSError, match="not today"):
        with exchanged([(first, Doubled), (second, Failing)]):
            pass
    assert type(first) is type(second) is Linear


@pytest.mark.parametrize("to", [nn.Dropout, nn.Linear, Linear])
def test_only_a_derived_class_will_do(to):
    with pytest.raises(TypeError, match=f"a Linear cannot become a {to.__name__}"):
        exchange(Linear(3, 4), to)

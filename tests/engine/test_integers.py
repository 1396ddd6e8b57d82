"""Integer bodies: rounding goes by a row's own range, and no row changes another."""

import pytest
import torch
import torch.nn.functional as F

from tests.engine.conftest import IN, OUT, error, made, random


@torch.inference_mode()
def test_a_row_has_the_same_bits_in_any_company(integers, linear):
    ours, x = made(integers, linear), random(515, IN)
    together = ours(x)
    for start, stop in ((0, 1), (3, 4), (0, 7), (100, 400), (514, 515)):
        assert torch.equal(ours(x[start:stop]), together[start:stop])


@torch.inference_mode()
def test_a_row_a_million_times_louder_changes_no_other(integers, linear):
    ours, x = made(integers, linear), random(515, IN)
    before = ours(x)
    x[9] *= 1e6
    others = torch.arange(515) != 9
    assert torch.equal(ours(x)[others], before[others])
    assert error(ours(x)[9], linear(x)[9]) <= integers.tolerance


@torch.inference_mode()
def test_a_channel_a_million_times_louder_changes_no_other(integers, linear):
    x = random(515, IN)
    before = made(integers, linear)(x)
    linear.weight[5] *= 1e6
    after = made(integers, linear)(x)
    others = torch.arange(OUT) != 5
    assert torch.equal(after[:, others], before[:, others])
    assert error(after[:, 5], linear(x)[:, 5]) <= integers.tolerance


@torch.inference_mode()
@pytest.mark.parametrize("value", [0.0, 1e-30, 1.0, -3.0, 1000.0, -1e6])
def test_constant_rows(integers, linear, value):
    x = torch.full((3, IN), value)
    got, wanted = made(integers, linear)(x), linear(x)
    assert got.isfinite().all()
    # All of it comes from the sums of the weights; their rounding, half a step each, is what is
    # left, at worst.
    steps = linear.weight.abs().amax(dim=1) / integers.LARGEST
    assert ((got - wanted).abs() <= abs(value) * steps * IN / 2 + 1e-5 * wanted.abs()).all()


@torch.inference_mode()
def test_an_output_channel_without_weights_is_its_bias(integers, linear):
    linear.weight[4] = 0
    x = random(7, IN)
    assert torch.equal(made(integers, linear)(x)[:, 4], linear.bias[4].expand(7))


def with_whole_weights(integers, linear):
    """A body whose weights are rounded to themselves, so that only activations are rounded."""
    whole = torch.randint(-integers.LARGEST, integers.LARGEST + 1, (OUT, IN))
    whole[:, 0] = integers.LARGEST
    linear.weight.copy_(whole / integers.LARGEST)
    return made(integers, linear)


def rows_off_by_more_than(step, got, x, linear):
    """How many rows are further from the exact product than steps (N,) allow.

    Rounding moves each activation by half a step; the other half is room for fp32.
    """
    wanted = F.linear(x.double(), linear.weight.double(), linear.bias.double())
    limit = step[:, None] * linear.weight.abs().sum(dim=1)  # (N, out)
    return int((~((got - wanted).abs() <= limit)).any(dim=1).sum())


@torch.inference_mode()
@pytest.mark.parametrize("spread", [1.0, 1e-1, 1e-2])
@pytest.mark.parametrize("offset", [0.0, 3.0, 1000.0, -1000.0])
def test_rounding_is_in_proportion_to_a_rows_own_range(integers, linear, offset, spread):
    """A step is a 254th of it, 0 included."""
    ours = with_whole_weights(integers, linear)
    x = offset + spread * random(20_000, IN)
    step = (x.amax(1).clamp_min(0) - x.amin(1).clamp_max(0)) / 254  # (N,)
    assert rows_off_by_more_than(step, ours(x), x, linear) == 0


@torch.inference_mode()
def test_the_lowest_value_of_a_row_may_lie_between_two_steps(integers, linear):
    """Rounded once up and once down it would be -1, which 8 bits hold as 255."""
    ours = with_whole_weights(integers, linear)
    generator = torch.Generator().manual_seed(1)
    step = 0.5 + torch.rand(5000, generator=generator)
    low = -(torch.randint(20, 230, (5000,), generator=generator) + 0.5) * step
    x = low[:, None] + 254 * step[:, None] * torch.rand(5000, IN, generator=generator)
    x[:, 3], x[:, 4] = low, low + 254 * step
    assert rows_off_by_more_than(step, ours(x), x, linear) == 0


@torch.inference_mode()
@pytest.mark.parametrize("offset", [3.0, 1000.0, -1000.0])
def test_rows_far_from_zero(integers, linear, offset):
    x = offset + random(515, IN)
    assert error(made(integers, linear)(x), linear(x)) <= integers.tolerance

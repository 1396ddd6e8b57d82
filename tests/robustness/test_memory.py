"""Memory that stays where it is, whatever lengths come: long runs, and texts one by one."""

import copy
import random
from pathlib import Path

import pytest
import torch

import minibert
from minibert.engine.bodies import Body, OneDnn, size_for
from minibert.engine.exchange import exchange
from minibert.engine.rule import choose
from minibert.linear import Linear
from minibert.training.speed import FewSizesLinear, fast_training
from tests.conftest import small_model

CPU = torch.device("cpu")


def resident() -> float:
    """MB of memory this process holds."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("needs /proc")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def growth(multiply) -> float:
    """MB gained over 128 numbers of rows, after one of them was seen."""
    multiply(128)
    before = resident()
    for rows in range(129, 257):
        multiply(rows)
    return resident() - before


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_other_numbers_of_rows_need_no_more_memory(precision):
    body = choose(precision, CPU).body
    layer = exchange(Linear(96, 384).eval(), body)

    @torch.inference_mode()
    def multiply(rows: int) -> None:
        layer(torch.ones(rows, 96, dtype=body.dtype))

    assert growth(multiply) < 25  # MB; of a kernel for each number it would be over 60


def test_training_in_bf16_needs_no_more_memory_for_other_numbers_of_tokens():
    layer = exchange(Linear(96, 384), FewSizesLinear)

    def multiply(rows: int) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(torch.ones(rows, 96, requires_grad=True))
        y.float().sum().backward()

    assert growth(multiply) < 110  # MB; of kernels for each number it would be over 200


def test_a_model_trains_in_bf16_by_few_sizes():
    model = small_model()
    with fast_training(model, "bf16"):
        assert Linear not in {type(module) for module in model.modules()}
        assert FewSizesLinear in {type(module) for module in model.modules()}


@pytest.mark.parametrize("rows", [1, 2, 9, 16, 17, 33, 100, 511, 512, 513, 700, 1025])
def test_rows_added_to_a_product_change_nothing(rows):
    torch.manual_seed(0)
    plain = Linear(24, 40).eval()
    x = torch.randn(rows, 24)
    with torch.inference_mode():
        for precision in ("fp32", "bf16", "int8"):
            body = exchange(copy.deepcopy(plain), choose(precision, CPU).body)
            whole = body(x.to(body.dtype))
            assert whole.shape == (rows, 40)
            alone = torch.cat([body(row[None].to(body.dtype)) for row in x[:3]])
            torch.testing.assert_close(whole[:3], alone, rtol=1e-2, atol=1e-2)


def test_sizes_are_few_and_not_much_larger():
    sizes = {size_for(rows) for rows in range(1, 513)}
    assert len(sizes) == 56 and {1, 16, 128, 512} <= sizes
    assert all(rows <= size_for(rows) <= rows * 9 / 8 for rows in range(1, 5000))


@pytest.mark.slow
def test_texts_of_5000_lengths_one_by_one_leave_memory_flat(tokenizer):
    """A narrow model: kernels take as much for one as for a wide one."""
    assert issubclass(choose("fp32", CPU).body, OneDnn), "only these keep kernels"
    encoder = minibert.TextEncoder(small_model(max_position_embeddings=256).bert, tokenizer)
    draw = random.Random(0)

    def encode(words: int) -> None:
        encoder.encode([" ".join(draw.choice(("good", "film", "an", "day")) for _ in range(words))])

    for words in range(1, 201):
        encode(words)
    before = resident()
    for _ in range(5000):
        encode(draw.randint(1, 200))
    assert resident() - before < 30  # MB


def test_every_body_that_goes_through_onednn_is_given_few_sizes():
    def all_kinds(kind):
        return {kind, *(deeper for below in kind.__subclasses__() for deeper in all_kinds(below))}

    packed_by_onednn = {kind for kind in all_kinds(Body) if "onednn_weight" in kind.packed}
    assert packed_by_onednn and all(kind.few_sizes for kind in packed_by_onednn)

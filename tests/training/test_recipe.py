"""A recipe that cannot be trained with is refused where it is made, whoever makes it."""

import math

import numpy as np
import pytest

from minibert.training.recipe import Recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be a whole number of at least 1"),
        ({"epochs": None}, "epochs is None"),
        ({"epochs": 2.0}, "epochs is 2.0"),
        ({"lr": 0}, "lr is 0; it must be above 0"),
        ({"lr": math.inf}, "lr is inf"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": "1e-4"}, "lr is '1e-4'"),
        ({"warmup": -0.1}, "warmup is -0.1; it must be from 0 to 1"),
        ({"warmup": 3}, "warmup is 3"),
        ({"weight_decay": -1}, "weight_decay is -1; it must be at least 0"),
        ({"layer_decay": 1.01}, "layer_decay is 1.01; it must be above 0 and at most 1"),
        ({"clip": 0.0}, "clip is 0.0; it must be above 0"),
        (
            {"precision": "fp8"},
            r"precision for training is 'fp8'; it must be one of \('fp32', 'bf16'\)",
        ),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"checkpoint": "no"}, r"checkpoint is 'no'; it must be one of \(True, False\)"),
        ({"keep_best": 2}, "keep_best is 2"),
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"patience": 0}, "patience is 0"),
    ],
)
def test_unusable_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**changes)


def test_the_extremes_are_allowed():
    Recipe(warmup=0, weight_decay=0, layer_decay=1, clip=math.inf, seed=2**32 - 1, patience=1)
    Recipe(warmup=1, evaluate_every=1)


def test_numbers_of_numpy_become_pythons():
    """A state is read back without numpy's types, and compared with the recipe."""
    recipe = Recipe(
        epochs=np.int64(2),
        lr=np.float32(0.5),
        layer_decay=np.float64(0.5),
        seed=np.uint8(7),
        patience=np.int32(3),
        keep_best=np.bool_(True),
    )
    assert recipe == Recipe(epochs=2, lr=0.5, layer_decay=0.5, seed=7, patience=3, keep_best=True)
    kinds = {type(value) for value in vars(recipe).values()}
    assert kinds == {int, float, bool, str, type(None)}

"""Random numbers that follow from a seed, and the state of generators before and after."""

import pytest
import torch

from minibert.engine.seeds import seeded


class Gpus:
    """Stands in for two GPUs, and writes down what is asked of their generators."""

    def __init__(self, monkeypatch, used):
        self.log = []
        for name, value in (
            ("is_initialized", lambda: used),
            ("device_count", lambda: 2),
            ("get_rng_state", self.get_rng_state),
            ("set_rng_state", lambda state, device: self.log.append((state, device))),
            ("manual_seed_all", lambda seed: self.log.append(("seed", seed))),
        ):
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
        self.used = used

    def get_rng_state(self, device):
        if not self.used:  # as in a process forked from one that uses them
            raise RuntimeError("Cannot re-initialize CUDA in forked subprocess")
        return f"state of {device}"


def drawn():
    with seeded(7):
        return torch.rand(4)


@pytest.mark.parametrize("used", [False, True])
def test_the_numbers_follow_from_the_seed_and_others_go_on(monkeypatch, used):
    torch.manual_seed(1)
    wanted = torch.rand(2)
    Gpus(monkeypatch, used)
    torch.default_generator.manual_seed(1)
    first = drawn()
    assert torch.equal(torch.rand(2), wanted)
    assert torch.equal(drawn(), first)


def test_gpus_that_nobody_has_used_are_left_alone(monkeypatch):
    gpus = Gpus(monkeypatch, used=False)
    drawn()
    assert not gpus.log


def test_gpus_in_use_are_seeded_and_then_as_before(monkeypatch):
    gpus = Gpus(monkeypatch, used=True)
    drawn()
    assert gpus.log == [("seed", 7), ("state of 0", 0), ("state of 1", 1)]

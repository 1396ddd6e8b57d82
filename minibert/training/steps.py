"""A step: a batch, its gradients, the optimizer. It asks a GPU for nothing (see `readings.py`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from minibert.engine.seeds import seeded
from minibert.training.batches import Task, split
from minibert.training.optimizer import make_optimizer, warmup_linear
from minibert.training.ranks import Ranks
from minibert.training.readings import Readings
from minibert.training.recipe import Recipe


class Step(NamedTuple):
    """A step that was made: its number, counted from 1, its learning rate, its examples."""

    number: int
    rate: float
    batch: list[Any]


class Made(NamedTuple):
    """A step and what came of it: its loss in nats, the norm of its gradient before clipping, and
    the number of a signal that some rank was sent, or 0."""

    step: Step
    loss: float
    norm: float
    signal: int


class Steps:
    """Makes the steps of a run, one after the other. made: how many so far; of the last of them the
    loss may not have been read yet. total: how many there will be.

    Raises `ValueError` for a model without weights to train and a task without examples.
    """

    def __init__(
        self, model: nn.Module, task: Task[Any], recipe: Recipe, ranks: Ranks, folder: Path | None
    ) -> None:
        """folder: that of the run, which errors name."""
        self.model, self.task, self.recipe, self.ranks = model, task, recipe, ranks
        self.folder = folder
        self.device = next(model.parameters()).device
        self.made, self.total = 0, task.steps_per_epoch * recipe.epochs
        self.optimizer = make_optimizer(model, recipe.lr, recipe.weight_decay, recipe.layer_decay)
        if not self.total:
            raise ValueError("the task has no examples to learn from; give at least one")
        self.schedule = warmup_linear(self.optimizer, self.total, recipe.warmup)
        self.trainable = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.readings: Readings[Step] = Readings(self.device)
        self.optimizer.found_inf = self.readings.stop  # type: ignore[attr-defined]

    def make(self, wrapped: nn.Module, signals: Sequence[int]) -> list[Made]:
        """Make one step; returns the steps whose loss was due to be read.

        wrapped: the model, as the ranks wrap it. signals: those that this process was sent. Raises
        the error of `check` for a step that is read: where nothing is late this one, before it
        changes the weights.
        """
        self.model.train()
        rate = float(max(self.schedule.get_last_lr()))  # that of the head, where layers differ
        batch = self.task.batch(self.made)
        with seeded(self.seed(self.made)):
            loss = self._gradients(wrapped, batch)
        norm = nn.utils.get_total_norm(p.grad for p in self.trainable if p.grad is not None)
        told = self.ranks.largest(signals[0] if signals else 0, self.device)
        step = Step(self.made + 1, rate, batch)
        self.readings.send_for(step, [self.ranks.sum(loss), norm, told])
        read = self._read()
        for made in read:
            self.check(made)
        nn.utils.clip_grads_with_norm_(self.trainable, self.recipe.clip, norm.float())
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.made += 1
        return read

    def finish(self) -> list[Made]:
        """Wait for the steps made; returns those that were not read before, not yet checked."""
        return self._read(everything=True)

    def check(self, made: Made) -> None:
        """Raise `FloatingPointError` unless loss and gradient of a step are finite; the weights are
        then those of the step before."""
        if math.isfinite(made.loss) and math.isfinite(made.norm):
            return
        self.optimizer.zero_grad()
        number, rate, batch = made.step
        examples = ", ".join(str(example.index) for example in batch[:8])
        raise FloatingPointError(
            f"the loss is {made.loss} and the norm of the gradient {made.norm} at step {number} "
            f"with a learning rate of {rate:.2g}, in the batch of "
            f"examples {examples}{', ...' if len(batch) > 8 else ''}; {self.remedy(number - 1)}"
        )

    def check_weights(self) -> None:
        """Raise `FloatingPointError` for weights that are no longer numbers.

        The loss of the next step would tell, but a state has to be good, and so has the end.
        """
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and not bool(parameter.isfinite().all()):
                raise FloatingPointError(
                    f"{name} is no longer finite after step {self.made}; {self.remedy(self.made)}"
                )

    def remedy(self, made: int) -> str:
        """What to do about a run whose numbers are no longer finite after so many steps."""
        if not made:
            return (
                "no step was made yet, so look for NaN and for huge numbers in the weights to "
                "begin with and in class_weight"
            )
        advice = f"lower lr (now {self.recipe.lr:g}) and begin a new run"
        if self.folder is not None:
            advice += f": delete {self.folder}, or give another folder"
        return advice

    def seed(self, step: int) -> int:
        """Of the random numbers of a step, which follow from its own number, on each rank."""
        seed = np.random.SeedSequence([self.recipe.seed, step, self.ranks.rank])
        return int(seed.generate_state(1, np.uint64)[0])

    def _read(self, *, everything: bool = False) -> list[Made]:
        read = self.readings.read(everything=everything)
        return [Made(step, loss, norm, int(number)) for step, (loss, norm, number) in read]

    def _gradients(self, wrapped: nn.Module, batch: list[Any]) -> Tensor:
        """Compute the gradients of a batch; returns this rank's part of its loss."""
        mine = split(batch, self.ranks.world_size)[self.ranks.rank]
        # A rank without examples computes one for nothing: the others wait for its gradients.
        number = min(self.recipe.accumulate, max(1, len(mine)))
        parts = [part for part in split(mine, number) if part] or [batch[:1]]
        total = torch.zeros((), dtype=torch.float32, device=self.device)
        for part in parts:
            last = part is parts[-1]
            with nullcontext() if last else self.ranks.no_sync(wrapped):
                # Uncached: inside of another autocast PyTorch keeps the copies in bf16 of the first
                # step's weights, and every later step would compute with those.
                with torch.autocast(
                    self.device.type,
                    torch.bfloat16,
                    enabled=self.recipe.precision == "bf16",
                    cache_enabled=False,
                ):
                    loss = self.task.loss(wrapped, part, batch)
                if not mine:
                    loss = loss * 0
                total += loss.detach()
                # The ranks' gradients are averaged, so each is first multiplied: a sum is wanted.
                (loss * self.ranks.world_size if self.ranks.world_size > 1 else loss).backward()
        return total

"""The training loop, and what it writes down."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from minibert.heads import BertForClassification
from minibert.kernels import keep_freed_memory
from minibert.tokenizer import WordPieceTokenizer
from minibert.training.batches import Examples, shuffled_batches
from minibert.training.optimizer import make_optimizer, warmup_linear

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How to train. lr is the highest learning rate; warmup a share of all steps; precision "fp32"
    or "bf16", which multiplies in bfloat16 and keeps weights and optimizer in fp32."""

    epochs: int = 3
    batch_size: int = 32
    lr: float = 5e-5
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "fp32"
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Mean loss in nats and accuracy, 0 to 1, on held-out examples after `step` steps."""

    step: int
    loss: float
    accuracy: float


@dataclass
class History:
    """What happened: the loss of every step, each evaluation (the first before any training), and
    the time spent in training steps, in seconds, for this many examples."""

    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    seconds: float = 0.0
    examples: int = 0


def train(
    model: BertForClassification,
    tokenizer: WordPieceTokenizer,
    examples: Examples,
    recipe: Recipe,
    evaluate: Callable[[int], Evaluation] | None = None,
) -> History:
    """Train a model in place, on the device it is on.

    The result follows from the recipe's seed alone: it sets the order of examples and the dropout,
    and the caller's random state is as before afterwards. evaluate: called with the number of steps
    done, before the first and after every epoch; the result is logged at level INFO. Shows a
    progress bar on a terminal.

    Raises `FloatingPointError` when the loss or the gradient is no longer a number; the weights are
    then those of the step before.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    keep_freed_memory()
    device = next(model.parameters()).device
    steps_per_epoch = math.ceil(len(examples) / recipe.batch_size)
    steps = steps_per_epoch * recipe.epochs
    optimizer = make_optimizer(model, recipe.lr, recipe.weight_decay)
    schedule = warmup_linear(optimizer, steps, recipe.warmup)
    trainable = [p for group in optimizer.param_groups for p in group["params"]]
    history = History()

    def look(epoch: int) -> None:
        if evaluate is not None:
            result = evaluate(len(history.losses))
            history.evaluations.append(result)
            logger.info(
                "epoch %d of %d: development accuracy %.2f %%, loss %.3f",
                *(epoch, recipe.epochs, 100 * result.accuracy, result.loss),
            )

    look(0)
    devices = range(torch.cuda.device_count())
    # disable=None: a bar on a terminal, silence in a log file.
    progress = tqdm(total=steps, unit="step", disable=None, dynamic_ncols=True)
    with torch.random.fork_rng(devices), progress, logging_redirect_tqdm():
        torch.manual_seed(recipe.seed)
        for epoch in range(recipe.epochs):
            model.train()
            started = time.perf_counter()
            order = recipe.seed * 1_000_003 + epoch
            for batch in shuffled_batches(examples, recipe.batch_size, tokenizer, order):
                batch = {name: tensor.to(device) for name, tensor in batch.items()}
                with torch.autocast(
                    device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"
                ):
                    loss = model(**batch).loss
                value = loss.item()
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"the loss is {value} at step {len(history.losses) + 1} with a learning "
                        f"rate of {schedule.get_last_lr()[0]:.2g}; lower lr (now {recipe.lr:g})"
                    )
                loss.backward()
                norm = nn.utils.clip_grad_norm_(trainable, recipe.clip)
                if not math.isfinite(norm):
                    raise FloatingPointError(
                        f"the gradient is {norm.item()} at step {len(history.losses) + 1}; "
                        f"lower lr (now {recipe.lr:g})"
                    )
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                history.losses.append(value)
                history.examples += len(batch["labels"])
                progress.update()
                progress.set_postfix(
                    {"loss": f"{value:.3f}", "lr": f"{schedule.get_last_lr()[0]:.1e}"},
                    refresh=False,
                )
            history.seconds += time.perf_counter() - started
            look(epoch + 1)
    model.eval()
    return history

"""The training loop, and what it writes down.

A run follows from its recipe, its data and the weights it starts from. Each step seeds its random
numbers by its own number, and takes the examples that belong to that number. So weights, optimizer,
the number of the step and the evaluations so far are all there is to a run between two steps, and a
run that goes on from a saved state ends with the same bits as one that was never interrupted (on a
CPU; GPUs add in changing order).
"""

from __future__ import annotations

import hashlib
import logging
import math
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from minibert._checks import shown
from minibert.checkpoint.arguments import switch, whole_number
from minibert.checkpoint.places import absolute
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.progress import announce, lines_above_bar, progress_bar
from minibert.engine.rule import cpu_features
from minibert.engine.seeds import seeded
from minibert.training.batches import Task, split
from minibert.training.history import Evaluation, History
from minibert.training.optimizer import make_optimizer, warmup_linear
from minibert.training.ranks import Ranks
from minibert.training.readings import Readings
from minibert.training.recipe import Recipe
from minibert.training.signals import noted_signals
from minibert.training.speed import fast_training, matmul_class
from minibert.training.state import (
    Log,
    check_same,
    held_for_run,
    newest_state,
    readable,
    save_state,
    states,
)

logger = logging.getLogger(__name__)


@torch.inference_mode(False)  # gradients, also where the caller has switched them off
def train(
    model: nn.Module,
    task: Task[Any],
    recipe: Recipe,
    evaluate: Callable[[int], Evaluation] | None = None,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    save_every: int = 500,
) -> History:
    """Train a model in place, on the device it is on.

    The caller's random state is as before afterwards, and threads may train models of their own at
    once: each ends with the same bits as it does alone. evaluate: called with the number of steps
    done, before the first and after every epoch or `recipe.evaluate_every` steps. Each epoch and
    each evaluation is a line of the log at level INFO, which an interactive session prints where
    logging is not set up. A terminal and a notebook show a progress bar. In a process of several
    (see `ranks.py`) the batch is shared among them.

    folder: where to keep the state of the run, after every evaluation and `save_every` steps, and
    its log. Ctrl-C and SIGTERM then save the state and end the run, after the step; a second time
    they end it at once. resume: go on from the newest state there, if there is one.

    Raises `FloatingPointError` when the loss or the gradient is no longer a number; the weights are
    then those of the step before, and saved states stay. Raises it, too, for the loss of an
    evaluation, and for weights, which are looked at before they are evaluated or saved and at the
    end. On a GPU losses are read some steps late (see `readings.py`), so that the error and the
    lines of the log come later by as much; it is the same error, for the same step. Raises `OSError` for a folder that cannot be written, `BlockingIOError` for one in which
    another run is at work, and `ValueError` for arguments that cannot be used and a run that cannot
    be resumed, before anything is trained.
    """
    return _Run(model, task, recipe, evaluate, folder, resume, save_every).train()


def run_arguments(folder: Any, resume: Any, save_every: Any) -> tuple[Path | None, bool, int]:
    """These arguments of `train` as it takes them, or a `ValueError`: to be asked before long work
    on what is to be trained."""
    if folder is not None:
        folder = absolute(folder)
    if switch("resume", resume) and folder is None:
        raise ValueError("resume needs the folder of the run to go on with")
    return folder, bool(resume), whole_number("save_every", save_every, 1)


class _Step(NamedTuple):
    """What is known of a step before its loss is: its number, from 1, its rate, its examples."""

    number: int
    rate: float
    batch: list[Any]


class _Run:
    """What `train` works with; a class, so that saving and going on see the same things."""

    def __init__(
        self,
        model: nn.Module,
        task: Task[Any],
        recipe: Recipe,
        evaluate: Callable[[int], Evaluation] | None,
        folder: str | Path | None,
        resume: bool,
        save_every: int,
    ) -> None:
        self.model, self.task, self.recipe, self.evaluate = model, task, recipe, evaluate
        self.folder, self.resume, self.save_every = run_arguments(folder, resume, save_every)
        self.ranks = Ranks()
        self.device = next(model.parameters()).device
        if (
            recipe.precision == "bf16"
            and self.device.type == "cpu"
            and "bf16" not in cpu_features()
        ):
            logger.warning("this CPU emulates bf16, which is far slower than precision='fp32'")
        self.steps = task.steps_per_epoch * recipe.epochs
        self.evaluate_every = recipe.evaluate_every or task.steps_per_epoch
        self.optimizer = make_optimizer(model, recipe.lr, recipe.weight_decay, recipe.layer_decay)
        if not self.steps:
            raise ValueError("the task has no examples to learn from; give at least one")
        self.schedule = warmup_linear(self.optimizer, self.steps, recipe.warmup)
        self.trainable = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.readings: Readings[_Step] = Readings(self.device)
        self.optimizer.found_inf = self.readings.stop  # type: ignore[attr-defined]
        self.history = History()
        self.step = 0  # steps made; of the last ones the loss may not have been read yet
        self.signals: list[int] = []
        self.told_to_stop = 0
        self.best_weights: dict[str, Tensor] | None = None
        self.log: Log | None = None
        recipe_and_task = {**asdict(recipe), **task.settings}
        self.ranks.check_same({"the data": task.fingerprint, "the recipe": recipe_and_task})

    # --- the run -------------------------------------------------------------------------------

    def train(self) -> History:
        with ExitStack() as stack:
            self._begin(stack)
            wrapped = self.ranks.wrap(self.model)
            # The recipe says the precision, not an autocast around it.
            stack.enter_context(torch.autocast(self.device.type, enabled=False))
            self.progress = stack.enter_context(
                progress_bar(
                    "step", total=self.steps, initial=self.step, silent=self.ranks.rank > 0
                )
            )
            stack.enter_context(lines_above_bar())
            self.signals = stack.enter_context(noted_signals(self.folder is not None))
            if self.folder is not None and self.ranks.rank == 0:
                self.log = stack.enter_context(Log(self.folder, self.step))
            stack.enter_context(
                fast_training(
                    self.model,
                    self.recipe.precision,
                    recompute=self.recipe.checkpoint,
                    alone=self.ranks.world_size == 1,
                )
            )
            start = self.step
            while True:
                step = self.step
                due = self._evaluation_is_due(step)
                save = due or step == self.steps or step % self.save_every == 0
                if save or step % self.task.steps_per_epoch == 0:
                    self._catch_up()
                if step > start and save:
                    self._check_weights(step)
                if due:
                    self._evaluate(step)
                elif step > start and step % self.task.steps_per_epoch == 0:
                    announce(logger, self._line(step))
                over = step == self.steps or self.history.ran_out_of(self.recipe.patience)
                if step > start and save:
                    self._save()
                # A signal reaches the ranks in different steps; they stop after the same one.
                alone = self.ranks.world_size == 1
                if signal_number := self._signal() if alone else self.told_to_stop:
                    self._stop(signal_number)
                if over:
                    break
                self._step(wrapped, step)
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        if self.signals:  # it came after the last look
            signal.raise_signal(self.signals[0])
        return self.history

    def _step(self, wrapped: nn.Module, step: int) -> None:
        """Gradients of one batch, then one step of the optimizer.

        Nothing here asks a GPU for a number. What is read is of earlier steps; where nothing is
        late, of this one, before it changes the weights.
        """
        started = time.perf_counter()
        self.model.train()
        rate = max(self.schedule.get_last_lr())  # that of the head, where layers differ
        batch = self.task.batch(step)
        with seeded(self._seed(step)):
            loss = self._gradients(wrapped, batch)
        norm = nn.utils.get_total_norm(p.grad for p in self.trainable if p.grad is not None)
        self.readings.send_for(
            _Step(step + 1, rate, batch),
            [self.ranks.sum(loss), norm, self.ranks.largest(self._signal(), self.device)],
        )
        due = self.readings.read()
        for reading in due:
            self._check(*reading)
        nn.utils.clip_grads_with_norm_(self.trainable, self.recipe.clip, norm.float())
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.step += 1
        # The time until losses are in hand, over all steps: that of the GPU, too.
        self.history.seconds += time.perf_counter() - started
        for reading in due:
            self._note(*reading)

    def _catch_up(self) -> None:
        """Read what has not been read yet of the steps made."""
        started = time.perf_counter()
        due = self.readings.read(everything=True)
        self.history.seconds += time.perf_counter() - started
        for reading in due:
            self._check(*reading)
            self._note(*reading)

    def _check(self, step: _Step, numbers: list[float]) -> None:
        """Raise `FloatingPointError` unless loss and gradient of a step are finite."""
        loss, norm, _ = numbers
        if math.isfinite(loss) and math.isfinite(norm):
            return
        self.optimizer.zero_grad()
        examples = ", ".join(str(example.index) for example in step.batch[:8])
        raise FloatingPointError(
            f"the loss is {loss} and the norm of the gradient {norm} at step {step.number} with "
            f"a learning rate of {step.rate:.2g}, in the batch of "
            f"examples {examples}{', ...' if len(step.batch) > 8 else ''}; {self._remedy()}"
        )

    def _note(self, step: _Step, numbers: list[float]) -> None:
        """Write down what a step came to."""
        loss, _, signal_number = numbers
        self.history.losses.append(loss)
        self.history.examples += len(step.batch)
        self.told_to_stop = self.told_to_stop or int(signal_number)
        figures = {
            "loss": round(loss, 4),
            "lr": float(f"{step.rate:.3g}"),
            "examples/s": round(self.history.speed, 1),
        }
        self._write({"step": step.number, **figures})
        self.progress.update()
        self.progress.set_postfix(figures, refresh=False)

    def _signal(self) -> int:
        """The first that this process was sent; 0 for none."""
        return self.signals[0] if self.signals else 0

    def _seed(self, step: int) -> int:
        """Of the random numbers of a step, which follow from its own number, on each rank."""
        seed = np.random.SeedSequence([self.recipe.seed, step, self.ranks.rank])
        return int(seed.generate_state(1, np.uint64)[0])

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

    def _check_weights(self, step: int) -> None:
        """Raise `FloatingPointError` for weights that are no longer numbers.

        The loss of the next step would tell, but a state has to be good, and so has the end.
        """
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and not bool(parameter.isfinite().all()):
                raise FloatingPointError(
                    f"{name} is no longer finite after step {step}; {self._remedy()}"
                )

    def _remedy(self) -> str:
        """What to do about a run whose numbers are no longer finite."""
        if not self.history.losses:
            return (
                "no step was made yet, so look for NaN and for huge numbers in the weights to "
                "begin with and in class_weight"
            )
        advice = f"lower lr (now {self.recipe.lr:g}) and begin a new run"
        if self.folder is not None:
            advice += f": delete {self.folder}, or give another folder"
        return advice

    def _evaluation_is_due(self, step: int) -> bool:
        if self.evaluate is None:
            return False
        known = bool(self.history.evaluations) and self.history.evaluations[-1].step == step
        return not known and (step % self.evaluate_every == 0 or step == self.steps)

    def _evaluate(self, step: int) -> None:
        """Evaluate, and remember the weights if they are the best so far."""
        assert self.evaluate is not None
        self.model.eval()
        result = None
        if self.ranks.rank == 0:
            with seeded(self._seed(step)):
                result = self.evaluate(step)
        result = self.ranks.broadcast(result)
        if not isinstance(result, Evaluation):
            raise ValueError(f"evaluate returned {shown(result)}; it must return an Evaluation")
        # Plain numbers, for the state is read back without numpy's.
        result = Evaluation(int(result.step), float(result.loss), float(result.accuracy))
        for name, value in (("loss", result.loss), ("accuracy", result.accuracy)):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the {name} of the evaluation after step {step} is {value}; {self._remedy()}"
                )
        self.history.evaluations.append(result)
        announce(logger, self._line(step, result))
        self._write(
            {"step": step, "evaluation": {"loss": result.loss, "accuracy": result.accuracy}}
        )
        if self.recipe.keep_best and self.history.best is result:
            weights = self.model.state_dict()
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}

    def _line(self, step: int, result: Evaluation | None = None) -> str:
        """What is told of an epoch: the mean training loss of its steps, and the evaluation."""
        parts = []
        if recent := self.history.losses[-min(self.task.steps_per_epoch, self.evaluate_every) :]:
            parts.append(f"training loss {sum(recent) / len(recent):.3f}")
        if result is not None:
            parts.append(
                f"development accuracy {result.accuracy:.2%}, development loss {result.loss:.3f}"
            )
        done = round(step / self.task.steps_per_epoch, 2)
        when = f"epoch {done:g} of {self.recipe.epochs}" if step else "before training"
        return f"{when}: {', '.join(parts)}"

    def _write(self, line: dict[str, Any]) -> None:
        if self.log is not None:
            self.log.write(line)

    # --- what survives a crash -----------------------------------------------------------------

    def _begin(self, stack: ExitStack) -> None:
        """Hold the folder of the run until the stack is closed, and go on from what is there."""
        if self.folder is None:
            return
        if self.ranks.rank == 0:
            stack.enter_context(held_for_run(self.folder, self.resume))
        # Rank 0's, for threads may differ from machine to machine.
        mine = self._describe() if self.ranks.rank == 0 else None
        self.description = self.ranks.broadcast(mine)
        if self.resume:
            self._restore()

    def _describe(self) -> dict[str, Any]:
        """What must be the same for the rest of a run to equal what it would have been."""
        config = vars(self.model.config) if isinstance(self.model, Pretrained) else {}
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            bits = tensor.detach().cpu().flatten().view(torch.uint8)  # numpy has no bfloat16
            digest.update(bits.numpy().tobytes())
        return {
            **asdict(self.recipe),
            **self.task.settings,
            **{f"config.{name}": value for name, value in config.items()},
            "steps": self.steps,
            "data": self.task.fingerprint,
            "weights at the start": digest.hexdigest(),
            "trained parameters": sum(p.numel() for p in self.trainable),
            "Linear": matmul_class(self.device, self.recipe.precision).__name__,
            "threads": torch.get_num_threads(),
            "processes": self.ranks.world_size,
            "device": self.device.type,
            "torch": str(torch.__version__),
        }

    def _save(self) -> None:
        """Write the state. If the disk is full the run goes on, for it may yet end well."""
        if self.folder is None or self.ranks.rank:
            return
        history = {**vars(self.history), "evaluations": list(map(asdict, self.history.evaluations))}
        state = {
            "description": self.description,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": history,
            "best": self.best_weights,
        }
        if self.log is not None:
            self.log.flush()
        try:
            save_state(self.folder, self.step, state)
        except OSError as error:
            logger.warning("%s; the states before it stay, and the run goes on", error)

    def _restore(self) -> None:
        """Go on from the newest state of the folder, if there is one."""
        assert self.folder is not None
        found = self.ranks.broadcast(newest_state(self.folder) if self.ranks.rank == 0 else None)
        if found is None:
            logger.info("%s has no state to resume from; the run begins anew", self.folder)
            return
        path, state = found
        with readable(path):
            description = dict(state["description"])
        check_same(description, self.description)
        with readable(path):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            history = dict(state["history"])
            evaluations = [Evaluation(**evaluation) for evaluation in history.pop("evaluations")]
            self.history = History(evaluations=evaluations, **history)
            self.best_weights = state["best"]
            self.step = len(self.history.losses)
        logger.info("resuming after step %d from %s", self.step, path)

    def _stop(self, number: int) -> None:
        """End the run as the signal asks, with its state saved."""
        self._catch_up()
        self._save()
        logger.warning(
            "stopped by %s after step %d%s",
            signal.Signals(number).name,
            self.step,
            self._where_to_go_on(),
        )
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def _where_to_go_on(self) -> str:
        if self.folder is None or self.ranks.rank:
            return ""
        if not states(self.folder):
            return f"; {self.folder} has no state to resume from"
        return f"; resume from the last state in {self.folder}"

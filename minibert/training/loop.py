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
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minibert._checks import shown
from minibert.checkpoint.arguments import switch, whole_number
from minibert.checkpoint.places import absolute
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.progress import announce, lines_above_bar, progress_bar
from minibert.engine.rule import cpu_features
from minibert.engine.seeds import seeded
from minibert.training.batches import Task
from minibert.training.history import Evaluation, History
from minibert.training.ranks import Ranks
from minibert.training.recipe import Recipe
from minibert.training.signals import noted_signals
from minibert.training.speed import fast_training, matmul_class
from minibert.training.state import (
    KEPT,
    Log,
    check_same,
    held_for_run,
    newest_state,
    readable,
    save_state,
    states,
)
from minibert.training.steps import Made, Steps

logger = logging.getLogger(__name__)

TOLD_FROM = 100  # megabytes; of a smaller state nobody needs to be told


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
    then those of the step before, and saved states stay. On a GPU losses are read some steps late,
    and so the error comes, and the lines of the log; it is the same error, for the same step.
    Raises it, too, for the loss of an evaluation, and for weights, which are looked at before they
    are evaluated or saved and at the end. Raises `OSError` for a folder that cannot be written,
    `BlockingIOError` for one in which another run is at work, and `ValueError` for arguments that
    cannot be used and a run that cannot be resumed, before anything is trained.
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
        self.evaluate_every = recipe.evaluate_every or task.steps_per_epoch
        self.steps = Steps(model, task, recipe, self.ranks, self.folder)
        self.history = History(metric=recipe.metric)
        self.signals: list[int] = []  # that this process was sent
        self.ranks_signals: list[int] = []  # that some rank was sent, as all of them have read
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
                    "step",
                    total=self.steps.total,
                    initial=self.steps.made,
                    silent=self.ranks.rank > 0,
                )
            )
            stack.enter_context(lines_above_bar())
            self.signals = stack.enter_context(noted_signals(self.folder is not None))
            if self.folder is not None and self.ranks.rank == 0:
                self.log = stack.enter_context(Log(self.folder, self.steps.made))
            stack.enter_context(
                fast_training(
                    self.model,
                    self.recipe.precision,
                    recompute=self.recipe.checkpoint,
                    alone=self.ranks.world_size == 1,
                )
            )
            start = self.steps.made
            while True:
                step = self.steps.made
                due = self._evaluation_is_due(step)
                save = due or step == self.steps.total or step % self.save_every == 0
                if save or step % self.task.steps_per_epoch == 0:
                    self._catch_up()
                if step > start and save:
                    self.steps.check_weights()
                if due:
                    self._evaluate(step)
                elif step > start and step % self.task.steps_per_epoch == 0:
                    announce(logger, self._line(step))
                over = step == self.steps.total or self.history.ran_out_of(self.recipe.patience)
                if step > start and save:
                    self._save()
                # A signal reaches the ranks in different steps; they stop after the same one.
                told = self.signals if self.ranks.world_size == 1 else self.ranks_signals
                if told:
                    self._stop(told[0])
                if over:
                    break
                self._step(wrapped)
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        if self.signals:  # it came after the last look
            signal.raise_signal(self.signals[0])
        return self.history

    def _step(self, wrapped: nn.Module) -> None:
        """Make a step, and write down those whose losses were read."""
        started = time.perf_counter()
        read = self.steps.make(wrapped, self.signals)
        # The time until losses are in hand, summed over all steps: that of a GPU, too.
        self.history.seconds += time.perf_counter() - started
        for made in read:
            self._note(made)

    def _catch_up(self) -> None:
        """Read and write down what has not been read yet of the steps made."""
        started = time.perf_counter()
        read = self.steps.finish()
        self.history.seconds += time.perf_counter() - started
        for made in read:
            self.steps.check(made)
            self._note(made)

    def _note(self, made: Made) -> None:
        """Write down what a step came to."""
        self.history.losses.append(made.loss)
        self.history.examples += len(made.step.batch)
        if made.signal:
            self.ranks_signals.append(made.signal)
        figures = {
            "loss": round(made.loss, 4),
            "lr": float(f"{made.step.rate:.3g}"),
            "examples/s": round(self.history.speed, 1),
        }
        self._write({"step": made.step.number, **figures})
        self.progress.update()
        self.progress.set_postfix(figures, refresh=False)

    def _evaluation_is_due(self, step: int) -> bool:
        if self.evaluate is None:
            return False
        known = bool(self.history.evaluations) and self.history.evaluations[-1].step == step
        return not known and (step % self.evaluate_every == 0 or step == self.steps.total)

    def _evaluate(self, step: int) -> None:
        """Evaluate, and remember the weights if they are the best so far."""
        assert self.evaluate is not None
        self.model.eval()
        result = None
        if self.ranks.rank == 0:
            with seeded(self.steps.seed(step)):
                result = self.evaluate(step)
        result = self.ranks.broadcast(result)
        if not isinstance(result, Evaluation):
            raise ValueError(f"evaluate returned {shown(result)}; it must return an Evaluation")
        result = self._checked(result)
        self.history.evaluations.append(result)
        announce(logger, self._line(step, result))
        self._write({"step": step, "evaluation": {"loss": result.loss, **result.metrics}})
        if self.recipe.keep_best and self.history.best is result:
            weights = self.model.state_dict()
            self.best_weights = {name: tensor.clone() for name, tensor in weights.items()}

    def _checked(self, result: Evaluation) -> Evaluation:
        """An evaluation in plain numbers, for the state is read back without numpy's."""
        metrics = {str(name): float(value) for name, value in result.metrics.items()}
        result = Evaluation(int(result.step), float(result.loss), metrics)
        for name, value in {"loss": result.loss, **metrics}.items():
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the {name} of the evaluation after step {result.step} is {value}; "
                    f"{self.steps.remedy(result.step)}"
                )
        known = ("loss", *metrics)
        if self.recipe.metric not in (None, *known):
            raise ValueError(
                f"metric is {shown(self.recipe.metric)}; the evaluations have {', '.join(known)}"
            )
        return result

    def _line(self, step: int, result: Evaluation | None = None) -> str:
        """What is told of an epoch: the mean training loss of its steps, and the evaluation."""
        parts = []
        if recent := self.history.losses[-min(self.task.steps_per_epoch, self.evaluate_every) :]:
            parts.append(f"training loss {sum(recent) / len(recent):.3f}")
        if result is not None:
            named = dict.fromkeys((result.metric, self.recipe.metric or result.metric, "loss"))
            parts += [f"development {result.told(name)}" for name in named]
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
        if self.ranks.rank == 0 and (megabytes := self._state_size() / 1e6) >= TOLD_FROM:
            announce(
                logger,
                f"the run keeps its newest {KEPT} states, of up to {megabytes:,.0f} MB each, in "
                f"{self.folder}",
            )

    def _state_size(self) -> int:
        """Bytes of a state: the weights, two moments of each that is trained, and the best
        weights."""
        weights = sum(tensor.nbytes for tensor in self.model.state_dict().values())
        moments = 2 * sum(parameter.nbytes for parameter in self.steps.trainable)
        return (1 + self.recipe.keep_best) * weights + moments

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
            "steps": self.steps.total,
            "data": self.task.fingerprint,
            "weights at the start": digest.hexdigest(),
            "trained parameters": sum(p.numel() for p in self.steps.trainable),
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
            "optimizer": self.steps.optimizer.state_dict(),
            "schedule": self.steps.schedule.state_dict(),
            "history": history,
            "best": self.best_weights,
        }
        if self.log is not None:
            self.log.flush()
        try:
            save_state(self.folder, self.steps.made, state)
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
            self.steps.optimizer.load_state_dict(state["optimizer"])
            self.steps.schedule.load_state_dict(state["schedule"])
            history = dict(state["history"])
            evaluations = [Evaluation(**evaluation) for evaluation in history.pop("evaluations")]
            self.history = History(evaluations=evaluations, **history)
            self.best_weights = state["best"]
            self.steps.made = len(self.history.losses)
        logger.info("resuming after step %d from %s", self.steps.made, path)

    def _stop(self, number: int) -> None:
        """End the run as the signal asks, with its state saved."""
        self._catch_up()
        self._save()
        logger.warning(
            "stopped by %s after step %d%s",
            signal.Signals(number).name,
            self.steps.made,
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
        return f"; resume from the last state in {self.folder} (resume=True, --resume)"

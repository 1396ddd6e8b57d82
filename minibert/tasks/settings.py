"""The settings of a TextClassifier: each stated once, checked, and made into a recipe."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal

from minibert._checks import warn
from minibert.checkpoint.arguments import check_choice, whole_number
from minibert.engine.progress import announce
from minibert.tasks.estimator import Classifier
from minibert.tasks.opening import row_length
from minibert.training.recipe import Recipe

logger = logging.getLogger(__name__)

# Above this, full fine-tuning tends to end up predicting one class (Mosbach et al. 2021).
_HIGH_LR = 1e-4
# Without `epochs` there are 3, or more, until there were 100 steps. Few texts need as many steps as
# many texts do, and what looks like failure on small data is often only too few of them (Mosbach et
# al. 2021, arXiv 2006.04884, section 6; Zhang et al. 2021, arXiv 2006.05987, section 6). From
# 16 texts in four topics minilm-l6 learns to get 50 to 83 % of new texts right in 3 epochs, which
# are 6 steps, and all of them in 100 steps (tests/tasks/test_few_texts.py, seeds 0 to 2).
_EPOCHS, _STEPS = 3, 100
_FEW_STEPS = 30  # fewer are warned of


def told(line: str) -> dict[str, str]:
    """What a setting is, in one line: the metadata of its field, from which the command line takes
    its help."""
    return {"help": line}


@dataclass(eq=False, kw_only=True)
class Settings(Classifier):
    """What every task that learns is given; the docstrings of the tasks say what one line does
    not."""

    model: str | Path = field(
        default="minilm-l6", kw_only=False, metadata=told("folder, alias or hub name to start from")
    )
    epochs: int | None = field(
        default=None, metadata=told("passes over the training data; by default 3 or more")
    )
    batch_size: int = field(default=32, metadata=told("examples a step"))
    lr: float = field(default=5e-5, metadata=told("the highest learning rate"))
    warmup: float = field(
        default=0.06, metadata=told("share of the steps in which the learning rate rises")
    )
    weight_decay: float = field(default=0.01, metadata=told("of matrices, as AdamW has it"))
    max_length: int | None = field(default=None, metadata=told("tokens of a row"))
    precision: Literal["fp32", "bf16"] = field(
        default="fp32", metadata=told("of the products with weights")
    )
    seed: int = field(default=0, metadata=told("of the new head, the order and dropout"))
    device: str | None = field(
        default=None, metadata=told("cpu, cuda, mps; by default cuda where there is one")
    )
    trained_layers: int | None = field(
        default=None, metadata=told("train only the head and the last k layers")
    )
    layer_decay: float = field(
        default=1.0, metadata=told("factor of the learning rate for each layer down")
    )
    weights: Literal["pretrained", "random"] = field(
        default="pretrained", metadata=told("random: the shape of the model without what it knows")
    )
    metric: str | None = field(
        default=None, metadata=told("by which patience and keep_best choose")
    )
    patience: int | None = field(
        default=None, metadata=told("stop after so many evaluations without a better one")
    )
    keep_best: bool = field(
        default=False, metadata=told("end with the weights of the best evaluation, not the last")
    )
    accumulate: int = field(
        default=1, metadata=told("parts a batch is computed in, for less memory")
    )
    checkpoint: bool = field(
        default=False, metadata=told("compute activations twice, for less memory")
    )

    _USUAL_LENGTH: ClassVar[int] = 128  # tokens, where max_length is None
    _EXAMPLES: ClassVar[str] = "texts"  # what they are called

    def _recipe(self, examples: int, has_validation: bool) -> Recipe:
        """How to train on so many examples, or a `ValueError` for settings that cannot be used."""
        batch_size = whole_number("batch_size", self.batch_size, 1)
        self._check_settings()
        settings = self.get_params()
        if self.epochs is None:
            settings["epochs"] = _enough_epochs(examples, batch_size)
        both = settings.keys() & {each.name for each in fields(Recipe)}
        recipe = Recipe(**{name: settings[name] for name in both})
        if (recipe.patience is not None or recipe.keep_best) and not has_validation:
            raise ValueError(
                f"patience and keep_best need validation {self._EXAMPLES}; give fit some"
            )
        if recipe.lr > _HIGH_LR and self.trained_layers != 0 and self.weights != "random":
            warn(
                f"lr={recipe.lr:g} is high for fine-tuning a whole BERT: above {_HIGH_LR:g} "
                "training tends to collapse: every example gets the same answer"
            )
        return recipe

    def _check_settings(self) -> None:
        """Raise `ValueError` for a setting that no training could use."""
        self._check_reading(self._limit())
        if self.trained_layers is not None:
            whole_number("trained_layers", self.trained_layers, 0)
        if isinstance(self.weights, str) and self.weights == "loaded":
            raise ValueError(
                f"weights is 'loaded': this {type(self).__name__}, or the one it was cloned from, "
                f"was loaded from {self.model}, and may have learned from the very "
                f"{self._EXAMPLES} it is to be tested on. To train that model further, give it to "
                f"a new one: {type(self).__name__}({str(self.model)!r}); or start from another"
            )
        check_choice("weights", self.weights, ("pretrained", "random"))

    def _check_reading(self, max_length: int) -> None:
        """Raise `ValueError` for a setting by which no text could be read, or answered, in rows of
        so many tokens."""

    def _limit(self, longest: int | None = None) -> int:
        """The tokens of a row, of a model that takes up to `longest`, None: of any. A `ValueError`
        for a setting that cannot be."""
        if self.max_length is None:
            usual = self._USUAL_LENGTH
            return usual if longest is None else min(usual, longest)
        return row_length(self.max_length, longest)

    def _tell_steps(self, epochs: int, examples: int, steps_per_epoch: int) -> None:
        """Say how many epochs were chosen for few examples, or warn that those given are few."""
        steps = epochs * steps_per_epoch
        if self.epochs is None and epochs > _EPOCHS:
            announce(
                logger,
                f"{examples} {self._EXAMPLES} make few steps an epoch, {steps_per_epoch}, so "
                f"epochs={epochs} is taken, which makes {steps}; set epochs to change it",
            )
        elif self.epochs is not None and steps < _FEW_STEPS:
            warn(
                f"epochs={epochs} makes only {steps} steps of {examples} {self._EXAMPLES}, too few "
                "to learn much; leave epochs out, or set "
                f"epochs={_enough_epochs(examples, self.batch_size)} for some {_STEPS} steps"
            )


def _enough_epochs(examples: int, batch_size: int) -> int:
    """The usual number of epochs or, of few examples, as many as make enough steps."""
    return max(_EPOCHS, math.ceil(_STEPS / max(1, math.ceil(examples / batch_size))))

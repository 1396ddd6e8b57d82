"""The settings of a TextClassifier: each stated once, checked, and made into a recipe."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from minibert._checks import warn
from minibert.checkpoint.arguments import check_choice, whole_number
from minibert.engine.progress import announce
from minibert.tasks.estimator import Classifier
from minibert.text.truncation import TRUNCATIONS, Truncation
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

SHORTEST = 3  # tokens: one beside [CLS] and [SEP]


@dataclass(eq=False, kw_only=True)
class Settings(Classifier):
    """What a TextClassifier is given; its docstring has what one line does not say."""

    model: str | Path = field(default="minilm-l6", kw_only=False)
    epochs: int | None = None  # times every text is taken
    batch_size: int = 32  # texts a step
    lr: float = 5e-5  # the highest learning rate
    max_length: int = 128  # tokens
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0  # of the new head, the order of texts and dropout
    device: str | None = None  # as for torch
    trained_layers: int | None = None
    layer_decay: float = 1.0
    weights: Literal["pretrained", "random"] = "pretrained"
    class_weight: Literal["balanced"] | Mapping[Any, float] | None = None
    truncation: Truncation = "head"
    patience: int | None = None  # evaluations without a better one, after which to stop
    keep_best: bool = False  # end with the weights of the best evaluation, not the last
    accumulate: int = 1  # parts in which a batch is computed
    checkpoint: bool = False  # compute activations twice instead of keeping them

    def _recipe(self, texts: int, has_validation: bool) -> Recipe:
        """How to train on so many texts, or a `ValueError` for settings that cannot be used."""
        batch_size = whole_number("batch_size", self.batch_size, 1)
        self._limits()
        if self.trained_layers is not None:
            whole_number("trained_layers", self.trained_layers, 0)
        check_choice("weights", self.weights, ("pretrained", "random"))
        settings = self.get_params()
        if self.epochs is None:
            settings["epochs"] = _enough_epochs(texts, batch_size)
        both = settings.keys() & {each.name for each in fields(Recipe)}
        recipe = Recipe(**{name: settings[name] for name in both})
        if (recipe.patience is not None or recipe.keep_best) and not has_validation:
            raise ValueError("patience and keep_best need validation texts; give fit some")
        if recipe.lr > _HIGH_LR and self.trained_layers != 0 and self.weights != "random":
            warn(
                f"lr={recipe.lr:g} is high for fine-tuning a whole BERT: above {_HIGH_LR:g} "
                "training tends to collapse into predicting one class"
            )
        return recipe

    def _limits(self) -> tuple[int, Truncation]:
        """To how many tokens texts are cut, and where; a `ValueError` if it cannot be."""
        check_choice("truncation", self.truncation, TRUNCATIONS)
        return whole_number("max_length", self.max_length, SHORTEST), self.truncation

    def _tell_steps(self, epochs: int, texts: int, steps_per_epoch: int) -> None:
        """Say how many epochs were chosen for few texts, or warn that those given are few."""
        steps = epochs * steps_per_epoch
        if self.epochs is None and epochs > _EPOCHS:
            announce(
                logger,
                f"{texts} texts make few steps an epoch, {steps_per_epoch}, so epochs={epochs} is "
                f"taken, which makes {steps}; set epochs to change it",
            )
        elif self.epochs is not None and steps < _FEW_STEPS:
            warn(
                f"epochs={epochs} makes only {steps} steps of {texts} texts, too few to learn "
                f"much; leave epochs out, or set epochs={_enough_epochs(texts, self.batch_size)} "
                f"for some {_STEPS} steps"
            )


def _enough_epochs(texts: int, batch_size: int) -> int:
    """The usual number of epochs or, of few texts, as many as make enough steps."""
    return max(_EPOCHS, math.ceil(_STEPS / max(1, math.ceil(texts / batch_size))))

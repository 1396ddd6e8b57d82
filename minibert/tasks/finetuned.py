"""What the tasks that learn have in common: how `fit` begins and ends, and how it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from minibert.checkpoint.files import CONFIG, read_config
from minibert.checkpoint.folders import new_model_folder
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.pretrained import Pretrained
from minibert.checkpoint.schema import get, in_file, whole
from minibert.config import BertConfig
from minibert.engine.optimize import Engine
from minibert.engine.rule import Precision
from minibert.engine.streams import check_vocabulary, find_device
from minibert.tasks.opening import SHORTEST, check_load, check_room, check_trained
from minibert.tasks.settings import Settings
from minibert.text.inputs import check_text
from minibert.text.writing import write_tokenizer
from minibert.tokenizer import Tokenizer
from minibert.training.history import History
from minibert.training.model_card import Fit, hub_name, licence_of, model_card
from minibert.training.optimizer import check_own_layers
from minibert.training.ranks import Ranks
from minibert.training.recipe import Recipe

# Keys of config.json by which a saved model remembers its task begin so: to how many tokens rows
# were cut, and how many of them two windows share. Other readers keep them and pay no attention.
_REMEMBERED = "minibert_"
MAX_LENGTH, STRIDE_KEY = f"{_REMEMBERED}max_length", f"{_REMEMBERED}stride"


@dataclass(frozen=True)
class Start:
    """Where a fine-tuning starts. licence, base_model: what is known of the model it starts from,
    None of random weights."""

    folder: Path
    config: BertConfig
    tokenizer: Tokenizer
    device: torch.device
    max_length: int
    licence: str | None
    base_model: str | None


@dataclass(eq=False, kw_only=True)
class FineTuned(Settings):
    """The base of tasks that learn. After `fit` or `load`: `model_`, `tokenizer_`; after `fit`
    `history_`, too.

    model_class: what is trained. trained_ones: which checkpoints have that head, for an error.
    """

    model_class: ClassVar[type[Pretrained]]
    trained_ones: ClassVar[str]

    def _start(self) -> Start:
        """Look at the model to start from, before anything long. Raises `ValueError` where it
        cannot be trained as the settings ask."""
        folder = find_folder(self.model)
        device = find_device(self.device)
        config = read_config(folder, BertConfig.from_dict)
        check_room(config, folder)
        if self.trained_layers or self.layer_decay != 1:
            check_own_layers(config)
        if (self.trained_layers or 0) > (layers := config.num_hidden_layers):
            raise ValueError(
                f"trained_layers is {self.trained_layers}; the model has {layers}, and None trains "
                "everything"
            )
        max_length = self._limit(config.max_length)
        self._check_reading(max_length)
        tokenizer = Tokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, config)
        pretrained = self.weights == "pretrained"  # of random weights only the shape is another's
        return Start(
            folder,
            config,
            tokenizer,
            device,
            max_length,
            # While it is there: others may move the folder during the training.
            licence=licence_of(folder) if pretrained else None,
            base_model=hub_name(self.model) if pretrained else None,
        )

    def _end(
        self, start: Start, model: Pretrained, recipe: Recipe, history: History, **card: Any
    ) -> None:
        """Keep what was learned. card: what the model card tells besides, the fields of `Fit`."""
        self.model_, self.tokenizer_ = model, start.tokenizer
        self._engine = Engine()
        self.history_ = history
        settings = {**self.get_params(), **asdict(recipe), "max_length": start.max_length}
        del settings["evaluate_every"]  # an epoch, always
        self._fit = Fit(
            settings=settings,
            processes=Ranks().world_size,
            architecture=self.model_class.hf_architecture,
            base_model=start.base_model,
            licence=start.licence,
            **card,
        )

    @classmethod
    def _loaded(
        cls,
        dir_or_name: str | Path,
        max_length: int | None,
        precision: Precision,
        device: str | None,
        **settings: Any,
    ) -> Self:
        """What `load` returns. settings: the task's own, None for what the folder remembers."""
        check_load(max_length, precision)
        find_device(device)
        self = cls(
            model=dir_or_name,
            precision=precision,  # type: ignore[arg-type]
            device=device,
        )
        # Nobody sets this but here: `fit` refuses it, and so does that of a clone.
        self.weights = "loaded"  # type: ignore[assignment]
        folder = find_folder(dir_or_name)
        model = cls._opened(folder)
        cls._check_model(model, dir_or_name)
        check_room(model.config, dir_or_name)
        with in_file(folder / CONFIG):
            self._recall(model.config)
        given = {"max_length": max_length, **settings}
        self.set_params(**{name: value for name, value in given.items() if value is not None})
        tokenizer = Tokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, model.config)
        self.model_, self.tokenizer_ = model.to(find_device(self.device)), tokenizer
        self._engine = Engine(precision)
        self._row_length()  # checks how texts are read
        return self

    @classmethod
    def _opened(cls, folder: Path) -> Pretrained:
        """The model of a folder."""
        return cls.model_class.opened(folder)

    @classmethod
    def _check_model(cls, model: Pretrained, name: str | Path) -> None:
        """Raise `ValueError` for a model, just loaded, that cannot do the task."""
        task = cls.__name__
        check_trained(
            model,
            name,
            f"{task} needs {cls.trained_ones}, or training: {task}({str(name)!r}).fit(...)",
        )

    def _recall(self, config: BertConfig) -> None:
        """Take over the settings that a saved model remembers, and what its labels say."""
        saved = get(config.extra, MAX_LENGTH, whole(SHORTEST), config.max_length)
        self.max_length = min(saved, config.max_length)

    def _row_length(self) -> int:
        """The tokens of a row of the fitted model. Raises `ValueError` for settings by which no
        text could be read."""
        max_length = self._limit(self.model_.config.max_length)
        self._check_reading(max_length)
        return max_length

    def save(self, folder: str | Path, overwrite: bool = False, data: str = "") -> None:
        """Write a model folder that transformers and `load` open; whole or not at all, never over
        the folder this program runs in.

        The tokenizer's files carry the length to which texts are cut; transformers' pipeline cuts
        them, too, if it is called with truncation=True. After `fit` there is a model card,
        README.md, with recipe and results; data: what the texts are, to be told there.
        """
        self._check_fitted()
        self._row_length()  # what no text could be read by, no folder should remember
        check_text(data, "data")
        self.model_.config = config = self._described(self.model_.config, self._remembered())
        vocabulary = replace(self.tokenizer_.vocabulary, model_max_length=config.extra[MAX_LENGTH])
        with new_model_folder(folder, overwrite) as unfinished:
            self.model_.write_files(unfinished)
            write_tokenizer(vocabulary, unfinished)
            if hasattr(self, "history_"):
                name = Path(folder).resolve().name
                card = model_card(name, config, self._fit, self.history_, data)
                (unfinished / "README.md").write_text(card, encoding="utf-8")

    def _described(self, config: BertConfig, remembered: Mapping[str, Any]) -> BertConfig:
        """The config with what a saved model remembers of its task, and nothing that the model it
        was made from remembers of its own."""
        max_length = self._limit(config.max_length)
        self._check_reading(max_length)
        kept = {k: v for k, v in config.extra.items() if not k.startswith(_REMEMBERED)}
        return replace(config, extra={**kept, MAX_LENGTH: max_length, **remembered})

    def _remembered(self) -> Mapping[str, Any]:
        """Keys and values for config.json, besides the length of rows."""
        return {}

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise ValueError(f"this {name} is not trained; call fit, or {name}.load")

    def _check_finite(self, scores: np.ndarray) -> None:
        """Raise `FloatingPointError` for scores of the trained model that are no numbers."""
        if not np.isfinite(scores).all():
            raise FloatingPointError(
                f"the trained model gives scores that are not finite; lower lr (now {self.lr}) and "
                "train again"
            )

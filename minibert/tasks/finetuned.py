"""What the tasks that learn have in common: how `fit` begins and ends, and how it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.files import CONFIG, read_config
from minibert.checkpoint.folders import new_model_folder
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.pretrained import Pretrained
from minibert.checkpoint.schema import get, in_file, whole
from minibert.config import BertConfig
from minibert.engine.optimize import Engine
from minibert.engine.rule import Precision, check_precision
from minibert.engine.streams import check_vocabulary, find_device
from minibert.tasks.settings import SHORTEST, Settings
from minibert.text.inputs import check_text
from minibert.text.writing import write_tokenizer
from minibert.tokenizer import Tokenizer
from minibert.training.history import History
from minibert.training.model_card import Fit, hub_name, licence_of, model_card
from minibert.training.optimizer import check_own_layers
from minibert.training.ranks import Ranks
from minibert.training.recipe import Recipe

# Key of config.json by which a saved model remembers to how many tokens rows were cut. Other
# readers keep it and pay no attention.
MAX_LENGTH = "minibert_max_length"


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
    `history_`, too."""

    model_class: ClassVar[type[Pretrained]]

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
            base_model=start.base_model,
            licence=start.licence,
            **card,
        )

    def _open(
        self,
        dir_or_name: str | Path,
        folder: Path,
        model: Pretrained,
        max_length: int | None,
        precision: Precision,
    ) -> None:
        """Take over a loaded model."""
        config: BertConfig = model.config
        check_room(config, dir_or_name)
        with in_file(folder / CONFIG):
            trained = get(config.extra, MAX_LENGTH, whole(SHORTEST), config.max_length)
        self.max_length = min(trained, config.max_length) if max_length is None else max_length
        self._limit(config.max_length)
        tokenizer = Tokenizer.from_pretrained(folder)
        check_vocabulary(tokenizer, config)
        self.model_, self.tokenizer_ = model.to(find_device(self.device)), tokenizer
        self._engine = Engine(precision)
        # Nobody sets this but here: `fit` refuses it, and so does that of a clone.
        self.weights = "loaded"  # type: ignore[assignment]

    def save(self, folder: str | Path, overwrite: bool = False, data: str = "") -> None:
        """Write a model folder that transformers and `load` open; whole or not at all, never over
        the folder this program runs in.

        The tokenizer's files carry the length to which texts are cut; transformers' pipeline cuts
        them, too, if it is called with truncation=True. After `fit` there is a model card,
        README.md, with recipe and results; data: what the texts are, to be told there.
        """
        self._check_fitted()
        check_text(data, "data")
        self.model_.config = config = self._described(self.model_.config)
        vocabulary = replace(self.tokenizer_.vocabulary, model_max_length=config.extra[MAX_LENGTH])
        with new_model_folder(folder, overwrite) as unfinished:
            self.model_.write_files(unfinished)
            write_tokenizer(vocabulary, unfinished)
            if hasattr(self, "history_"):
                name = Path(folder).resolve().name
                card = model_card(name, config, self._fit, self.history_, data)
                (unfinished / "README.md").write_text(card, encoding="utf-8")

    def _described(self, config: BertConfig) -> BertConfig:
        """The config with what a saved model remembers of its task."""
        remembered = {MAX_LENGTH: self._limit(config.max_length), **self._remembered()}
        return replace(config, extra={**config.extra, **remembered})

    def _remembered(self) -> Mapping[str, Any]:
        """Keys and values for config.json, besides the length of rows."""
        return {}

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise ValueError(f"this {name} is not trained; call fit, or {name}.load")


def check_load(max_length: int | None, precision: Precision) -> None:
    """Raise `ValueError` for arguments of `load` that no model could take."""
    check_precision(precision)
    if max_length is not None:
        whole_number("max_length", max_length, SHORTEST)


def check_room(config: BertConfig, name: str | Path) -> None:
    """Raise `ValueError` for a model without room for a token of a text."""
    if config.max_length < SHORTEST:
        raise ValueError(
            f"{name} has positions for {config.max_length} token(s); texts need at least "
            f"{SHORTEST}, one beside [CLS] and [SEP]; take another model"
        )

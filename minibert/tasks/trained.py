"""A trained model and its tokenizer, used as they are: what the tasks without a `fit` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from minibert.checkpoint.folders import new_model_folder
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.engine.optimize import Engine
from minibert.engine.rule import Precision
from minibert.engine.streams import find_device
from minibert.tasks.opening import check_load, check_parts, check_trained, row_length
from minibert.text.inputs import check_text
from minibert.text.writing import write_tokenizer
from minibert.tokenizer import Tokenizer

ModelT = TypeVar("ModelT", bound=Pretrained[BertConfig])


class Trained(Generic[ModelT]):
    """The base of such a task: how it is made, opened and saved.

    model_class: what it takes. trained_ones: which checkpoints have that head, for an error.
    """

    model_class: ClassVar[type[Pretrained[BertConfig]]]
    trained_ones: ClassVar[str]

    def __init__(
        self,
        model: ModelT,
        tokenizer: Tokenizer,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        """max_length: tokens of a row; None: as many as the tokenizer's files or the model allow.
        precision: what predictions are computed in, see `minibert.optimize`."""
        check_parts(type(self), model, self.model_class, tokenizer)
        check_load(max_length, precision)
        longest = model.config.max_length
        if max_length is None:
            max_length = min(tokenizer.vocabulary.model_max_length or longest, longest)
        self.model: ModelT = model.eval()
        self.tokenizer = tokenizer
        self.max_length = row_length(max_length, longest)
        self._engine = Engine(precision)

    @classmethod
    def load(
        cls,
        dir_or_name: str | Path,
        *,
        max_length: int | None = None,
        precision: Precision = "fp32",
        device: str | None = None,
    ) -> Self:
        """Open a folder, an alias or a hub model that has this head; the settings are those of the
        constructor. device: None takes CUDA where there is one.

        Raises `ValueError` for a checkpoint whose head is missing or of another task.
        """
        check_load(max_length, precision)
        where = find_device(device)
        folder = find_folder(dir_or_name)
        model: Any = cls.model_class.opened(folder)
        check_trained(model, dir_or_name, f"{cls.__name__} needs {cls.trained_ones}")
        tokenizer = Tokenizer.from_pretrained(folder)
        return cls(model.to(where), tokenizer, max_length=max_length, precision=precision)

    def __repr__(self) -> str:
        precision = self._engine.precision
        return f"{type(self).__name__}(max_length={self.max_length}, precision={precision!r})"

    def save(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write model and tokenizer to a folder that transformers and `load` open, whole or not at
        all. The tokenizer's files carry max_length. overwrite: as for `save_pretrained` of a
        model."""
        vocabulary = replace(self.tokenizer.vocabulary, model_max_length=self.max_length)
        with new_model_folder(folder, overwrite) as unfinished:
            self.model.write_files(unfinished)
            write_tokenizer(vocabulary, unfinished)


def single_text(text: Any, position: int) -> Sequence[str]:
    """The one string of a text. Raises `ValueError` with its position for a pair, too."""
    if isinstance(text, tuple):
        raise ValueError(f"text {position} is a tuple; give a string: there are no pairs here")
    return (check_text(text, f"text {position}"),)

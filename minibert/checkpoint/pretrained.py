"""Pretrained: what every model of the book can do with a checkpoint, loading and saving."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from minibert.checkpoint.files import (
    CONFIG,
    TOKENIZER_FILES,
    new_model_folder,
    read_config,
    read_weights,
    write_weights,
)
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.names import LoadReport, from_hf, to_hf
from minibert.config import BertConfig, ProblemType


class Pretrained(nn.Module):
    """What `BertModel` and the heads share: a config, loading and saving.

    load_report: what became of each tensor in the checkpoint; None for a model made from a config.
    """

    hf_architecture = "BertModel"  # the class that opens our files in transformers

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.load_report: LoadReport | None = None

    def init_weights(self, module: nn.Module) -> None:
        """Fill a part of the model with BERT's random start: normal weights, zero biases.

        Source: google-research/bert modeling.py, `create_initializer`, which cuts the normal off at
        two standard deviations; transformers and this library do not.
        """
        if next(module.parameters()).is_meta:
            return  # _load builds such a model, to be filled from a file
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False):
                if name == "bias":
                    nn.init.zeros_(parameter)
                elif isinstance(part, nn.LayerNorm):
                    nn.init.ones_(parameter)
                else:
                    nn.init.normal_(parameter, std=self.config.initializer_range)
            if isinstance(part, nn.Embedding) and part.padding_idx is not None:
                nn.init.zeros_(part.weight[part.padding_idx])

    @classmethod
    def from_pretrained(cls, dir_or_name: str | Path) -> Self:
        """Load a checkpoint: a folder, an alias such as `minilm-l6`, or a hub name `owner/name`.

        The model comes in evaluation mode and fp32, whatever the file's number format. Raises
        `FileNotFoundError` when there is no such model and `ValueError` when it is not a BERT or
        its files are damaged; see `load_report` for what was read.
        """
        folder = find_folder(dir_or_name)
        model = cls._load(read_config(folder), read_weights(folder), str(folder))
        model.warn_of_new_weights()
        return model

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.parameters()).device

    def warn_of_new_weights(self, expected: str | None = None) -> None:
        """Warn of random weights; expected: the beginning of names that were asked to be new."""
        assert self.load_report is not None  # it was just loaded
        new = self.load_report.newly_initialised
        surprising = [name for name in new if expected is None or not name.startswith(expected)]
        if surprising:
            warnings.warn(
                f"{self.load_report.source} has no weights for {', '.join(surprising)} of "
                f"{type(self).__name__}, or those of another task; they start at random, so train "
                "the model before you use it",
                stacklevel=3,
            )

    @classmethod
    def _build(cls, config: BertConfig, tensors: Mapping[str, Tensor]) -> Self:
        """The module for these weights. A class with optional parts looks at what is there."""
        return cls(config)

    @classmethod
    def _load(
        cls,
        config: BertConfig,
        tensors: Mapping[str, Tensor],
        source: str,
        unused: tuple[str, ...] = (),
    ) -> Self:
        """The model with these tensors of a file; unused: names in it that were left out."""
        # On the meta device a module has shapes and no memory, so nothing is filled with random
        # numbers only to be overwritten, and the weights are in memory once.
        with torch.device("meta"):
            model = cls._build(config, tensors)
        shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
        state, report = from_hf(tensors, shapes, source)
        # dict.fromkeys: each module once, in a fixed order, for they draw random numbers.
        for path in dict.fromkeys(n.rpartition(".")[0] for n in report.newly_initialised):
            model.init_weights(model.get_submodule(path).to_empty(device="cpu"))
        for name in report.newly_initialised:
            state[name] = model.get_parameter(name)
        model.load_state_dict(state, assign=True)
        model.load_report = replace(report, ignored=(*report.ignored, *unused))
        return model.eval()

    def save_pretrained(self, folder: str | Path, overwrite: bool = False) -> None:
        """Write config and weights to a new folder that transformers opens unchanged.

        The folder appears whole or not at all. An existing one is refused with `FileExistsError`;
        with `overwrite` it is replaced, if it is a model folder, and its tokenizer is kept. To put
        a tokenizer into a new folder: `WordPieceTokenizer.save_pretrained`.
        """
        with new_model_folder(folder, overwrite) as unfinished:
            for name in TOKENIZER_FILES:
                if (Path(folder) / name).is_file():
                    shutil.copy2(Path(folder) / name, unfinished)
            self.write_files(unfinished)

    def write_files(self, folder: Path) -> None:
        """Write config and weights into a folder that exists."""
        dtype = str(next(self.parameters()).dtype).removeprefix("torch.")
        config = {
            **self.config.to_dict(),
            "architectures": [self.hf_architecture],
            "dtype": dtype,  # transformers loads the weights as this
        }
        text = json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        write_weights(to_hf(self.state_dict()), folder)


class PretrainedWithLabels(Pretrained):
    """A model whose head, `classifier`, has an output for each label of its config."""

    @classmethod
    def from_pretrained(
        cls,
        dir_or_name: str | Path,
        num_labels: int | None = None,
        *,
        labels: Sequence[str] | None = None,
        problem_type: ProblemType | None = None,
        new_head: bool = False,
    ) -> Self:
        """Load a checkpoint of this head, or put a new one on any BERT.

        dir_or_name: as for `BertModel`. num_labels, or labels by name: the classes of a new head;
        left out, they are the checkpoint's. problem_type: as in `BertConfig`; left out, it is the
        checkpoint's. new_head: discard the head that the checkpoint has. Warns of weights that are
        new though none were asked for.

        Raises `ValueError` when the checkpoint's trained head has other labels and `new_head` is
        not given, besides what `BertModel.from_pretrained` raises.
        """
        folder = find_folder(dir_or_name)
        config, tensors = read_config(folder), read_weights(folder)
        unused: tuple[str, ...] = ()
        if new_head or _is_of_another_task(config, cls.hf_architecture):
            unused = tuple(name for name in tensors if name.startswith("classifier."))
        tensors = {name: tensor for name, tensor in tensors.items() if name not in unused}
        trained = "classifier.weight" in tensors
        config = replace(
            config,
            labels=head_labels(config, trained, num_labels, labels),
            problem_type=problem_type or config.problem_type,
        )
        model = cls._load(config, tensors, str(folder), unused)
        asked_for = new_head or num_labels is not None or labels is not None
        model.warn_of_new_weights(expected="classifier." if asked_for else None)
        return model


def head_labels(
    config: BertConfig, trained: bool, num_labels: int | None, labels: Sequence[str] | None
) -> tuple[str, ...]:
    """The label names of a head, from the checkpoint or as asked for.

    trained: whether the checkpoint has weights for this head; its names are then the only ones.
    """
    if labels is not None:
        if isinstance(labels, str):
            raise ValueError(f"labels is the string {labels!r}; give a list of names")
        names = tuple(labels)
    elif num_labels is None or (trained and num_labels == config.num_labels):
        names = config.labels
    else:
        names = tuple(f"LABEL_{i}" for i in range(num_labels))
    if num_labels is not None and num_labels != len(names):
        raise ValueError(f"num_labels is {num_labels}, but {len(names)} labels were given")
    if len(set(names)) != len(names) and not trained:
        raise ValueError(f"labels are {names!r}; give each once")
    if trained and names != config.labels:
        # Other names in the same number would quietly swap what the trained outputs mean.
        raise ValueError(
            f"the checkpoint has a trained head for the labels {config.labels} and {names} were "
            "asked for; leave labels out to use it, or pass new_head=True to train another"
        )
    return names


# In files of these a `classifier` belongs to the task they are named after.
_TASKS = {
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForMultipleChoice",
}


def _is_of_another_task(config: BertConfig, hf_architecture: str) -> bool:
    written_as = config.extra.get("architectures") or []
    return hf_architecture not in written_as and not _TASKS.isdisjoint(written_as)

"""Loading a checkpoint into a head with labels, its own or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from minibert.checkpoint.config_json import ProblemType, numbered_labels
from minibert.checkpoint.files import read_config, read_weights
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.pretrained import Config, Pretrained

# In files of these a `classifier` belongs to the task they are named after.
_TASKS = {
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForMultipleChoice",
}


class LabelledConfig(Config, Protocol):
    """A config that also says what the outputs of a head stand for."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def problem_type(self) -> ProblemType | None: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...


LabelledConfigT = TypeVar("LabelledConfigT", bound=LabelledConfig)


class PretrainedWithLabels(Pretrained[LabelledConfigT]):
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
        config = read_config(folder, cls.config_class.from_dict)
        tensors = read_weights(folder)
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
    config: LabelledConfig, trained: bool, num_labels: int | None, labels: Sequence[str] | None
) -> tuple[str, ...]:
    """The label names of a head, from the checkpoint or as asked for.

    trained: whether the checkpoint has weights for this head; then only its own names will do.
    """
    if labels is not None:
        if isinstance(labels, str):
            raise ValueError(f"labels is the string {labels!r}; give a list of names")
        names = tuple(labels)
    elif num_labels is None or (trained and num_labels == len(config.labels)):
        names = config.labels
    else:
        names = numbered_labels(num_labels)
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


def _is_of_another_task(config: LabelledConfig, hf_architecture: str) -> bool:
    """Whether the head in the file was saved for another task than this class's."""
    written_as = config.extra.get("architectures") or []
    return hf_architecture not in written_as and not _TASKS.isdisjoint(written_as)

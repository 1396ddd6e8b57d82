"""Loading a checkpoint into a head with labels, its own or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from minibert._checks import shown
from minibert.checkpoint.config_json import (
    NUMBER_OF_LABELS,
    ProblemType,
    label_names,
    numbered_labels,
    stated_labels,
)
from minibert.checkpoint.files import CONFIG, read_config, read_weights
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.names import bare_names
from minibert.checkpoint.pretrained import Config, Pretrained
from minibert.checkpoint.schema import in_file, optional

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
        allow_nonfinite: bool = False,
    ) -> Self:
        """Load a checkpoint of this head, or put a new one on any encoder.

        Where a family has no pooler (DistilBERT, RoBERTa, ELECTRA), the layer in its place is part
        of the head of `BertForClassification`.

        dir_or_name: as for `BertModel`. num_labels, or labels by name: the classes of a new head;
        left out, they are the checkpoint's. A trained head whose labels have no names but LABEL_0,
        LABEL_1, ... takes those given. problem_type: as in `BertConfig`; left out, it is the
        checkpoint's. new_head: discard the head that the checkpoint has. allow_nonfinite: as for
        `BertModel`. Warns of weights that are new though none were asked for.

        Raises `ValueError` when the checkpoint's trained head has other labels and `new_head` is
        not given, besides what `BertModel.from_pretrained` raises.
        """
        model = cls.opened(
            find_folder(dir_or_name),
            num_labels,
            labels=labels,
            problem_type=problem_type,
            new_head=new_head,
            allow_nonfinite=allow_nonfinite,
        )
        asked_for = new_head or num_labels is not None or labels is not None
        model.warn_of_new_weights(lambda our: asked_for and _is_of_head(our, model.config))
        return model

    @classmethod
    def opened(
        cls,
        folder: Path,
        num_labels: int | None = None,
        *,
        labels: Sequence[str] | None = None,
        problem_type: ProblemType | None = None,
        new_head: bool = False,
        allow_nonfinite: bool = False,
    ) -> Self:
        """As `from_pretrained`, but silent about weights that are new: its `load_report` has
        them."""
        config, stated = read_config(
            folder, lambda data: (cls.config_class.from_dict(data), stated_labels(data))
        )
        optional(NUMBER_OF_LABELS).check("num_labels", num_labels)
        tensors = read_weights(folder)
        names = cls._names(config)
        head_names = {
            their for our in names.table if _is_of_head(our, config) for their in names.table[our]
        }
        head = {
            bare: name
            for bare, name in bare_names(tensors, str(folder), names).items()
            if bare in head_names or bare.startswith("classifier.")
        }
        unused: tuple[str, ...] = ()
        if new_head or _is_of_another_task(config, cls.hf_architecture):
            unused = tuple(head.values())
        tensors = {name: tensor for name, tensor in tensors.items() if name not in unused}
        trained = tensors.get(head.get(names.of("classifier.weight")[0], ""))  # (L, C) or None
        if trained is None or not trained.ndim:
            asked = new_labels(config.labels, num_labels, labels)
        else:
            with in_file(folder / CONFIG):
                own = trained_labels(stated, len(trained))
            asked = named_labels(own, num_labels, labels)
        config = replace(config, labels=asked, problem_type=problem_type or config.problem_type)
        return cls._load(config, tensors, str(folder), unused, allow_nonfinite)


def trained_labels(stated: tuple[str, ...] | None, outputs: int) -> tuple[str, ...]:
    """The labels of a trained head with so many outputs; stated: what its config says of them."""
    if stated is None:
        return numbered_labels(outputs)
    if len(stated) != outputs:
        raise ValueError(
            f"it states {len(stated)} labels, and the classifier in the weights has {outputs} "
            "outputs; give id2label a name for each, or pass new_head=True to train another head"
        )
    return stated


def named_labels(
    own: tuple[str, ...], num_labels: int | None, labels: Sequence[str] | None
) -> tuple[str, ...]:
    """The labels of a trained head, its own or as asked for: names for a head that has none."""
    if num_labels in (None, len(own)) and (labels is None or label_names(labels) == own):
        return own
    asked = new_labels(own, num_labels, labels)
    places = {name: i for i, name in enumerate(own)}
    if all(name == f"LABEL_{i}" for i, name in enumerate(own)) and len(asked) == len(own):
        fits = all(places.get(name, i) == i for i, name in enumerate(asked))
    else:
        fits = asked == own
    if not fits:
        # Other names in the same number would quietly swap what the trained outputs mean.
        raise ValueError(
            f"the checkpoint has a trained head for the labels {shown(own)} and {shown(asked)} "
            "were asked for; leave labels out to use it, or pass new_head=True to train another"
        )
    return asked


def new_labels(
    own: tuple[str, ...], num_labels: int | None, labels: Sequence[str] | None
) -> tuple[str, ...]:
    """The labels that were asked for, by name or number; own: the checkpoint's, if none were."""
    if labels is not None:
        names = label_names(labels)
    else:
        names = own if num_labels is None else numbered_labels(num_labels)
    if num_labels is not None and num_labels != len(names):
        raise ValueError(f"num_labels is {shown(num_labels)}, but {len(names)} labels were given")
    if len(set(names)) != len(names):
        raise ValueError(f"labels are {shown(names)}; give each once")
    return names


def _is_of_head(our_name: str, config: LabelledConfig) -> bool:
    """Whether one of our tensors belongs to the head. Where a family has no pooler, the layer in
    its place is trained with each task."""
    name = our_name.removeprefix("bert.")
    return name.startswith("classifier.") or (
        name.startswith("pooler.") and not config.variant.has_pooler
    )


def _is_of_another_task(config: LabelledConfig, hf_architecture: str) -> bool:
    """Whether the head in the file was saved for another task than this class's."""
    written_as = config.extra.get("architectures") or []
    own, *tasks = map(config.variant.architecture, (hf_architecture, *_TASKS))
    return own not in written_as and not set(tasks).isdisjoint(written_as)

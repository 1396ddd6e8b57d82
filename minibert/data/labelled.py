"""Texts with their labels: what a classifier learns from, and what it is judged by."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from minibert._checks import shown, warn
from minibert.text.inputs import Text

_HELD_OUT = 0.1  # the share of a single table that is kept for evaluation
_NAMED = 3  # groups of labels that look alike which a warning names


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, or tuples of a text and its pair, and their labels, one for each: strings, or lists of
    strings where a text has several."""

    texts: Sequence[Text]
    labels: Sequence[Any]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: Iterable[int]) -> LabelledTexts:
        """Some of them, by their places."""
        places = list(places)
        return LabelledTexts([self.texts[i] for i in places], [self.labels[i] for i in places])


def hold_out(data: LabelledTexts, name: str, seed: int) -> tuple[LabelledTexts, LabelledTexts]:
    """Split off a random tenth of each class, at least one text; of all texts where labels are
    lists, or numbers of which some are not whole, and so no classes."""
    shuffle = random.Random(seed)
    members_of: dict[str, list[int]] = {}
    classes = _are_classes(data.labels)
    for i, label in enumerate(data.labels):
        members_of.setdefault(label if classes else "", []).append(i)
    held_out: set[int] = set()
    for label, members in sorted(members_of.items()):
        if len(members) < 2:
            what = f"with the label {shown(label)}; each label" if classes else "in all; it"
            raise ValueError(
                f"{name} has a single text {what} needs two, one to learn from and one to "
                "evaluate on"
            )
        held_out.update(shuffle.sample(members, max(1, round(_HELD_OUT * len(members)))))
    every = range(len(data))
    train = data.take(i for i in every if i not in held_out)
    development = data.take(i for i in every if i in held_out)
    warn_of_shared(train, development, name)
    return train, development


def _are_classes(labels: Sequence[Any]) -> bool:
    if any(isinstance(label, list | float) for label in labels):  # in tables numbers are strings
        return False
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return True
    return all(number.is_integer() for number in numbers)


def warn_of_shared(train: LabelledTexts, development: LabelledTexts, name: str) -> None:
    """Warn of texts that a model is judged by after it has learned from them."""
    learned = set(train.texts)
    shared = sum(text in learned for text in development.texts)
    if shared:
        warn(
            f"{name}: {shared} of {len(development)} development texts are among the training "
            "texts, too, and flatter the model; leave out rows that say the same, or evaluate on "
            "other texts"
        )


def warn_of_look_alikes(labels: Iterable[Any], name: str) -> None:
    """Warn of labels that differ in nothing but case and spaces: they are classes of their own."""
    counts = Counter(
        label for item in labels for label in (item if isinstance(item, list) else [item])
    )
    alike: dict[str, list[str]] = {}
    for label in counts:
        alike.setdefault(" ".join(label.casefold().split()), []).append(label)
    groups = [
        " and ".join(f"{shown(label)} ({counts[label]})" for label in sorted(group))
        for group in alike.values()
        if len(group) > 1
    ]
    if groups:
        more = f"; {len(groups) - _NAMED} more" if len(groups) > _NAMED else ""
        warn(
            f"{name}: labels that differ only in case or spaces are different classes: "
            f"{'; '.join(groups[:_NAMED])}{more}. Write them alike if they mean the same"
        )

"""Labelled texts: the bundled sample, GLUE's SST-2, or a table of one's own."""

from __future__ import annotations

import os
import random
from importlib.resources import files
from pathlib import Path

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.places import path_of
from minibert.data.tables import LabelledTexts, read_table

__all__ = ["LabelledTexts", "load", "read_table"]

# GLUE's SST-2 has numbers for labels, and so many texts. Its documentation names them.
_SST2_TEXTS = (67349, 872)
_SST2_NAMES = {"0": "negative", "1": "positive"}
_HELD_OUT = 0.1  # the share of a single table that is kept for evaluation


def load(source: str | Path, seed: int = 0) -> tuple[LabelledTexts, LabelledTexts]:
    """(training, development) texts.

    source: `sample`, the review sentences that come with minibert; a folder with `train.tsv` and
    `dev.tsv`, as GLUE's SST-2; or one `.tsv` or `.csv` file, of which a random tenth of each class,
    chosen by `seed`, is held out for development. The labels are those of the file, but the 0 and 1
    of SST-2 itself, which is known by its number of texts, become `negative` and `positive`.

    Raises `FileNotFoundError` or `ValueError` naming the file and what it should hold.
    """
    path, seed = path_of(source, "data"), whole_number("seed", seed, 0, 2**32 - 1)
    if str(source) == "sample":
        folder = files("minibert.data")
        return read_table(Path(str(folder / "train.tsv"))), read_table(
            Path(str(folder / "dev.tsv"))
        )
    if os.path.isdir(path):
        train, development = read_table(path / "train.tsv"), read_table(path / "dev.tsv")
        labels = set(train.labels) | set(development.labels)
        if (len(train), len(development)) == _SST2_TEXTS and labels == set(_SST2_NAMES):
            train, development = _name_sst2(train), _name_sst2(development)
        return train, development
    return _hold_out(read_table(path), path, seed)


def _name_sst2(data: LabelledTexts) -> LabelledTexts:
    return LabelledTexts(data.texts, [_SST2_NAMES[label] for label in data.labels])


def _hold_out(data: LabelledTexts, path: Path, seed: int) -> tuple[LabelledTexts, LabelledTexts]:
    """Split off a tenth of each class, at least one text."""
    held_out: set[int] = set()
    shuffle = random.Random(seed)
    members_of: dict[str, list[int]] = {}
    for i, label in enumerate(data.labels):
        members_of.setdefault(label, []).append(i)
    for label, members in sorted(members_of.items()):
        if len(members) < 2:
            raise ValueError(
                f"{path} has a single text with the label {shown(label)}; each label needs two, "
                "one to learn from and one to evaluate on"
            )
        held_out.update(shuffle.sample(members, max(1, round(_HELD_OUT * len(members)))))
    chosen = [i for i in range(len(data)) if i in held_out]
    rest = [i for i in range(len(data)) if i not in held_out]
    return tuple(  # type: ignore[return-value]
        LabelledTexts([data.texts[i] for i in part], [data.labels[i] for i in part])
        for part in (rest, chosen)
    )

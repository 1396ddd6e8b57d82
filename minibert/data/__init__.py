"""Labelled texts: the bundled sample, GLUE's tasks, or a table of one's own.

A table is a CSV or TSV, JSON lines, a Parquet file, a folder of text files for each label, or what
pandas or `datasets` hold in memory. Tagged words and questions have readers of their own.

table      any table in memory, from:
delimited  CSV and TSV, as people's programs write them
json_rows  JSON lines, or a list of objects
frames     Parquet, DataFrames, `datasets`
folders    .txt files in a folder for each label
decoding   the bytes of a file as text
columns    which columns are texts, pairs and labels
choosing   which rows have them
labelled   texts with their labels, and a part held out
conll      sentences of tagged words
squad      questions, contexts and answers, and SQuAD's measures
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.places import path_of
from minibert.data.choosing import Chosen, choose
from minibert.data.conll import read_conll
from minibert.data.folders import DEVELOPMENT, SOURCES, find_part
from minibert.data.frames import is_frame
from minibert.data.labelled import LabelledTexts, hold_out, warn_of_look_alikes
from minibert.data.squad import read_squad
from minibert.data.table import SUFFIXES, Table
from minibert.text.inputs import Text

__all__ = [
    "Chosen",
    "LabelledTexts",
    "Table",
    "choose",
    "load",
    "read_conll",
    "read_squad",
    "read_table",
    "read_texts",
]

# GLUE's SST-2 has numbers for labels, and so many texts. Its documentation names them.
_SST2_TEXTS = (67349, 872)
_SST2_NAMES = {"0": "negative", "1": "positive"}


def read_table(
    path: str | Path,
    *,
    text: str | int | None = None,
    label: str | int | None = None,
    pair: str | int | None = None,
    skip_empty: bool = False,
) -> LabelledTexts:
    """Read a table with a column of texts and one of labels.

    text, label, pair: the names of the columns, or their numbers from 1 in a CSV or TSV without a
    header; by default a text, sentence, review or content, a label, sentiment, class or category,
    and no pair. skip_empty=True leaves out rows that lack one of them, with a warning that counts
    them. Space around a text or label is taken off. Labels become strings, as in a CSV; a list in
    JSON or Parquet, of several labels, becomes a list of strings. CSV and TSV may be separated by
    tabs, commas or semicolons. In a table with tabs that no program has quoted a quotation mark is
    an ordinary character, as in GLUE.

    Raises `OSError` where there is no such file or it cannot be read, and `ValueError` naming the
    file, the line and the next step.
    """
    chosen = choose(Table.read(path), text=text, label=label, pair=pair, skip_empty=skip_empty)
    warn_of_look_alikes(chosen.labels, chosen.table.name)
    return LabelledTexts(chosen.texts, chosen.labels)


def read_texts(
    path: str | Path,
    *,
    text: str | int | None = None,
    pair: str | int | None = None,
    skip_empty: bool = False,
) -> list[Text]:
    """Read the texts of a table, or their (text, pair), as `read_table` does."""
    table = Table.read(path)
    return choose(table, text=text, pair=pair, labelled=False, skip_empty=skip_empty).texts


def load(
    source: Any,
    seed: int = 0,
    *,
    text: str | int | None = None,
    label: str | int | None = None,
    pair: str | int | None = None,
    skip_empty: bool = False,
) -> tuple[LabelledTexts, LabelledTexts]:
    """(training, development) texts.

    source: `sample`, the review sentences that come with minibert; a folder with a table `train`
    and one to evaluate on, called `dev`, `validation`, `valid`, `val`, `dev_matched` or, for want
    of these, `test`, each in any format of `Table.read`, or a folder with a folder of .txt files
    for each label, as IMDB has them; or one such table or folder, of which a random tenth of each
    class, chosen by `seed`, is held out for development. A DataFrame or a `Dataset` is a table,
    and a mapping of them, as a `DatasetDict`, is a folder. text, label, pair, skip_empty: as for
    `read_table`. The labels are those of the table, but the 0 and 1 of SST-2 itself, which is known
    by its number of texts, become `negative` and `positive`.

    Raises `OSError` or `ValueError` naming the file and what it should hold.
    """
    tables = _tables(source)
    seed = whole_number("seed", seed, 0, 2**32 - 1)
    parts = []
    for table in tables:
        chosen = choose(table, text=text, label=label, pair=pair, skip_empty=skip_empty)
        parts.append(LabelledTexts(chosen.texts, chosen.labels))
    if len(parts) == 1:
        parts = list(hold_out(parts[0], tables[0].name, seed))
    train, development = parts
    labels = [*train.labels, *development.labels]
    warn_of_look_alikes(labels, " and ".join(table.name for table in tables))
    if (len(train), len(development)) == _SST2_TEXTS and _SST2_NAMES.keys() >= set(
        map(str, labels)
    ):
        train, development = _name_sst2(train), _name_sst2(development)
    return train, development


def _name_sst2(data: LabelledTexts) -> LabelledTexts:
    return LabelledTexts(data.texts, [_SST2_NAMES[label] for label in data.labels])


def _tables(source: Any) -> list[Table]:
    """The table to learn from, and the one to evaluate on if there are two."""
    if is_frame(source):
        return [Table.of(source)]
    if isinstance(source, Mapping):
        names = ["train", next((name for name in DEVELOPMENT if name in source), DEVELOPMENT[0])]
        missing = [name for name in names if not is_frame(source.get(name))]
        if missing:
            raise ValueError(
                f"the data is a {type(source).__name__} without a table {shown(missing[0])}; give "
                "a DataFrame or a Dataset, or a mapping of them with 'train' and 'dev'"
            )
        return [Table.of(source[name]) for name in names]
    path = path_of(source, "data")
    if str(source) == "sample":
        path = Path(str(files("minibert.data")))
    if not os.path.isdir(path):
        return [Table.read(path)]
    train = find_part(path, ("train",), SUFFIXES)
    development = find_part(path, DEVELOPMENT, SUFFIXES)
    if train is None and development is None:
        return [Table.read(path)]
    if train is None or development is None:
        there, lacks = (train, "dev") if development is None else (development, "train")
        raise FileNotFoundError(
            f"{path} has {there.name if there else ''} and no {lacks} beside it; {SOURCES}"
        )
    return [Table.read(train), Table.read(development)]

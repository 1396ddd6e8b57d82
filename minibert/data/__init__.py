"""Labelled texts: the bundled sample, GLUE's SST-2, or a table of one's own."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

TEXT_COLUMNS = ("text", "sentence", "review", "content")
LABEL_COLUMNS = ("label", "sentiment", "class", "category")
_SST2_NAMES = {"0": "negative", "1": "positive"}  # as GLUE's documentation names them
_HELD_OUT = 0.1  # the share of a single table that is kept for evaluation


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels, one for each."""

    texts: Sequence[str]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


def load(source: str | Path, seed: int = 0) -> tuple[LabelledTexts, LabelledTexts]:
    """(training, development) texts.

    source: `sample`, the review sentences that come with minibert; a folder with `train.tsv` and
    `dev.tsv`, as GLUE's SST-2; or one `.tsv` or `.csv` file, of which a random tenth of each class,
    chosen by `seed`, is held out for development.

    Raises `FileNotFoundError` or `ValueError` naming the file and what it should hold.
    """
    if str(source) == "sample":
        folder = files("minibert.data")
        return read_table(Path(str(folder / "train.tsv"))), read_table(
            Path(str(folder / "dev.tsv"))
        )
    path = Path(source)
    if path.is_dir():
        train, development = read_table(path / "train.tsv"), read_table(path / "dev.tsv")
        header = (path / "train.tsv").read_text(encoding="utf-8-sig").partition("\n")[0].split()
        labels = set(train.labels) | set(development.labels)
        if header == ["sentence", "label"] and labels == set(_SST2_NAMES):
            train, development = _name_sst2(train), _name_sst2(development)
        return train, development
    return _hold_out(read_table(path), path, seed)


def read_table(path: Path) -> LabelledTexts:
    """Read a `.tsv` or `.csv` with a header that names a text and a label column.

    A .csv is read with the usual quoting; in a .tsv a quotation mark is an ordinary character, as
    in GLUE.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file or folder {path}; data can be 'sample', a folder with train.tsv and "
            "dev.tsv, or a .tsv or .csv file"
        )
    suffix = path.suffix.lower()
    if suffix not in (".tsv", ".csv"):
        raise ValueError(f"{path} is neither a .tsv nor a .csv file; rename or convert it")
    limit = csv.field_size_limit(2**31 - 1)  # it guards against unclosed quotes; texts may be long
    line = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if suffix == ".tsv":
                table = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            else:
                table = csv.reader(file, strict=True)
            rows = []
            for row in table:
                line = table.line_num
                if row:
                    rows.append((line, row))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} cannot be read as UTF-8 {path.suffix[1:]} after line {line}: {error}"
        ) from error
    finally:
        csv.field_size_limit(limit)
    if len(rows) < 2:
        raise ValueError(f"{path} has no rows; it needs a header and a row for each text")
    header = [name.strip().lower() for name in rows[0][1]]
    text_column = _column(path, header, TEXT_COLUMNS, "text")
    label_column = _column(path, header, LABEL_COLUMNS, "label")
    texts, labels = [], []
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {line}: {len(row)} columns where the header has {len(header)}"
            )
        text, label = row[text_column].strip(), row[label_column].strip()
        if not text or not label:
            raise ValueError(f"{path}, line {line}: the {'label' if text else 'text'} is empty")
        texts.append(text)
        labels.append(label)
    return LabelledTexts(texts, labels)


def _column(path: Path, header: list[str], names: tuple[str, ...], role: str) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise ValueError(
        f"{path} has the columns {', '.join(header)} and none for the {role}; "
        f"call it one of {', '.join(names)}"
    )


def _name_sst2(data: LabelledTexts) -> LabelledTexts:
    return LabelledTexts(data.texts, [_SST2_NAMES[label] for label in data.labels])


def _hold_out(data: LabelledTexts, path: Path, seed: int) -> tuple[LabelledTexts, LabelledTexts]:
    """Split off a tenth of each class, at least one text."""
    held_out: set[int] = set()
    shuffle = random.Random(seed)
    for label in sorted(set(data.labels)):
        members = [i for i, other in enumerate(data.labels) if other == label]
        if len(members) < 2:
            raise ValueError(
                f"{path} has a single text with the label {label!r}; each label needs two, "
                "one to learn from and one to evaluate on"
            )
        held_out.update(shuffle.sample(members, max(1, round(_HELD_OUT * len(members)))))
    chosen = [i for i in range(len(data)) if i in held_out]
    rest = [i for i in range(len(data)) if i not in held_out]
    return tuple(  # type: ignore[return-value]
        LabelledTexts([data.texts[i] for i in part], [data.labels[i] for i in part])
        for part in (rest, chosen)
    )

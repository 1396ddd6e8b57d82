"""Tokenizer: from texts to the tensors BERT reads, and back.

    [CLS] the first text [SEP] the second text [SEP] [PAD] [PAD]      input_ids
      0    0    0    0     0    1     1     1    1     0     0        token_type_ids
      1    1    1    1     1    1     1     1    1     0     0        attention_mask

[CLS] opens every row, and its final vector stands for the whole row. [SEP] ends each text. [PAD]
only fills up the rectangle. [MASK] is what pre-training puts in place of a token to be guessed.
token_type_ids number the segments, "sentence A" and "sentence B" in the paper. A special token's
name inside a text ("[SEP]") is read as that token.

Paper: Devlin et al. 2019, section 3 "Input/Output Representations". Cutting a text into pieces is
done twice on purpose: `backend="python"` is `wordpiece.py`, to be read; `backend="rust"` is the
`tokenizers` library, which gives the same pieces much faster. All the rest is here once.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor

from minibert.checkpoint.hub import find_folder
from minibert.text.backends import Backend, PythonBackend, RustBackend, all_ids, build_rust
from minibert.text.vocabulary import TOKENIZER_CONFIG, TOKENIZER_JSON, Vocabulary
from minibert.wordpiece import Piece

Text = str | tuple[str, str]
Truncation = Literal["head", "head+tail"]
TRUNCATIONS = get_args(Truncation)


class Encoding(NamedTuple):
    """One row in full. All lists have the same length, special tokens included.

    offsets: (start, end) in the text, (0, 0) for the [CLS] and [SEP] that frame it. word_ids: the
    number of the word in its text, None for these. type_ids: 0 for the first text, 1 for the
    second.
    """

    ids: list[int]
    tokens: list[str]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]


class Row(NamedTuple):
    """One row before padding: ids, type ids, and how many pieces were cut off to fit."""

    ids: list[int]
    type_ids: list[int]
    dropped: int


class WordPieceTokenizer:
    """BERT's tokenizer.

    >>> tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    >>> tokenizer.tokenize("Unaffordable!")
    ['una', '##ff', '##ord', '##able', '!']
    >>> tokenizer(["A text.", "Two"])["input_ids"].tolist()
    [[101, 1037, 3793, 1012, 102], [101, 2048, 102, 0, 0]]
    """

    def __init__(self, vocabulary: Vocabulary, backend: Literal["rust", "python"] = "rust") -> None:
        if backend not in ("rust", "python"):
            raise ValueError(f"backend is {backend!r}; it must be 'rust' or 'python'")
        self.vocabulary = vocabulary
        self.ids = all_ids(vocabulary)
        self.tokens = {i: token for token, i in self.ids.items()}
        self.cls, self.sep, self.pad_id = (
            self.ids[token]
            for token in (vocabulary.cls_token, vocabulary.sep_token, vocabulary.pad_token)
        )
        self.backend: Backend = (RustBackend if backend == "rust" else PythonBackend)(vocabulary)

    @classmethod
    def from_pretrained(
        cls, dir_or_name: str | Path, backend: Literal["rust", "python"] = "rust"
    ) -> WordPieceTokenizer:
        """Read the tokenizer of a folder, an alias such as `minilm-l6`, or a hub name."""
        return cls(Vocabulary.from_folder(find_folder(dir_or_name, weights=False)), backend)

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        max_length: int | None = None,
    ) -> dict[str, Tensor]:
        """Texts -> LongTensors (B, T) by the names of the model's arguments.

        pairs: a second text for each text. max_length: cut rows to this many tokens, special ones
        included, dropping from the end, first of the longer text, then of both; None: no limit.
        """
        if isinstance(texts, str):
            texts = [texts]
        if isinstance(pairs, str):
            pairs = [pairs]
        if pairs is not None and len(pairs) != len(texts):
            raise ValueError(f"there are {len(texts)} texts and {len(pairs)} pairs")
        if not texts:
            raise ValueError("there are no texts; give at least one")
        both: Iterable[Text] = texts if pairs is None else zip(texts, pairs, strict=True)
        return self.pad(self.encode_batch(list(both), max_length))

    def encode_batch(
        self,
        texts: Sequence[Text],
        max_length: int | None = None,
        truncation: Truncation = "head",
    ) -> list[Row]:
        """Rows of ids for texts or (text, pair) tuples, not padded yet.

        truncation: what stays of a text that is too long: its "head", as everywhere; or
        "head+tail", a quarter of what fits from its beginning and the rest from its end, where
        long texts such as reviews tend to say what they think (Sun et al. 2019, arXiv 1905.05583).
        """
        if truncation not in TRUNCATIONS:
            raise ValueError(f"truncation is {truncation!r}; it must be one of {TRUNCATIONS}")
        parts = [text_parts(text, position) for position, text in enumerate(listed(texts))]
        flat = [part for text in parts for part in text]
        pieces = iter(self.backend.ids(flat))
        rows = []
        for text in parts:
            first = next(pieces)
            second = next(pieces) if len(text) == 2 else None
            rows.append(Row(*frame(first, second, max_length, self.cls, self.sep, truncation)))
        return rows

    def pad(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Rows -> the batch, LongTensors (B, T), filled up with [PAD] on the right."""
        longest = max(len(row.ids) for row in rows)
        ids, type_ids, mask = [], [], []
        for row in rows:
            empty = longest - len(row.ids)
            ids.append(row.ids + [self.pad_id] * empty)
            type_ids.append(row.type_ids + [0] * empty)
            mask.append([1] * len(row.ids) + [0] * empty)
        return {
            "input_ids": torch.tensor(ids),
            "token_type_ids": torch.tensor(type_ids),
            "attention_mask": torch.tensor(mask),
        }

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> Encoding:
        """One text or pair with everything there is to know about its tokens."""
        first = self.backend.pieces(check_text(text, "the text"))
        second = None if pair is None else self.backend.pieces(check_text(pair, "the pair"))
        cls = Piece(self.vocabulary.cls_token, 0, 0, None)
        sep = Piece(self.vocabulary.sep_token, 0, 0, None)
        pieces, type_ids, _ = frame(first, second, max_length, cls, sep)
        return Encoding(
            ids=[self.ids[piece.token] for piece in pieces],
            tokens=[piece.token for piece in pieces],
            type_ids=type_ids,
            offsets=[(piece.start, piece.end) for piece in pieces],
            word_ids=[piece.word for piece in pieces],
        )

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, without [CLS] and [SEP]."""
        return [piece.token for piece in self.backend.pieces(check_text(text, "the text"))]

    def decode(self, ids: Iterable[int] | Tensor, skip_special_tokens: bool = False) -> str:
        """Ids back to readable text; what normalisation took away does not come back."""
        tokens = []
        for i in ids.tolist() if isinstance(ids, Tensor) else ids:
            if i not in self.tokens:
                raise ValueError(f"{i} is not an id of this vocabulary of {self.vocabulary.size}")
            if not (skip_special_tokens and self.tokens[i] in self.vocabulary.special):
                tokens.append(self.tokens[i])
        return self.backend.join(tokens)

    def save_pretrained(self, folder: str | Path) -> None:
        """Put the tokenizer's files, which transformers reads, into a folder, new or not."""
        with tempfile.TemporaryDirectory() as unfinished:
            self.write_files(Path(unfinished))
            Path(folder).mkdir(parents=True, exist_ok=True)
            for file in Path(unfinished).iterdir():
                shutil.copy2(file, folder)

    def write_files(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which transformers reads."""
        v = self.vocabulary
        build_rust(v).save(str(folder / TOKENIZER_JSON))
        settings = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": v.lower_case,
            "strip_accents": v.strip_accents,
            "tokenize_chinese_chars": v.split_cjk,
            "cls_token": v.cls_token,
            "sep_token": v.sep_token,
            "pad_token": v.pad_token,
            "unk_token": v.unk_token,
            "mask_token": v.mask_token,
        }
        if v.model_max_length is not None:
            settings["model_max_length"] = v.model_max_length
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        (folder / TOKENIZER_CONFIG).write_text(text, encoding="utf-8")


Item = TypeVar("Item")  # an id, or a Piece


def frame(
    first: list[Item],
    second: list[Item] | None,
    max_length: int | None,
    cls: Item,
    sep: Item,
    truncation: Truncation = "head",
) -> tuple[list[Item], list[int], int]:
    """[CLS] first [SEP] second [SEP], cut to max_length: (items, type ids, how many were cut)."""
    keep = truncated_lengths(len(first), None if second is None else len(second), max_length)
    items = [cls, *truncated(first, keep[0], truncation), sep]
    type_ids = [0] * len(items)
    dropped = len(first) - keep[0]
    if second is not None:
        items += [*truncated(second, keep[1], truncation), sep]
        type_ids += [1] * (len(items) - len(type_ids))
        dropped += len(second) - keep[1]
    return items, type_ids, dropped


def truncated(items: list[Item], keep: int, truncation: Truncation) -> list[Item]:
    """So many of the items, from where `truncation` says."""
    if truncation == "head" or keep >= len(items):
        return items[:keep]
    head = keep // 4
    return items[:head] + items[len(items) - (keep - head) :]


def truncated_lengths(first: int, second: int | None, max_length: int | None) -> tuple[int, int]:
    """How many pieces of each text fit beside [CLS] and [SEP]: the longer text gives way first.

    >>> truncated_lengths(4, 4, 7 + 3)
    (3, 4)
    """
    special = 2 if second is None else 3
    if max_length is None:
        return first, second or 0
    room = max_length - special
    if room < 0:
        raise ValueError(f"max_length is {max_length}; the special tokens alone need {special}")
    if second is None:
        return min(first, room), 0
    short, long = sorted((first, second))
    if short + long > room:
        # The longer text is cut until the row fits, but not below the shorter; if that is not
        # enough, each gets half.
        long = max(short, room - short)
        if short + long > room:
            short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


def listed(texts: Iterable[Text]) -> list[Text]:
    """The texts as a list; a single string is iterable, too, but of letters."""
    if isinstance(texts, str):
        raise ValueError(f"texts is the string {texts[:40]!r}; give a list of texts")
    return list(texts)


def text_parts(text: Text, position: int) -> tuple[str, ...]:
    """The one or two strings of a text, or a `ValueError` naming its position among the texts."""
    if not isinstance(text, tuple):
        return (check_text(text, f"text {position}"),)
    if len(text) != 2:
        raise ValueError(f"text {position} is a tuple of {len(text)}; give (text, pair)")
    first, second = text
    return (
        check_text(first, f"text {position}"),
        check_text(second, f"the pair of text {position}"),
    )


def check_text(text: str, name: str) -> str:
    """The text itself, or a `ValueError` if no tokenizer could take it."""
    if not isinstance(text, str):
        raise ValueError(f"{name} is {text!r}, a {type(text).__name__}; it must be a string")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{name} has a lone surrogate, {text[error.start]!r}, at position {error.start}; "
                "it is not valid Unicode. Decode its source with errors='replace'"
            ) from error
    return text

"""Tokenizer: from texts to the tensors BERT reads, and back.

    [CLS] the first text [SEP] the second text [SEP] [PAD] [PAD]      input_ids
      0    0    0    0     0    1     1     1    1     0     0        token_type_ids
      1    1    1    1     1    1     1     1    1     0     0        attention_mask

[CLS] opens every row, and its final vector stands for the whole row. [SEP] ends each text. [PAD]
fills rows up to the length of the longest. [MASK] is what pre-training puts in place of a token to
be guessed. token_type_ids number the segments, "sentence A" and "sentence B" in the paper. A
special token's name inside a text ("[SEP]") is read as that token. RoBERTa and its kin write
<s> text </s></s> pair </s>. Where a model has no second segment, all type ids are 0.

Paper: Devlin et al. 2019, section 3 "Input/Output Representations". Cutting a text into pieces is
done twice on purpose: `backend="python"` is `wordpiece.py`, to be read, or `text/byte_pairs.py` for
RoBERTa; `backend="rust"` is the `tokenizers` library, which gives the same pieces much faster.
Everything else here is common to all. Reading and writing of files, the cutting of long texts and
the checks of what users pass in are in `text/`. Lesson: examples/lessons/02_words_into_pieces.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from minibert._checks import check_switch, shown
from minibert.checkpoint.hub import find_folder
from minibert.text.backends import BackendName, check_vocabulary_kind, make_backend
from minibert.text.inputs import Text, check_rows, check_text, id_list, listed, paired, text_parts
from minibert.text.matched import all_ids
from minibert.text.reading import read_vocabulary
from minibert.text.roles import Roles
from minibert.text.truncation import Item, Truncation, check_limit, truncate
from minibert.text.vocabulary import Vocabulary, WordPieceVocabulary
from minibert.text.writing import save_tokenizer, write_tokenizer
from minibert.wordpiece import Piece


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


class Tokenizer(Roles):
    """A tokenizer of any kind: WordPiece (BERT, DistilBERT, ELECTRA), byte-level BPE (RoBERTa), or
    Unigram (XLM-R, CamemBERT, ALBERT; by Rust only).

    >>> from minibert import Tokenizer
    >>> tokenizer = Tokenizer.from_pretrained("minilm-l6")
    >>> tokenizer.tokenize("Unaffordable!")
    ['una', '##ff', '##ord', '##able', '!']
    >>> tokenizer(["A text.", "Two"])["input_ids"].tolist()
    [[101, 1037, 3793, 1012, 102], [101, 2048, 102, 0, 0]]
    """

    kind: ClassVar[type[Vocabulary]] = Vocabulary  # what it can be made of

    def __init__(self, vocabulary: Vocabulary, backend: BackendName = "rust") -> None:
        check_vocabulary_kind(vocabulary, self.kind)
        self.vocabulary = vocabulary
        self.backend = make_backend(backend, vocabulary)
        self.ids = all_ids(vocabulary)
        self.tokens = {i: token for token, i in self.ids.items()}

    @classmethod
    def from_pretrained(cls, dir_or_name: str | Path, backend: BackendName = "rust") -> Self:
        """Read the tokenizer of a folder, an alias such as `minilm-l6`, or a hub name.

        Its files say of which kind it is, whatever model they belong to.
        """
        folder = find_folder(dir_or_name, weights=False)
        return cls(read_vocabulary(folder, cls.kind), backend)

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        max_length: int | None = None,
    ) -> dict[str, Tensor]:
        """Texts -> LongTensors (B, T) on the CPU, by the names of the model's arguments.

        pairs: a second text for each text; a string with separators in it would be one text.
        max_length: cut rows to this many tokens, special ones included, dropping from the end,
        first of the longer text, then of both; None: no limit.
        """
        return self.pad(self.encode_batch(paired(texts, pairs), max_length))

    def encode_batch(
        self,
        texts: Sequence[Text],
        max_length: int | None = None,
        truncation: Truncation = "head",
    ) -> list[Row]:
        """Rows of ids for texts or (text, pair) tuples, not padded yet.

        truncation: what stays of a text that is too long: its "head", as everywhere; or
        "head+tail", a quarter of what fits from its beginning and the rest from its end, where the
        verdict of a review tends to stand (Sun et al. 2019, arXiv 1905.05583).
        """
        max_length = check_limit(max_length, truncation)
        cls, sep = self.cls_token_id, self.sep_token_id
        separators, segments = self.vocabulary.separators, self.vocabulary.segments
        parts = [text_parts(text, position) for position, text in enumerate(listed(texts))]
        pieces = iter(self.backend.ids([part for text in parts for part in text]))
        rows = []
        for text in parts:
            first = next(pieces)
            second = next(pieces) if len(text) == 2 else None
            first, second, dropped = truncate(first, second, max_length, truncation, separators)
            framed = frame(first, second, cls, sep, separators, segments)
            rows.append(Row(*framed, dropped))
        return rows

    def pad(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Rows -> the batch, LongTensors (B, T), filled up with [PAD] on the right."""
        check_rows(rows)
        lengths = np.array([len(row.ids) for row in rows])  # (B,)
        real = np.arange(lengths.max()) < lengths[:, None]  # (B, T), False at padding

        def filled(lists: Iterable[list[int]], padding: int) -> Tensor:
            batch = np.full(real.shape, padding, np.int64)
            batch[real] = np.fromiter(chain.from_iterable(lists), np.int64)  # row by row
            return torch.from_numpy(batch)

        return {
            "input_ids": filled((row.ids for row in rows), self.pad_token_id),
            "token_type_ids": filled((row.type_ids for row in rows), 0),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
        }

    def encode(self, text: str, pair: str | None = None, max_length: int | None = None) -> Encoding:
        """One text or pair with everything there is to know about its tokens."""
        max_length = check_limit(max_length)
        first = self.backend.pieces(check_text(text, "the text"))
        second = None if pair is None else self.backend.pieces(check_text(pair, "the pair"))
        v = self.vocabulary
        first, second, _ = truncate(first, second, max_length, "head", v.separators)
        cls, sep = (Piece(token, 0, 0, None) for token in (v.cls_token, v.sep_token))
        pieces, type_ids = frame(first, second, cls, sep, v.separators, v.segments)
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
        check_switch("skip_special_tokens", skip_special_tokens)
        tokens = []
        for i in id_list(ids):
            if i not in self.tokens:
                size = self.vocabulary.size
                raise ValueError(f"{shown(i)} is not an id of this vocabulary of {size}")
            if not (skip_special_tokens and self.tokens[i] in self.vocabulary.special):
                tokens.append(self.tokens[i])
        return self.backend.join(tokens)

    def save_pretrained(self, folder: str | Path) -> None:
        """Put the tokenizer's files, which transformers reads, into a folder, new or not."""
        save_tokenizer(self.vocabulary, folder)

    def write_files(self, folder: Path) -> None:
        """Write the same files into a folder that is just being made."""
        write_tokenizer(self.vocabulary, folder)


class WordPieceTokenizer(Tokenizer):
    """BERT's own tokenizer; files of another kind are refused."""

    kind = WordPieceVocabulary
    vocabulary: WordPieceVocabulary


def frame(
    first: list[Item],
    second: list[Item] | None,
    cls: Item,
    sep: Item,
    separators: int = 1,
    segments: int = 2,
) -> tuple[list[Item], list[int]]:
    """[CLS] first [SEP] second [SEP], and the type of each.

    separators: how many [SEP] stand between the texts. segments: 1 if all types are to be 0.

    >>> from minibert.tokenizer import frame
    >>> frame(["good", "film"], ["yes"], "[CLS]", "[SEP]")
    (['[CLS]', 'good', 'film', '[SEP]', 'yes', '[SEP]'], [0, 0, 0, 0, 1, 1])
    """
    items = [cls, *first, sep]
    if second is None:
        return items, [0] * len(items)
    items += [sep] * (separators - 1)
    type_ids = [0] * len(items) + [segments - 1] * (len(second) + 1)
    return [*items, *second, sep], type_ids

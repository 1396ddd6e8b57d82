"""A corpus: the ids of all texts on the disk, which may be more than fit into memory.

They are written down one sentence after another:

    tokens      the ids of all sentences, uint16, or uint32 for a vocabulary of more than 65,536
    words       bool: whether each token is the first of its word, as the tokenizer cuts words
    sentences   int64: sentence s is tokens[sentences[s] : sentences[s + 1]]
    documents   int64: document d is the sentences from documents[d] to documents[d + 1]

After that the four files are mapped, and only the pages that are looked at come into memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minibert.checkpoint.files import read_json, sha256
from minibert.checkpoint.locks import only_writer
from minibert.checkpoint.places import in_words, make_folder
from minibert.checkpoint.replacing import flush
from minibert.corpus.masking import TokenKinds
from minibert.corpus.text import UNKNOWN, TextFile
from minibert.tokenizer import Tokenizer

_META = "corpus.json"  # written last: a folder that has it is whole
_UNFINISHED = f".{_META}"  # there while a corpus is built, and what a killed process leaves
_ARRAYS = ("tokens", "words", "sentences", "documents")


class Corpus:
    """Sentences and documents as ids, mapped from a folder that `build` wrote.

    tokens, words, sentences, documents: the arrays of the module's text. texts: what it was made
    from. several: how many documents have two sentences or more. fingerprint: SHA-256 of the arrays
    as they were built.
    """

    def __init__(self, folder: str | Path) -> None:
        """Raises `FileNotFoundError` without a corpus there and `ValueError` for a damaged one."""
        self.folder = Path(folder)
        if not (self.folder / _META).is_file():
            raise FileNotFoundError(f"{folder} has no {_META}, so it holds no corpus")
        self.meta: dict[str, Any] = read_json(self.folder / _META)
        try:
            self.texts = [TextFile(**text) for text in self.meta["texts"]]
            self.several: int = self.meta["several"]
            self.fingerprint: str = self.meta["fingerprint"]
            self.tokens = self._map("tokens", np.dtype(self.meta["dtype"]))
            self.words = self._map("words", np.dtype(np.bool_))
            self.sentences = self._map("sentences", np.dtype(np.int64))
            self.documents = self._map("documents", np.dtype(np.int64))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self.folder / _META} is damaged ({error!r}); delete {self.folder}, and it will "
                "be made again"
            ) from error

    @property
    def number_of_documents(self) -> int:
        return len(self.documents) - 1

    @property
    def number_of_sentences(self) -> int:
        return len(self.sentences) - 1

    def places(self, first: int, stop: int) -> range:
        """Where the tokens of the sentences first .. stop - 1 stand."""
        start, end = self.sentences[[first, stop]].tolist()
        return range(start, end)

    def ids(self, first: int, stop: int) -> np.ndarray:
        """The tokens of the sentences first .. stop - 1, as one (n,)."""
        return self.tokens[self.sentences[first] : self.sentences[stop]]

    def fill(self, first: int, room: int, end: int) -> int:
        """Where to stop so that the sentences from `first` have `room` tokens or more: after one
        sentence at least, and at `end` at most."""
        needed = self.sentences[first] + room
        reached = first + int(np.searchsorted(self.sentences[first : end + 1], needed))
        return min(max(reached, first + 1), end)

    def check_made_from(self, texts: Sequence[TextFile], tokenizer: Tokenizer) -> None:
        """Raise `ValueError` if this is the corpus of other texts or of another vocabulary, or if a
        file was damaged since it was built."""
        if self.texts != list(texts):
            now = {text.path: text for text in texts}
            changed = [text.path for text in self.texts if now.get(text.path) != text]
            raise ValueError(
                f"{self.folder} was made from other texts than these: changed or missing "
                f"{', '.join(changed) or 'none, but some are new or in another order'}; restore "
                "them, or begin anew elsewhere"
            )
        if self.meta["vocabulary"] != vocabulary_fingerprint(tokenizer):
            raise ValueError(
                f"{self.folder} was made with another vocabulary; begin anew elsewhere"
            )
        if self.fingerprint != _fingerprint(self.folder):
            raise ValueError(f"{self.folder} is damaged; delete it, and it will be made again")

    @classmethod
    def build(cls, texts: Sequence[TextFile], tokenizer: Tokenizer, folder: str | Path) -> Corpus:
        """Read the texts and write the corpus, over an earlier one in this folder.

        A sentence without a token that could be guessed is left out. Raises `ValueError` if a text
        is not UTF-8, changed while it was read, or if no sentence is found, and `OSError` where the
        corpus cannot be written; then nothing in the folder can be taken for a corpus. Files of the
        same names that are no corpus's are refused with `FileExistsError`, and a folder in which
        another process builds one with `BlockingIOError`.
        """
        folder = make_folder(folder)
        with only_writer(folder, ".corpus.lock"), in_words(folder):
            _make_room(folder)
            _build(texts, tokenizer, folder)
        return cls(folder)

    def _map(self, name: str, dtype: np.dtype[Any]) -> np.ndarray:
        path = self.folder / name
        # Of n sentences or documents there are n + 1 bounds.
        expected = (self.meta[name] + (name in ("sentences", "documents"))) * dtype.itemsize
        if not path.is_file() or path.stat().st_size != expected:
            raise ValueError(f"{path} is missing or damaged; it must have {expected} bytes")
        # As a plain array over the mapped file: numpy's own subclass is slow to index.
        return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _make_room(folder: Path) -> None:
    """Remove an earlier corpus, whole or half; raise `FileExistsError` for anything else."""
    ours = (folder / _UNFINISHED).is_file() or (folder / _META).is_file()
    for name in (_UNFINISHED, _META, *_ARRAYS):
        path = folder / name
        if path.is_dir() or (path.exists() and not ours):
            raise FileExistsError(f"{path} is not a corpus's; rename it, or give another folder")
    if (folder / _META).is_file() and not _is_corpus(folder / _META):
        raise FileExistsError(
            f"{folder / _META} does not tell of a corpus; delete it if it was one, or give another "
            "folder"
        )
    (folder / _UNFINISHED).touch()  # first, so that what follows is known for ours
    # An earlier corpus may still be mapped; then it keeps its own files.
    for name in (_META, *_ARRAYS):
        (folder / name).unlink(missing_ok=True)


def _is_corpus(path: Path) -> bool:
    try:
        return "fingerprint" in read_json(path)
    except ValueError:
        return False


def _build(texts: Sequence[TextFile], tokenizer: Tokenizer, folder: Path) -> None:
    large = tokenizer.vocabulary.size > np.iinfo(np.uint16).max + 1
    dtype = np.dtype(np.uint32 if large else np.uint16)
    counts = _write(_encoded(texts, tokenizer), folder, dtype)
    if not counts["sentences"]:
        names = ", ".join(text.path for text in texts)
        raise ValueError(f"there is not one sentence in {names}; give a file with text")
    for text in texts:  # the first of them, while the others were read
        text.check_unchanged()
    meta = {
        **counts,
        "dtype": dtype.name,
        "vocabulary": vocabulary_fingerprint(tokenizer),
        "texts": [asdict(text) for text in texts],
        "fingerprint": _fingerprint(folder),
    }
    unfinished = folder / _UNFINISHED
    unfinished.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    for path in (*(folder / name for name in _ARRAYS), unfinished):
        flush(path)
    unfinished.replace(folder / _META)


def _fingerprint(folder: Path) -> str:
    digests = [sha256(folder / name) for name in _ARRAYS]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def vocabulary_fingerprint(tokenizer: Tokenizer) -> str:
    """SHA-256 of all that decides which ids a text has."""
    content = {**asdict(tokenizer.vocabulary), "ids": tokenizer.ids}
    for name in ("special", "added", "tokenizer_class", "model_max_length"):
        del content[name]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()


class _Encoded(NamedTuple):
    """A sentence. words: whether each token is the first of its word. begins: as in `Sentence`."""

    ids: list[int]
    words: list[bool]
    begins: bool


def _encoded(texts: Sequence[TextFile], tokenizer: Tokenizer) -> Iterator[_Encoded]:
    """Sentences as ids, those left out that have none to be guessed."""
    special, unknown = TokenKinds.of(tokenizer).special, tokenizer.unk_token
    for text in texts:
        begins = False  # kept for the next sentence, if this one is left out
        for sentence in text.sentences():
            begins = begins or sentence.begins
            # Byte pairs count the space before a sentence; only a document begins without one.
            line = sentence.text if begins else " " + sentence.text
            pieces = tokenizer.backend.pieces(line.replace(UNKNOWN, unknown))
            ids = [tokenizer.ids[piece.token] for piece in pieces]
            if not all(special[i] for i in ids):
                numbers = [None, *(piece.word for piece in pieces)]
                yield _Encoded(ids, [a != b for a, b in pairwise(numbers)], begins)
                begins = False


def _write(sentences: Iterable[_Encoded], folder: Path, dtype: np.dtype[Any]) -> dict[str, int]:
    """Write the files; how many of each there are, and documents of several sentences."""
    tokens = number = documents = several = in_document = 0
    with (
        open(folder / "tokens", "wb") as token_file,
        open(folder / "words", "wb") as word_file,
        open(folder / "sentences", "wb") as sentence_file,
        open(folder / "documents", "wb") as document_file,
    ):
        for sentence in sentences:
            if sentence.begins:
                document_file.write(np.int64(number).tobytes())
                documents += 1
                in_document = 0
            token_file.write(np.array(sentence.ids, dtype=dtype).tobytes())
            word_file.write(bytes(sentence.words))
            sentence_file.write(np.int64(tokens).tobytes())
            tokens += len(sentence.ids)
            number += 1
            in_document += 1
            several += in_document == 2
        sentence_file.write(np.int64(tokens).tobytes())
        document_file.write(np.int64(number).tobytes())
    return {
        "tokens": tokens,
        "words": tokens,
        "sentences": number,
        "documents": documents,
        "several": several,
    }

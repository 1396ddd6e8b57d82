"""A corpus: text files as ids on the disk, which may be larger than memory.

The texts are read line by line, and their ids are written down one sentence after another:

    tokens      the ids of all sentences, uint16, or uint32 for a vocabulary of more than 65,536
    sentences   int64: sentence s is tokens[sentences[s] : sentences[s + 1]]
    documents   int64: document d is the sentences from documents[d] to documents[d + 1]

After that the three files are mapped, and only the pages that are looked at come into memory.

A blank line ends a document, and so does a heading as WikiText has them, ` = Title = `. A sentence
ends with `.`, `!` or `?` and a space. That cuts behind "Mr." as well, which does no harm: what is
called a sentence need not be one in pre-training (Devlin et al. 2019, section 3).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minibert.checkpoint.files import read_json, sha256
from minibert.checkpoint.folders import flush
from minibert.corpus.masking import TokenKinds
from minibert.data import read_table
from minibert.text.vocabulary import Vocabulary
from minibert.tokenizer import WordPieceTokenizer
from minibert.wordpiece import CONTINUATION

# How much is read and tokenized at a time, in characters: the most that a file without line breaks,
# or without blank lines, has in memory. A longer line is cut, and with it perhaps a word.
LINE, WINDOW = 1 << 20, 1 << 22
SMALLEST_VOCABULARY = 100
TABLES = (".tsv", ".csv")
_META = "corpus.json"  # written last: a folder that has it is whole
_ARRAYS = ("tokens", "sentences", "documents")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HEADING = re.compile(r"(= )+.+( =)+")
_REJOINED = re.compile(r" @([-,.])@ ")


# --- text ----------------------------------------------------------------------------------------


class Sentence(NamedTuple):
    """text: one sentence. begins: whether it is the first of its document."""

    text: str
    begins: bool


@dataclass(frozen=True)
class TextFile:
    """A UTF-8 text, or a .tsv or .csv with a text column (see `minibert.data`), each text of which
    is a document of its own; a table is read as a whole. size in bytes and mtime_ns: as they were
    when work on it began."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: str | Path) -> TextFile:
        """Raises `OSError` if there is no such file, and `ValueError` if it is empty."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path}")
        status = Path(path).stat()
        if status.st_size == 0:
            raise ValueError(f"{path} is empty; give a file with text")
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)

    def check_unchanged(self) -> None:
        """Raise `ValueError` if the file is no longer what it was."""
        status = Path(self.path).stat()
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            raise ValueError(
                f"{self.path} changed while it was in use: it had {self.size} bytes, of "
                f"{self.mtime_ns} ns, and now has {status.st_size}, of {status.st_mtime_ns} ns; "
                "begin again once nobody writes to it"
            )

    def sentences(self) -> Iterator[Sentence]:
        """The sentences in order. Raises `ValueError` for a file that is not UTF-8, or changed."""
        begins = True
        for line in self._lines():
            line = clean(line)
            if not line or _HEADING.fullmatch(line):
                begins = True
                continue
            for text in _SENTENCE_END.split(line):
                yield Sentence(text, begins)
                begins = False
        self.check_unchanged()

    def _lines(self) -> Iterator[str]:
        if Path(self.path).suffix.lower() in TABLES:
            for text in read_table(Path(self.path)).texts:
                yield from (" ".join(text.split()), "")
            return
        try:
            with open(self.path, encoding="utf-8-sig") as file:
                while line := file.readline(LINE):
                    yield line
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path} is not UTF-8 text: {error}") from error


def clean(line: str) -> str:
    """A line without the marks of WikiText, whose makers cut `two-part` into `two @-@ part` and put
    `<unk>` in place of rare words. [UNK] is BERT's name for the same, and is never to be guessed.

    >>> clean("a two @-@ part story of <unk> with 1 @,@ 000 pages ")
    'a two-part story of [UNK] with 1,000 pages'
    """
    return _REJOINED.sub(r"\1", line).replace("<unk>", "[UNK]").strip()


def train_vocabulary(texts: Sequence[TextFile], size: int, lower_case: bool = True) -> Vocabulary:
    """A WordPiece vocabulary of at most `size` tokens, learned by the `tokenizers` library.

    The same texts give the same vocabulary. Left alone, the library does not: it numbers the
    letters inside words in the order of a hash table, and breaks ties by these numbers. So they are
    given to it in order, as if they were special tokens, and the letters it may use are chosen
    here: as many as have room in half of the vocabulary, the most frequent ones.
    """
    from tokenizers import BertWordPieceTokenizer, normalizers, pre_tokenizers

    if size < SMALLEST_VOCABULARY:
        raise ValueError(
            f"the vocabulary is to have {size} tokens; give at least {SMALLEST_VOCABULARY}"
        )
    learner = BertWordPieceTokenizer(lowercase=lower_case)
    # While the library learns it locks its own parts, so the lines it asks for need others.
    normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    splitter = pre_tokenizers.BertPreTokenizer()

    def lines() -> Iterator[str]:
        for text in texts:
            for sentence in text.sentences():
                yield normalizer.normalize_str(sentence.text.replace("[UNK]", " "))

    words: Counter[str] = Counter()
    for line in lines():
        words.update(word for word, _ in splitter.pre_tokenize_str(line))
    letters: Counter[str] = Counter()  # by themselves, and after ## those inside of words
    for word, count in words.items():
        letters[word[0]] += count
        for letter in word[1:]:
            letters[CONTINUATION + letter] += count
    kept = sorted(letters, key=lambda letter: (-letters[letter], letter))[: size // 2]
    alphabet = {letter.removeprefix(CONTINUATION) for letter in kept}
    dropped = {
        ord(letter[-1]): " "
        for letter in letters
        if letter.removeprefix(CONTINUATION) not in alphabet
    }
    inside = sorted(letter for letter in letters if letter.startswith(CONTINUATION))
    inside = [letter for letter in inside if letter.removeprefix(CONTINUATION) in alphabet]
    learner.train_from_iterator(
        (line.translate(dropped) for line in lines()),
        vocab_size=size,
        min_frequency=2,
        limit_alphabet=len(alphabet) + 1,
        special_tokens=[*_SPECIAL, *inside],
        show_progress=False,
    )
    ids = learner.get_vocab()
    return Vocabulary(
        ids=dict(sorted(ids.items(), key=lambda item: item[1])),
        special={token: ids[token] for token in _SPECIAL},
        lower_case=lower_case,
    )


# --- the corpus on the disk ----------------------------------------------------------------------


class Corpus:
    """Sentences and documents as ids, mapped from a folder that `build` wrote.

    tokens, sentences, documents: the arrays of the module's text. texts: what it was made from.
    several: how many documents have two sentences or more. fingerprint: SHA-256 of the three arrays
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

    def ids(self, first: int, stop: int) -> np.ndarray:
        """The tokens of the sentences first .. stop - 1, as one (n,)."""
        return self.tokens[self.sentences[first] : self.sentences[stop]]

    def fill(self, first: int, room: int, end: int) -> int:
        """Where to stop so that the sentences from `first` have `room` tokens or more: after one
        sentence at least, and at `end` at most."""
        needed = self.sentences[first] + room
        reached = first + int(np.searchsorted(self.sentences[first : end + 1], needed))
        return min(max(reached, first + 1), end)

    def check_made_from(self, texts: Sequence[TextFile], tokenizer: WordPieceTokenizer) -> None:
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
    def build(
        cls, texts: Sequence[TextFile], tokenizer: WordPieceTokenizer, folder: str | Path
    ) -> Corpus:
        """Read the texts and write the corpus, over an earlier one in this folder.

        A sentence without a token that could be guessed is left out. Raises `ValueError` if a text
        is not UTF-8, changed while it was read, or if no sentence is found; then nothing in the
        folder can be taken for a corpus.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # An earlier corpus may still be mapped; then it keeps its own files.
        for name in (_META, *_ARRAYS):
            (folder / name).unlink(missing_ok=True)
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
        unfinished = folder / f".{_META}"
        unfinished.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
        for path in (*(folder / name for name in _ARRAYS), unfinished):
            flush(path)
        unfinished.replace(folder / _META)
        return cls(folder)

    def _map(self, name: str, dtype: np.dtype[Any]) -> np.ndarray:
        path = self.folder / name
        # Of n sentences or documents there are n + 1 bounds.
        expected = (self.meta[name] + (name != "tokens")) * dtype.itemsize
        if not path.is_file() or path.stat().st_size != expected:
            raise ValueError(f"{path} is missing or damaged; it must have {expected} bytes")
        # As a plain array over the mapped file: numpy's own subclass is slow to index.
        return np.asarray(np.memmap(path, dtype=dtype, mode="r"))


def _fingerprint(folder: Path) -> str:
    digests = [sha256(folder / name) for name in _ARRAYS]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def vocabulary_fingerprint(tokenizer: WordPieceTokenizer) -> str:
    """SHA-256 of the tokens with their ids, and of whether capitals count."""
    content = [sorted(tokenizer.ids.items()), tokenizer.vocabulary.lower_case]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class _Encoded(NamedTuple):
    ids: list[int]
    begins: bool


def _encoded(texts: Sequence[TextFile], tokenizer: WordPieceTokenizer) -> Iterator[_Encoded]:
    """Sentences as ids, tokenized many at a time."""
    special = TokenKinds.of(tokenizer).special
    for text in texts:
        begins = False  # kept for the next sentence, should this one be left out
        for window in _windows(text.sentences()):
            for sentence, ids in zip(
                window, tokenizer.backend.ids([s.text for s in window]), strict=True
            ):
                begins = begins or sentence.begins
                if not all(special[i] for i in ids):
                    yield _Encoded(ids, begins)
                    begins = False


def _windows(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Lists of sentences with some `WINDOW` characters each."""
    window: list[Sentence] = []
    characters = 0
    for sentence in sentences:
        window.append(sentence)
        characters += len(sentence.text)
        if characters >= WINDOW:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _write(sentences: Iterable[_Encoded], folder: Path, dtype: np.dtype[Any]) -> dict[str, int]:
    """Write the three files; how many of each there are, and documents of several sentences."""
    tokens = number = documents = several = in_document = 0
    with (
        open(folder / "tokens", "wb") as token_file,
        open(folder / "sentences", "wb") as sentence_file,
        open(folder / "documents", "wb") as document_file,
    ):
        for sentence in sentences:
            if sentence.begins:
                document_file.write(np.int64(number).tobytes())
                documents += 1
                in_document = 0
            token_file.write(np.array(sentence.ids, dtype=dtype).tobytes())
            sentence_file.write(np.int64(tokens).tobytes())
            tokens += len(sentence.ids)
            number += 1
            in_document += 1
            several += in_document == 2
        sentence_file.write(np.int64(tokens).tobytes())
        document_file.write(np.int64(number).tobytes())
    return {
        "tokens": tokens,
        "sentences": number,
        "documents": documents,
        "several": several,
    }

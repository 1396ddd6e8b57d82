"""Two ways to cut a text into pieces: ours, to be read, and the Rust library, to be fast.

They must agree to the last offset; `tests/test_tokenizer.py` holds them to it, and both to
transformers.
"""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from minibert._checks import shown
from minibert.checkpoint.arguments import check_choice
from minibert.text.matched import all_ids, check_added
from minibert.text.python_backends import PythonBytePairs, PythonWordPiece
from minibert.text.rust import build_rust
from minibert.text.vocabulary import BytePairVocabulary, Vocabulary, WordPieceVocabulary
from minibert.wordpiece import Piece

BackendName = Literal["rust", "python"]


class Backend(Protocol):
    """A way to cut text into pieces and to glue them together again."""

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of one text with their places in it."""

    def ids(self, texts: list[str]) -> list[list[int]]:
        """The ids of the pieces of many texts; no places, so it may be faster."""

    def join(self, tokens: list[str]) -> str:
        """Tokens -> readable text."""


def make_backend(name: BackendName, vocabulary: Vocabulary) -> Backend:
    """The backend of this name. Raises `ValueError` for any other."""
    check_choice("backend", name, get_args(BackendName))
    check_added(vocabulary)
    if name == "rust":
        return RustBackend(vocabulary)
    if isinstance(vocabulary, WordPieceVocabulary):
        return PythonWordPiece(vocabulary)
    if isinstance(vocabulary, BytePairVocabulary):
        return PythonBytePairs(vocabulary)
    raise ValueError("backend is 'python', and Unigram is cut by 'rust' only; leave backend out")


def check_vocabulary_kind(vocabulary: object, wanted: type[Vocabulary]) -> None:
    """Raise `ValueError` for what is no vocabulary of this kind."""
    if not isinstance(vocabulary, wanted):
        raise ValueError(
            f"vocabulary is {shown(vocabulary)}, and this tokenizer takes a {wanted.__name__}; to "
            "read a folder or a model by its name, use Tokenizer.from_pretrained or, for BERT's "
            "own, WordPieceTokenizer.from_pretrained"
        )


class RustBackend:
    """The `tokenizers` library with the same vocabulary and settings."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokenizer = build_rust(vocabulary)
        self.tokens = {i: token for token, i in all_ids(vocabulary).items()}

    def pieces(self, text: str) -> list[Piece]:
        e = self.tokenizer.encode(text, add_special_tokens=False)
        return [
            Piece(self.tokens[i], start, end, word)
            for i, (start, end), word in zip(e.ids, e.offsets, e.word_ids, strict=True)
        ]

    def ids(self, texts: list[str]) -> list[list[int]]:
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def join(self, tokens: list[str]) -> str:
        decoder = self.tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(tokens)

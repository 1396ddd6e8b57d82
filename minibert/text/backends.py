"""Two ways to cut a text into pieces: ours, to be read, and the Rust library, to be fast.

They must agree to the last offset; `tests/test_tokenizer.py` holds them to it, and both to
transformers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, Protocol, get_args

from minibert._checks import shown
from minibert.checkpoint.arguments import check_choice
from minibert.text.vocabulary import Vocabulary
from minibert.wordpiece import CONTINUATION, MAX_CHARACTERS, Character, Piece, WordPiece

BackendName = Literal["rust", "python"]

# Tokens that joining puts no space before; the Rust decoder's list.
_GLUED = (".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re")


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
    if not isinstance(vocabulary, Vocabulary):
        raise ValueError(
            f"vocabulary is {shown(vocabulary)}; to read a folder or a model by its name, use "
            "WordPieceTokenizer.from_pretrained"
        )
    check_choice("backend", name, get_args(BackendName))
    check_added(vocabulary)
    return RustBackend(vocabulary) if name == "rust" else PythonBackend(vocabulary)


class PythonBackend:
    """Ours: take out the tokens that are matched whole, and cut what lies between by `WordPiece`.

    Special tokens are matched in the text itself, added words in the normalised text.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.wordpiece = build_wordpiece(vocabulary)
        self.all_ids = all_ids(vocabulary)
        self.special = _any_of(vocabulary.special)
        self.added = _any_of(added_ids(vocabulary)) if vocabulary.added else None

    def pieces(self, text: str) -> list[Piece]:
        result: list[Piece] = []
        start = words = 0
        # With a group in the pattern, split alternates: text, token, text, token, text.
        for turn, part in enumerate(self.special.split(text)):
            if turn % 2:
                found = [Piece(part, 0, len(part), words)]
            elif self.added is not None:
                found = self._pieces_and_added_words(part, words, self.added)
            else:
                found = self.wordpiece.pieces(part, first_word=words)
            result += [p._replace(start=start + p.start, end=start + p.end) for p in found]
            words += len({piece.word for piece in found})
            start += len(part)
        return result

    def _pieces_and_added_words(
        self, text: str, first_word: int, added: re.Pattern[str]
    ) -> list[Piece]:
        """The pieces of a text without special tokens."""
        characters = self.wordpiece.normalize(text)
        result: list[Piece] = []
        start, word = 0, first_word
        for turn, part in enumerate(added.split(_letters(characters))):
            run = characters[start : start + len(part)]
            if turn % 2:
                found = [Piece(part, run[0].source, run[-1].source + 1, word)]
            else:
                found = self.wordpiece.pieces_of(run, first_word=word)
            result += found
            word += len({piece.word for piece in found})
            start += len(part)
        return result

    def ids(self, texts: list[str]) -> list[list[int]]:
        return [[self.all_ids[piece.token] for piece in self.pieces(text)] for text in texts]

    def join(self, tokens: list[str]) -> str:
        text = ""
        for i, token in enumerate(tokens):
            if i and token.startswith(CONTINUATION):
                text += token.removeprefix(CONTINUATION)
            elif i:
                word = " " + token
                for ending in _GLUED:
                    word = word.replace(" " + ending, ending)
                text += word
            else:
                text += token
        return text


def build_wordpiece(vocabulary: Vocabulary) -> WordPiece:
    """Our algorithm with this vocabulary's settings."""
    return WordPiece(
        vocabulary.ids,
        unknown=vocabulary.unk_token,
        lower_case=vocabulary.lower_case,
        strip_accents=vocabulary.strip_accents,
        split_cjk=vocabulary.split_cjk,
    )


def added_ids(vocabulary: Vocabulary) -> dict[str, int]:
    """The added words with their ids, normalised, as they are found in a normalised text."""
    normalize = build_wordpiece(vocabulary).normalize
    return {_letters(normalize(word)): i for word, i in vocabulary.added.items()}


def check_added(vocabulary: Vocabulary) -> None:
    """Raise `ValueError` for added tokens that no text has, or no text but that of another."""
    normalize = build_wordpiece(vocabulary).normalize
    words: dict[str, str] = dict.fromkeys(vocabulary.special, "")  # as it is found -> as added
    for word in vocabulary.added:
        found = _letters(normalize(word))
        if found in words and word not in words:
            raise ValueError(
                f"the added tokens {shown(words[found] or found)} and {shown(word)} are the same "
                "once normalised, so one of them would never be found; keep the right one"
            )
        words[found] = word
    if "" in words:
        raise ValueError(
            f"the added token {shown(words[''])} is empty once normalised, so no text has it; take "
            "it out"
        )


def all_ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Every token of the vocabulary, special and added ones included, with its id.

    An added word may be a token of the vocabulary once it is normalised; then it is found first.
    """
    return {**vocabulary.ids, **added_ids(vocabulary), **vocabulary.special}


def _letters(characters: list[Character]) -> str:
    return "".join(character.value for character in characters)


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds the first of these tokens in a text, the longest where several match."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")


class RustBackend:
    """The `tokenizers` library with the same vocabulary and settings."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokenizer = build_rust(vocabulary)

    def pieces(self, text: str) -> list[Piece]:
        e = self.tokenizer.encode(text, add_special_tokens=False)
        return [
            Piece(token, start, end, word)
            for token, (start, end), word in zip(e.tokens, e.offsets, e.word_ids, strict=True)
        ]

    def ids(self, texts: list[str]) -> list[list[int]]:
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def join(self, tokens: list[str]) -> str:
        return self.tokenizer.decoder.decode(tokens)


def build_rust(vocabulary: Vocabulary) -> Any:
    """The `tokenizers.Tokenizer` that transformers' BertTokenizer is.

    The frame of [CLS] and [SEP] is set for whoever opens the saved file; minibert does not use it.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
    from tokenizers import pre_tokenizers as splitters
    from tokenizers.processors import TemplateProcessing

    v = vocabulary
    model = models.WordPiece(
        dict(v.ids), unk_token=v.unk_token, max_input_chars_per_word=MAX_CHARACTERS
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=v.split_cjk,
        strip_accents=v.strip_accents,
        lowercase=v.lower_case,
    )
    tokenizer.pre_tokenizer = splitters.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    ids = {**v.special, **v.added}
    for token in sorted(ids, key=lambda token: ids[token]):
        if token in v.special:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])
        else:
            tokenizer.add_tokens([AddedToken(token, normalized=True, special=False)])
        if tokenizer.token_to_id(token) != ids[token]:
            raise ValueError(
                f"the added token {shown(token)} has id {ids[token]}, which leaves a gap "
                f"after the vocabulary; the next free id is {tokenizer.token_to_id(token)}"
            )
    tokenizer.post_processor = TemplateProcessing(
        single=f"{v.cls_token}:0 $A:0 {v.sep_token}:0",
        pair=f"{v.cls_token}:0 $A:0 {v.sep_token}:0 $B:1 {v.sep_token}:1",
        special_tokens=[(t, v.special[t]) for t in (v.cls_token, v.sep_token)],
    )
    return tokenizer

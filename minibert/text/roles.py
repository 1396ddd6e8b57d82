"""What can be asked of a tokenizer about its vocabulary, by the names of transformers."""

from __future__ import annotations

from collections.abc import Sized
from operator import attrgetter

from minibert.text.backends import Backend
from minibert.text.vocabulary import ROLES, Vocabulary


def _token(role: str) -> property:
    return property(attrgetter(f"vocabulary.{role}"))


def _id(role: str) -> property:
    token = attrgetter(f"vocabulary.{role}")
    return property(lambda tokenizer: tokenizer.ids[token(tokenizer)])


class Roles(Sized):
    """The base of `Tokenizer`: the tokens that have a role in BERT, with their ids, and sizes.

    >>> from minibert import Tokenizer
    >>> tokenizer = Tokenizer.from_pretrained("minilm-l6")
    >>> tokenizer.mask_token, tokenizer.mask_token_id
    ('[MASK]', 103)
    >>> tokenizer
    Tokenizer(WordPieceVocabulary of 30522 tokens, RustBackend)
    """

    vocabulary: Vocabulary
    ids: dict[str, int]
    backend: Backend

    cls_token, sep_token, pad_token, unk_token, mask_token = map(_token, ROLES)
    cls_token_id, sep_token_id, pad_token_id, unk_token_id, mask_token_id = map(_id, ROLES)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, without those that were added later."""
        return len(self.vocabulary.ids)

    def __len__(self) -> int:
        """How many tokens there are, added ones included."""
        return len(self.ids)

    def __repr__(self) -> str:
        kind, backend = type(self.vocabulary).__name__, type(self.backend).__name__
        return f"{type(self).__name__}({kind} of {len(self)} tokens, {backend})"

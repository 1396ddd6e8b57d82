"""Reading a tokenizer's files, of whatever kind it is.

What all kinds have in common is read here: the special tokens and their roles, the longest row.
The rest is in wordpiece_files.py, byte_pair_files.py and unigram_files.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from minibert.checkpoint.schema import Rule, get, in_file, optional
from minibert.text.added import (
    TOKEN,
    check_none_overlooked,
    content,
    read_decoder,
    sort_added,
)
from minibert.text.byte_pair_files import read_byte_pairs
from minibert.text.kind import TOKENIZER_CONFIG, Kind, check_never_split, find_files
from minibert.text.source import Reader
from minibert.text.unigram_files import read_unigram
from minibert.text.vocabulary import (
    AS_IT_IS,
    ROLES,
    BytePairVocabulary,
    UnigramVocabulary,
    Vocabulary,
    WordPieceVocabulary,
)
from minibert.text.wordpiece_files import read_wordpiece

_KINDS: dict[Kind, tuple[type[Vocabulary], Reader]] = {
    "WordPiece": (WordPieceVocabulary, read_wordpiece),
    "BPE": (BytePairVocabulary, read_byte_pairs),
    "Unigram": (UnigramVocabulary, read_unigram),
}
# The tokens that a class of transformers gives a role where the files are silent, if they are not
# those of its kind.
_ROLES = {
    "AlbertTokenizer": dict(zip(ROLES, ("[CLS]", "[SEP]", "<pad>", "<unk>", "[MASK]"), strict=True))
}
_NO_LIMIT = 1_000_000  # a longest row above it means that there is none; transformers writes 1e30
_LENGTH = optional(
    Rule(
        lambda value: type(value) in (int, float) and value >= 1 and value == int(value),
        "a whole number of at least 1",
    )
)
V = TypeVar("V", bound=Vocabulary)


def read_vocabulary(folder: Path, wanted: type[V]) -> V:
    """Read the tokenizer of a model folder; wanted: `Vocabulary`, or the kind it must be of.

    Raises `FileNotFoundError` without a vocabulary and `ValueError` for one of another kind.
    """
    files = find_files(folder)
    kind, read = _KINDS[files.kind]
    if not issubclass(kind, wanted):
        raise ValueError(
            f"{files.path}: it is not a BERT tokenizer: its model is {files.kind!r} and BERT's is "
            "'WordPiece'; open it with Tokenizer.from_pretrained, which takes either"
        )
    with in_file(folder / TOKENIZER_CONFIG):
        stated = {role: get(files.config, role, optional(TOKEN)) for role in ROLES}
        longest = get(files.config, "model_max_length", _LENGTH)
        decoder = read_decoder(files.config)
    defaults = _ROLES.get(files.tokenizer_class or "", {})
    roles = {
        role: content(token or defaults.get(role) or getattr(kind, role))
        for role, token in stated.items()
    }
    source = read(files, decoder, roles)
    with in_file(files.path):
        special, added = sort_added(source.added)
        special = {**dict(source.role(roles, role) for role in ROLES), **special}
        fields: dict[str, Any] = {**roles, **source.fields}
        if files.tokenizer_class is not None:
            fields["tokenizer_class"] = files.tokenizer_class
        elif kind is not WordPieceVocabulary:  # all of whose settings a BertTokenizer has
            fields["tokenizer_class"] = AS_IT_IS
        fields["segments"] = min(files.segments, fields.get("segments", kind.segments))
        vocabulary = kind(
            source.ids,
            special,
            added=added,
            model_max_length=int(longest) if longest and longest <= _NO_LIMIT else None,
            **fields,
        )
    with in_file(folder / TOKENIZER_CONFIG):
        check_never_split(files.config, special)
    check_none_overlooked(folder, files.config, {**special, **added}, roles)
    return vocabulary

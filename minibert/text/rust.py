"""The `tokenizers` library, set up as transformers sets it up for the same files."""

from __future__ import annotations

from typing import Any

from minibert._checks import shown
from minibert.text.vocabulary import BytePairVocabulary, Vocabulary, WordPieceVocabulary
from minibert.wordpiece import CONTINUATION, MAX_CHARACTERS


def build_rust(vocabulary: Vocabulary) -> Any:
    """The `tokenizers.Tokenizer` of this vocabulary.

    The frame of special tokens is set for whoever opens the saved file; minibert does not use it.
    """
    if isinstance(vocabulary, WordPieceVocabulary):
        tokenizer = _wordpiece(vocabulary)
    elif isinstance(vocabulary, BytePairVocabulary):
        tokenizer = _byte_pairs(vocabulary)
    _add_tokens(tokenizer, vocabulary)
    tokenizer.post_processor = _frame(vocabulary)
    return tokenizer


def _wordpiece(v: WordPieceVocabulary) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

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
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUATION)
    return tokenizer


def _byte_pairs(v: BytePairVocabulary) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    # No unk_token, which only bytes that the vocabulary lacks could become.
    tokenizer = Tokenizer(models.BPE(dict(v.ids), list(v.merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=v.add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _add_tokens(tokenizer: Any, v: Vocabulary) -> None:
    """Raises `ValueError` for ids that the library cannot give them."""
    from tokenizers import AddedToken

    ids = {**v.special, **v.added}
    left_space = v.left_space if isinstance(v, BytePairVocabulary) else ()
    for token in sorted(ids, key=lambda token: ids[token]):
        special, lstrip = token in v.special, token in left_space
        added = AddedToken(token, special=special, normalized=not special, lstrip=lstrip)
        tokenizer.add_special_tokens([added]) if special else tokenizer.add_tokens([added])
        if tokenizer.token_to_id(token) != ids[token]:
            raise ValueError(
                f"the added token {shown(token)} has id {ids[token]}, which leaves a gap "
                f"after the vocabulary; the next free id is {tokenizer.token_to_id(token)}"
            )


def _frame(v: Vocabulary) -> Any:
    """The frame of special tokens; with byte pairs, it is also who leaves out spaces."""
    from tokenizers.processors import (
        ByteLevel,
        RobertaProcessing,
        Sequence,
        TemplateProcessing,
    )

    tokens = [(token, v.special[token]) for token in (v.cls_token, v.sep_token)]
    if isinstance(v, BytePairVocabulary) and (v.separators, v.segments) == (2, 1):
        return RobertaProcessing(tokens[1], tokens[0], v.trim_offsets, v.add_prefix_space)
    cls, sep, last = f"{v.cls_token}:0", f"{v.sep_token}:0", v.segments - 1
    single = [cls, "$A:0", sep]
    pair = [*single, *[sep] * (v.separators - 1), f"$B:{last}", f"{v.sep_token}:{last}"]
    template = TemplateProcessing(single=single, pair=pair, special_tokens=tokens)
    if not isinstance(v, BytePairVocabulary):
        return template
    spaces = ByteLevel(add_prefix_space=v.add_prefix_space, trim_offsets=v.trim_offsets)
    return Sequence([spaces, template])

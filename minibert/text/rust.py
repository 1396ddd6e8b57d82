"""The `tokenizers` library, set up as transformers sets it up for the same files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from minibert._checks import shown
from minibert.text.vocabulary import (
    AS_IT_IS,
    BytePairVocabulary,
    UnigramVocabulary,
    Vocabulary,
    WordPieceVocabulary,
)
from minibert.wordpiece import CONTINUATION, MAX_CHARACTERS


def build_rust(vocabulary: Vocabulary) -> Any:
    """The `tokenizers.Tokenizer` of this vocabulary.

    The frame of special tokens is set for whoever opens the saved file; minibert does not use it.
    Raises `ValueError` for ids of added tokens that the library cannot give them.
    """
    if isinstance(vocabulary, WordPieceVocabulary):
        tokenizer = _wordpiece(vocabulary)
    elif isinstance(vocabulary, BytePairVocabulary):
        tokenizer = _byte_pairs(vocabulary)
    else:
        assert isinstance(vocabulary, UnigramVocabulary)
        tokenizer = _unigram(vocabulary)
    ids = {**vocabulary.special, **vocabulary.added}
    for token in sorted(_added(vocabulary), key=lambda token: ids[token.content]):
        tokenizer.add_special_tokens([token]) if token.special else tokenizer.add_tokens([token])
        content, i = token.content, tokenizer.token_to_id(token.content)
        if i != ids[content]:
            raise ValueError(
                f"the added token {shown(content)} has id {ids[content]}, which leaves a gap "
                f"after the vocabulary; the next free id is {i}"
            )
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


def _unigram(v: UnigramVocabulary) -> Any:
    """Python reads the numbers of a file exactly and the library does not always, and the last bit
    may decide between two cuts that are equally likely. So the reader is the one that transformers
    uses for the same files."""
    from tokenizers import Tokenizer, models

    model = v.pipeline["model"]
    if v.tokenizer_class == AS_IT_IS:
        return Tokenizer.from_str(json.dumps(v.pipeline))
    small = {"type": "Unigram", "vocab": [["", 0.0]], "unk_id": 0}
    tokenizer = Tokenizer.from_str(json.dumps({**v.pipeline, "model": small}))
    tokenizer.model = models.Unigram(list(map(tuple, model["vocab"])), model["unk_id"])
    return tokenizer


def _added(v: Vocabulary) -> Iterator[Any]:
    """The tokens that are matched whole, with the rules for each."""
    from tokenizers import AddedToken

    if isinstance(v, UnigramVocabulary):
        yield from (AddedToken(**rules) for rules in v.rules_of_added)
        return
    left_space = v.left_space if isinstance(v, BytePairVocabulary) else ()
    for token in {**v.special, **v.added}:
        special = token in v.special
        yield AddedToken(token, special=special, normalized=not special, lstrip=token in left_space)


def _frame(v: Vocabulary) -> Any:
    """The frame of special tokens; with byte pairs, it is also who leaves out spaces."""
    from tokenizers.processors import ByteLevel, RobertaProcessing, Sequence, TemplateProcessing

    tokens = [(token, v.special[token]) for token in (v.cls_token, v.sep_token)]
    if isinstance(v, BytePairVocabulary) and (v.separators, v.segments) == (2, 1):
        return RobertaProcessing(tokens[1], tokens[0], v.trim_offsets, bool(v.counts_as_put))
    cls, sep, last = f"{v.cls_token}:0", f"{v.sep_token}:0", v.segments - 1
    single = [cls, "$A:0", sep]
    pair = [*single, *[sep] * (v.separators - 1), f"$B:{last}", f"{v.sep_token}:{last}"]
    template = TemplateProcessing(single=single, pair=pair, special_tokens=tokens)
    if not isinstance(v, BytePairVocabulary):
        return template
    spaces = ByteLevel(add_prefix_space=bool(v.counts_as_put), trim_offsets=v.trim_offsets)
    return Sequence([spaces, template])

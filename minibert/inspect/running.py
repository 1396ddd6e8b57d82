"""One text at a time through a model, with all that it computed on the way.

Alone, a text has no padding: what comes out has a column for each of its tokens and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from minibert._checks import check_has_weights, shown
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.engine.host import placed
from minibert.engine.optimize import check_original
from minibert.engine.rows import computing
from minibert.engine.streams import check_vocabulary, warn_of_cut
from minibert.inspect.tokens import check_tokenizer
from minibert.model import BertModel, BertOutput
from minibert.text.inputs import Text, listed, text_parts
from minibert.tokenizer import Encoding, Row, Tokenizer

Encoded = list[tuple[Text, Encoding]]


def encode_each(
    function: str,
    model: Pretrained,
    tokenizer: Tokenizer,
    texts: Iterable[Text],
    max_length: int | None = None,
) -> Encoded:
    """The texts, each with its tokens, cut to max_length or to what the model takes; a warning says
    how many were cut.

    Raises `ValueError` for an optimized model, a tokenizer of another one, no texts, and a text
    without tokens. function: whose arguments these are.
    """
    check_original(model, function)
    check_has_weights(model.device)
    check_tokenizer(tokenizer)
    config = model.config
    check_vocabulary(tokenizer, config)
    longest = config.max_length
    if max_length is not None:
        longest = whole_number("max_length", max_length, 1, longest)
    found: Encoded = []
    cut = 0
    for position, text in enumerate(listed(texts)):
        first, *second = text_parts(text, position)
        pair = second[0] if second else None
        row = tokenizer.encode(first, pair)
        if all(word is None for word in row.word_ids):
            raise ValueError(
                f"text {position} is {shown(text)}, which has no tokens; leave it out, or give one "
                "with words"
            )
        if len(row.ids) > longest:
            cut += 1
            row = tokenizer.encode(first, pair, longest)
        found.append((text, row))
    if not found:
        raise ValueError("there are no texts; give at least one")
    warn_of_cut(cut, len(found), "texts", longest)
    return found


@torch.inference_mode()
def run(model: Pretrained, tokenizer: Tokenizer, row: Encoding, **asked: Any) -> BertOutput:
    """What the encoder computes of one row, B = 1, in evaluation mode; asked: `output_attentions`
    or `output_hidden_states`."""
    bert = encoder(model)
    batch = tokenizer.pad([Row(row.ids, row.type_ids, 0)])
    with computing(model):
        return bert(**placed(model, batch), **asked)


def encoder(model: Pretrained) -> BertModel:
    """The encoder of a model, under whatever head."""
    return next(part for part in model.modules() if isinstance(part, BertModel))

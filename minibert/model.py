"""BertModel: embeddings, encoder, pooler. The Transformer without a task.

Where its weights come from: pre-training on plain text (Devlin et al. 2019, section 3.1). 15 % of
the tokens are chosen; 80 % of these are replaced by [MASK], 10 % by a random token, 10 % stay; the
model predicts the originals ("masked language model"). At the same time the pooled [CLS] predicts
whether the second text of a pair really followed the first ("next sentence prediction").

Paper: Devlin et al. 2019, section 3. Reference: google-research/bert modeling.py, `BertModel`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minibert.config import BertConfig
from minibert.embeddings import Embeddings
from minibert.encoder import Encoder
from minibert.linear import Linear
from minibert.packing import Packing
from minibert.pretrained import Pretrained


class Pooler(nn.Module):
    """tanh(W x + b) of the first token, [CLS]: one vector for the whole row.

    It is not in the paper, where a head reads the last hidden vector of [CLS] itself; Google's code
    puts this layer between. Its weights come from next sentence prediction. Before fine-tuning it
    makes a poor sentence vector; the mean over all tokens makes a better one.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, first: Tensor) -> Tensor:
        """The vectors at [CLS], (B, C) -> (B, C)."""
        return torch.tanh(self.dense(first))


class BertOutput(NamedTuple):
    """What `BertModel` returns; the names are those of transformers.

    last_hidden_state: (B, T, C), zeros at padding.
    pooler_output: (B, C), or None for a model without a pooler. A row whose first token is masked
        pools a vector of zeros.
    hidden_states: the embeddings and each layer's output, (B, T, C) each, if asked for.
    attentions: each layer's attention weights, (B, H, T, T), if asked for.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertModel(Pretrained):
    """BERT's encoder with its embeddings and, unless `pooler=False`, its pooler.

    `Pretrained` is nn.Module with a config, the random start, loading and saving.

    >>> model = BertModel.from_pretrained("minilm-l6")
    >>> tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    >>> model(**tokenizer(["A text.", "Another one."])).last_hidden_state.shape
    torch.Size([2, 5, 384])
    """

    def __init__(self, config: BertConfig, pooler: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if pooler else None
        self.init_weights(self)

    @classmethod
    def _build(cls, config: BertConfig, tensors: Mapping[str, Tensor]) -> BertModel:
        return cls(config, pooler=any("pooler.dense.weight" in name for name in tensors))

    def embed(
        self, input_ids: Tensor, token_type_ids: Tensor | None, attention_mask: Tensor | None
    ) -> tuple[Tensor, Packing]:
        """The first step of every head: check the (B, T) batch, pack it, embed it -> (N, C)."""
        mask = check_batch(self.config, input_ids, token_type_ids, attention_mask)
        packing = Packing(mask)
        tokens = packing.pack(input_ids)  # (N,)
        if token_type_ids is None:
            segments = torch.zeros_like(tokens)
        else:
            segments = packing.pack(token_type_ids)  # (N,)
        return self.embeddings(tokens, packing.column, segments), packing

    def forward(
        self,
        input_ids: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> BertOutput:
        """Encode a padded batch.

        input_ids: (B, T) LongTensor. token_type_ids: (B, T), 0 in the first text of a pair and 1 in
        the second; missing means all 0. attention_mask: (B, T), 1 or True at real tokens, holes
        allowed; missing means every position is real.

        Raises `ValueError` for a batch the model cannot take, before anything is computed.
        """
        x, packing = self.embed(input_ids, token_type_ids, attention_mask)  # (N, C)
        encoded = self.encoder(
            x,
            packing,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        first = packing.place_first(encoded.last[packing.first])  # (B, C)
        return BertOutput(
            last_hidden_state=packing.unpack(encoded.last),
            pooler_output=None if self.pooler is None else self.pooler(first),
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
        )


def unpack_all(packing: Packing, states: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
    """Hidden states (N, C) each -> (B, T, C) each; None stays None."""
    return None if states is None else tuple(packing.unpack(state) for state in states)


def check_batch(
    config: BertConfig,
    input_ids: Tensor,
    token_type_ids: Tensor | None,
    attention_mask: Tensor | None,
) -> Tensor:
    """The attention mask of a batch as (B, T) bool, or a `ValueError` saying what is wrong with it.

    An id outside its table would read foreign memory on some devices and stop others for good, so
    the ids are looked at even where that costs a synchronisation.
    """
    shape = tuple(input_ids.shape)
    if len(shape) != 2 or not input_ids.numel():
        raise ValueError(f"input_ids has shape {shape}; it must be (B, T) and not empty")
    if shape[1] > config.max_position_embeddings:
        raise ValueError(
            f"the batch is {shape[1]} tokens long and this model has positions for "
            f"{config.max_position_embeddings}; tokenize with "
            f"max_length={config.max_position_embeddings} or less"
        )
    tables = [("input_ids", input_ids, config.vocab_size)]
    if token_type_ids is not None:
        tables.append(("token_type_ids", token_type_ids, config.type_vocab_size))
    for name, ids, size in tables:
        if tuple(ids.shape) != shape or ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"{name} has shape {tuple(ids.shape)} and dtype {ids.dtype}; "
                f"it must be {shape} and int64 or int32"
            )
        low, high = (int(bound) for bound in ids.aminmax())
        if low < 0 or high >= size:
            wrong = low if low < 0 else high
            raise ValueError(
                f"{name} contains {wrong}; this model has {size}, so ids run from 0 to {size - 1}. "
                "Does the tokenizer belong to the model?"
            )
    if attention_mask is None:
        if config.pad_token_id is not None and bool((input_ids == config.pad_token_id).any()):
            warnings.warn(
                f"input_ids contains the padding id {config.pad_token_id} but no attention_mask "
                "was given, so padding is read as text; pass attention_mask",
                stacklevel=6,  # past embed, forward and two frames of nn.Module
            )
        return torch.ones_like(input_ids, dtype=torch.bool)
    mask = attention_mask.bool()
    if tuple(mask.shape) != shape or bool((mask != attention_mask).any()):
        raise ValueError(
            f"attention_mask has shape {tuple(mask.shape)} and dtype {attention_mask.dtype}; it "
            f"must be {shape} and hold 1 (or True) at real tokens and 0 (or False) at padding"
        )
    return mask

"""BertModel: embeddings, encoder, pooler. The Transformer without a task.

Its weights come from pre-training on plain text (pretraining.py); a task adds a head (heads.py).

Paper: Devlin et al. 2019, section 3. Reference: google-research/bert modeling.py, `BertModel`.
Lesson: examples/lessons/07_a_classifier.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minibert._checks import check_batch
from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.embeddings import Embeddings, positions_past_padding
from minibert.encoder import ACTIVATIONS, Encoder
from minibert.linear import Linear
from minibert.packing import Packing, Record


class Pooler(nn.Module):
    """tanh(W x + b) of the first token, [CLS]: one vector for the whole row.

    It is not in the paper, where a head reads the last hidden vector of [CLS] itself; Google's code
    puts this layer between. Its weights come from next sentence prediction. Before fine-tuning it
    makes a poor sentence vector; the mean over all tokens makes a better one.

    DistilBERT, RoBERTa and ELECTRA have no pooler. Their `BertForClassification` has such a layer
    in its place, new with each task, some with another activation or with dropout before it.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.pooler_dropout)
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.activation = {"tanh": torch.tanh, **ACTIVATIONS}[config.pooler_activation]

    def forward(self, first: Tensor) -> Tensor:
        """The vectors at [CLS], (B, C) -> (B, C)."""
        return self.activation(self.dense(self.dropout(first)))


class BertOutput(NamedTuple):
    """What `BertModel` returns; the names are those of transformers.

    last_hidden_state: (B, T, C), zeros at padding.
    pooler_output: (B, C), or None for a model without a pooler. A row whose first token is hidden
        by the attention mask is pooled as if its vector were zero: tanh(b).
    hidden_states: the embeddings and each layer's output, (B, T, C) each, if asked for.
    attentions: each layer's attention weights before dropout, (B, H, T, T), if asked for.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertPretrained(Pretrained[BertConfig]):
    """nn.Module with a `BertConfig`, the random start, loading and saving."""

    config_class = BertConfig


class BertModel(BertPretrained):
    """BERT's encoder with its embeddings and, unless `pooler=False`, its pooler.

    pooler=None: as the family has it; DistilBERT, RoBERTa and ELECTRA have none.

    >>> from minibert import WordPieceTokenizer
    >>> model = BertModel.from_pretrained("minilm-l6")
    >>> tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    >>> model(**tokenizer(["A text.", "Another one."])).last_hidden_state.shape
    torch.Size([2, 5, 384])
    """

    hf_architecture = "BertModel"

    def __init__(self, config: BertConfig, pooler: bool | None = None) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        has_pooler = config.variant.has_pooler if pooler is None else pooler
        self.pooler = Pooler(config) if has_pooler else None
        self.init_weights(self)

    @classmethod
    def _build(cls, config: BertConfig, tensors: Mapping[str, Tensor]) -> BertModel:
        found = any("pooler." in name for name in tensors)
        return cls(config, pooler=found and config.variant.has_pooler)

    def make_packing(
        self, input_ids: Tensor, token_type_ids: Tensor | None, attention_mask: Tensor | None
    ) -> Packing:
        """The first step of every head: check the (B, T) batch and find its real tokens."""
        mask = check_batch(self.config, input_ids, token_type_ids, attention_mask)  # (B, T)
        return Packing(mask, mixed=self.training)

    def encode(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """The second step: pack the batch, embed it, encode it, -> (N, C) or (R, C).

        wanted, record: as for `Encoder.forward`.
        """
        tokens = packing.pack(input_ids)  # (N,)
        if token_type_ids is None:
            segments = torch.zeros_like(tokens)
        else:
            segments = packing.pack(token_type_ids)  # (N,)
        positions = packing.column  # (N,)
        if self.config.positions_skip_padding and self.config.pad_token_id is not None:
            counted = positions_past_padding(input_ids, self.config.pad_token_id)  # (B, T)
            positions = packing.pack(counted)
        x = self.embeddings(tokens, positions, segments)  # (N, C)
        return self.encoder(x, packing, wanted, record)

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
        packing = self.make_packing(input_ids, token_type_ids, attention_mask)
        record = Record(packing, output_hidden_states, output_attentions)
        x = self.encode(input_ids, token_type_ids, packing, record=record)  # (N, C)
        return BertOutput(
            last_hidden_state=packing.unpack(x),
            pooler_output=None if self.pooler is None else self.pool(x[packing.first], packing),
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )

    def pool(self, first: Tensor, packing: Packing) -> Tensor:
        """The final vectors of each row's [CLS], (P, C), -> the pooled vectors, (B, C)."""
        if self.pooler is None:
            raise ValueError("this model was built or loaded without a pooler")
        return self.pooler(packing.place_first(first))


def at_least_fp32(x: Tensor) -> Tensor:
    """Half precision to fp32, for losses; fp32 and fp64 stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))

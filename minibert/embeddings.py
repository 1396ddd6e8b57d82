"""Embeddings: a token becomes a vector that knows what it is, where it stands, and in which text.

Paper: Devlin et al. 2019, section 3 and figure 2. Reference: google-research/bert modeling.py,
`embedding_lookup` and `embedding_postprocessor`.
"""

import torch
from torch import Tensor, nn

from minibert.config import BertConfig


def table(rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """An nn.Embedding without values yet: they come from a checkpoint or `init_weights`.

    The plain constructor draws random numbers at once. A model about to be loaded is built on the
    meta device, and drawing normal numbers there costs two seconds of imports.
    """
    empty = torch.empty(rows, width)
    return nn.Embedding.from_pretrained(empty, freeze=False, padding_idx=padding_idx)


class Embeddings(nn.Module):
    """Sum of three learned tables (token, position, segment), then LayerNorm and dropout.

    The sum is not a loss of information: in C = 768 dimensions three small sets of vectors stay
    apart, and the first layers learn to read each of them. Without the position table BERT would
    see a bag of words, since attention has no order of its own.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        # The vector of [PAD] starts at zero and gets no gradient: no loss ever depends on it.
        self.token = table(config.vocab_size, width, config.pad_token_id)
        self.position = table(config.max_position_embeddings, width)
        self.segment = table(config.type_vocab_size, width)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, tokens: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Three LongTensors (N,) -> (N, C).

        tokens: ids of the vocabulary. positions: the column of each token in its row, from 0.
        segments: 0 for the first text of a pair and 1 for the second.
        """
        x = self.token(tokens) + self.segment(segments) + self.position(positions)  # (N, C)
        return self.dropout(self.norm(x))

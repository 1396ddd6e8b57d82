"""Embeddings: a token becomes a vector that knows what it is, where it stands, and in which text.

Paper: Devlin et al. 2019, section 3 and figure 2. Reference: google-research/bert modeling.py,
`embedding_lookup` and `embedding_postprocessor`.
"""

from torch import Tensor, nn

from minibert.config import BertConfig


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
        self.token = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position = nn.Embedding(config.max_position_embeddings, width)
        self.segment = nn.Embedding(config.type_vocab_size, width)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, tokens: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Three LongTensors (N,) -> (N, C).

        tokens: ids of the vocabulary. positions: the column of each token in its row, from 0.
        segments: 0 for the first text of a pair and 1 for the second.
        """
        x = self.token(tokens) + self.segment(segments) + self.position(positions)  # (N, C)
        return self.dropout(self.norm(x))

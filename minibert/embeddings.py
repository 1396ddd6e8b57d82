"""Embeddings: a token becomes a vector that knows what it is, where it stands, and in which text.

Paper: Devlin et al. 2019, section 3 and figure 2. Reference: google-research/bert modeling.py,
`embedding_lookup` and `embedding_postprocessor`. Lesson: examples/lessons/03_order.py.
"""

import torch
from torch import Tensor, nn

from minibert.config import BertConfig


class Embeddings(nn.Module):
    """Sum of three learned tables (token, position, segment), then LayerNorm and dropout.

    A sum need not lose information: in C = 768 dimensions there is room for the three to differ in
    different directions, and training finds them. Without the position table BERT would see a bag
    of words, since attention has no order of its own.

    Unlike in the Transformer paper (3.4 and 3.5) positions are learned, not sines, so there is none
    beyond the table's last; vectors are not scaled by sqrt(C); and the sum gets a LayerNorm.

    LayerNorm makes the C numbers of each token have mean 0 and variance 1, then scales and shifts
    them by learned vectors: g (x - mean) / sqrt(var + eps) + b (Ba et al. 2016, arXiv 1607.06450).
    eps is 1e-12 in BERT; RoBERTa has PyTorch's 1e-5.

    Three things change with the family. In ELECTRA and ALBERT the tables are E wide, less than C,
    and a linear layer widens the sum. DistilBERT has no segment table. RoBERTa counts positions.

    Dropout sets each number to zero with probability p while the model is trained and divides the
    others by 1 - p, so that no number can rely on another one being there (Srivastava et al. 2014,
    JMLR 15). Outside of training it does nothing.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.embedding_width
        # padding_idx: looking [PAD] up gives it no gradient, as in transformers. (The masked LM
        # head does, which compares with every vector of this table.)
        self.token = unfilled_embedding(config.vocab_size, width, config.pad_token_id)
        # RoBERTa has a position for padding, which gets no gradient either.
        unlearned = config.pad_token_id if config.positions_skip_padding else None
        self.position = unfilled_embedding(config.max_position_embeddings, width, unlearned)
        segments = config.type_vocab_size
        self.segment = unfilled_embedding(segments, width) if segments else None
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        narrow = width != config.hidden_size
        # nn.Linear, as it is no product of the encoder.
        self.projection = nn.Linear(width, config.hidden_size) if narrow else None

    def forward(self, tokens: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """Three LongTensors (N,) -> (N, C).

        tokens: ids of the vocabulary. positions: the column of each token in its row, from 0, or
        RoBERTa's number. segments: 0 for the first text of a pair and 1 for the second.
        """
        x = self.token(tokens)  # (N, E), and E is C in BERT
        if self.segment is not None:
            x = x + self.segment(segments)
        x = self.dropout(self.norm(x + self.position(positions)))
        return x if self.projection is None else self.projection(x)  # (N, C)


def positions_past_padding(input_ids: Tensor, padding: int) -> Tensor:
    """RoBERTa's positions, (B, T): the padding id plus the number of each token in its row, from 1.

    With padding id 1 a row of three tokens and two [PAD] has 2 3 4 1 1; see variants/roberta.py.
    """
    real = input_ids != padding
    return real.cumsum(dim=1) * real + padding


def unfilled_embedding(entries: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """An nn.Embedding (entries, width) to be filled from a file or by `init_weights`.

    The plain constructor draws normal numbers at once, only to be overwritten.
    """
    empty = torch.empty(entries, width)
    return nn.Embedding.from_pretrained(empty, freeze=False, padding_idx=padding_idx)

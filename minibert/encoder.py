"""The encoder: attention mixes the tokens, a feed-forward network thinks about each, twelve times.

Paper: Vaswani et al. 2017, section 3.1 and 3.3 (equation 2); Devlin et al. 2019, section 3.
Reference: google-research/bert modeling.py, `transformer_model`.
Lesson: examples/lessons/05_one_layer.py.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from minibert.attention import SelfAttention
from minibert.config import BertConfig
from minibert.linear import Linear
from minibert.packing import Packing, Record


def gelu(x: Tensor) -> Tensor:
    """x times the probability that a standard normal variable is below x, computed exactly (erf).

    Source: Hendrycks & Gimpel 2016, arXiv 1606.08415. It is what `hidden_act: gelu` means in a
    Hugging Face config, and so in nearly every BERT checkpoint.
    """
    return F.gelu(x)


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh approximation of GELU, within 1e-3 of it: `gelu_new` in a config.

    The function `gelu` in Google's modeling.py is this one.
    """
    return F.gelu(x, approximate="tanh")


# By the names that `hidden_act` has in a config.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": F.relu,
}


class FeedForward(nn.Module):
    """GELU(x W1 + b1) W2 + b2, for each token by itself.

    Two thirds of a layer's weights are here. The paper's equation 2 has ReLU; BERT has GELU.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.up = Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACTIVATIONS[config.hidden_act]
        self.down = Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C), by way of (N, I)."""
        return self.down(self.activation(self.up(x)))


class EncoderLayer(nn.Module):
    """LayerNorm(x + Dropout(attention(x))), then LayerNorm(x + Dropout(feed_forward(x))).

    Both lines are the paper's LayerNorm(x + Dropout(Sublayer(x))), sections 3.1 and 5.4. Thanks to
    the sum each sub-layer learns a correction only, and gradients have a way past it; LayerNorm
    keeps the sums of many layers in one range. It stands after the sum (post-LN), as in the
    original Transformer; GPT-2 and most decoders since moved it before the sub-layer.

    A forward hook on a layer sees the packed list, (N, C). The packing is the layer's second
    argument, and the way back to the batch: `packing.unpack(x)` is (B, T, C).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_dropout = nn.Dropout(config.attention_dropout)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_dropout = nn.Dropout(config.feed_forward_dropout)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """(N, C) -> (N, C) or (R, C); arguments as in `SelfAttention.forward`."""
        gathered = self.attention(x, packing, wanted, record)  # (N, C) or (R, C)
        if wanted is not None:
            x = x[wanted]  # (R, C)
        x = self.attention_norm(x + self.attention_dropout(gathered))
        return self.feed_forward_norm(x + self.feed_forward_dropout(self.feed_forward(x)))


class Encoder(nn.Module):
    """The stack of layers, each with weights of its own; in ALBERT they share one layer's."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers_with_weights))
        self.repeats = config.num_hidden_layers // config.layers_with_weights  # 1, except in ALBERT

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """x: (N, C), the embedded tokens in packed order -> (N, C), or (R, C).

        wanted: (R,) packed indices of the tokens whose final vector is needed; None: all. The last
        layer's other outputs are read by nobody. So it attends with all N tokens, but applies W^O,
        LayerNorm and the feed-forward to these R only. If a record is kept, all N are computed, and
        the R are picked at the end. Without dropout the result is the same up to rounding.
        record: is handed the embeddings and each layer's output.
        """
        keeps = record is not None and record.is_kept
        if record is not None:
            record.add_hidden_state(x)
        layers = [layer for layer in self.layers for _ in range(self.repeats)]
        for number, layer in enumerate(layers, 1):
            only = wanted if number == len(layers) and not keeps else None
            x = layer(x, packing, only, record)
            if record is not None:
                record.add_hidden_state(x)
        return x[wanted] if keeps and wanted is not None else x

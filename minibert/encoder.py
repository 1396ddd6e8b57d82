"""The encoder: attention mixes the tokens, a feed-forward network thinks about each, twelve times.

Paper: Vaswani et al. 2017, section 3.1 and 3.3 (equation 2); Devlin et al. 2019, section 3.
Reference: google-research/bert modeling.py, `transformer_model`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minibert.attention import SelfAttention
from minibert.config import BertConfig
from minibert.linear import Linear
from minibert.packing import Packing


class FeedForward(nn.Module):
    """x + Dropout(GELU(x W1 + b1) W2 + b2), for each token by itself.

    Two thirds of a layer's weights are here. The paper's equation 2 has ReLU; BERT has GELU.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.activation = config.hidden_act
        self.up = Linear(config.hidden_size, config.intermediate_size)
        self.down = Linear(
            config.intermediate_size, config.hidden_size, dropout=config.hidden_dropout_prob
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C), by way of (N, I)."""
        return self.down(self.up(x, activation=self.activation), residual=x)


class EncoderLayer(nn.Module):
    """LayerNorm(attention(x)), then LayerNorm(feed_forward(x)).

    Each sub-layer returns x + Dropout(f(x)), so both lines are the paper's LayerNorm(x +
    Sublayer(x)). The LayerNorm stands after the sum (post-LN), as in the original Transformer;
    GPT-2 and most decoders since moved it before the sub-layer.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = SelfAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(N, C) -> (N, C) or (R, C); arguments as in `SelfAttention.forward`."""
        x, attentions = self.attention(x, packing, wanted, output_attentions)  # x + attention
        x = self.attention_norm(x)
        x = self.feed_forward(x)  # x + feed-forward
        x = self.feed_forward_norm(x)
        return x, attentions


class EncoderOutput(NamedTuple):
    """What the stack returns.

    last: (N, C), or (R, C) when only R tokens were wanted.
    hidden_states: (N, C) before the first layer and after each, or None.
    attentions: (B, H, T, T) for each layer, or None.
    """

    last: Tensor
    hidden_states: tuple[Tensor, ...] | None
    attentions: tuple[Tensor, ...] | None


class Encoder(nn.Module):
    """The stack of layers, each with weights of its own."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        # Training may keep only each layer's input and compute the rest again when gradients are
        # asked for: less memory for a third more time (Chen et al. 2016, arXiv 1604.06174).
        self.checkpointing = False

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        *,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> EncoderOutput:
        """x: (N, C), the embedded tokens in packed order.

        wanted: (R,) packed indices of the tokens whose final vector is needed; None: all. Nobody
        looks at the last layer's other outputs. The last layer still attends with all N tokens, but
        applies W^O, LayerNorm and the feed-forward to these R only, unless hidden states or
        attentions are asked for, too. Without dropout the result is the same up to rounding.
        """
        hidden_states, attentions = [x], []
        in_last_layer = None if output_hidden_states or output_attentions else wanted
        for layer in self.layers:
            keep = in_last_layer if layer is self.layers[-1] else None
            if self.checkpointing and torch.is_grad_enabled():
                x, weights = checkpoint(
                    layer, x, packing, keep, output_attentions, use_reentrant=False
                )
            else:
                x, weights = layer(x, packing, keep, output_attentions)
            if output_hidden_states:
                hidden_states.append(x)
            if output_attentions:
                attentions.append(weights)
        if wanted is not None and in_last_layer is None:
            x = x[wanted]  # (R, C)
        return EncoderOutput(
            last=x,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )

"""ALBERT: BERT whose twelve layers share one layer's weights.

More than three quarters of BERT-base's parameters are in its twelve layers, and most of the rest is
the table of token embeddings. ALBERT saves both. It computes one layer twelve times, each time on
its own last output; and its embeddings are 128 wide, and a linear layer widens them. ALBERT-base
has 12 million parameters where BERT-base has 108 million. It predicts no faster, for twelve layers
are computed all the same. Lan et al. 2020, arXiv 1909.11942.

Instead of next sentence prediction it was trained to tell which of two neighbouring texts comes
first. Its pooler, with tanh as in BERT, comes from there.

There is no dropout after the feed-forward. Google's code has some; transformers has none, and
minibert does as transformers does. GELU is the tanh approximation. The second version of the
weights (albert-base-v2) was trained without any dropout.

Since the layers share their weights, they cannot be trained apart: `trained_layers` of 1 or more
and a `layer_decay` below 1 are refused.
"""

from minibert.variants.variant import Variant

_LAYER = "encoder.albert_layer_groups.{}.albert_layers.0"

ALBERT = Variant(
    name="ALBERT",
    model_type="albert",
    hf_name="Albert",
    prefix="albert.",
    keys={"classifier_dropout": "classifier_dropout_prob"},
    optional=frozenset(("embedding_size", "num_hidden_groups")),
    defaults={
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 4096,
        "num_hidden_groups": 1,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": 0.1,
    },
    only={"inner_group_num": (1,)},
    dropout_after=frozenset(("attention",)),
    names={
        "embeddings.projection": ("encoder.embedding_hidden_mapping_in",),
        "encoder.layers.{}.attention.query_key_value": (
            f"{_LAYER}.attention.query",
            f"{_LAYER}.attention.key",
            f"{_LAYER}.attention.value",
        ),
        "encoder.layers.{}.attention.output": (f"{_LAYER}.attention.dense",),
        "encoder.layers.{}.attention_norm": (f"{_LAYER}.attention.LayerNorm",),
        "encoder.layers.{}.feed_forward.up": (f"{_LAYER}.ffn",),
        "encoder.layers.{}.feed_forward.down": (f"{_LAYER}.ffn_output",),
        "encoder.layers.{}.feed_forward_norm": (f"{_LAYER}.full_layer_layer_norm",),
        "pooler.dense": ("pooler",),
        "masked_lm.dense": ("predictions.dense",),
        "masked_lm.norm": ("predictions.LayerNorm",),
        "masked_lm.bias": ("predictions.bias",),
    },
    tied={
        "predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "predictions.decoder.bias": "predictions.bias",
    },
)

"""ALBERT: BERT whose layers are all the same one.

More than three quarters of BERT-base's parameters are the weights of its twelve layers, and most of
the rest is the table of tokens. ALBERT saves both. One layer's weights serve all twelve layers, and
the table is 128 wide; a product widens its vectors to the layers' width. ALBERT-base has 12 million
parameters where BERT-base has 108. It predicts no faster, for as many layers are computed. Lan et
al. 2020, arXiv 1909.11942.

It was trained to tell the order of two neighbouring texts instead of whether they are neighbours:
its pooler, a tanh as in BERT, comes from there. transformers applies no dropout after the
feed-forward, where Google's code has some; minibert does as transformers does. The second version
of the weights was trained without any dropout.

Since the layers share their weights, they cannot be trained apart: there are no last k to train,
and no lower layers to train slower.
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

"""DistilBERT: BERT with half the layers, taught by BERT.

A small model learns more from the probabilities that a large one gives to all words of the
vocabulary than from the one right word: that "dog" is nearly as good as "cat" is in them, too. So
DistilBERT began with every second layer of BERT-base and was trained to reproduce its teacher's
answers for masked words, and the direction of its hidden vectors. The paper's figures: 97 % of
BERT's score with 60 % of its parameters, and 60 % faster. Sanh et al. 2019, arXiv 1910.01108.

What differs in the model, besides its six layers: there are no segments, for next sentence
prediction was left out, and so no table for them and nothing for `token_type_ids` of 1 to mean.
There is no dropout after attention. There is no pooler; the classifier of rows has a layer with
ReLU in its place, which is new with each task. config.json and the weights have names of their own
for nearly everything.
"""

from minibert.variants.variant import Variant

DISTILBERT = Variant(
    name="DistilBERT",
    model_type="distilbert",
    hf_name="DistilBert",
    prefix="distilbert.",
    keys={
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "classifier_dropout": "seq_classif_dropout",
    },
    optional=frozenset(("qa_dropout",)),
    fixed={"type_vocab_size": 0, "layer_norm_eps": 1e-12},
    defaults={
        "vocab_size": 30522,
        "num_hidden_layers": 6,
        "classifier_dropout": 0.2,
        "qa_dropout": 0.1,
    },
    dropout_after=frozenset(("feed_forward",)),
    has_pooler=False,
    pooler_activation="relu",
    tokens_drop_as_hidden=True,
    names={
        "encoder.layers.{}.attention.query_key_value": (
            "transformer.layer.{}.attention.q_lin",
            "transformer.layer.{}.attention.k_lin",
            "transformer.layer.{}.attention.v_lin",
        ),
        "encoder.layers.{}.attention.output": ("transformer.layer.{}.attention.out_lin",),
        "encoder.layers.{}.attention_norm": ("transformer.layer.{}.sa_layer_norm",),
        "encoder.layers.{}.feed_forward.up": ("transformer.layer.{}.ffn.lin1",),
        "encoder.layers.{}.feed_forward.down": ("transformer.layer.{}.ffn.lin2",),
        "encoder.layers.{}.feed_forward_norm": ("transformer.layer.{}.output_layer_norm",),
        "pooler.dense": ("pre_classifier",),
        "masked_lm.dense": ("vocab_transform",),
        "masked_lm.norm": ("vocab_layer_norm",),
        "masked_lm.bias": ("vocab_projector.bias",),
    },
    tied={"vocab_projector.weight": "embeddings.word_embeddings.weight"},
)

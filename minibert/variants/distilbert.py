"""DistilBERT: BERT with half the layers, taught by BERT.

For a masked word the text has one right answer, but a trained BERT has a probability for each token
of the vocabulary, and so says, too, that "dog" would be nearly as good as "cat". A small model
learns more from that ("distillation"). DistilBERT began as every second layer of BERT-base, its
teacher, and was trained to give the teacher's probabilities, to find the masked words as BERT does,
and to make hidden vectors of the teacher's direction. The paper's figures: 97 % of BERT's score,
with 40 % fewer parameters, and 60 % faster. Sanh et al. 2019, arXiv 1910.01108.

What differs in the model, besides its six layers:

- There are no segments: no table for them, and `token_type_ids` must be 0. They served next
  sentence prediction, which was left out.
- There is no pooler. The sequence classifier (`BertForClassification`) has a layer in its place,
  with ReLU instead of tanh. That layer is new with each task.
- There is no dropout between attention and the sum.

config.json and the weights have names of their own for nearly everything. Beware of one key:
`attention_dropout` there is the dropout of attention weights.
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

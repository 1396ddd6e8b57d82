"""ELECTRA: BERT that learns from every token.

A masked language model learns only from the 15 % of tokens that are masked. ELECTRA trains two
models. A small one, the generator, guesses masked tokens as BERT does. The other, the
discriminator, reads the text with these guesses in it and says of every token whether it is the
original or was replaced. So it learns from all tokens, and in the paper it matches RoBERTa with
less than a quarter of the computation. The discriminator is the model to fine-tune. Clark et al.
2020, arXiv 2003.10555.

What differs in the model:

- The embeddings may be narrower than the layers, 128 and 256 wide in ELECTRA-small. A linear layer
  widens them.
- There is no pooler. The sequence classifier (`BertForClassification`) has a layer in its place,
  with GELU instead of tanh, and dropout before it, too. That layer is new with each task.

The discriminator's own head is of use in pre-training only and is left out here. `BertForMaskedLM`
opens a generator.
"""

from minibert.variants.variant import Variant

ELECTRA = Variant(
    name="ELECTRA",
    model_type="electra",
    hf_name="Electra",
    prefix="electra.",
    optional=frozenset(("embedding_size",)),
    defaults={
        "vocab_size": 30522,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
    },
    has_pooler=False,
    pooler_activation="gelu",
    dropout_before_pooler=True,
    masked_lm_activation="gelu",
    names={
        "embeddings.projection": ("embeddings_project",),
        "masked_lm.dense": ("generator_predictions.dense",),
        "masked_lm.norm": ("generator_predictions.LayerNorm",),
        "masked_lm.bias": ("generator_lm_head.bias",),
    },
    row_names={
        "pooler.dense": ("classifier.dense",),
        "classifier": ("classifier.out_proj",),
    },
    tied={"generator_lm_head.weight": "embeddings.word_embeddings.weight"},
)

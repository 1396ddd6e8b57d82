"""ELECTRA: BERT that learns from every token.

A masked language model learns only from the 15 % of tokens that are masked. ELECTRA trains two
models. A small one, the generator, fills in masked tokens as BERT does. The other, the
discriminator, reads the result and says of every token whether it is the original or was replaced.
So all tokens teach it, and in the paper it came up to RoBERTa with less than a quarter of the
computation. Fine-tune the discriminator; the generator is smaller and worse. Clark et al. 2020,
arXiv 2003.10555.

What differs in the model: the embeddings may be narrower than the layers (128 in ELECTRA-small,
whose layers are 256 wide), and a product widens them. There is no pooler; the classifier of rows
has a layer with GELU in its place, and dropout before that, too. The discriminator's own head
serves pre-training only and is left out here; `BertForMaskedLM` opens the generator.
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

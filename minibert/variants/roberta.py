"""RoBERTa: BERT, trained properly.

The same model on ten times the text, in larger batches, for longer, with other tokens masked each
time a text comes round, and without next sentence prediction: that was enough to match or beat
every model published since BERT. Liu et al. 2019, arXiv 1907.11692.

What differs before the model: the tokenizer. It merges byte pairs, see text/byte_pairs.py, and its
special tokens are <s> for [CLS], </s> for [SEP], and <pad> with the id 1. Between the texts of a
pair stand two </s>.

What differs in the model is little:

- Positions are counted. BERT takes a token's column, 0, 1, 2, ... In RoBERTa padding has the
  padding id for its position, 1, and tokens have the numbers after it: the first stands at 2. Two
  entries of the table are never a token's, so a table of 514 serves rows of 512. Padding is known
  by its id, not by the attention mask: a token that the mask hides is counted all the same.
- There is one segment, 0 for every token.
- There is no pooler, as nothing trained one. The classifier of rows has such a layer of its own, a
  tanh too, with dropout before it; it is new with each task.
- LayerNorm's eps is 1e-5.

XLM-R is RoBERTa for a hundred languages (Conneau et al. 2020, arXiv 1911.02116), CamemBERT for
French (Martin et al. 2020, arXiv 1911.03894). The models are the same; their tokenizers are of
another kind, Unigram.
"""

from dataclasses import replace

from minibert.variants.variant import Variant

ROBERTA = Variant(
    name="RoBERTa",
    model_type="roberta",
    hf_name="Roberta",
    prefix="roberta.",
    defaults={"vocab_size": 50265, "pad_token_id": 1},
    published={"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    positions_skip_padding=True,
    has_pooler=False,
    dropout_before_pooler=True,
    masked_lm_activation="gelu",  # whatever hidden_act is
    names={
        "masked_lm.dense": ("lm_head.dense",),
        "masked_lm.norm": ("lm_head.layer_norm",),
        "masked_lm.bias": ("lm_head.bias",),
    },
    row_names={
        "pooler.dense": ("classifier.dense",),
        "classifier": ("classifier.out_proj",),
    },
    tied={
        "lm_head.decoder.weight": "embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
)

# What transformers takes where a file says nothing; the published files say their own.
_OTHER_VOCABULARY = {"vocab_size": 30522, "pad_token_id": 1}
XLM_ROBERTA = replace(
    ROBERTA,
    name="XLM-R",
    model_type="xlm-roberta",
    hf_name="XLMRoberta",
    defaults=_OTHER_VOCABULARY,
)
CAMEMBERT = replace(
    ROBERTA,
    name="CamemBERT",
    model_type="camembert",
    hf_name="Camembert",
    defaults=_OTHER_VOCABULARY,
)

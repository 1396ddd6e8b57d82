"""RoBERTa: BERT, trained properly.

The same model on ten times the text, in larger batches, for longer, with another choice of masked
tokens in every epoch and without next sentence prediction: that was enough to beat everything that
had been built on BERT in the year between. Liu et al. 2019, arXiv 1907.11692.

What differs in the model is little. Positions are counted: a token's position is the padding id, 1,
plus its number among the row's tokens, so the first stands at 2, the table has two entries that no
token uses, and a table of 514 serves rows of 512. (BERT takes the column.) The count goes by the
ids, not by the attention mask, so a token that the mask hides is counted all the same. There is one
segment. There is no pooler; the classifier of rows has a layer of its own, with dropout before it,
too, and it is new with each task.

What differs before the model is the tokenizer: byte pairs, see text/byte_pairs.py.

XLM-R is RoBERTa for a hundred languages (Conneau et al. 2020, arXiv 1911.02116), CamemBERT for
French (Martin et al. 2020, arXiv 1911.03894). Their vocabularies are Unigram's, and the models are
the same.
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
    masked_lm_activation="gelu",
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

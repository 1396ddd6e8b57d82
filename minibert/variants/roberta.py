"""RoBERTa: BERT's model, trained longer on more text.

Liu et al. 2019, arXiv 1907.11692, found that BERT had been trained too little. RoBERTa read ten
times the text, in batches of some 8,000 rows instead of 256, with other tokens masked each time a
row came round, and without next sentence prediction. That was enough to match or beat every model
published after BERT.

What differs in the tokenizer: it merges pairs of bytes, see text/byte_pairs.py. It writes <s> for
[CLS], </s> for [SEP], <mask> for [MASK], and <pad>, whose id is 1, not 0. Between the two texts of
a pair stand two </s>, and all type ids are 0.

What differs in the model is little:

- Positions are counted from the padding id on. In BERT a token's position is its column: 0, 1, 2,
  ... In RoBERTa padding has the position 1, its own id, and a row's tokens have 2, 3, 4, ...,
  wherever the padding stands. So two entries of the table, 0 and 1, belong to no token, and a table
  of 514 serves rows of 512. Padding is known by its id, not by the attention mask: a token that the
  mask hides is counted all the same. All this is a habit of fairseq, the library that RoBERTa was
  written in; the paper does not speak of it.
- There is one segment, 0 for every token.
- There is no pooler, since no task of pre-training would train one; where a file has one, it is
  ignored. The sequence classifier (`BertForClassification`) has a layer in its place, with tanh,
  too, and dropout before it. That layer is new with each task.
- LayerNorm's eps is 1e-5, PyTorch's default; BERT has 1e-12.

XLM-R is RoBERTa for a hundred languages (Conneau et al. 2020, arXiv 1911.02116), CamemBERT is
RoBERTa for French (Martin et al. 2020, arXiv 1911.03894). Their models differ from RoBERTa's only
in size. Their tokenizers are of another kind, Unigram, as made by SentencePiece.
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

# What transformers assumes where a file says nothing. The published files state their own sizes.
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

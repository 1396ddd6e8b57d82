"""Pre-training: where BERT's weights come from, and the two heads that need no labelled text.

Masked language model. 15 % of the tokens are selected, and the model predicts what stood there from
both sides, which a model that reads from left to right cannot do. 80 % of the selected tokens are
replaced by [MASK], 10 % by a random token, and 10 % stay as they are: [MASK] never occurs in later
tasks, so the model must not rely on it; and since any token may be wrong, or to be guessed, it must
keep a vector of the context for every one (A.1). The loss counts selected tokens only.

Next sentence prediction. In half of the pairs the second text really followed the first; the pooled
[CLS] vector says whether. Google trained every BERT with it; later work found that it matters
little (Liu et al. 2019, arXiv 1907.11692).

This file has the heads and their losses. Paper: Devlin et al. 2019, section 3.1 and A.1. Reference:
google-research/bert run_pretraining.py, `get_masked_lm_output` and `get_next_sentence_output`.
Lesson: examples/lessons/06_guess_the_hidden_word.py.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import IGNORED, check_labels, check_predict, check_token_labels
from minibert.checkpoint.config_json import check_next_sentence
from minibert.config import BertConfig
from minibert.encoder import ACTIVATIONS
from minibert.linear import Linear
from minibert.model import BertModel, BertPretrained, at_least_fp32
from minibert.packing import Packing, Record


class MaskedLMHead(nn.Module):
    """Which token belongs here? LayerNorm(GELU(x W + b)), compared with every token's embedding.

    The last product is with the table of token embeddings itself, V x E, and adds a bias of its
    own. That input and output share one matrix ("tied": Vaswani et al. 2017, section 3.4; Press &
    Wolf 2017, arXiv 1608.05859) saves 22 million weights in BERT-base, and what is learned about a
    token on one side serves the other. transformers calls this product the decoder; the layer in
    front of it is in Google's code, not in the paper.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if config.extra.get("tie_word_embeddings") is False:
            raise ValueError(
                "the config says tie_word_embeddings = False, so its scores come from a matrix of "
                "their own; minibert's masked language model is BERT's, which shares the embeddings"
            )
        width = config.embedding_width  # E, which is C in BERT
        self.dense = Linear(config.hidden_size, width)
        self.activation = ACTIVATIONS[config.masked_lm_activation]
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.empty(config.vocab_size))  # filled by init_weights

    def forward(self, x: Tensor, token_table: Tensor) -> Tensor:
        """x: (R, C) final vectors, token_table: (V, E) -> scores before softmax, (R, V)."""
        x = self.norm(self.activation(self.dense(x)))  # (R, E)
        return F.linear(x, token_table, self.bias)


class MaskedLMOutput(NamedTuple):
    """What `BertForMaskedLM` returns.

    logits: (B, T, V) with zeros at padding; or (R, V) in the order of input_ids[predict], if
    predict was given. loss: the mean cross-entropy in nats over labelled tokens, if labels were
    given. hidden_states, attentions: as in `BertOutput`.
    """

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertForMaskedLM(BertPretrained):
    """Fill in the blanks: a score for each token of the vocabulary at each place.

    >>> from minibert import WordPieceTokenizer
    >>> tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    >>> model = BertForMaskedLM(BertConfig.from_size("minilm-l6")).eval()  # random weights
    >>> batch = tokenizer("The woman worked as a [MASK].")
    >>> blank = batch["input_ids"] == tokenizer.mask_token_id
    >>> model(**batch, predict=blank).logits.shape  # a score for each token of the vocabulary
    torch.Size([1, 30522])

    With the weights of google-bert/bert-base-cased the highest score is that of "nurse", as
    published on its model card; `python -m minibert.golden` checks it.
    """

    hf_architecture = "BertForMaskedLM"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, pooler=False)
        self.masked_lm = MaskedLMHead(config)
        self.init_weights(self.masked_lm)

    def forward(
        self,
        input_ids: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        predict: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> MaskedLMOutput:
        """A padded batch as for `BertModel.forward`.

        labels: (B, T) LongTensor, the original token where one is to be predicted, elsewhere -100:
        no token has this id, and cross-entropy passes over it. predict: (B, T) bool, the tokens to
        predict; None: all. V is large, so in training `predict=labels != -100` saves time and,
        above all, memory.

        Raises `ValueError` for arguments the model cannot take, before anything is computed; labels
        that are -100 everywhere are among them.
        """
        packing = self.bert.make_packing(input_ids, token_type_ids, attention_mask)
        record = Record(packing, output_hidden_states, output_attentions)
        wanted = indices_to_predict(packing, predict, labels, self.config)  # (R,) or None
        x = self.bert.encode(input_ids, token_type_ids, packing, wanted, record)  # (N or R, C)
        logits = self.masked_lm(x, self.bert.embeddings.token.weight)  # (N or R, V)
        return MaskedLMOutput(
            logits=packing.unpack(logits) if wanted is None else logits,
            loss=None if labels is None else masked_lm_loss(logits, labels, packing, wanted),
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )


class PreTrainingOutput(NamedTuple):
    """What `BertForPreTraining` returns; the names are those of transformers.

    prediction_logits: as `MaskedLMOutput.logits`. seq_relationship_logits: (B, 2), first the score
    for "the second text follows the first", then for "it does not". loss: the sum of the losses
    whose labels were given, in nats. hidden_states, attentions: as in `BertOutput`.
    """

    prediction_logits: Tensor
    seq_relationship_logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertForPreTraining(BertPretrained):
    """Masked language model and next sentence prediction on one encoder, as BERT was trained."""

    hf_architecture = "BertForPreTraining"

    def __init__(self, config: BertConfig) -> None:
        check_next_sentence(config.model_type)
        super().__init__(config)
        self.bert = BertModel(config)
        self.masked_lm = MaskedLMHead(config)
        self.next_sentence = nn.Linear(config.hidden_size, 2)
        self.init_weights(self.masked_lm)
        self.init_weights(self.next_sentence)

    def forward(
        self,
        input_ids: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        predict: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> PreTrainingOutput:
        """A padded batch of pairs; labels, predict and errors as for `BertForMaskedLM.forward`.

        next_sentence_label: (B,) LongTensor, 0 where the second text follows the first, 1 where it
        was taken from elsewhere. transformers has a loss only when both labels are given.
        """
        packing = self.bert.make_packing(input_ids, token_type_ids, attention_mask)
        record = Record(packing, output_hidden_states, output_attentions)
        wanted = indices_to_predict(packing, predict, labels, self.config)  # (R,) or None
        if next_sentence_label is not None:
            check_labels(next_sentence_label, len(input_ids), 2, "next_sentence_label")
        # The two heads read different tokens; the last layer computes both kinds, no others.
        both = None if wanted is None else torch.cat([packing.first, wanted])
        x = self.bert.encode(input_ids, token_type_ids, packing, both, record)
        if wanted is None:
            first = x[packing.first]  # (P, C), and x is (N, C)
        else:
            first, x = x.split([len(packing.first), len(wanted)])  # (P, C), (R, C)
        logits = self.masked_lm(x, self.bert.embeddings.token.weight)  # (N or R, V)
        next_sentence_logits = self.next_sentence(self.bert.pool(first, packing))  # (B, 2)
        losses = []
        if labels is not None:
            losses.append(masked_lm_loss(logits, labels, packing, wanted))
        if next_sentence_label is not None:
            pairs = next_sentence_label.to(next_sentence_logits.device)  # (B,)
            losses.append(F.cross_entropy(at_least_fp32(next_sentence_logits), pairs))
        return PreTrainingOutput(
            prediction_logits=packing.unpack(logits) if wanted is None else logits,
            seq_relationship_logits=next_sentence_logits,
            loss=torch.stack(losses).sum() if losses else None,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )


def indices_to_predict(
    packing: Packing, predict: Tensor | None, labels: Tensor | None, config: BertConfig
) -> Tensor | None:
    """The packed indices (R,) of the tokens to predict, None for all; checks both arguments."""
    if labels is not None:
        check_token_labels(labels, packing.mask, config.vocab_size)
    if predict is None:
        return None
    check_predict(predict, packing.mask, labels)
    return packing.indices(predict)


def masked_lm_loss(
    logits: Tensor, labels: Tensor, packing: Packing, wanted: Tensor | None
) -> Tensor:
    """Mean cross-entropy, in nats, of logits (N, V) or (R, V) to the labels (B, T) not -100."""
    targets = packing.pack(labels)  # (N,)
    if wanted is not None:
        targets = targets[wanted]  # (R,)
    return F.cross_entropy(at_least_fp32(logits), targets, ignore_index=IGNORED)

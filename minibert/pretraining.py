"""Pre-training: where BERT's weights come from, and the two heads that need no labelled text.

Masked language model. 15 % of the tokens are chosen; 80 % of these are replaced by [MASK], 10 % by
a random token, 10 % stay as they are. The model predicts the originals from both sides, which a
model that reads from left to right cannot do.

Next sentence prediction. In half of the pairs the second text really followed the first; the
pooled [CLS] vector says whether. Later work found it to matter little (Liu et al. 2019, arXiv
1907.11692), but every published BERT has it.

Paper: Devlin et al. 2019, section 3.1 and A.1. Reference: google-research/bert run_pretraining.py,
`get_masked_lm_output` and `get_next_sentence_output`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.checks import IGNORED, check_labels, check_token_labels, check_wanted
from minibert.config import BertConfig
from minibert.linear import Linear
from minibert.model import BertModel, unpack_all
from minibert.packing import Packing
from minibert.pretrained import Pretrained


class MaskedLMHead(nn.Module):
    """Which token belongs here? LayerNorm(GELU(x W + b)), compared with every token's embedding.

    The last product is with the table of token embeddings itself, V x C, and adds a bias of its
    own: input and output share one matrix ("tied", Press & Wolf 2017, arXiv 1608.05859), so what
    is learned about a token's vector on one side serves the other.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if config.extra.get("tie_word_embeddings") is False:
            raise ValueError(
                "the config says tie_word_embeddings = False, a decoder with weights of its own; "
                "minibert's masked language model is BERT's, which shares the token embeddings"
            )
        self.activation = config.hidden_act
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.empty(config.vocab_size))

    def forward(self, x: Tensor, token_table: Tensor) -> Tensor:
        """x: (R, C) final vectors, token_table: (V, C) -> scores before softmax, (R, V)."""
        x = self.norm(self.dense(x, activation=self.activation))  # (R, C)
        return F.linear(x, token_table, self.bias)


class MaskedLMOutput(NamedTuple):
    """What `BertForMaskedLM` returns.

    logits: (B, T, V) with zeros at padding, or (R, V) at the R wanted tokens, row by row. loss: the
    mean cross-entropy in nats over labelled tokens, if labels were given. hidden_states,
    attentions: as in `BertOutput`.
    """

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertForMaskedLM(Pretrained):
    """Fill in the blanks: a score for each token of the vocabulary at each place.

    >>> tokenizer = WordPieceTokenizer.from_pretrained("google-bert/bert-base-cased")
    >>> model = BertForMaskedLM.from_pretrained("google-bert/bert-base-cased")
    >>> batch = tokenizer("Paris is the [MASK] of France.")
    >>> blank = batch["input_ids"] == tokenizer.ids["[MASK]"]
    >>> tokenizer.decode(model(**batch, wanted=blank).logits.argmax(dim=-1))
    'capital'
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
        wanted: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> MaskedLMOutput:
        """A padded batch as for `BertModel.forward`.

        labels: (B, T) LongTensor, the original token at chosen places and -100 elsewhere.
        wanted: (B, T) bool, the tokens to predict; None: all. V is large, so predicting the 15 %
        that training needs saves time and, above all, memory.

        Raises `ValueError` for arguments the model cannot take, before anything is computed.
        """
        packing = self.bert.pack(input_ids, token_type_ids, attention_mask)
        chosen = choose(packing, wanted, labels, self.config)  # (R,) or None
        x = self.bert.embed(input_ids, token_type_ids, packing)  # (N, C)
        encoded = self.bert.encoder(
            x,
            packing,
            chosen,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        logits = self.masked_lm(encoded.last, self.bert.embeddings.token.weight)  # (N or R, V)
        return MaskedLMOutput(
            logits=packing.unpack(logits) if chosen is None else logits,
            loss=None if labels is None else masked_lm_loss(logits, labels, packing, chosen),
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
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


class BertForPreTraining(Pretrained):
    """Masked language model and next sentence prediction on one encoder, as BERT was trained."""

    hf_architecture = "BertForPreTraining"

    def __init__(self, config: BertConfig) -> None:
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
        wanted: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> PreTrainingOutput:
        """A padded batch of pairs; labels and wanted as for `BertForMaskedLM.forward`.

        next_sentence_label: (B,) LongTensor, 0 where the second text follows the first, 1 where it
        was taken from elsewhere. transformers has a loss only when both labels are given.
        """
        if next_sentence_label is not None:
            check_labels(next_sentence_label, len(input_ids), 2, "next_sentence_label")
        packing = self.bert.pack(input_ids, token_type_ids, attention_mask)
        chosen = choose(packing, wanted, labels, self.config)  # (R,) or None
        x = self.bert.embed(input_ids, token_type_ids, packing)  # (N, C)
        encoded = self.bert.encoder(
            x,
            packing,
            None if chosen is None else torch.cat([packing.first, chosen]),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        if chosen is None:
            first, x = encoded.last[packing.first], encoded.last  # (F, C), (N, C)
        else:
            first, x = encoded.last.split([len(packing.first), len(chosen)])  # (F, C), (R, C)
        logits = self.masked_lm(x, self.bert.embeddings.token.weight)  # (N or R, V)
        relation = self.next_sentence(self.bert.pool(first, packing))  # (B, 2)
        losses = []
        if labels is not None:
            losses.append(masked_lm_loss(logits, labels, packing, chosen))
        if next_sentence_label is not None:
            losses.append(F.cross_entropy(relation.float(), next_sentence_label))
        return PreTrainingOutput(
            prediction_logits=packing.unpack(logits) if chosen is None else logits,
            seq_relationship_logits=relation,
            loss=torch.stack(losses).sum() if losses else None,
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
        )


def choose(
    packing: Packing, wanted: Tensor | None, labels: Tensor | None, config: BertConfig
) -> Tensor | None:
    """The packed indices (R,) of the wanted tokens, None for all; or an error about either."""
    if labels is not None:
        check_token_labels(labels, packing.mask, config.vocab_size)
    if wanted is None:
        return None
    check_wanted(wanted, packing.mask, labels)
    return packing.indices(wanted)


def masked_lm_loss(
    logits: Tensor, labels: Tensor, packing: Packing, chosen: Tensor | None
) -> Tensor:
    """Mean cross-entropy, in nats, of logits (N, V) or (R, V) to the labels (B, T) not -100."""
    targets = packing.pack(labels)  # (N,)
    if chosen is not None:
        targets = targets[chosen]  # (R,)
    return F.cross_entropy(logits.float(), targets, ignore_index=IGNORED)

"""Heads: a few weights on top of BertModel turn it into something that does a task.

Transfer learning in one sentence: the encoder comes pre-trained (pretraining.py), the head is new,
and both are trained on the task. Figure 4 in the paper's appendix shows the three kinds: one answer
for a row, one for each token, a span of tokens. Paper: Devlin et al. 2019, section 3.2 and 4.
Reference: google-research/bert run_classifier.py and run_squad.py, `create_model`.
Lesson: examples/lessons/07_a_classifier.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert._checks import IGNORED, check_labels, check_spans, check_targets, check_token_labels
from minibert.checkpoint.labelled import PretrainedWithLabels
from minibert.config import BertConfig
from minibert.model import BertModel, BertPretrained, at_least_fp32
from minibert.packing import Record


class ClassificationOutput(NamedTuple):
    """What `BertForClassification` and `BertForTokenClassification` return.

    logits: before softmax, (B, L) for rows, or (B, T, L) for tokens with zeros at padding. loss: if
    labels were given, see the head's forward. hidden_states, attentions: as in `BertOutput`.
    """

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class LabelledHead(PretrainedWithLabels[BertConfig]):
    """What the two classifiers share: a linear layer with an output for each of L labels."""

    config_class = BertConfig

    def __init__(self, config: BertConfig, pooler: bool, dropout: float) -> None:
        super().__init__(config)
        self.bert = BertModel(config, pooler=pooler)
        self.dropout = nn.Dropout(dropout)
        # nn.Linear, as it is no product of the encoder.
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.init_weights(self.classifier)


class BertForClassification(LabelledHead):
    """One answer for a text or a pair of texts: a linear layer on the pooled [CLS] vector.

    The answer is one of L labels; or any number of them, or L numbers: see `BertConfig.problem`. A
    row whose [CLS] is hidden by the attention mask is pooled as if its vector were zero. Known to
    transformers as `BertForSequenceClassification`. Paper: Devlin et al. 2019, section 4.1.
    """

    hf_architecture = "BertForSequenceClassification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True, dropout=config.head_dropout)

    def forward(
        self,
        input_ids: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ClassificationOutput:
        """A padded batch as for `BertModel.forward`; labels and loss by `config.problem`:

        single_label_classification: (B,) LongTensor of ids below L; mean cross-entropy in nats.
        multi_label_classification: (B, L) floats from 0 to 1; mean binary cross-entropy in nats.
        regression: (B, L) floats, or (B,) where L = 1; mean squared error.

        Raises `ValueError` for a batch or labels the model cannot take, before computing anything.
        """
        packing = self.bert.make_packing(input_ids, token_type_ids, attention_mask)
        record = Record(packing, output_hidden_states, output_attentions)
        if labels is not None:
            self._check(labels, len(input_ids))
        # Only [CLS] is read, so only its vectors are asked for: (P, C), in packed order.
        first = self.bert.encode(input_ids, token_type_ids, packing, packing.first, record)
        pooled = self.bert.pool(first, packing)  # (B, C), in the batch's order again
        logits = self.classifier(self.dropout(pooled))  # (B, L)
        return ClassificationOutput(
            logits=logits,
            loss=None if labels is None else self._loss(at_least_fp32(logits), labels),
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )

    def _check(self, labels: Tensor, batch_size: int) -> None:
        classes, problem = self.config.num_labels, self.config.problem
        if problem == "single_label_classification":
            check_labels(labels, batch_size, classes)
        else:
            check_targets(labels, (batch_size, classes), problem == "multi_label_classification")

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        labels = labels.to(logits.device)  # the batch may have stayed on the CPU
        if self.config.problem == "single_label_classification":
            return F.cross_entropy(logits, labels)
        targets = labels.to(logits.dtype).view_as(logits)  # (B, L); from (B,) where L = 1
        if self.config.problem == "multi_label_classification":
            return F.binary_cross_entropy_with_logits(logits, targets)
        return F.mse_loss(logits, targets)


class BertForTokenClassification(LabelledHead):
    """One of L labels for each token, for named entities and the like.

    A word of several pieces is labelled at its first piece; `Encoding.word_ids` says which pieces
    belong together. Paper: Devlin et al. 2019, section 5.3.
    """

    hf_architecture = "BertForTokenClassification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False, dropout=config.token_head_dropout)

    def forward(
        self,
        input_ids: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ClassificationOutput:
        """A padded batch as for `BertModel.forward`.

        labels: (B, T) LongTensor of ids below L; -100, PyTorch's `ignore_index`, at padding and at
        other tokens without a label. The loss is the mean cross-entropy of those with one, in nats.
        Raises as `BertForClassification.forward`.
        """
        packing = self.bert.make_packing(input_ids, token_type_ids, attention_mask)
        record = Record(packing, output_hidden_states, output_attentions)
        if labels is not None:
            check_token_labels(labels, packing.mask, self.config.num_labels)
        x = self.bert.encode(input_ids, token_type_ids, packing, record=record)  # (N, C)
        logits = self.classifier(self.dropout(x))  # (N, L)
        loss = None
        if labels is not None:
            targets = packing.pack(labels)  # (N,)
            loss = F.cross_entropy(at_least_fp32(logits), targets, ignore_index=IGNORED)
        return ClassificationOutput(
            logits=packing.unpack(logits),
            loss=loss,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )


class QuestionAnsweringOutput(NamedTuple):
    """What `BertForQuestionAnswering` returns.

    start_logits, end_logits: (B, T), how well the answer starts or ends at each token, before
    softmax over T. Padding holds the dtype's lowest number instead of the usual 0, which could be
    the highest score. loss: if positions were given. hidden_states, attentions: as in `BertOutput`.
    """

    start_logits: Tensor
    end_logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertForQuestionAnswering(BertPretrained):
    """The span of a text that answers a question: two scores a token, for its start and its end.

    A row is the pair (question, text). The answer is the span from i to j >= i, inside the text,
    with the largest start_logits[i] + end_logits[j]; a span at [CLS] can stand for "no answer".
    Paper: Devlin et al. 2019, sections 4.2 and 4.3; the bias, the mean of the two losses and the
    softmax over the question, too, are those of run_squad.py.
    """

    hf_architecture = "BertForQuestionAnswering"

    def __init__(self, config: BertConfig) -> None:
        if config.num_labels != 2:  # in transformers num_labels is the width of this head
            config = replace(config, labels=("start", "end"))
        super().__init__(config)
        self.bert = BertModel(config, pooler=False)
        self.dropout = nn.Dropout(config.qa_dropout)  # 0, except in DistilBERT
        self.span = nn.Linear(config.hidden_size, 2)
        self.init_weights(self.span)

    def forward(
        self,
        input_ids: Tensor,
        *,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> QuestionAnsweringOutput:
        """A padded batch as for `BertModel.forward`.

        start_positions, end_positions: (B,) LongTensors, the columns of the answer's first and last
        token; both -100 for a row to ignore. The loss is the mean of the two
        cross-entropies over a row's real tokens, in nats. transformers lets padding take part in
        that softmax, so its loss depends on what else is in the batch; where nothing is padded the
        two are equal.

        Raises as `BertForClassification.forward`.
        """
        packing = self.bert.make_packing(input_ids, token_type_ids, attention_mask)
        record = Record(packing, output_hidden_states, output_attentions)
        check_spans(start_positions, end_positions, packing.mask)
        x = self.bert.encode(input_ids, token_type_ids, packing, record=record)  # (N, C)
        logits = self.span(self.dropout(x))  # (N, 2)
        # Not minus infinity, of which a row of nothing but padding would make NaN.
        logits = packing.unpack(logits, torch.finfo(logits.dtype).min)  # (B, T, 2)
        start_logits, end_logits = logits.unbind(dim=-1)  # (B, T), (B, T)
        loss = None
        if start_positions is not None and end_positions is not None:
            scores = at_least_fp32(logits)
            answers = (start_positions.to(x.device), end_positions.to(x.device))
            losses = [
                F.cross_entropy(scores[..., i], answers[i], ignore_index=IGNORED) for i in (0, 1)
            ]
            loss = (losses[0] + losses[1]) / 2
        return QuestionAnsweringOutput(
            start_logits=start_logits,
            end_logits=end_logits,
            loss=loss,
            hidden_states=record.hidden_states,
            attentions=record.attentions,
        )

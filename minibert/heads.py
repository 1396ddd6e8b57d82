"""Heads: a few weights on top of BertModel turn it into something that does a task.

Transfer learning in one sentence: the encoder comes pre-trained (pretraining.py), the head is new,
and both are trained on the task. Figure 4 of the paper shows the three kinds: one answer for a row,
one for each token, a span of tokens. Paper: Devlin et al. 2019, section 3.2 and 4. Reference:
google-research/bert run_classifier.py and run_squad.py, `create_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.checks import IGNORED, check_labels, check_spans, check_targets, check_token_labels
from minibert.config import BertConfig, ProblemType
from minibert.files import read_config, read_weights
from minibert.hub import find_folder
from minibert.model import BertModel, unpack_all
from minibert.pretrained import Pretrained


class ClassificationOutput(NamedTuple):
    """What the two heads with labels return.

    logits: before softmax, (B, L) for rows or (B, T, L) for tokens with zeros at padding. loss: if
    labels were given, see the head's forward. hidden_states, attentions: as in `BertOutput`.
    """

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class LabelledHead(Pretrained):
    """What the two heads with labels share: a linear layer with an output for each of them."""

    def __init__(self, config: BertConfig, pooler: bool) -> None:
        super().__init__(config)
        self.bert = BertModel(config, pooler=pooler)
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        # Not a `Linear`: C x L weights are too few to be worth a fast body.
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.init_weights(self.classifier)

    @classmethod
    def from_pretrained(
        cls,
        dir_or_name: str | Path,
        num_labels: int | None = None,
        *,
        labels: Sequence[str] | None = None,
        problem_type: ProblemType | None = None,
        new_head: bool = False,
    ) -> Self:
        """Load a checkpoint of this head, or put a new one on any BERT.

        dir_or_name: as for `BertModel`. num_labels, or labels by name: the classes of a new head;
        left out, they are the checkpoint's. problem_type: as in `BertConfig`; left out, it is the
        checkpoint's. new_head: discard the head that the checkpoint has.

        Raises `ValueError` when the checkpoint's trained head has other labels and `new_head` is
        not given, besides what `BertModel.from_pretrained` raises.
        """
        folder = find_folder(dir_or_name)
        config, tensors = read_config(folder), read_weights(folder)
        # Both heads are called classifier in files; the config says whose this one is.
        written_as = config.extra.get("architectures") or [cls.hf_architecture]
        other_task = cls.hf_architecture not in written_as
        unused = [k for k in tensors if k.startswith("classifier.") and (new_head or other_task)]
        tensors = {k: v for k, v in tensors.items() if k not in unused}
        trained = "classifier.weight" in tensors
        if labels is not None:
            names = tuple(labels)
        elif num_labels is None or (trained and num_labels == config.num_labels):
            names = config.labels
        else:
            names = tuple(f"LABEL_{i}" for i in range(num_labels))
        if num_labels is not None and num_labels != len(names):
            raise ValueError(f"num_labels is {num_labels}, but {len(names)} labels were given")
        if trained and names != config.labels:
            # Other names in the same number would quietly swap what the trained outputs mean.
            raise ValueError(
                f"{folder} has a trained head for the labels {config.labels} and {names} were "
                "asked for; leave labels out to use it, or pass new_head=True to train another"
            )
        changes: dict[str, Any] = {"labels": names}
        if problem_type is not None or not trained:
            changes["problem_type"] = problem_type
        model = cls._load(replace(config, **changes), tensors, str(folder))
        if model.load_report is not None:
            ignored = (*model.load_report.ignored, *unused)
            model.load_report = replace(model.load_report, ignored=ignored)
        if num_labels is None and labels is None and not new_head:  # a trained head was expected
            model.warn_of_new_weights()
        return model


class BertForClassification(LabelledHead):
    """One answer for a text or a pair of texts: a linear layer on the pooled [CLS] vector.

    The answer is one of L labels; or any number of them, or L numbers: see `BertConfig.problem`.
    Known to transformers as `BertForSequenceClassification`.
    """

    hf_architecture = "BertForSequenceClassification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=True)

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
        if labels is not None:
            self._check(labels, len(input_ids))
        packing = self.bert.pack(input_ids, token_type_ids, attention_mask)
        x = self.bert.embed(input_ids, token_type_ids, packing)  # (N, C)
        encoded = self.bert.encoder(
            x,
            packing,
            packing.first,  # nothing but [CLS] is read
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        pooled = self.bert.pool(encoded.last, packing)  # (B, C)
        logits = self.classifier(self.dropout(pooled))  # (B, L)
        return ClassificationOutput(
            logits=logits,
            loss=None if labels is None else self._loss(logits.float(), labels),
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
        )

    def _check(self, labels: Tensor, batch_size: int) -> None:
        classes, problem = self.config.num_labels, self.config.problem
        if problem == "single_label_classification":
            check_labels(labels, batch_size, classes)
        else:
            check_targets(labels, (batch_size, classes), problem == "multi_label_classification")

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.config.problem == "single_label_classification":
            return F.cross_entropy(logits, labels)
        targets = labels.float().view_as(logits)  # (B, L); from (B,) where L = 1
        if self.config.problem == "multi_label_classification":
            return F.binary_cross_entropy_with_logits(logits, targets)
        return F.mse_loss(logits, targets)


class BertForTokenClassification(LabelledHead):
    """One of L labels for each token, for named entities and the like ([Devlin et al.] 5.3).

    A word of several pieces is usually labelled at its first piece, the others -100;
    `Encoding.word_ids` says which belong together.
    """

    hf_architecture = "BertForTokenClassification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, pooler=False)

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

        labels: (B, T) LongTensor of ids below L, -100 at tokens without a label. The loss is the
        mean cross-entropy of the others, in nats. Raises as `BertForClassification.forward`.
        """
        packing = self.bert.pack(input_ids, token_type_ids, attention_mask)
        if labels is not None:
            check_token_labels(labels, packing.mask, self.config.num_labels)
        x = self.bert.embed(input_ids, token_type_ids, packing)  # (N, C)
        encoded = self.bert.encoder(
            x,
            packing,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        logits = self.classifier(self.dropout(encoded.last))  # (N, L)
        loss = None
        if labels is not None:
            targets = packing.pack(labels)  # (N,)
            loss = F.cross_entropy(logits.float(), targets, ignore_index=IGNORED)
        return ClassificationOutput(
            logits=packing.unpack(logits),
            loss=loss,
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
        )


class QuestionAnsweringOutput(NamedTuple):
    """What `BertForQuestionAnswering` returns.

    start_logits, end_logits: (B, T), how well the answer starts or ends at each token, before
    softmax over T; the lowest number there is at padding, so that neither softmax nor argmax
    chooses it. loss: if positions were given. hidden_states, attentions: as in `BertOutput`.
    """

    start_logits: Tensor
    end_logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertForQuestionAnswering(Pretrained):
    """The span of a text that answers a question: two scores a token, for its start and its end.

    A row is the pair (question, text). Paper: Devlin et al. 2019, section 4.2.
    """

    hf_architecture = "BertForQuestionAnswering"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, pooler=False)
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
        token, both -100 for a row to ignore. The loss is the mean of the two cross-entropies over a
        row's real tokens, in nats. transformers lets padding take part in that softmax, so its loss
        depends on what else is in the batch; where nothing is padded the two are equal.

        Raises as `BertForClassification.forward`.
        """
        packing = self.bert.pack(input_ids, token_type_ids, attention_mask)
        check_spans(start_positions, end_positions, packing.mask)
        x = self.bert.embed(input_ids, token_type_ids, packing)  # (N, C)
        encoded = self.bert.encoder(
            x,
            packing,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        logits = packing.unpack(self.span(encoded.last))  # (B, T, 2)
        logits = logits.masked_fill(~packing.mask[..., None], torch.finfo(logits.dtype).min)
        start_logits, end_logits = logits.unbind(dim=-1)  # (B, T), (B, T)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (
                F.cross_entropy(start_logits.float(), start_positions, ignore_index=IGNORED)
                + F.cross_entropy(end_logits.float(), end_positions, ignore_index=IGNORED)
            ) / 2
        return QuestionAnsweringOutput(
            start_logits=start_logits,
            end_logits=end_logits,
            loss=loss,
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
        )

"""Heads: a few weights on top of BertModel turn it into something that does a task.

Transfer learning in one sentence: the encoder comes pre-trained (see model.py), the head is new,
and both are trained on the task. Paper: Devlin et al. 2019, section 3.2 and 4.1. Reference:
google-research/bert run_classifier.py, `create_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minibert.config import BertConfig
from minibert.model import BertModel, Pooler, unpack_all
from minibert.pretrained import Pretrained, find_folder, read_config, read_weights


class ClassificationOutput(NamedTuple):
    """What `BertForClassification` returns.

    logits: (B, L), before softmax. loss: the mean cross-entropy in nats if labels were given.
    hidden_states, attentions: as in `BertOutput`.
    """

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BertForClassification(Pretrained):
    """One of L labels for a text or a pair of texts: a linear layer on the pooled [CLS] vector.

    Known to transformers as `BertForSequenceClassification`. Labels and their order are
    `config.labels`.
    """

    hf_architecture = "BertForSequenceClassification"

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        rate = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if rate is None else rate)
        # Not a `Linear`: C x L weights on one vector a text are too few to be worth a fast body.
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.init_weights(self.classifier)

    @classmethod
    def from_pretrained(
        cls,
        dir_or_name: str | Path,
        num_labels: int | None = None,
        *,
        labels: Sequence[str] | None = None,
        new_head: bool = False,
    ) -> BertForClassification:
        """Load a checkpoint of this head, or put a new one on any BERT.

        dir_or_name: as for `BertModel`. num_labels, or labels by name: the classes of a new head;
        left out, they are the checkpoint's. new_head: discard the head that the checkpoint has.

        Raises `ValueError` when the checkpoint's trained head has other labels and `new_head` is
        not given, besides what `BertModel.from_pretrained` raises.
        """
        folder = find_folder(dir_or_name)
        config, tensors = read_config(folder), read_weights(folder)
        # Other tasks' heads are called classifier, too; the config says whose this one is.
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
        model = cls._load(replace(config, labels=names), tensors, str(folder))
        if model.load_report is not None:
            ignored = (*model.load_report.ignored, *unused)
            model.load_report = replace(model.load_report, ignored=ignored)
        return model

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
        """A padded batch as for `BertModel.forward`; labels: (B,) LongTensor of ids below L.

        Raises `ValueError` for a batch or labels the model cannot take.
        """
        if labels is not None:
            check_labels(labels, len(input_ids), self.config)
        x, packing = self.bert.embed(input_ids, token_type_ids, attention_mask)  # (N, C)
        # This head reads [CLS] alone, so the last layer need not finish the other tokens, unless
        # somebody wants to look at them.
        every_token = output_attentions or output_hidden_states
        encoded = self.bert.encoder(
            x,
            packing,
            wanted=None if every_token else packing.first,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        first = encoded.last[packing.first] if every_token else encoded.last  # (F, C)
        pooled = self.pooler(packing.place_first(first))  # (B, C)
        logits = self.classifier(self.dropout(pooled))  # (B, L)
        return ClassificationOutput(
            logits=logits,
            loss=None if labels is None else F.cross_entropy(logits.float(), labels),
            hidden_states=unpack_all(packing, encoded.hidden_states),
            attentions=encoded.attentions,
        )

    @property
    def pooler(self) -> Pooler:
        """The pooler of the encoder underneath; this head cannot do without one."""
        assert self.bert.pooler is not None  # __init__ made it
        return self.bert.pooler


def check_labels(labels: Tensor, batch_size: int, config: BertConfig) -> None:
    """Raise `ValueError` unless `labels` are (B,) class ids of this config."""
    if config.num_labels < 2:
        raise ValueError(
            f"this model has {config.num_labels} label; the classification loss needs two or more"
        )
    if tuple(labels.shape) != (batch_size,) or labels.dtype != torch.int64:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)} and dtype {labels.dtype}; "
            f"it must be ({batch_size},) and int64"
        )
    low, high = (int(bound) for bound in labels.aminmax())
    if low < 0 or high >= config.num_labels:
        raise ValueError(
            f"labels contains {low if low < 0 else high}; this model has {config.num_labels} "
            f"labels, so ids run from 0 to {config.num_labels - 1}"
        )

"""What a family of models changes in BERT, as data.

After BERT came models that keep its encoder and change something around it. Here a family is one
literal `Variant` in a file of its own, which says only what differs and why. There is one model for
all: its chapters ask the config, and config.py says of each switch which family turns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Part = Literal["attention", "feed_forward"]


@dataclass(frozen=True)
class Variant:
    """A family; the defaults are BERT's.

    name: what its paper calls it. model_type: what config.json calls it. hf_name: what the names of
    its classes in transformers begin with. prefix: what the names of all tensors but the head's
    begin with, in files with a head.

    The config. keys: field -> its key in config.json, where they differ. optional: the fields that
    other families do not have. fixed: field -> the one value it can have, which the file leaves
    out. defaults: field -> its value where the file leaves out the key, if that is not our own
    default. published: field -> its value in all published models, if that is neither of these.
    only: key -> the values that are accepted; with others the model would compute something else.

    What is computed: the switches below, a comment each.

    The names of weights. names: ours -> those in files, where they differ from BERT's
    (checkpoint/names.py); one without ".weight" or ".bias" stands for both. row_names: the same,
    for `BertForClassification` only. tied: names of copies in files -> names of the originals.
    """

    name: str = "BERT"
    model_type: str = "bert"
    hf_name: str = "Bert"
    prefix: str = "bert."

    keys: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=lambda: {"vocab_size": 30522})
    published: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    # A token's position is not its column: a row's tokens are counted, from the padding id on.
    positions_skip_padding: bool = False
    # The sub-layers that have dropout after them.
    dropout_after: frozenset[Part] = frozenset(("attention", "feed_forward"))
    # Without one, the sequence classifier has a layer in its place, new with each task.
    has_pooler: bool = True
    # Of the pooler, or of the layer in its place.
    pooler_activation: Literal["tanh", "relu", "gelu"] = "tanh"
    dropout_before_pooler: bool = False
    # The token classifier has the layers' rate of dropout, not the sequence classifier's.
    tokens_drop_as_hidden: bool = False
    # Of the masked LM head; None: the layers'.
    masked_lm_activation: Literal["gelu"] | None = None

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    row_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tied: Mapping[str, str] = field(
        default_factory=lambda: {
            "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        }
    )

    def architecture(self, bert_class: str) -> str:
        """The name of the family's class in transformers, from the name of BERT's.

        >>> Variant(hf_name="Roberta").architecture("BertForMaskedLM")
        'RobertaForMaskedLM'
        """
        return self.hf_name + bert_class.removeprefix("Bert")

"""What a family of models changes in BERT, as data.

After BERT came models that keep its encoder and change something around it. Here a family is one
literal `Variant` in a file of its own, which says only what differs and why. The chapters ask the
config (config.py names each switch and the family that turns it), so there is one model for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Part = Literal["attention", "feed_forward"]


@dataclass(frozen=True)
class Variant:
    """A family; the defaults are BERT.

    name: what its paper calls it. model_type: what config.json calls it. hf_name: how the names of
    its classes begin in transformers. prefix: how names of the encoder's tensors begin in files
    with a head.

    The config. keys: field -> its key in config.json, where they differ. optional: the fields that
    other families have not. fixed: field -> the one value it can have, which the file leaves out.
    defaults: field -> value for a key that the file leaves out, where it is not our own default.
    published: field -> value in all published models, where it is another than these. only: key ->
    the values that compute what is computed here.

    What is computed: a line each, below. Who asks is config.py.

    The names. names: ours -> those in files, where they differ from BERT's (checkpoint/names.py);
    without ".weight" or ".bias" for both. row_names: the same, for a classifier of rows only. tied:
    names of copies in files -> names of the originals.
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

    # A token's position: its number among the row's tokens, after the padding id; not its column.
    positions_skip_padding: bool = False
    # The sub-layers that have dropout after them.
    dropout_after: frozenset[Part] = frozenset(("attention", "feed_forward"))
    # Without one, the layer in its place belongs to the classifier of rows, new with each task.
    has_pooler: bool = True
    # In the pooler, or in the layer in its place.
    pooler_activation: Literal["tanh", "relu", "gelu"] = "tanh"
    dropout_before_pooler: bool = False
    # The classifier of tokens has the layers' rate of dropout, not that of the classifier of rows.
    tokens_drop_as_hidden: bool = False
    # In the masked LM head; None: the layers'.
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
        """The family's class of transformers, for one of BERT's.

        >>> Variant(hf_name="Roberta").architecture("BertForMaskedLM")
        'RobertaForMaskedLM'
        """
        return self.hf_name + bert_class.removeprefix("Bert")

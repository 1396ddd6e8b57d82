"""The sizes and switches by which one BERT differs from another.

The letters for sizes in the shape comments of this book, and in the papers:

                                                      BERT paper      Transformer paper
    B  rows of a batch (texts or pairs of texts)
    T  tokens of a padded row
    N  real tokens of the batch, padding not counted
    C  hidden size, the width of a token's vector     H               d_model
    E  width of the embedding tables; C in BERT       (ALBERT's: E)
    I  width inside the feed-forward network          4H              d_ff
    H  attention heads                                A               h
    D  size of a head, C / H                          H / A           d_k = d_v
    V  vocabulary size
    L  labels of a classifier                         K

A batch is a table of token ids with a row for each text, filled up to the longest with padding.
packing.py adds letters of its own. In formulas Q, K and V are the matrices of queries, keys and
values. Beware that in the BERT paper C is the final vector of [CLS] and L the number of layers.
Lesson: examples/lessons/01_how_big_is_bert.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from minibert.checkpoint.config_json import (
    ProblemType,
    check_family,
    label_names,
    read_fields,
    write_fields,
)
from minibert.checkpoint.files import read_config
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.schema import JSON, Rule, number, one_of, optional, whole
from minibert.checkpoint.sizes import find_size
from minibert.variants import Variant, find_variant

Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
AttentionKind = Literal["auto", "fused", "readable"]


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT; the defaults are bert-base-cased (Devlin et al. 2019, section 3).

    model_type names the family: "bert" itself or one of those in variants/, which change a few
    things around the same encoder. What they change stands in the fields and properties below.

    Field names and meanings are those of Hugging Face's `config.json`, with three exceptions:
    `labels` (there: `id2label`), `attention`, a choice of implementation that is not part of a
    checkpoint and not saved, and `extra`, the keys of the file that this class does not use.

    Raises `ValueError` naming the field, its value and what is allowed.
    """

    model_type: str = "bert"
    vocab_size: int = 28996
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: Activation = "gelu"  # exact, with erf; ALBERT: gelu_new, its tanh approximation
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None  # None: as hidden_dropout_prob
    max_position_embeddings: int = 512  # RoBERTa: 514, see max_length
    type_vocab_size: int = 2  # the segments; RoBERTa: 1, DistilBERT: 0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12  # RoBERTa: 1e-5
    pad_token_id: int | None = 0  # RoBERTa: 1
    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    problem_type: ProblemType | None = None  # what BertForClassification's labels are; see problem
    attention: AttentionKind = "auto"  # see SelfAttention
    embedding_size: int | None = None  # E, in ELECTRA and ALBERT; None: C
    num_hidden_groups: int | None = None  # ALBERT: see layers_with_weights
    qa_dropout: float = 0.0  # before the span head; DistilBERT: 0.1
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def head_size(self) -> int:
        """D, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def variant(self) -> Variant:
        """The family, and what it changes in BERT."""
        return find_variant(self.model_type)

    @property
    def embedding_width(self) -> int:
        """E, the width of the embedding tables: C, or less (ELECTRA, ALBERT)."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def layers_with_weights(self) -> int:
        """How many layers have weights of their own: all; in ALBERT fewer, each computed again."""
        return self.num_hidden_groups or self.num_hidden_layers

    @property
    def positions_skip_padding(self) -> bool:
        """Whether a row's tokens are counted, from the padding id on (RoBERTa, XLM-R, CamemBERT).
        In BERT a token's position is its column."""
        return self.variant.positions_skip_padding

    @property
    def max_length(self) -> int:
        """The most tokens that a row may have. Of RoBERTa's 514 positions tokens have 512."""
        if not self.positions_skip_padding:
            return self.max_position_embeddings
        assert self.pad_token_id is not None  # was checked
        return self.max_position_embeddings - self.pad_token_id - 1

    @property
    def attention_dropout(self) -> float:
        """The dropout after attention, before the sum; DistilBERT has none."""
        return self.hidden_dropout_prob if "attention" in self.variant.dropout_after else 0.0

    @property
    def feed_forward_dropout(self) -> float:
        """The dropout after the feed-forward, before the sum; ALBERT has none."""
        return self.hidden_dropout_prob if "feed_forward" in self.variant.dropout_after else 0.0

    @property
    def head_dropout(self) -> float:
        """The dropout before the classifier of `BertForClassification`."""
        rate = self.classifier_dropout
        return self.hidden_dropout_prob if rate is None else rate

    @property
    def token_head_dropout(self) -> float:
        """The dropout before a classifier of tokens; in DistilBERT that of the layers."""
        drops_as_hidden = self.variant.tokens_drop_as_hidden
        return self.hidden_dropout_prob if drops_as_hidden else self.head_dropout

    @property
    def pooler_dropout(self) -> float:
        """The dropout before the pooler, or the layer in its place; RoBERTa and ELECTRA have it."""
        return self.head_dropout if self.variant.dropout_before_pooler else 0.0

    @property
    def pooler_activation(self) -> str:
        """Of the pooler, or the layer in its place: tanh; DistilBERT: ReLU; ELECTRA: GELU."""
        return self.variant.pooler_activation

    @property
    def masked_lm_activation(self) -> str:
        """The activation in the masked LM head: the layers', or always GELU (RoBERTa, ELECTRA)."""
        return self.variant.masked_lm_activation or self.hidden_act

    @property
    def num_labels(self) -> int:
        """L, the number of classes a classification head tells apart."""
        return len(self.labels)

    @property
    def problem(self) -> ProblemType:
        """What a classification head answers: one label of several, any number of them, or numbers.

        It is `problem_type`; where that is None, one label means regression, as in transformers.
        """
        if self.problem_type is not None:
            return self.problem_type
        return "regression" if self.num_labels == 1 else "single_label_classification"

    @classmethod
    def from_size(cls, name: str, **changes: Any) -> BertConfig:
        """The shape of a published checkpoint by name, with any field changed.

        The names are in checkpoint/sizes.py.

        >>> BertConfig.from_size("bert-tiny", num_hidden_layers=3).head_size
        64
        """
        return cls(**{**find_size(name).fields, **changes})

    @classmethod
    def from_pretrained(cls, dir_or_name: str | Path) -> BertConfig:
        """Read the config of a folder, an alias such as `minilm-l6`, or a hub name."""
        return read_config(find_folder(dir_or_name, weights=False), cls.from_dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BertConfig:
        """Build from the contents of a Hugging Face `config.json`.

        A key that is missing has the default that Hugging Face gives it in this family. For BERT
        that is bert-base-uncased's, and differs from ours in `vocab_size` alone.
        """
        return cls(**read_fields(data, [f.name for f in fields(cls)]))

    def to_dict(self) -> dict[str, Any]:
        """The contents of a `config.json` that transformers reads back as the same model."""
        return write_fields(vars(self))

    def __post_init__(self) -> None:  # _RULES is at the end of the file
        for name, rule in _RULES.items():
            rule.check(name, getattr(self, name))
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into "
                f"num_attention_heads {self.num_attention_heads} equal heads"
            )
        if self.pad_token_id is not None and self.pad_token_id not in range(self.vocab_size):
            raise ValueError(
                f"pad_token_id is {self.pad_token_id}; it must be None or an id below "
                f"vocab_size {self.vocab_size}"
            )
        check_family(self)
        # A list, too, becomes what the type says.
        object.__setattr__(self, "labels", label_names(self.labels))


# What a field may be. The limits are far above any BERT, and low enough that no product of sizes
# overflows.
_COUNT, _WIDTH = whole(least=1), whole(least=1, most=2**20)
_RATE = number(lambda value: 0 <= value < 1, "of at least 0 and below 1")
_RULES: dict[str, Rule] = {
    "vocab_size": _COUNT,
    "hidden_size": _WIDTH,
    "num_hidden_layers": whole(least=1, most=10_000),
    "num_attention_heads": _WIDTH,
    "intermediate_size": _WIDTH,
    "max_position_embeddings": _COUNT,
    "type_vocab_size": whole(),
    "embedding_size": optional(_WIDTH),
    "num_hidden_groups": optional(_COUNT),
    "qa_dropout": _RATE,
    "hidden_dropout_prob": _RATE,
    "attention_probs_dropout_prob": _RATE,
    "classifier_dropout": optional(_RATE),
    "initializer_range": number(lambda value: 0 < value <= 100, "above 0 and up to 100"),
    "layer_norm_eps": number(lambda value: 0 < value <= 1, "above 0 and up to 1"),
    "hidden_act": one_of(*get_args(Activation)),
    "attention": one_of(*get_args(AttentionKind)),
    "problem_type": optional(one_of(*get_args(ProblemType))),
    "pad_token_id": optional(whole()),
    "extra": JSON,
}

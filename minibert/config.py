"""The sizes and switches by which one BERT differs from another.

The letters for sizes in the shape comments of this book, and in the papers:

                                                      BERT paper      Transformer paper
    B  rows of a batch (texts or pairs of texts)
    T  tokens of a padded row
    N  real tokens of the batch, padding not counted
    C  hidden size, the width of a token's vector     H               d_model
    I  width inside the feed-forward network          4H              d_ff
    H  attention heads                                A               h
    D  size of a head, C / H                          H / A           d_k = d_v
    V  vocabulary size
    L  labels of a classifier                         K

From packing.py on there are also G rows of W slots for a group of n tokens; P, the rows whose [CLS]
is not hidden; and R, the tokens whose result is wanted. Beware that in the
BERT paper C is the final vector of [CLS] and L the number of layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh"]
AttentionKind = Literal["auto", "fused", "readable"]
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


class Size(NamedTuple):
    """The shape of a published checkpoint: C, layers, H, I, V; its parameters with the pooler."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    parameters: int


# Devlin et al. 2019, section 3, with the vocabularies Google released (base, large); Turc et al.
# 2019, arXiv 1908.08962 (tiny .. medium); Wang et al. 2020, arXiv 2002.10957 (MiniLM with 12
# layers; that with 6 was made from it later); Xiao et al. 2023, arXiv 2309.07597 (BGE); Wang et al.
# 2022, arXiv 2212.03533 (E5).
SIZES: dict[str, Size] = {
    "bert-base-cased": Size(768, 12, 12, 3072, 28996, 108_310_272),
    "bert-base-uncased": Size(768, 12, 12, 3072, 30522, 109_482_240),
    "bert-base-multilingual-cased": Size(768, 12, 12, 3072, 119547, 177_853_440),
    "bert-base-multilingual-uncased": Size(768, 12, 12, 3072, 105879, 167_356_416),
    "bert-base-chinese": Size(768, 12, 12, 3072, 21128, 102_267_648),
    "bert-large-cased": Size(1024, 24, 16, 4096, 28996, 333_579_264),
    "bert-large-uncased": Size(1024, 24, 16, 4096, 30522, 335_141_888),
    "bert-tiny": Size(128, 2, 2, 512, 30522, 4_385_920),
    "bert-mini": Size(256, 4, 4, 1024, 30522, 11_170_560),
    "bert-small": Size(512, 4, 8, 2048, 30522, 28_763_648),
    "bert-medium": Size(512, 8, 8, 2048, 30522, 41_373_184),
    "minilm-l6": Size(384, 6, 12, 1536, 30522, 22_713_216),
    "minilm-l12": Size(384, 12, 12, 1536, 30522, 33_360_000),
    "bge-small-en-v1.5": Size(384, 12, 12, 1536, 30522, 33_360_000),
    "bge-base-en-v1.5": Size(768, 12, 12, 3072, 30522, 109_482_240),
    "bge-large-en-v1.5": Size(1024, 24, 16, 4096, 30522, 335_141_888),
    "e5-small-v2": Size(384, 12, 12, 1536, 30522, 33_360_000),
    "e5-base-v2": Size(768, 12, 12, 3072, 30522, 109_482_240),
    "e5-large-v2": Size(1024, 24, 16, 4096, 30522, 335_141_888),
}

# Switches of Hugging Face's config.json that would make the model compute something else. Every
# other key this class does not know is kept and written back.
_ONLY: dict[str, tuple[object, ...]] = {
    "model_type": ("bert",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "pruned_heads": ({}, None),
}

# Keys that to_dict writes from something other than the field of that name.
_WRITTEN = (
    *("model_type", "position_embedding_type", "dtype", "torch_dtype"),
    *("id2label", "label2id", "num_labels"),
)


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT; the defaults are bert-base-cased (Devlin et al. 2019, section 3).

    Field names and meanings are those of Hugging Face's `config.json`, with three exceptions:
    `labels` (there: `id2label`), `attention`, a choice of implementation that is not part of a
    checkpoint and not saved, and `extra`, the keys of the file that this class does not use.

    Raises `ValueError` naming the field, its value and what is allowed.
    """

    vocab_size: int = 28996
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: Activation = "gelu"  # "gelu" is the exact erf form, the other two are tanh
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    classifier_dropout: float | None = None  # None: as hidden_dropout_prob
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    problem_type: ProblemType | None = None  # what BertForClassification's labels are; see problem
    attention: AttentionKind = "auto"  # see SelfAttention
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in (
            *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
            *("intermediate_size", "max_position_embeddings", "type_vocab_size"),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            value = getattr(self, name)
            optional = name == "classifier_dropout" and value is None
            if not optional and not (isinstance(value, int | float) and 0 <= value < 1):
                raise ValueError(f"{name} is {value!r}; it must be at least 0 and below 1")
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"{name} is {value!r}; it must be a number above 0")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} does not divide into "
                f"num_attention_heads {self.num_attention_heads} equal heads"
            )
        for name, allowed in (
            ("hidden_act", get_args(Activation)),
            ("attention", get_args(AttentionKind)),
            ("problem_type", (None, *get_args(ProblemType))),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {allowed}")
        if self.pad_token_id is not None and self.pad_token_id not in range(self.vocab_size):
            raise ValueError(
                f"pad_token_id is {self.pad_token_id!r}; it must be None or an id below "
                f"vocab_size {self.vocab_size}"
            )
        names = tuple(self.labels)
        if not names or isinstance(self.labels, str) or not all(isinstance(n, str) for n in names):
            raise ValueError(f"labels are {self.labels!r}; give at least one, all of them strings")
        object.__setattr__(self, "labels", names)  # a list, too, becomes what the type says

    @property
    def head_size(self) -> int:
        """D, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

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
        """The shape of a published checkpoint by name (see `SIZES`), with any field changed."""
        if name not in SIZES:
            raise ValueError(f"no size is called {name!r}; the sizes are {', '.join(SIZES)}")
        size = SIZES[name]
        shape: dict[str, Any] = {
            "vocab_size": size.vocabulary,
            "hidden_size": size.hidden,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "intermediate_size": size.feed_forward,
        }
        return cls(**{**shape, **changes})

    @classmethod
    def from_pretrained(cls, dir_or_name: str | Path) -> BertConfig:
        """Read the config of a folder, an alias such as `minilm-l6`, or a hub name."""
        from minibert.checkpoint.files import read_config
        from minibert.checkpoint.hub import find_folder  # it stands on this file

        return read_config(find_folder(dir_or_name, weights=False))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BertConfig:
        """Build from the contents of a Hugging Face `config.json`.

        A key that is missing has the default that Hugging Face gives it: that is
        bert-base-uncased's, and differs from ours in `vocab_size` alone.
        """
        for key, allowed in _ONLY.items():
            if key in data and data[key] not in allowed:
                raise ValueError(
                    f"the config says {key} = {data[key]!r}, which changes what the model "
                    f"computes; minibert is BERT's encoder and takes {key} = {allowed[0]!r} only"
                )
        own = {f.name for f in fields(cls)} - {"labels", "attention", "extra"}
        known = {key: value for key, value in data.items() if key in own}
        return cls(
            **{"vocab_size": 30522, **known},
            labels=_read_labels(data),
            extra={k: v for k, v in data.items() if k not in own and k not in _WRITTEN},
        )

    def to_dict(self) -> dict[str, Any]:
        """The contents of a `config.json` that transformers reads back as the same model."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("labels", "attention", "extra"):
            del own[name]
        return {
            **self.extra,
            **own,
            "model_type": "bert",
            "position_embedding_type": "absolute",
            "id2label": {str(i): label for i, label in enumerate(self.labels)},
            "label2id": {label: i for i, label in enumerate(self.labels)},
        }


def _read_labels(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in id order, from id2label, or from num_labels alone, or two by default."""
    id2label, number = data.get("id2label"), data.get("num_labels")
    if not id2label:
        number = 2 if number is None else number
        if not isinstance(number, int):
            raise ValueError(f"num_labels is {number!r}; it must be a whole number")
        return tuple(f"LABEL_{i}" for i in range(number))
    try:
        by_id = {int(i): str(label) for i, label in id2label.items()}
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f'id2label is {id2label!r}; it must map ids to names: {{"0": "name"}}'
        ) from error
    if sorted(by_id) != list(range(len(by_id))):
        raise ValueError(f"id2label has the ids {sorted(by_id)}; they must run from 0 without gaps")
    return tuple(by_id[i] for i in range(len(by_id)))

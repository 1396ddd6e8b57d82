"""The sizes of published models by name, and where the hub keeps their weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from minibert.variants import find_variant


class Size(NamedTuple):
    """The shape of a published checkpoint, its parameters, its name on the hub.

    hidden: C. heads: H. feed_forward: I. vocabulary: V. parameters: those of `BertModel`, with the
    pooler where the family has one. embedding: E, where the tables have another width than the
    family's usual one.
    """

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    parameters: int
    hub_name: str
    model_type: str = "bert"
    embedding: int | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a `BertConfig` that make this shape."""
        variant = find_variant(self.model_type)
        return {
            **variant.defaults,
            **variant.fixed,
            **variant.published,
            "model_type": self.model_type,
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.feed_forward,
            **({} if self.embedding is None else {"embedding_size": self.embedding}),
        }


SIZES: dict[str, Size] = {
    # Devlin et al. 2019, section 3, with the vocabularies that Google released.
    "bert-base-cased": Size(768, 12, 12, 3072, 28996, 108_310_272, "google-bert/bert-base-cased"),
    "bert-base-uncased": Size(
        768, 12, 12, 3072, 30522, 109_482_240, "google-bert/bert-base-uncased"
    ),
    "bert-base-multilingual-cased": Size(
        768, 12, 12, 3072, 119547, 177_853_440, "google-bert/bert-base-multilingual-cased"
    ),
    "bert-base-multilingual-uncased": Size(
        768, 12, 12, 3072, 105879, 167_356_416, "google-bert/bert-base-multilingual-uncased"
    ),
    "bert-base-chinese": Size(
        768, 12, 12, 3072, 21128, 102_267_648, "google-bert/bert-base-chinese"
    ),
    "bert-large-cased": Size(
        1024, 24, 16, 4096, 28996, 333_579_264, "google-bert/bert-large-cased"
    ),
    "bert-large-uncased": Size(
        1024, 24, 16, 4096, 30522, 335_141_888, "google-bert/bert-large-uncased"
    ),
    # Turc et al. 2019, arXiv 1908.08962.
    "bert-tiny": Size(128, 2, 2, 512, 30522, 4_385_920, "google/bert_uncased_L-2_H-128_A-2"),
    "bert-mini": Size(256, 4, 4, 1024, 30522, 11_170_560, "google/bert_uncased_L-4_H-256_A-4"),
    "bert-small": Size(512, 4, 8, 2048, 30522, 28_763_648, "google/bert_uncased_L-4_H-512_A-8"),
    "bert-medium": Size(512, 8, 8, 2048, 30522, 41_373_184, "google/bert_uncased_L-8_H-512_A-8"),
    # Wang et al. 2020, arXiv 2002.10957; the one with 6 layers was made from that with 12 later.
    "minilm-l6": Size(
        384, 6, 12, 1536, 30522, 22_713_216, "sentence-transformers/all-MiniLM-L6-v2"
    ),
    "minilm-l12": Size(384, 12, 12, 1536, 30522, 33_360_000, "microsoft/MiniLM-L12-H384-uncased"),
    # Xiao et al. 2023, arXiv 2309.07597.
    "bge-small-en-v1.5": Size(384, 12, 12, 1536, 30522, 33_360_000, "BAAI/bge-small-en-v1.5"),
    "bge-base-en-v1.5": Size(768, 12, 12, 3072, 30522, 109_482_240, "BAAI/bge-base-en-v1.5"),
    "bge-large-en-v1.5": Size(1024, 24, 16, 4096, 30522, 335_141_888, "BAAI/bge-large-en-v1.5"),
    # Wang et al. 2022, arXiv 2212.03533.
    "e5-small-v2": Size(384, 12, 12, 1536, 30522, 33_360_000, "intfloat/e5-small-v2"),
    "e5-base-v2": Size(768, 12, 12, 3072, 30522, 109_482_240, "intfloat/e5-base-v2"),
    "e5-large-v2": Size(1024, 24, 16, 4096, 30522, 335_141_888, "intfloat/e5-large-v2"),
    # Sanh et al. 2019, arXiv 1910.01108. The last is a RoBERTa with half the layers.
    "distilbert-base-uncased": Size(
        768, 6, 12, 3072, 30522, 66_362_880, "distilbert/distilbert-base-uncased", "distilbert"
    ),
    "distilbert-base-cased": Size(
        768, 6, 12, 3072, 28996, 65_190_912, "distilbert/distilbert-base-cased", "distilbert"
    ),
    "distilroberta-base": Size(
        768, 6, 12, 3072, 50265, 81_527_808, "distilbert/distilroberta-base", "roberta"
    ),
    # Liu et al. 2019, arXiv 1907.11692.
    "roberta-base": Size(
        768, 12, 12, 3072, 50265, 124_055_040, "FacebookAI/roberta-base", "roberta"
    ),
    "roberta-large": Size(
        1024, 24, 16, 4096, 50265, 354_310_144, "FacebookAI/roberta-large", "roberta"
    ),
    # Conneau et al. 2020, arXiv 1911.02116.
    "xlm-roberta-base": Size(
        768, 12, 12, 3072, 250002, 277_453_056, "FacebookAI/xlm-roberta-base", "xlm-roberta"
    ),
    "xlm-roberta-large": Size(
        1024, 24, 16, 4096, 250002, 558_840_832, "FacebookAI/xlm-roberta-large", "xlm-roberta"
    ),
    # Martin et al. 2020, arXiv 1911.03894.
    "camembert-base": Size(
        768, 12, 12, 3072, 32005, 110_031_360, "almanach/camembert-base", "camembert"
    ),
    # Clark et al. 2020, arXiv 2003.10555.
    "electra-small-discriminator": Size(
        256, 12, 4, 1024, 30522, 13_483_008, "google/electra-small-discriminator", "electra"
    ),
    "electra-base-discriminator": Size(
        768,
        12,
        12,
        3072,
        30522,
        108_891_648,
        "google/electra-base-discriminator",
        "electra",
        embedding=768,
    ),
    # Lan et al. 2020, arXiv 1909.11942.
    "albert-base-v2": Size(768, 12, 12, 3072, 30000, 11_683_584, "albert/albert-base-v2", "albert"),
}


def find_size(name: str) -> Size:
    """The size of this name, or a `ValueError` that lists them all."""
    if name not in SIZES:
        raise ValueError(f"no size is called {name!r}; the sizes are {', '.join(SIZES)}")
    return SIZES[name]

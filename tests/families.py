"""Small random models of every family: transformers' and ours with the same weights."""

from functools import cache
from typing import Any

import torch
import transformers

import minibert
from minibert.variants import VARIANTS
from tests.conftest import BATCHES, TINY, ours_from, ragged_batch, randomize

# What the configs of these models say besides TINY; every rate differs, so that none can stand for
# another.
RATES = {
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
    "classifier_dropout": 0.3,
    "qa_dropout": 0.15,
}
ROBERTA = {
    "model_type": "roberta",
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
ALBERT = {"model_type": "albert", "embedding_size": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "distilbert": {"model_type": "distilbert"},
    "distilbert, ReLU, sines": {
        "model_type": "distilbert",
        "hidden_act": "relu",
        "sinusoidal_pos_embds": True,
    },
    "roberta": ROBERTA,
    "roberta, 2 segments, gelu_new": {**ROBERTA, "type_vocab_size": 2, "hidden_act": "gelu_new"},
    "roberta, padding 0": {**ROBERTA, "pad_token_id": 0, "max_position_embeddings": 513},
    "roberta, padding 3": {**ROBERTA, "pad_token_id": 3, "max_position_embeddings": 516},
    "xlm-roberta": {**ROBERTA, "model_type": "xlm-roberta"},
    "camembert": {**ROBERTA, "model_type": "camembert"},
    "electra": {"model_type": "electra", "embedding_size": TINY["hidden_size"]},
    "electra, E < C, gelu_new": {
        "model_type": "electra",
        "embedding_size": 16,
        "hidden_act": "gelu_new",
    },
    "albert": ALBERT,
    "albert, 2 groups, gelu": {
        **ALBERT,
        "hidden_act": "gelu",
        "num_hidden_layers": 4,
        "num_hidden_groups": 2,
    },
}
# One of each way to compute: the others differ from these in a number or in names only.
DISTINCT = [
    "distilbert",
    "distilbert, ReLU, sines",
    "roberta",
    "roberta, 2 segments, gelu_new",
    "electra",
    "electra, E < C, gelu_new",
    "albert",
    "albert, 2 groups, gelu",
]
# One of each way to name weights.
NAMED = ["distilbert", "roberta", "electra, E < C, gelu_new", "albert, 2 groups, gelu"]
HEADS = [
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMaskedLM",
]


def model_type(family: str) -> str:
    """The family without what is particular to the config, for a row of PARITY.md."""
    return str(FAMILIES[family]["model_type"])


def hf_config(family: str, **changes: Any) -> Any:
    """The config of a small model of transformers, from fields under our names."""
    fields = {**TINY, **RATES, **FAMILIES[family], **changes}
    variant = VARIANTS[fields.pop("model_type")]
    if "qa_dropout" not in variant.optional:
        del fields["qa_dropout"]
    keys = {variant.keys.get(name, name): value for name, value in fields.items()}
    return transformers.AutoConfig.for_model(variant.model_type, **keys)


def build(config: Any, head: str = "BertModel") -> torch.nn.Module:
    """A random model of transformers; head: its class, as BERT's is called."""
    torch.manual_seed(0)
    variant = VARIANTS[config.model_type]
    kind = getattr(transformers, variant.architecture(head))
    # transformers gives RoBERTa a pooler that no file has.
    unlike = head == "BertModel" and variant.positions_skip_padding
    return randomize(kind(config, **({"add_pooling_layer": False} if unlike else {})), 0)


def new_reference(family: str, head: str = "BertModel", **changes: Any) -> torch.nn.Module:
    """A small random model of transformers; head: its class, as BERT's is called."""
    return build(hf_config(family, **changes), head)


# Built once, so not to be changed; and not in a test's inference mode, so that all tests can use
# them.
@cache
@torch.inference_mode(False)
def reference(family: str, head: str = "BertModel", **changes: Any) -> torch.nn.Module:
    """`new_reference`, shared by all tests."""
    return new_reference(family, head, **changes)


@cache
@torch.inference_mode(False)
def ours(family: str, head: str = "BertModel", **changes: Any) -> torch.nn.Module:
    """Our model with the weights of `reference(family, head, **changes)`."""
    return ours_from(reference(family, head, **changes))


def adapted(batch: dict[str, torch.Tensor], config: minibert.BertConfig) -> dict[str, torch.Tensor]:
    """A batch of BERT's with the family's padding id, which is in no text, and its segments."""
    ids, padding = batch["input_ids"], config.pad_token_id
    text = torch.where(ids < 4, ids + 4, ids)
    segments = batch["token_type_ids"] * (config.type_vocab_size > 1)
    return {
        **batch,
        "input_ids": torch.where(ids == 0, padding, text),
        "token_type_ids": segments,
    }


def change(batch: dict[str, torch.Tensor], column: int, **to: int) -> dict[str, torch.Tensor]:
    """The batch with other values in one column."""
    changed = {name: batch[name].clone() for name in to}
    for name, value in to.items():
        changed[name][:, column] = value
    return {**batch, **changed}


@cache
@torch.inference_mode(False)
def batches(family: str) -> dict[str, dict[str, torch.Tensor]]:
    """The batches of BERT, and what only counted positions can tell apart."""
    config = minibert.BertConfig.from_dict(hf_config(family).to_dict())
    ragged = adapted(ragged_batch([6, 17, 9, 12], pairs=True), config)
    left = {name: value.flip(1) for name, value in ragged.items()}
    padding = config.pad_token_id
    assert padding is not None
    return {
        **{name: adapted(batch, config) for name, batch in BATCHES.items()},
        "left padding": left,
        "left padding by another id": {
            **left,
            "input_ids": left["input_ids"].masked_fill(left["attention_mask"] == 0, 7),
        },
        "padding id in the text": change(ragged, 3, input_ids=padding),
        "padding id in the text, hidden": change(ragged, 3, input_ids=padding, attention_mask=0),
    }


BATCH_NAMES = [
    *BATCHES,
    "left padding",
    "left padding by another id",
    "padding id in the text",
    "padding id in the text, hidden",
]


def only_real(name: str, value: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of one output what means something: the tokens shown, or the rows whose first one is."""
    real = batch["attention_mask"].bool()
    if name == "hidden_states":
        return value[:, real]
    return value[real] if value.shape[:2] == real.shape else value[real[:, 0]]

"""Real weights: those of MiniLM under the names and rules of the families that have its parts.

A random model shows that the sums are the same; a trained one that they are meant.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

import minibert
from minibert.checkpoint.names import Names, to_hf
from minibert.variants import VARIANTS
from tests.conftest import at_real

TEXTS = ["A short text.", "This was beyond incredible", "Unaffordable, naïve, 100 % true! " * 9]


@pytest.fixture(scope="module")
def real(minilm):
    return minibert.BertModel.from_pretrained(minilm)


@pytest.fixture(scope="module")
def batch(minilm):
    return minibert.WordPieceTokenizer.from_pretrained(minilm)(TEXTS)


def as_distilbert(tensors):
    """No segments: what segment 0 adds is added to every position."""
    segments = tensors.pop("embeddings.segment.weight")
    tensors["embeddings.position.weight"] = tensors["embeddings.position.weight"] + segments[0]
    return {"type_vocab_size": 0}


def as_roberta(tensors):
    """Positions from 2 on: two rows more in front, for padding id 0 one."""
    positions = tensors["embeddings.position.weight"]
    front = torch.full((1, positions.shape[1]), 9.0)  # never used
    tensors["embeddings.position.weight"] = torch.cat([front, positions])
    return {"max_position_embeddings": 513}


def as_electra(tensors):
    return {"embedding_size": tensors["embeddings.token.weight"].shape[1]}


LIKE = {"distilbert": as_distilbert, "roberta": as_roberta, "electra": as_electra}


def under_the_names_of(family, real):
    """(the config of the family, MiniLM's tensors as its files call them)."""
    tensors = {
        name: p.detach() for name, p in real.named_parameters() if not name.startswith("pooler.")
    }
    changes = LIKE[family](tensors)
    config = minibert.BertConfig(**{**vars(real.config), **changes, "model_type": family})
    return config, to_hf(tensors, Names(VARIANTS[family]))


@torch.inference_mode()
@pytest.mark.parametrize("family", LIKE)
def test_minilm_under_a_family_s_names_is_minilm(family, real, batch, parity):
    config, stored = under_the_names_of(family, real)
    mine = minibert.BertModel._load(config, stored, "minilm-l6")
    assert not mine.load_report.newly_initialised and not mine.load_report.ignored
    got = mine(**batch).last_hidden_state
    miss = at_real(got - real(**batch).last_hidden_state, batch)
    limit = 1e-5 if family == "distilbert" else 0.0  # where the sums are the same to the bit
    parity.at_most(f"minilm-l6 as {family}, to minilm-l6", miss, limit)

    kind = getattr(transformers, config.variant.architecture("BertModel"))
    theirs = kind.from_pretrained(
        None, config=kind.config_class.from_dict(config.to_dict()), state_dict=stored
    )
    taken = {"input_ids", "attention_mask"}
    wanted = theirs(**{name: batch[name] for name in taken}).last_hidden_state
    parity.at_most(f"minilm-l6 as {family}, to transformers", at_real(got - wanted, batch))


@torch.inference_mode()
def test_minilm_with_roberta_s_padding_id_of_1(real, batch, parity):
    """Two rows more in the table, and every id moved by one."""
    config, stored = under_the_names_of("roberta", real)
    for name in ("word", "position"):
        key = f"embeddings.{name}_embeddings.weight"
        stored[key] = torch.cat([torch.full((1, stored[key].shape[1]), 9.0), stored[key]])
    sizes = {"max_position_embeddings": 514, "vocab_size": config.vocab_size + 1}
    mine = minibert.BertModel._load(replace(config, pad_token_id=1, **sizes), stored, "minilm-l6")
    moved = {**batch, "input_ids": batch["input_ids"] + 1}
    miss = mine(**moved).last_hidden_state - real(**batch).last_hidden_state
    parity.at_most("minilm-l6 as roberta of padding id 1", at_real(miss, batch), 0.0)


# --- a trained ALBERT ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_albert():
    """The folder of the ALBERT in the wheel rxnmapper 0.4.3, trained on chemical reactions."""
    found = importlib.util.find_spec("rxnmapper")
    if found is None or found.origin is None:
        pytest.skip("needs rxnmapper's trained ALBERT: pip install --no-deps rxnmapper==0.4.3")
    models = Path(found.origin).parent / "models" / "transformers"
    return models / "albert_heads_8_uspto_all_1310k"


@pytest.mark.network
@torch.inference_mode()
def test_a_trained_albert_is_as_near_to_fp64_as_transformers(trained_albert, parity):
    mine = minibert.BertForMaskedLM.from_pretrained(trained_albert)
    assert not mine.load_report.newly_initialised
    theirs = transformers.AlbertForMaskedLM.from_pretrained(trained_albert).eval()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(13, mine.config.vocab_size, (4, 60), generator=generator)
    got, wanted = mine(ids).logits, theirs(ids).logits
    exact = theirs.double()(ids).logits
    own, miss = (wanted - exact).norm(), (got - exact).norm()
    parity.at_most("trained ALBERT: distance to fp64 over transformers'", miss / own, 2.0)

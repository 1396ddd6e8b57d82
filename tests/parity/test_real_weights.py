"""The real checkpoint and the full size of bert-base-cased against transformers."""

import pytest
import torch
import transformers

import minibert
from tests.conftest import hf_model, ours_from, ragged_batch
from tests.parity.test_ladder import TOLERANCE, at_real

PAIRS = [
    ("A short text.", "And its pair, which is somewhat longer than the text itself."),
    ("This was beyond incredible", "No."),
    ("Unaffordable, naïve, and 100% 日本語: all in one row! " * 8, "?"),
]


@torch.inference_mode()
def test_minilm_on_a_ragged_batch_of_pairs(minilm):
    batch = minibert.WordPieceTokenizer.from_pretrained("minilm-l6")(
        [text for text, _ in PAIRS], pairs=[pair for _, pair in PAIRS]
    )
    wanted = transformers.AutoModel.from_pretrained(minilm)(**batch)
    got = minibert.BertModel.from_pretrained("minilm-l6")(**batch)
    assert at_real(got.last_hidden_state - wanted.last_hidden_state, batch) <= TOLERANCE
    assert (got.pooler_output - wanted.pooler_output).abs().max() <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_full_size_bert_base_cased(spread):
    """108 million random weights; loud ones, at 0.2, are far from linear and hide no mistake."""
    size = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12)
    size |= dict(intermediate_size=3072, max_position_embeddings=512, vocab_size=28996)
    reference = hf_model(**size, initializer_range=spread)
    batch = ragged_batch([24, 9, 17], pairs=True)
    wanted = reference(**batch).last_hidden_state
    got = ours_from(reference)(**batch).last_hidden_state
    # After 12 loud layers rounding itself grows with the output; relative to it is what counts.
    scale = max(1.0, wanted.abs().max().item()) if spread == 0.2 else 1.0
    assert at_real(got - wanted, batch) <= TOLERANCE * scale


def test_number_of_parameters_of_bert_base_cased():
    with torch.device("meta"):
        model = minibert.BertModel(minibert.BertConfig())
    assert sum(p.numel() for p in model.parameters()) == 108_310_272


@torch.inference_mode()
@pytest.mark.slow
@pytest.mark.parametrize("length", [128, 512])
def test_full_size_at_length(length):
    size = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12)
    size |= dict(intermediate_size=3072, max_position_embeddings=512)
    reference = hf_model(**size)
    batch = ragged_batch([length, length // 3, 1])
    wanted = reference(**batch).last_hidden_state
    got = ours_from(reference)(**batch).last_hidden_state
    scale = max(1.0, wanted.abs().max().item())
    assert at_real(got - wanted, batch) <= TOLERANCE * scale

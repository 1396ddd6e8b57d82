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


FULL_SIZE = {
    **{"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
    **{"intermediate_size": 3072, "max_position_embeddings": 512, "vocab_size": 28996},
}


@torch.inference_mode()
def check_full_size(spread, lengths):
    """108 million random weights, with the usual spread and with a loud one.

    Loud models are far from linear and hide no mistake, but twelve layers of them amplify rounding
    beyond 1e-5 in any implementation; so there we must be as near to the reference in fp64 as its
    own fp32 is, within a factor of two.
    """
    reference = hf_model(**FULL_SIZE, initializer_range=spread)
    batch = ragged_batch(lengths, pairs=True)
    wanted = reference(**batch).last_hidden_state
    got = ours_from(reference)(**batch).last_hidden_state
    if spread == 0.02:
        assert at_real(got - wanted, batch) <= TOLERANCE
    else:
        exact = reference.double()(**batch).last_hidden_state
        own = at_real(wanted - exact, batch)
        assert at_real(got - exact, batch) <= 2 * own
        assert own < 0.01, "rounding, not chaos"


@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_full_size_bert_base_cased(spread):
    check_full_size(spread, [24, 9, 17])


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.02, 0.2])
@pytest.mark.parametrize("length", [128, 512])
def test_full_size_at_length(length, spread):
    check_full_size(spread, [length, length // 3, 1])


def test_number_of_parameters_of_bert_base_cased():
    with torch.device("meta"):
        model = minibert.BertModel(minibert.BertConfig())
    assert sum(p.numel() for p in model.parameters()) == 108_310_272

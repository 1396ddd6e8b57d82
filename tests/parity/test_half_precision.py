"""Half precision: no farther from the fp32 reference than twice transformers' own error.

The error is the norm of the difference at real tokens over the norm of the fp32 result.
"""

import copy

import pytest
import torch
import transformers

import minibert
from tests.conftest import BATCHES, hf_model, ours_from

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
TEXTS = ["A short text.", "This was beyond incredible", "Unaffordable, naïve, and 100 % true! " * 9]


def errors(ours, reference, batch, dtype, autocast):
    """(our error, theirs) of last_hidden_state, relative to the reference in fp32."""
    exact = reference(**batch).last_hidden_state
    results = []
    for model in (ours, reference):
        if autocast:
            with torch.autocast("cpu", dtype=dtype):
                got = model(**batch).last_hidden_state
        else:
            got = copy.deepcopy(model).to(dtype)(**batch).last_hidden_state
        real = batch["attention_mask"].bool()
        results.append(((got.float() - exact)[real].norm() / exact[real].norm()).item())
    return results


@torch.inference_mode()
@pytest.mark.parametrize("autocast", [False, True], ids=["whole model", "autocast"])
@pytest.mark.parametrize("dtype", HALVES)
def test_random_model(dtype, autocast, batch, parity):
    reference = hf_model(max_position_embeddings=512)
    mine, own = errors(ours_from(reference), reference, batch, HALVES[dtype], autocast)
    assert own > 1e-4, "the reference ran in half precision"
    how = "autocast" if autocast else "model in"
    parity.at_most(f"{how} {dtype}: our error over transformers'", mine / own, 2.0)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", HALVES)
def test_real_weights(dtype, minilm, parity):
    reference = transformers.AutoModel.from_pretrained(minilm)
    ours = minibert.BertModel.from_pretrained(minilm)
    batch = minibert.WordPieceTokenizer.from_pretrained(minilm)(TEXTS)
    mine, own = errors(ours, reference, batch, HALVES[dtype], autocast=False)
    parity.at_most(f"minilm-l6 in {dtype}: our error over transformers'", mine / own, 2.0)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", HALVES)
def test_every_head_runs_in_half_precision(dtype):
    for kind in ("BertForMaskedLM", "BertForQuestionAnswering", "BertForSequenceClassification"):
        output = ours_from(hf_model(kind)).to(HALVES[dtype])(**BATCHES["holes"])
        assert output[0].dtype == HALVES[dtype] and output[0].isfinite().all()

"""BertModel refuses what it cannot compute, before computing anything."""

from dataclasses import replace

import pytest
import torch

import minibert
from tests.conftest import TINY, ragged_batch

IDS = torch.arange(1, 9).view(2, 4)


@pytest.mark.parametrize(
    ("ids", "kwargs", "message"),
    [
        (IDS[0], {}, r"\(4,\).*\(B, T\)"),
        (IDS[:, :0], {}, "not empty"),
        (IDS.float(), {}, "float32.*int64"),
        (IDS + TINY["vocab_size"], {}, "219.*0 to 210.*tokenizer"),
        (IDS - 5, {}, "-4"),
        (IDS.repeat(1, 129), {}, "516 tokens.*512.*max_length=512"),
        (IDS, {"token_type_ids": torch.full_like(IDS, 2)}, "token_type_ids contains 2"),
        (IDS, {"token_type_ids": IDS[:1]}, r"token_type_ids has shape \(1, 4\)"),
        (IDS, {"attention_mask": torch.ones(2, 5)}, r"attention_mask has shape \(2, 5\)"),
        (IDS, {"attention_mask": torch.zeros(2, 4) - 10000}, "1 .or True. at real tokens"),
    ],
)
def test_bad_batches(ours, ids, kwargs, message):
    with pytest.raises(ValueError, match=message):
        ours(ids, **kwargs)


def test_missing_mask_means_every_position_is_real(ours):
    with torch.inference_mode():
        whole = ours(IDS).last_hidden_state
        masked = ours(IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state
        assert torch.equal(whole, masked)
        with pytest.warns(UserWarning, match="padding id 0.*attention_mask"):
            ours(IDS * (IDS != 4))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float32])
def test_mask_of_any_type(ours, dtype):
    batch = ragged_batch([3, 7])
    with torch.inference_mode():
        wanted = ours(**batch).last_hidden_state
        got = ours(**{**batch, "attention_mask": batch["attention_mask"].to(dtype)})
    assert torch.equal(got.last_hidden_state, wanted)


def test_random_start():
    torch.manual_seed(0)
    model = minibert.BertModel(minibert.BertConfig.from_size("bert-tiny"))
    assert abs(model.embeddings.token.weight.std() - 0.02) < 0.001
    assert not model.embeddings.token.weight[0].any(), "[PAD]"
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        elif parameter.shape[0] > 2:
            assert abs(parameter.std() - 0.02) < 0.002, name


def test_readable_and_fused_models_agree(ours):
    batch = ragged_batch([3, 17, 9])
    readable = minibert.BertModel(replace(ours.config, attention="readable")).eval()
    readable.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        a, b = ours(**batch).last_hidden_state, readable(**batch).last_hidden_state
    assert not torch.equal(a, b), "two implementations, not one"
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)

"""Attention over the packed list, a kernel of GPUs, by stand-ins."""

import pytest
import torch

import minibert
from minibert.attention import fused_attention
from minibert.engine.attention import VarlenAttention, has_varlen
from minibert.engine.exchange import exchange
from tests.conftest import BATCHES, TINY


@torch.inference_mode()
@pytest.mark.parametrize("name", BATCHES)
def test_attention_over_the_packed_list_equals_the_groups(monkeypatch, name):
    """PyTorch's kernel has no CPU form; this one attends row by row, as its documentation says."""

    def row_by_row(query, key, value, starts, key_starts, longest, longest_key):
        assert torch.equal(starts, key_starts) and starts.dtype == torch.int32
        lengths = starts.diff().tolist()
        assert max(lengths) == longest == longest_key and sum(lengths) == len(query)
        rows = zip(*(x.split(lengths) for x in (query, key, value)), strict=True)
        done = [fused_attention(*(x.transpose(0, 1)[None] for x in row))[0] for row in rows]
        return torch.cat([x[0].transpose(0, 1) for x in done])

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", row_by_row)
    model = minibert.BertModel(minibert.BertConfig(**TINY)).eval()
    wanted = model(**BATCHES[name]).last_hidden_state
    for layer in model.encoder.layers:
        exchange(layer.attention, VarlenAttention)
    torch.testing.assert_close(model(**BATCHES[name]).last_hidden_state, wanted)


@pytest.mark.parametrize(
    ("capability", "dtype", "there"),
    [
        ((9, 0), torch.bfloat16, True),
        ((8, 0), torch.float16, True),
        ((8, 0), torch.float32, False),
        ((7, 5), torch.float16, False),
    ],
)
def test_attention_over_the_packed_list_needs_ampere_and_half_precision(
    monkeypatch, capability, dtype, there
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_varlen(torch.device("cuda"), dtype) == there
    assert not has_varlen(torch.device("cpu"), dtype)

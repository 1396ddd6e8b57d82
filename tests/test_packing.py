"""Packing loses nothing, wastes little, and never changes a result."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minibert import BertConfig, BertModel
from minibert.packing import Packing
from tests.conftest import BATCHES, TINY

masks = st.integers(1, 12).flatmap(
    lambda width: st.lists(
        st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=8
    )
)


@settings(max_examples=200, deadline=None)
@given(masks)
def test_unpack_undoes_pack(rows):
    mask = torch.tensor(rows)
    packing = Packing(mask)
    x = torch.arange(1.0, mask.numel() + 1).view(*mask.shape, 1)
    packed = packing.pack(x)
    assert len(packed) == mask.sum()
    assert torch.equal(packing.unpack(packed), x * mask[..., None])


@settings(max_examples=200, deadline=None)
@given(masks, st.booleans())
def test_groups_hold_whole_rows_in_order(rows, mixed):
    mask = torch.tensor(rows)
    packing = Packing(mask, mixed)
    packed = torch.stack([packing.row, packing.column], dim=1) + 1.0  # +1: padding is 0
    seen = []
    for group in packing.groups:
        rectangle = group.pad(packed)
        assert torch.equal(group.unpad(rectangle), packed[group.start : group.stop])
        for slots in rectangle:
            real = slots[slots[:, 0] > 0]
            row = int(real[0, 0]) - 1
            columns = mask[row].nonzero().squeeze(1)
            assert torch.equal(real[:, 1].long() - 1, columns), "a row is whole and in order"
            seen.append(row)
    assert sorted(seen) == [i for i, row in enumerate(rows) if any(row)]


@settings(max_examples=200, deadline=None)
@given(masks)
def test_mixed_rectangles_waste_less_than_half(rows):
    packing = Packing(torch.tensor(rows), mixed=True)
    slots = sum(group.rows * group.width for group in packing.groups)
    tokens = len(packing.row)
    assert slots < 2 * tokens or tokens == 0


def test_one_long_text_does_not_pad_the_short_ones():
    mask = torch.arange(512) < torch.tensor([512] + [10] * 31)[:, None]
    packing = Packing(mask, mixed=True)
    assert [(group.rows, group.width) for group in packing.groups] == [(1, 512), (31, 10)]
    assert all(group.mask is None for group in packing.groups)


@settings(max_examples=200, deadline=None)
@given(masks)
def test_unless_mixed_there_is_a_group_for_each_length_and_nothing_is_padded(rows):
    packing = Packing(torch.tensor(rows))
    lengths = {sum(row) for row in rows} - {0} or {1}  # a batch of nothing but padding has one
    assert [group.width for group in packing.groups] == sorted(lengths, reverse=True)
    assert all(group.mask is None for group in packing.groups)


def test_a_model_mixes_in_training_only():
    model = BertModel(BertConfig(**TINY))
    for training in (True, False):
        groups = model.train(training).make_packing(**BATCHES["ragged"]).groups
        assert any(group.mask is not None for group in groups) == training


def test_without_padding_packing_is_a_view_and_there_is_no_mask():
    packing = Packing(torch.ones(3, 4, dtype=torch.bool))
    x = torch.randn(3, 4, 5)
    packed = packing.pack(x)
    assert packed.data_ptr() == x.data_ptr() == packing.unpack(packed).data_ptr()
    assert packing.groups[0].mask is None
    assert packing.groups[0].pad(packed).data_ptr() == x.data_ptr()


def test_first_tokens_are_found_and_placed():
    mask = torch.tensor([[1, 0, 0], [1, 1, 1], [0, 1, 1]]).bool()
    packing = Packing(mask)
    x = packing.pack(torch.tensor([[10.0, 0, 0], [20, 21, 22], [0, 31, 32]])[..., None])
    assert packing.place_first(x[packing.first]).flatten().tolist() == [10, 20, 0]


@torch.inference_mode()
def test_a_text_alone_or_in_company_gives_the_same(ours):
    batch = BATCHES["ragged"]
    together = ours(**batch).last_hidden_state
    for i, count in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        alone = ours(batch["input_ids"][i : i + 1, :count]).last_hidden_state[0]
        assert (together[i, :count] - alone).abs().max() <= 1e-5


@torch.inference_mode()
def test_a_batch_of_nothing_but_padding_is_finite(ours):
    ids = torch.ones(2, 3, dtype=torch.long)
    output = ours(ids, attention_mask=torch.zeros_like(ids), output_attentions=True)
    assert not output.last_hidden_state.any()
    assert output.pooler_output.isfinite().all()
    assert not output.attentions[0].any()

"""Negative controls: classic mistakes, made on purpose, must be seen by the parity tests.

A test that could not see these would prove nothing. Each control first shows that the model agrees
with the reference, then makes one mistake and asks for a difference of ten times the tolerance.
"""

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import minibert.attention
import minibert.encoder
import minibert.model
from minibert.attention import fused_attention, readable_attention
from minibert.checkpoint.names import from_hf
from minibert.packing import Packing
from tests.conftest import BATCHES, at_real, hf_model, ours_from, ragged_batch


def layers(model):
    return model.bert.encoder.layers


# --- mistakes in the weights ---------------------------------------------------------------------


def swap_query_and_key(model, patch):
    for layer in layers(model):
        for parameter in layer.attention.query_key_value.parameters():
            query, key, value = parameter.data.chunk(3)
            parameter.data = torch.cat([key, query, value])


def interleave_heads(model, patch):
    """As if the C outputs of a projection were (D, H), not (H, D)."""
    heads, size = model.config.num_attention_heads, model.config.head_size
    for layer in layers(model):
        for parameter in layer.attention.query_key_value.parameters():
            rest = parameter.shape[1:]
            mixed = parameter.data.view(3, heads, size, *rest).transpose(1, 2)
            parameter.data = mixed.reshape(parameter.shape)


def transpose_output(model, patch):
    for layer in layers(model):
        layer.attention.output.weight.data = layer.attention.output.weight.data.T.contiguous()


def forget_segments(model, patch):
    model.bert.embeddings.segment.weight.data.zero_()


def shift_positions(model, patch):
    table = model.bert.embeddings.position.weight
    table.data = table.data.roll(1, dims=0)


def swap_layers(model, patch):
    first, second, third = layers(model)
    model.bert.encoder.layers = torch.nn.ModuleList([second, first, third])


def leave_a_layer_out(model, patch):
    model.bert.encoder.layers = layers(model)[:-1]


def forget_norm_weights(model, patch):
    """As when LayerNorm's gamma and beta are not renamed and the fresh ones stay."""
    for layer in layers(model):
        layer.attention_norm.reset_parameters()


def forget_the_masked_lm_bias(model, patch):
    model.masked_lm.bias.data.zero_()


def untie_the_decoder(model, patch):
    """As if the decoder were a matrix of its own, left as it was at random."""
    table = torch.randn_like(model.bert.embeddings.token.weight) * 0.2
    forward = model.masked_lm.forward
    patch.setattr(model.masked_lm, "forward", lambda x, _: forward(x, table))


def swap_next_sentence_labels(model, patch):
    for parameter in model.next_sentence.parameters():
        parameter.data = parameter.data.flip(0)


# --- mistakes in the mathematics -----------------------------------------------------------------


def eps_of_pytorch(part):
    def spoil(model, patch):
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.LayerNorm) and part in name:
                module.eps = 1e-5

    return spoil


def tanh_for_erf(part):
    def spoil(model, patch):
        modules = [m for name, m in model.named_modules() if part in name]
        for module in modules:
            if hasattr(module, "activation"):
                module.activation = minibert.encoder.gelu_tanh

    return spoil


def attend_with(attention, mixed=False):
    """mixed: with groups as in training, since only those have a mask."""

    def spoil(model, patch):
        patch.setattr(minibert.attention, "fused_attention", attention)
        if mixed:
            init = Packing.__init__
            patch.setattr(Packing, "__init__", lambda self, mask, mixed: init(self, mask, True))

    return spoil


def unscaled(query, key, value, mask=None, dropout=None):
    return fused_attention(query * query.shape[-1] ** 0.5, key, value, mask, dropout)


def scaled_by_the_width(query, key, value, mask=None, dropout=None):
    return fused_attention(query / query.shape[1] ** 0.5, key, value, mask, dropout)


def maskless(query, key, value, mask=None, dropout=None):
    return fused_attention(query, key, value, None, dropout)


def inverted(query, key, value, mask=None, dropout=None):
    return fused_attention(query, key, value, None if mask is None else ~mask, dropout)


def causal(query, key, value, mask=None, dropout=None):
    width = query.shape[-2]
    past = torch.ones(width, width, dtype=torch.bool).tril()
    return fused_attention(query, key, value, past if mask is None else past & mask, dropout)


def softmax_over_queries(query, key, value, mask=None, dropout=None):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    return scores.softmax(dim=-2) @ value, None


def count_only_real_tokens(model, patch):
    """Positions 0, 1, 2 ... of the tokens that are left, not the columns they stand in."""
    init = Packing.__init__

    def renumbered(self, mask, mixed):
        init(self, mask, mixed)
        self.column = (mask.cumsum(dim=1) - 1)[self.row, self.column]

    patch.setattr(Packing, "__init__", renumbered)


def normalise_before(model, patch):
    """Pre-LN: LayerNorm in front of the sub-layer, nothing behind it."""

    def forward(self, x, packing, wanted=None, record=None):
        x = x + self.attention(self.attention_norm(x), packing)
        return x + self.feed_forward(self.feed_forward_norm(x))

    patch.setattr(minibert.encoder.EncoderLayer, "forward", forward)


def forget_the_residual(model, patch):
    def forward(self, x, packing, wanted=None, record=None):
        x = self.attention_norm(self.attention(x, packing))
        return self.feed_forward_norm(self.feed_forward(x))

    patch.setattr(minibert.encoder.EncoderLayer, "forward", forward)


def forget_tanh(model, patch):
    patch.setattr(minibert.model.Pooler, "forward", lambda self, first: self.dense(first))


def pool_the_second_token(model, patch):
    init = Packing.__init__

    def second(self, mask, mixed):
        init(self, mask, mixed)
        self.first = self.first + 1

    patch.setattr(Packing, "__init__", second)


# Name -> (the mistake, the batch that shows it).
CONTROLS = {
    "query and key swapped": (swap_query_and_key, "pairs"),
    "heads interleaved": (interleave_heads, "pairs"),
    "output projection transposed": (transpose_output, "pairs"),
    "no segment embedding": (forget_segments, "pairs"),
    "positions shifted by one": (shift_positions, "full"),
    "positions counted over real tokens only": (count_only_real_tokens, "holes"),
    "layers in another order": (swap_layers, "full"),
    "last layer left out": (leave_a_layer_out, "full"),
    "LayerNorm weights not loaded": (forget_norm_weights, "full"),
    "masked LM bias left out": (forget_the_masked_lm_bias, "full"),
    "decoder not tied": (untie_the_decoder, "full"),
    "next sentence labels swapped": (swap_next_sentence_labels, "pairs"),
    "eps 1e-5 in the embeddings": (eps_of_pytorch("embeddings"), "full"),
    "eps 1e-5 after attention": (eps_of_pytorch("attention_norm"), "full"),
    "eps 1e-5 after the feed-forward": (eps_of_pytorch("feed_forward_norm"), "full"),
    "eps 1e-5 in the masked LM transform": (eps_of_pytorch("masked_lm"), "full"),
    "tanh for erf in the layers": (tanh_for_erf("feed_forward"), "full"),
    "tanh for erf in the masked LM transform": (tanh_for_erf("masked_lm"), "full"),
    "scores not scaled": (attend_with(unscaled), "full"),
    "scores scaled by the width of all heads": (attend_with(scaled_by_the_width), "full"),
    "mask ignored": (attend_with(maskless, mixed=True), "ragged"),
    "mask inverted": (attend_with(inverted, mixed=True), "ragged"),
    "causal mask": (attend_with(causal), "full"),
    "softmax over the queries": (attend_with(softmax_over_queries), "full"),
    "LayerNorm before the sub-layer": (normalise_before, "full"),
    "no residual": (forget_the_residual, "full"),
    "pooler without tanh": (forget_tanh, "full"),
    "pooled at the wrong token": (pool_the_second_token, "full"),
}

# An eps of 1e-5 shows beside a variance of 1e-4, not beside one of 2: so what is added up in front
# of that LayerNorm is made small for its control.
QUIET = {
    "eps 1e-5 after attention": r"embeddings\.LayerNorm|layer\.0\.attention\.output\.dense",
    "eps 1e-5 after the feed-forward": r"0\.attention\.output\.LayerNorm|0\.output\.dense",
    "eps 1e-5 in the masked LM transform": r"transform\.dense",
}


def differences(ours, reference, batch):
    """The largest difference of each of the two results at real tokens."""
    got, wanted = ours(**batch), reference(**batch)
    relation = got.seq_relationship_logits - wanted.seq_relationship_logits
    return max(
        at_real(got.prediction_logits - wanted.prediction_logits, batch),
        relation.abs().max().item(),
    )


@torch.inference_mode()
@pytest.mark.parametrize("name", CONTROLS)
def test_mistake_is_seen(name, parity, monkeypatch):
    spoil, batch = CONTROLS[name]
    reference = hf_model("BertForPreTraining")
    for parameter_name, parameter in reference.named_parameters():
        if re.search(QUIET.get(name, "nothing"), parameter_name):
            parameter.data *= 0.01
    ours = ours_from(reference)
    assert differences(ours, reference, BATCHES[batch]) <= 1e-5, "right without the mistake"
    spoil(ours, monkeypatch)
    parity.more_than(name, differences(ours, reference, BATCHES[batch]))


# --- mistakes in loading -------------------------------------------------------------------------


def load_into(ours, tensors):
    shapes = {name: p.shape for name, p in ours.named_parameters()}
    return from_hf(tensors, shapes, "reference")


def test_weights_of_another_seed_are_seen(parity):
    ours = ours_from(hf_model("BertForPreTraining", seed=1))
    with torch.inference_mode():
        miss = differences(ours, hf_model("BertForPreTraining", seed=0), BATCHES["full"])
    parity.more_than("weights of another model", miss)


def test_renaming_every_gamma_is_refused():
    """transformers #11809: only LayerNorm's gamma and beta are old names."""
    reference = hf_model("BertForPreTraining")
    tensors = {**reference.state_dict(), "bert.adapter.gamma": torch.ones(48)}
    with pytest.raises(ValueError, match="bert.adapter.gamma"):
        load_into(ours_from(reference), tensors)


def test_bf16_file_kept_in_its_own_dtype_is_seen(parity):
    """transformers 5 computes in the file's dtype; we in fp32."""
    reference = hf_model("BertForPreTraining").bfloat16()
    ours = ours_from(reference)
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    with torch.inference_mode():
        in_bf16 = differences(ours, reference, BATCHES["full"])
        assert differences(ours, reference.float(), BATCHES["full"]) <= 1e-5
    parity.more_than("bf16 file not turned into fp32", in_bf16)


# --- mistakes in losses --------------------------------------------------------------------------


def test_ignoring_label_0_is_seen(parity):
    """ignore_index=0, meant for the masked LM's padding, would drop every true pair."""
    reference = hf_model("BertForPreTraining")
    batch, labels = ragged_batch([9] * 4, pairs=True), torch.tensor([0, 1, 0, 1])
    with torch.inference_mode():
        got = ours_from(reference)(**batch, next_sentence_label=labels)
        logits = reference(**batch).seq_relationship_logits
    assert abs(got.loss - F.cross_entropy(logits, labels)) <= 1e-5
    mistaken = F.cross_entropy(logits, labels, ignore_index=0)
    parity.more_than("ignore_index=0 in next sentence prediction", (got.loss - mistaken).abs())


def test_labels_at_every_position_are_seen(parity):
    """-100 taken for a class, or left out of the mean's count."""
    reference, batch = hf_model("BertForMaskedLM"), BATCHES["full"]
    labels = batch["input_ids"].clone()
    labels[:, ::2] = -100
    with torch.inference_mode():
        got = ours_from(reference)(**batch, labels=labels).loss
        logits = reference(**batch).logits.flatten(0, 1)
        everywhere = F.cross_entropy(logits, labels.flatten(), reduction="sum") / labels.numel()
    parity.more_than("mean over unlabelled tokens too", (got - everywhere).abs())


# --- mistakes in masks ---------------------------------------------------------------------------


@pytest.mark.parametrize("attend", [readable_attention, fused_attention])
def test_a_mask_of_minus_10000_is_seen(attend, parity):
    """A hidden key that matches very well wins against -10000, and never against our mask."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 6, 8, generator=generator)
    mask = torch.tensor([1, 1, 1, 1, 0, 0]).bool()[None, None, None]
    query, key = query * 200, key * 200
    short = [x[:, :, :4] for x in (key, value)]
    wanted, _ = attend(query, *short)
    got, _ = attend(query, key, value, mask)
    assert (got - wanted).abs().max() <= 1e-5
    scores = query @ key.mT / 8**0.5 - 10000.0 * ~mask
    mistaken = scores.softmax(dim=-1) @ value
    parity.more_than("mask of -10000", (mistaken - wanted).abs().max())


def test_two_added_masks_are_seen():
    """The lowest number added twice overflows to -inf, and a row without keys becomes NaN."""
    lowest = torch.finfo(torch.float32).min
    query, key, value = torch.randn(3, 1, 1, 3, 8, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(1, 1, 1, 3, dtype=torch.bool)
    for attend in (readable_attention, fused_attention):
        assert not attend(query, key, value, nothing)[0].any(), "zeros, not NaN"
    twice = query @ key.mT + lowest + lowest
    assert twice.softmax(dim=-1).isnan().all()


def test_a_config_that_lies_is_seen(parity):
    """hidden_act from the config, not from habit."""
    reference = hf_model("BertForPreTraining", hidden_act="gelu_new")
    mistaken = ours_from(reference, hidden_act="gelu")
    assert replace(mistaken.config, hidden_act="gelu_new") == ours_from(reference).config
    with torch.inference_mode():
        miss = differences(mistaken, reference, BATCHES["full"])
    parity.more_than("hidden_act of the config ignored", miss)

"""Attention over the packed list by kernels of GPUs, on the meta device and with stand-ins."""

import pytest
import torch

import minibert
from minibert.attention import SelfAttention, fused_attention
from minibert.config import BertConfig
from minibert.engine import attention
from minibert.engine.attention import PackedAttention, flash, memory_efficient, packed_kernel, probe
from minibert.engine.exchange import exchange
from minibert.engine.optimize import optimize
from tests.conftest import BATCHES, TINY, small_model

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def row_by_row(qkv, starts, longest, dropped):
    """What the kernels are for: each row attends to itself."""
    assert starts.dtype == torch.int32 and starts[0] == 0 and starts[-1] == len(qkv)
    lengths = starts.diff().tolist()
    assert max(lengths) == longest
    rows = [row.permute(1, 2, 0, 3)[:, None] for row in qkv.split(lengths)]  # (3, 1, H, n, D)
    dropout = torch.nn.Dropout(dropped)
    return torch.cat([fused_attention(*row, None, dropout)[0][0].transpose(0, 1) for row in rows])


@pytest.fixture()
def kernels(monkeypatch):
    """As if the CPU had the kernel; the list of its calls."""
    calls = []

    def kernel(*arguments):
        calls.append(arguments)
        return row_by_row(*arguments)

    monkeypatch.setattr(attention, "packed_kernel", lambda *_: kernel)
    return calls


def packed(model):
    for layer in model.encoder.layers:
        exchange(layer.attention, PackedAttention)
    return model


@torch.inference_mode()
@pytest.mark.parametrize("name", BATCHES)
def test_attention_over_the_packed_list_equals_the_groups(kernels, name):
    model = minibert.BertModel(BertConfig(**TINY)).eval()
    wanted = model(**BATCHES[name]).last_hidden_state
    torch.testing.assert_close(packed(model)(**BATCHES[name]).last_hidden_state, wanted)
    assert len(kernels) == TINY["num_hidden_layers"]


def test_gradients_over_the_packed_list_equal_those_of_the_groups(kernels):
    config = BertConfig(**TINY, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = minibert.BertModel(config).train()
    found = []
    for kind in (model, packed(model)):
        kind(**BATCHES["ragged"]).last_hidden_state.square().sum().backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
    assert kernels
    for name, wanted in found[0].items():
        torch.testing.assert_close(found[1][name], wanted, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize(("training", "dropped"), [(True, 0.25), (False, 0.0)])
def test_weights_are_dropped_in_training_only(kernels, training, dropped):
    model = minibert.BertModel(BertConfig(**TINY, attention_probs_dropout_prob=0.25))
    packed(model.train(training))(**BATCHES["ragged"])
    assert {arguments[3] for arguments in kernels} == {dropped}


@pytest.mark.parametrize("attention", ["readable", "fused"])
def test_who_names_a_way_of_attending_gets_it(kernels, attention):
    model = packed(minibert.BertModel(BertConfig(**TINY, attention=attention)).eval())
    model(**BATCHES["ragged"])
    assert not kernels


def test_who_asks_for_the_weights_gets_the_formula(kernels):
    model = packed(minibert.BertModel(BertConfig(**TINY)).eval())
    assert model(**BATCHES["ragged"], output_attentions=True).attentions is not None
    assert not kernels


def test_large_batches_of_one_length_go_to_the_dense_kernel(kernels, monkeypatch):
    monkeypatch.setattr(attention, "FULL_TOKENS", 27)
    model = packed(minibert.BertModel(BertConfig(**TINY)).eval())
    model(**BATCHES["full"])  # 3 rows of 9
    assert not kernels
    model(**BATCHES["ragged"])
    assert kernels


def test_nothing_but_padding_needs_no_kernel(kernels):
    model = packed(minibert.BertModel(BertConfig(**TINY)).eval())
    batch = {name: torch.zeros(2, 5, dtype=torch.long) for name in BATCHES["full"]}
    assert not model(**batch).last_hidden_state.any()
    assert not kernels


# --- which kernel ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "dtype", "head_size", "kernel"),
    [
        ((9, 0), torch.bfloat16, 64, flash),
        ((8, 0), torch.float16, 32, flash),
        ((9, 0), torch.float32, 64, memory_efficient),
        ((7, 5), torch.float16, 64, memory_efficient),
        ((7, 5), torch.bfloat16, 64, None),
        ((9, 0), torch.float64, 64, None),
        ((9, 0), torch.bfloat16, 12, None),
        ((9, 0), torch.bfloat16, 256, None),
    ],
)
def test_the_kernel_follows_from_gpu_number_format_and_head_size(
    monkeypatch, capability, dtype, head_size, kernel
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(attention, "probe", lambda *_: "")
    packed_kernel.cache_clear()
    assert packed_kernel(CUDA, dtype, head_size) is kernel
    packed_kernel.cache_clear()


@pytest.mark.parametrize(
    ("capability", "dtype", "kernel"),
    [
        ((9, 0), torch.bfloat16, flash),
        ((8, 0), torch.float16, flash),
        ((9, 0), torch.float32, None),
        ((7, 5), torch.float16, None),
    ],
)
def test_only_flash_attention_drops_weights(monkeypatch, capability, dtype, kernel):
    """The other kernel's gradients would be those of other weights than were kept."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(attention, "probe", lambda *_: "")
    packed_kernel.cache_clear()
    assert packed_kernel(CUDA, dtype, 64, True) is kernel
    packed_kernel.cache_clear()


@pytest.mark.parametrize(("training", "share"), [(True, 0.25), (True, 0.0), (False, 0.25)])
def test_the_module_says_whether_weights_are_to_be_dropped(monkeypatch, training, share):
    asked = []
    monkeypatch.setattr(attention, "packed_kernel", lambda *given: asked.append(given[3]))
    model = minibert.BertModel(BertConfig(**TINY, attention_probs_dropout_prob=share))
    packed(model.train(training))(**BATCHES["ragged"])
    assert set(asked) == {training and share > 0}


def test_the_cpu_has_no_such_kernel():
    assert packed_kernel(CPU, torch.bfloat16, 64) is None


def test_a_kernel_that_fails_its_probe_is_not_used_and_a_warning_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(attention, "probe", lambda *_: "is wrong by 3.0e-01 of the result")
    packed_kernel.cache_clear()
    with pytest.warns(UserWarning, match=r"flash attention .* is wrong by 3.0e-01 .* on cuda:0;"):
        assert packed_kernel(CUDA, torch.bfloat16, 64) is None
    packed_kernel.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_probe_accepts_what_is_right(dtype):
    with torch.inference_mode():  # as predictions do
        assert probe(row_by_row, CPU, dtype, 64) == ""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda qkv, *rest: row_by_row(qkv, *rest) * 1.001, "is wrong by 1.0e-03 of the result"),
        (lambda qkv, *rest: row_by_row(qkv.detach() + 0 * qkv, *rest), "is wrong by 1.0e+00"),
        (flash, "does not run (Could not run 'aten::_flash_attention_forward'"),
    ],
)
def test_the_probe_refuses_wrong_numbers_wrong_gradients_and_failures(wrong, message):
    assert probe(wrong, CPU, torch.float32, 64).startswith(message)


@pytest.mark.parametrize(
    ("kernel", "dtype"), [(flash, torch.bfloat16), (memory_efficient, torch.float32)]
)
@pytest.mark.parametrize("dropped", [0.0, 0.1])
def test_kernels_take_what_we_give_them_forward_and_backward(kernel, dtype, dropped):
    """The meta device knows the arguments of PyTorch's kernels, and the shapes they return."""
    qkv = torch.empty(16, 3, 12, 64, device="meta", dtype=dtype, requires_grad=True)
    starts = torch.empty(4, device="meta", dtype=torch.int32)
    context = kernel(qkv, starts, 9, dropped)
    assert context.shape == (16, 12, 64) and context.dtype == dtype
    assert torch.autograd.grad(context, qkv, context.detach())[0].shape == qkv.shape


def test_an_optimized_model_on_a_cpu_attends_as_before():
    fast = optimize(small_model())
    assert {type(layer.attention) for layer in fast.bert.encoder.layers} == {SelfAttention}

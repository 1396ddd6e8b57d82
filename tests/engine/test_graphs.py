"""Small batches by CUDA graphs: on the CPU a recording is the function itself."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from weakref import WeakSet

import pytest
import torch

import minibert
from minibert.attention import SelfAttention, fused_attention
from minibert.encoder import Encoder
from minibert.engine import attention, graphs
from minibert.engine.attention import PackedAttention, flash, memory_efficient
from minibert.engine.bodies import Plain, PlainBf16
from minibert.engine.exchange import exchange
from minibert.engine.graphs import GraphedEncoder, Graphs, Recorder, is_in_order, size_of
from minibert.engine.host import HostPackedModel
from minibert.engine.optimize import classes_for, optimize
from minibert.linear import Linear
from minibert.packing import Packing
from tests.conftest import BATCHES, OURS, TINY, hf_model, ours_from, ragged_batch
from tests.engine.conftest import random

CUDA = torch.device("cuda", 0)

# Without a graph all results are right, too.
pytestmark = pytest.mark.filterwarnings("error:CUDA graphs do not work here")


def row_by_row(qkv, starts, longest, dropped):
    """What kernels for packed rows do, and what they demand. They leave the context of a token
    that is in no row as they found it, which may be anything."""
    assert starts.dtype == torch.int32 and starts.is_contiguous() and not dropped
    bounds = starts.tolist()
    assert bounds[0] == 0 and bounds == sorted(bounds) and bounds[-1] <= len(qkv)
    context = torch.full_like(qkv[:, 0], torch.nan)
    for start, stop in zip(bounds, bounds[1:], strict=False):
        assert stop - start <= longest
        if start < stop:
            row = qkv[start:stop].permute(1, 2, 0, 3)[:, None]  # (3, 1, H, n, D)
            context[start:stop] = fused_attention(*row)[0][0].transpose(0, 1)
    return context


class StandIn:
    """A `Recorder` of a machine without CUDA. What it records runs again at each replay."""

    def __init__(self, device):
        self.replays = []  # for each recording, how often it was replayed
        RECORDERS.append(self)

    def record(self, run):
        number = len(self.replays)
        self.replays.append(0)
        with torch.inference_mode(False), torch.no_grad():
            result = run()

        def replay():
            self.replays[number] += 1
            with torch.inference_mode(False), torch.no_grad():
                result.copy_(run())
            return result

        return replay


RECORDERS: list[StandIn] = []


@pytest.fixture(autouse=True)
def without_cuda(monkeypatch):
    """As if the CPU were a GPU with the kernel and with graphs, which every batch has earned."""
    RECORDERS.clear()
    for module in (attention, graphs):
        monkeypatch.setattr(module, "packed_kernel", lambda *_: row_by_row)
    monkeypatch.setattr(graphs, "is_in_order", lambda device: True)
    monkeypatch.setattr(graphs, "Recorder", StandIn)
    monkeypatch.setattr(graphs, "EARNED", 1)


def graphed(model):
    """As `optimize` makes it on a GPU, of an optimized model on a CPU."""
    for part in list(model.modules()):
        to = {SelfAttention: PackedAttention, Encoder: GraphedEncoder}.get(type(part))
        if to is not None:
            exchange(part, to)
    return model


def base(model):
    return getattr(model, "bert", model)


@pytest.fixture()
def model():
    torch.manual_seed(0)
    return graphed(optimize(minibert.BertModel(minibert.BertConfig(**TINY))))


def plain(model, batch):
    """What the model gives without graphs."""
    encoder = base(model).encoder
    before, encoder.graphs = encoder.graphs, Graphs()
    encoder.graphs.failed = True
    y = model(**batch)[0]
    encoder.graphs = before
    return y


def recordings():
    return sum(len(recorder.replays) for recorder in RECORDERS)


def replays():
    return sum(sum(recorder.replays) for recorder in RECORDERS)


# --- the same results -----------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("kind", OURS)
def test_every_head_gives_the_same(kind, batch):
    original = optimize(ours_from(hf_model(kind)))
    model = graphed(copy.deepcopy(original))
    for _ in range(2):  # by a recording, and by a replay of it
        wanted, found = original(**batch), model(**batch)
        for name, value in wanted._asdict().items():
            if value is not None:
                assert (getattr(found, name) - value).abs().max() <= 1e-5, name
    assert (recordings(), replays()) == (1, 2)


@torch.inference_mode()
def test_any_lengths_one_after_the_other(model):
    """Each replay finds what others left: tokens, rows and all."""
    generator = torch.Generator().manual_seed(0)
    for seed in range(30):
        count = int(torch.randint(1, 20, (), generator=generator))
        lengths = torch.randint(0, 40, (count,), generator=generator).tolist()
        batch = ragged_batch([*lengths, 1], seed)
        torch.testing.assert_close(model(**batch)[0], plain(model, batch), atol=1e-5, rtol=0)
    assert 2 <= recordings() < 30 <= replays()


@torch.inference_mode()
def test_chosen_tokens_come_in_the_callers_order_and_as_often_as_asked(model):
    x, encoder = random(13, TINY["hidden_size"]), model.encoder
    packing = Packing(torch.arange(8) < torch.tensor([[8], [5]]))
    everything = Encoder.forward(encoder, x, packing)
    for chosen in ([12, 0, 12], [4], [], list(range(13)) * 2):
        for _ in range(2):
            y = encoder(x, packing, torch.tensor(chosen, dtype=torch.long))
            assert y.shape == (len(chosen), TINY["hidden_size"])
            torch.testing.assert_close(y, everything[chosen], atol=1e-5, rtol=0)
    assert recordings() == 2 and replays() == 8  # for 8 tokens or fewer, and for 32


@torch.inference_mode()
def test_tokens_that_an_earlier_batch_wanted_are_not_looked_for(model):
    """There may be fewer now."""
    for lengths, first in (([90, 10], [99] * 8), ([3], [0]), ([3], [2])):
        x, mask = random(sum(lengths), 48), torch.arange(90) < torch.tensor(lengths)[:, None]
        chosen = torch.tensor(first)
        found = model.encoder(x, Packing(mask), chosen)
        wanted = Encoder.forward(model.encoder, x, Packing(mask), chosen)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert recordings() == 2


@torch.inference_mode()
def test_a_result_is_not_changed_by_the_next(model):
    results = [model(**ragged_batch([3, 17, 9, 1, 16, 8], seed))[0] for seed in range(3)]
    assert recordings() == 1 and replays() == 3
    for seed, found in enumerate(results):
        wanted = plain(model, ragged_batch([3, 17, 9, 1, 16, 8], seed))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_inference_mode_and_no_grad_may_take_turns(model):
    batch = BATCHES["ragged"]
    found = []
    for mode in (torch.no_grad, torch.inference_mode, torch.no_grad):
        with mode():
            found.append(model(**batch)[0])
    assert recordings() == 1 and replays() == 3
    assert [y.is_inference() for y in found] == [False, True, False]
    assert torch.equal(found[1], found[2])


def test_tensors_of_inference_mode_may_be_given_outside_of_it(model):
    with torch.inference_mode():
        x, starts = random(4, TINY["hidden_size"]).clone(), Packing(torch.ones(1, 4).bool())
    with torch.no_grad():
        for _ in range(2):
            y = model.encoder(x, starts, torch.tensor([0]))
    assert replays() == 2 and not y.is_inference()


def test_two_threads_may_call_one_model(model):
    batches = [ragged_batch([length, 3], seed=length) for length in range(1, 40)]

    def call(batch):
        with torch.inference_mode():
            return model(**batch)[0]

    with torch.inference_mode():
        wanted = [plain(model, batch) for batch in batches]
    with ThreadPoolExecutor(2) as pool:
        for found, right in zip(pool.map(call, batches), wanted, strict=True):
            torch.testing.assert_close(found, right, atol=1e-5, rtol=0)
    assert recordings() == 1 and replays() == len(batches)


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "wanted", "size"),
    [
        ([1], None, (64, 8, 64, 0)),
        ([64], 1, (64, 8, 64, 8)),
        ([65], 1, (128, 8, 128, 8)),
        ([16] * 7, 7, (128, 8, 64, 8)),
        ([16] * 8, 8, (128, 16, 64, 8)),
        ([16] * 8 + [0], 9, (128, 16, 64, 16)),
        ([512, 1], 2, (576, 8, 512, 8)),
        ([8] * 300, 300, (2560, 512, 256, 512)),  # the padding is the longest row
        ([512] * 8, None, (4096, 16, 512, 0)),
    ],
)
def test_the_size_of_a_batch(lengths, wanted, size):
    chosen = None if wanted is None else torch.zeros(wanted, dtype=torch.long)
    assert size_of(lengths, chosen) == size


def test_every_batch_fits_its_size_and_few_sizes_are_needed():
    for real in range(1, graphs.MOST_TOKENS + 1):
        for lengths in ([real], [1] * (real - 1) + [1]):
            size = size_of(lengths, None)
            assert real <= size.tokens <= min(graphs.MOST_TOKENS, max(64, real * 9 / 8 + 64))
            assert len(lengths) < size.rows
            assert max(lengths[0], size.tokens - real) <= size.longest
    sizes = {size_of([real], None).tokens for real in range(1, graphs.MOST_TOKENS + 1)}
    assert len(sizes) == 32


@torch.inference_mode()
def test_a_size_is_recorded_when_it_has_come_often_enough(model, monkeypatch):
    monkeypatch.setattr(graphs, "EARNED", 3)
    short, long = ragged_batch([60]), ragged_batch([120])
    for count in (0, 0, 2, 2):
        model(**short)
        model(**long)
        assert recordings() == count
    assert replays() == 4


@torch.inference_mode()
def test_too_many_graphs_are_dropped_all_together(model, monkeypatch):
    """One alone must not be: what cuBLAS works in would go with it."""
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 2)
    a, b, c = (ragged_batch([length]) for length in (60, 120, 180))
    for batch, count, kept in ((a, 1, 1), (b, 2, 2), (a, 2, 2), (c, 3, 1), (c, 3, 1), (a, 4, 2)):
        torch.testing.assert_close(model(**batch)[0], plain(model, batch), atol=1e-5, rtol=0)
        assert recordings() == count and len(model.encoder.graphs.replays) == kept
    assert [recorder.replays for recorder in RECORDERS] == [[2, 1], [2, 1]]


@torch.inference_mode()
def test_dropped_sizes_must_earn_their_graphs_again(model, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 1)
    monkeypatch.setattr(graphs, "EARNED", 2)
    a, b = ragged_batch([60]), ragged_batch([120])
    for batch, count in ((a, 0), (a, 1), (b, 1), (b, 2), (a, 2), (a, 3)):
        model(**batch)
        assert recordings() == count


# --- who is computed without ----------------------------------------------------------------------


@torch.inference_mode()
def test_whoever_asks_for_inner_values_gets_them(model):
    for name in ("output_hidden_states", "output_attentions"):
        assert len(model(**BATCHES["ragged"], **{name: True})[-1 if "att" in name else 2]) >= 3
    assert not RECORDERS


@torch.inference_mode()
def test_hooks_are_called(model):
    seen = []
    handle = model.encoder.layers[1].feed_forward.register_forward_hook(
        lambda module, given, y: seen.append(y)
    )
    model(**BATCHES["ragged"])
    assert len(seen) == 1 and not RECORDERS
    handle.remove()
    model(**BATCHES["ragged"])
    assert len(seen) == 1 and RECORDERS


CHANGES = {
    "fewer layers": lambda encoder: encoder.layers.pop(2),
    "another class": lambda encoder: exchange(encoder.layers[0].feed_forward, Doubled),
    "another module": lambda encoder: setattr(
        encoder.layers[0], "attention_norm", torch.nn.LayerNorm(48, eps=1.0)
    ),
}


class Doubled(minibert.encoder.FeedForward):
    def forward(self, x):
        return 2 * super().forward(x)


@torch.inference_mode()
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_exchanged_is_recorded_anew(model, change):
    batch = BATCHES["ragged"]
    before = model(**batch)[0]
    CHANGES[change](model.encoder)
    model.eval()
    wanted = plain(model, batch)
    assert (wanted - before).abs().max() > 1e-3
    for _ in range(2):
        torch.testing.assert_close(model(**batch)[0], wanted, atol=1e-5, rtol=0)
    assert [recorder.replays for recorder in RECORDERS] == [[1], [2]]


def without_kernel(model, monkeypatch):
    monkeypatch.setattr(graphs, "packed_kernel", lambda *_: None)


def another_way_of_attending(model, monkeypatch):
    for layer in model.encoder.layers:
        layer.attention.config = replace(layer.attention.config, attention="fused")


REASONS = {
    "another stream": lambda model, patch: patch.setattr(graphs, "is_in_order", lambda _: False),
    "no kernel": without_kernel,
    "another way of attending": another_way_of_attending,
    "readers of rectangles": lambda model, patch: setattr(
        model.encoder.layers[1].attention, "__class__", SelfAttention
    ),
    "many tokens": lambda model, patch: patch.setattr(graphs, "MOST_TOKENS", 53),
    "much to multiply": lambda model, patch: patch.setitem(
        graphs.LAYER_FLOP, torch.float32, 2 * 12 * 48 * 32 * 53
    ),
    "another number format": lambda model, patch: patch.delitem(graphs.LAYER_FLOP, torch.float32),
    "no layers": lambda model, patch: setattr(model.encoder, "layers", torch.nn.ModuleList()),
    "compiling": lambda model, patch: patch.setattr(torch.compiler, "is_compiling", lambda: True),
}


@torch.inference_mode()
@pytest.mark.parametrize("reason", REASONS)
def test_it_is_computed_as_before(model, monkeypatch, reason):
    batch = BATCHES["ragged"]  # 54 tokens
    REASONS[reason](model, monkeypatch)
    torch.testing.assert_close(model(**batch)[0], plain(model, batch))
    assert not RECORDERS


@torch.inference_mode()
def test_a_batch_at_the_limit_has_a_graph(model, monkeypatch):
    monkeypatch.setattr(graphs, "LAYER_FLOP", {torch.float32: 2 * 48 * (4 * 48 + 2 * 96) * 54})
    model(**BATCHES["ragged"])  # 54 tokens
    assert RECORDERS


@torch.inference_mode()
@pytest.mark.parametrize(("rows", "wanted"), [(64, 1), (1, 65)])
def test_more_rows_or_wanted_tokens_than_there_is_room_for(model, monkeypatch, rows, wanted):
    monkeypatch.setattr(graphs, "MOST_TOKENS", 64)
    mask = torch.zeros(rows, 3, dtype=torch.bool)
    mask[0] = True
    chosen = torch.full((wanted,), 2)
    for count in (wanted, min(wanted, 64)):
        y = model.encoder(random(3, 48), Packing(mask), chosen[:count])
        assert y.shape == (count, 48) and bool(RECORDERS) == (count < wanted)


@torch.inference_mode()
def test_nothing_but_padding_has_no_graph(model):
    zeros = {name: torch.zeros(2, 5, dtype=torch.long) for name in BATCHES["full"]}
    assert not model(**zeros).last_hidden_state.any()
    assert not RECORDERS


@pytest.mark.parametrize("mode", ["gradients", "training", "autocast"])
def test_what_is_refused_is_refused_as_before(mode):
    """Also with a graph at hand, which would not refuse."""
    model = minibert.BertModel(minibert.BertConfig(**TINY))
    for part in list(model.modules()):
        if type(part) is Linear:
            exchange(part, Plain)
    model = graphed(model.eval())
    x, packing = random(4, TINY["hidden_size"]), Packing(torch.ones(1, 4, dtype=torch.bool))
    with torch.no_grad():
        model.encoder(x, packing)
    assert replays() == 1
    if mode == "training":
        model.encoder.layers[2].feed_forward.down.train()
    with (
        torch.set_grad_enabled(mode == "gradients"),
        torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"),
    ):
        if mode == "autocast":
            model.encoder(x, packing)
        else:
            with pytest.raises(RuntimeError, match="an optimized model computes no gradients"):
                model.encoder(x, packing)
    assert replays() == 1


# --- failures -------------------------------------------------------------------------------------


def no_memory(self, run):
    raise torch.OutOfMemoryError("CUDA out of memory.\nMore of it")


def wrong_numbers(self, run):
    y = run() * 1.1
    return lambda: y


def nothing_but_nan(self, run):
    y = run() * torch.nan
    return lambda: y


@torch.inference_mode()
@pytest.mark.parametrize(
    ("record", "message"),
    [
        (no_memory, r"here \(CUDA out of memory\.\); small"),
        (wrong_numbers, r"here \(a replay gives other numbers than the encoder\)"),
        (nothing_but_nan, r"here \(a replay gives other numbers than the encoder\)"),
    ],
)
def test_where_recording_fails_one_warning_says_so(model, monkeypatch, record, message):
    monkeypatch.setattr(StandIn, "record", record)
    batch = BATCHES["ragged"]
    with pytest.warns(UserWarning, match=message) as caught:
        first = model(**batch)[0]
    assert len(caught) == 1 and caught[0].filename == __file__
    assert torch.equal(first, plain(model, batch))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(model(**batch)[0], first)
    assert len(RECORDERS) == 1


@torch.inference_mode()
def test_where_a_replay_fails_later_the_encoder_goes_on_without(model, monkeypatch):
    batch = BATCHES["ragged"]
    model(**batch)
    (size,) = model.encoder.graphs.replays

    def replay():
        raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")

    model.encoder.graphs.replays[size] = replay
    with pytest.warns(UserWarning, match="Offset increment outside graph capture"):
        assert torch.equal(model(**batch)[0], plain(model, batch))
    assert model.encoder.graphs.failed and not model.encoder.graphs.replays


# --- kernels --------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize(
    ("kernel", "body"), [(flash, PlainBf16), (memory_efficient, Plain)], ids=["bf16", "fp32"]
)
@pytest.mark.parametrize("wanted", [None, 2])
def test_real_kernels_take_what_a_graph_gives_them(monkeypatch, kernel, body, wanted):
    """The meta device knows their arguments and shapes."""
    monkeypatch.setattr(attention, "packed_kernel", lambda *_: kernel)
    model = minibert.BertModel(minibert.BertConfig(**TINY, attention="auto")).to("meta")
    for part in list(model.modules()):
        if type(part) is Linear:
            exchange(part, body)
    encoder = graphed(model.to(body.dtype).eval()).encoder
    x = torch.empty(9, TINY["hidden_size"], dtype=body.dtype, device="meta")
    starts = torch.empty(3, dtype=torch.int32, device="meta")
    chosen = None if wanted is None else torch.empty(wanted, dtype=torch.long, device="meta")
    buffers, size = graphs.Buffers(x), size_of([5, 4], chosen)
    buffers.write(size, x, starts, chosen)
    y = buffers.bind(size, lambda *given: Encoder.forward(encoder, *given))()
    assert y.shape == (64 if wanted is None else 8, TINY["hidden_size"])
    assert y.dtype == body.dtype and y.is_meta


# --- copies ---------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize(
    "again",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "pickle"],
)
def test_copies_begin_without_graphs_and_make_their_own(model, again):
    wanted = model(**BATCHES["ragged"])[0]
    twin = again(model)
    assert type(twin.encoder) is GraphedEncoder and not twin.encoder.graphs.replays
    assert torch.equal(twin(**BATCHES["ragged"])[0], wanted)
    assert [recorder.replays for recorder in RECORDERS] == [[1], [1]]


# --- what is asked of CUDA ------------------------------------------------------------------------


def test_on_a_gpu_an_optimized_model_has_graphs():
    assert classes_for(CUDA)[Encoder] is GraphedEncoder
    assert classes_for(CUDA)[minibert.BertModel] is HostPackedModel
    assert Encoder not in classes_for(torch.device("mps"))
    assert Encoder not in classes_for(torch.device("cpu"))


@dataclass(frozen=True)
class Stream:
    """Of a GPU. Two with the same name are the same."""

    name: str
    log: list[str] = field(compare=False)
    device = CUDA

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


class Cuda:
    """Stands in for torch.cuda, and writes down what it is asked."""

    def __init__(self, monkeypatch):
        self.log = []
        self.numbers = 0
        self.now = self.default = self.stream_named("default")
        self.failing = False
        for name in ("Stream", "CUDAGraph", "stream", "graph", "current_stream", "default_stream"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "pool")
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.cuda, "default_generators", (self,), raising=False)
        monkeypatch.setattr(graphs, "_RECORDERS", WeakSet())
        graphs._warm_up_stream.cache_clear()

    def stream_named(self, name):
        return Stream(name, self.log)

    def Stream(self, device):
        assert device == CUDA
        self.numbers += 1
        return self.stream_named(f"stream {(self.numbers - 1) % graphs.STREAMS + 1}")

    def current_stream(self, device):
        assert device == CUDA
        return self.now

    def default_stream(self, device):
        assert device == CUDA
        return self.default

    @contextmanager
    def stream(self, stream):
        before, self.now = self.now, stream
        try:
            yield
        finally:
            self.now = before

    def CUDAGraph(self):
        def replay():
            assert torch.is_inference_mode_enabled()
            self.log.append(f"replay on {self.now.name}")

        return SimpleNamespace(replay=replay)

    @contextmanager
    def graph(self, graph, *, pool, stream, capture_error_mode):
        assert hasattr(graph, "replay") and pool == "pool" and capture_error_mode == "thread_local"
        self.now = stream
        self.log.append(f"record on {stream.name}")
        try:
            yield
        finally:
            if self.failing:  # as PyTorch's, it leaves its stream the current one then
                raise RuntimeError("operation failed due to a previous error during capture")
            self.log.append("recorded")

    def clone_state(self):
        return "a copy"

    def graphsafe_set_state(self, state):
        self.log.append(f"random numbers from {state}")

    def run(self):
        assert torch.is_inference_mode_enabled() is torch.is_grad_enabled() is False
        self.log.append(f"run on {self.now.name}")
        return torch.ones(2)


@torch.inference_mode()
def test_a_recording_is_made_as_pytorch_says(monkeypatch):
    cuda = Cuda(monkeypatch)
    recorder = Recorder(CUDA)
    replay = recorder.record(cuda.run)
    made = [
        "stream 1 waits for default",
        *["run on stream 1"] * 3,
        "default waits for stream 1",
        "record on stream 2",
        "run on stream 2",
        "recorded",
    ]
    assert cuda.log == made and cuda.now is cuda.default
    with torch.inference_mode(False):
        assert replay() is replay() and not replay().is_inference()
    assert cuda.log == [*made, *["replay on default"] * 3]
    recorder.record(cuda.run)
    assert cuda.log[-len(made) :] == made  # on the same streams
    assert Recorder(CUDA).stream.name == "stream 3"


def test_recorders_in_use_never_share_a_stream(monkeypatch):
    """PyTorch gives out the same streams in turn."""
    Cuda(monkeypatch)
    kept = [Recorder(CUDA) for _ in range(3)]
    for _ in range(3 * graphs.STREAMS):
        assert Recorder(CUDA).stream not in {recorder.stream for recorder in kept}
    kept += [Recorder(CUDA) for _ in range(graphs.STREAMS - 4)]
    names = {recorder.stream.name for recorder in kept}
    assert len(names) == len(kept) == graphs.STREAMS - 1
    assert "stream 1" not in names, "on which the warm-ups run"
    with pytest.raises(RuntimeError, match="all 32 streams are in use"):
        Recorder(CUDA)


def test_after_a_recording_that_failed_the_stream_is_as_before_and_random_numbers_go_on(
    monkeypatch,
):
    cuda = Cuda(monkeypatch)
    cuda.failing = True
    calls = iter([cuda.run] * 3)

    def run():
        return next(calls, fail)()

    def fail():
        raise RuntimeError("the kernel does not run")

    for function, message in ((run, "the kernel does not run"), (cuda.run, "previous error")):
        with pytest.raises(RuntimeError, match=message), torch.no_grad():
            Recorder(CUDA).record(function)
        assert cuda.now is cuda.default and cuda.log[-1] == "random numbers from a copy"


def test_replays_are_for_the_default_stream_of_a_gpu(monkeypatch):
    assert not is_in_order(torch.device("cpu"))
    if not torch.cuda.is_available():
        assert not is_in_order(CUDA)  # of a fake tensor; nothing is asked of CUDA
    cuda = Cuda(monkeypatch)
    assert is_in_order(CUDA)
    with torch.cuda.stream(torch.cuda.Stream(CUDA)):
        assert not is_in_order(CUDA)
    monkeypatch.setattr(cuda, "now", cuda.default)
    assert is_in_order(CUDA)

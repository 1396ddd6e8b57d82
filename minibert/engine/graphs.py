"""CUDA graphs of the encoder: a small batch is launched once, not kernel by kernel.

The arithmetic, for BERT-base in bf16 on an H100. A layer is 11 kernels, so a forward pass launches
132 of them, at 5 microseconds each, and calls 145 modules, at about 10 microseconds of Python each.
That is 2 ms, 170 microseconds a layer, however few tokens there are. What the GPU does for 16:

    weights read    85 million, 170 MB, at 3.35 TB/s     51 microseconds
    products        16 x 170 MFLOP, at 700 TFLOP/s        4 microseconds

So it waits for Python nearly all the time. A CUDA graph is a recording of all these launches. One
call replays it, and the kernels follow each other on the GPU in a microsecond or two. Python and
GPU are even where the products take 170 microseconds a layer: at half of 700 TFLOP/s these are 60
GFLOP, 4,200 tokens of BERT-base; in fp32, at half of 50 TFLOP/s, 4 GFLOP, 280 tokens. With more of
them Python is ahead of the GPU, and nothing is gained.

A recording has fixed shapes, and it reads and writes fixed addresses. Hence sizes in steps
(`Size`), inputs that are copied to where the graph reads them, and results that are copied from
where it wrote them (`Buffers`). It holds the addresses of the weights, too. That is safe as an
optimized model refuses to move or to load others. Weights that are changed in place count from the
next replay on. A parameter that is replaced by another, or products told to use TF32 after the
recording, do not: optimize the original again.

Never run on a GPU by us: only on CPUs, where a recording is the function itself, and with stand-ins
for what is asked of CUDA.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor, nn

from minibert._checks import warn
from minibert.attention import SelfAttention
from minibert.encoder import Encoder, EncoderLayer
from minibert.engine.attention import PackedAttention, packed_kernel
from minibert.engine.bodies import size_for
from minibert.packing import Packing, Record

# The FLOP of one layer's products for which a GPU needs as long as Python does to launch them, see
# above. Never measured by us.
LAYER_FLOP = {torch.bfloat16: 60e9, torch.float32: 4e9}
# The most tokens, rows and wanted tokens for any layers; x and y of BERT-base are 6 MB each.
MOST_TOKENS = 4096
# A recording takes as long as some eight runs without, by estimate. A size that has come so often
# is given one. So no order of sizes takes more than about twice as long as without graphs.
EARNED = 8
# Of one encoder. Texts one by one need 8, batches of 8 texts up to 64. When there are more, all are
# dropped.
MOST_GRAPHS = 128
# PyTorch has so many streams for each GPU, and gives them out in turn, again and again.
STREAMS = 32
WARM_UPS = 3  # as PyTorch's own make_graphed_callables runs before it records
# Between a graph and the encoder without. Products with other numbers of rows have other kernels,
# which round otherwise: in bf16, 2^-9 a number, which twelve layers add up to about 0.01.
TOLERANCE = 0.05

# (N, C), packing, the tokens wanted -> (N, C) or (R, C), as `Encoder.forward`.
Forward = Callable[[Tensor, Packing, Tensor | None], Tensor]

# One graph at a time, of all models: the results of graphs that share memory are safe only once
# they are copied. And in some versions of PyTorch whatever looks at the random numbers' state fails
# while a graph is recorded: replays do. (So does dropout, of a model that another thread trains.)
_TURN = Lock()


class Size(NamedTuple):
    """What a graph is recorded for. A batch goes to the smallest that holds it.

    tokens: in steps of 64, which is what a kernel multiplies at once anyway; above 1024 in eight
        steps to the next power of two.
    rows: a power of two. There is room for one row more than the batch has: the padding.
    longest: a power of two that no row's length exceeds, nor that of the padding.
    wanted: a power of two; 0 if all tokens are.
    """

    tokens: int
    rows: int
    longest: int
    wanted: int


def size_of(lengths: list[int], wanted: Tensor | None) -> Size:
    """The size for rows of these lengths, the longest first, with at least one token."""
    real = sum(lengths)
    tokens = size_for(-(-real // 64) * 64)
    longest = max(64, lengths[0], tokens - real)
    number = 0 if wanted is None else _power_of_two(max(8, len(wanted)))
    return Size(tokens, _power_of_two(max(8, len(lengths) + 1)), _power_of_two(longest), number)


def _power_of_two(number: int) -> int:
    """The next one, or the number itself."""
    return 1 << (number - 1).bit_length()


class PaddedRows(Packing):
    """What packed attention reads of a `Packing`, in numbers that do not change with the batch."""

    def __init__(self, starts: Tensor, longest: int) -> None:
        self.starts = starts
        self.lengths = [longest, 0]  # the last row is empty as a rule: this is no full rectangle


class Buffers:
    """Where the graphs of an encoder read and write: the beginnings of four tensors.

    Tokens that a batch lacks are what an earlier one left there, or zeros: numbers, in any case.
    They are a row of their own, after the real ones, and further rows are empty. So every token is
    in a row, kernels for packed rows write every token's context, and no token attends to one that
    is not of its text.
    """

    def __init__(self, like: Tensor) -> None:
        device = like.device
        with torch.inference_mode(False):  # or they could be written to in that mode only
            self.x = torch.zeros(MOST_TOKENS, like.shape[1], dtype=like.dtype, device=device)
            self.starts = torch.zeros(MOST_TOKENS + 1, dtype=torch.int32, device=device)
            self.wanted = torch.zeros(MOST_TOKENS, dtype=torch.long, device=device)
            self.y = torch.zeros_like(self.x)

    def write(self, size: Size, x: Tensor, starts: Tensor, wanted: Tensor | None) -> None:
        """Copy a batch to where the graph of this size reads it."""
        self.x[: len(x)].copy_(x)
        self.starts[: len(starts)].copy_(starts)
        self.starts[len(starts) : size.rows + 1].fill_(size.tokens)
        if wanted is not None:
            self.wanted[: len(wanted)].copy_(wanted)
            self.wanted[len(wanted) : size.wanted].fill_(0)  # any token there is

    def bind(self, size: Size, forward: Forward) -> Callable[[], Tensor]:
        """The forward pass that reads a batch of this size here and leaves the result here."""
        x, y = self.x[: size.tokens], self.y[: size.wanted or size.tokens]
        wanted = self.wanted[: size.wanted] if size.wanted else None
        packing = PaddedRows(self.starts[: size.rows + 1], size.longest)
        return lambda: y.copy_(forward(x, packing, wanted))


_RECORDERS: WeakSet[Recorder] = WeakSet()  # those whose graphs may still be replayed


class Recorder:
    """Records graphs on a device. All that is asked of CUDA is asked here and in `is_in_order`.

    The graphs of one recorder share memory. PyTorch allows that, in any order of replays, to those
    that never run at once and need no other's result: all replays are on the default stream, and
    each result is copied before the next.

    cuBLAS works in memory of its own, some 32 MB for each stream. PyTorch gives it that at the
    first product on a stream, and lets go of it when a graph recorded there is dropped, whether
    others write to it still or not (pytorch issue 193402). Hence one stream for each recorder, on
    which nothing runs but recordings: that memory, too, is then of the graphs that share theirs.
    And hence a recorder's graphs are dropped only all together.
    """

    def __init__(self, device: torch.device) -> None:
        taken = {recorder.stream for recorder in _RECORDERS} | {_warm_up_stream(device)}
        streams = (torch.cuda.Stream(device) for _ in range(STREAMS))
        free = next((stream for stream in streams if stream not in taken), None)
        if free is None:
            raise RuntimeError(f"so many models have graphs that all {STREAMS} streams are in use")
        self.stream: torch.cuda.Stream = free
        self.pool = torch.cuda.graph_pool_handle()
        _RECORDERS.add(self)

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """A function that does what `run` does now, and returns the same tensor each time."""
        device = self.stream.device
        here, aside = torch.cuda.current_stream(device), _warm_up_stream(device)
        # Not in inference mode: the random numbers' state, which PyTorch 2.10 makes when it records
        # the first graph, could be written to in that mode only.
        with torch.inference_mode(False), torch.no_grad():
            # Kernels are loaded and cuBLAS is prepared before, as neither can be recorded.
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    run()
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            failure: Exception | None = None
            try:
                # If a recording fails, torch.cuda.graph leaves its stream the current one; the
                # block around it takes that back.
                with (
                    torch.cuda.stream(self.stream),
                    torch.cuda.graph(
                        graph,
                        pool=self.pool,
                        stream=self.stream,
                        capture_error_mode="thread_local",  # others may go on with their work
                    ),
                ):
                    try:
                        result = run()
                    except Exception as error:
                        failure = error
                        raise
            except BaseException as error:  # of the end, which says only that it had failed before
                _restore_random_numbers(device)
                raise failure or error from None

        def replay() -> Tensor:
            with torch.inference_mode():  # in which all of PyTorch's own tensors can be written to
                graph.replay()
            return result

        return replay


@cache
def _warm_up_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all models, as cuBLAS keeps memory for each stream it has seen."""
    return torch.cuda.Stream(device)


def _restore_random_numbers(device: torch.device) -> None:
    """After a recording that failed, PyTorch's generator believes that it goes on, and all dropout
    from then on would fail. A copy of its state does not believe so."""
    with suppress(RuntimeError):  # of a GPU that does nothing any more
        generator = torch.cuda.default_generators[device.index]
        generator.graphsafe_set_state(generator.clone_state())


def is_in_order(device: torch.device) -> bool:
    """Whether what this thread launches goes to the default stream of a GPU, where all graphs are
    replayed. Nobody can be recording that one."""
    return (
        device.type == "cuda"
        and torch.cuda.is_initialized()  # or it is no real tensor
        and torch.cuda.current_stream(device) == torch.cuda.default_stream(device)
    )


class Graphs:
    """The graphs of one encoder, for the sizes that come again and again.

    recorded: the modules that were recorded, and their classes. failed: whether it was found that
    graphs do not work. Copies and pickles begin without any.
    """

    def __init__(self, recorded: list[object] | None = None) -> None:
        self.recorded = recorded
        self.failed = False
        self.asked: Counter[Size] = Counter()
        self.replays: dict[Size, Callable[[], Tensor]] = {}
        self.shared: tuple[Buffers, Recorder] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Graphs, ()

    def compute(
        self, forward: Forward, x: Tensor, packing: Packing, wanted: Tensor | None
    ) -> Tensor | None:
        """What `forward` gives, or None: its size has not earned a graph yet.

        Raises `RuntimeError` if a graph does not work, and whatever CUDA does.
        """
        size = size_of(packing.lengths, wanted)
        if size not in self.replays:
            self.asked[size] += 1
            return self._record(size, forward, x, packing, wanted)
        assert self.shared is not None
        self.shared[0].write(size, x, packing.starts, wanted)
        result = self.replays[size]()
        return result[: len(x) if wanted is None else len(wanted)].clone()

    def _record(
        self, size: Size, forward: Forward, x: Tensor, packing: Packing, wanted: Tensor | None
    ) -> Tensor | None:
        if self.asked[size] < EARNED:
            return None
        full = len(self.replays) >= MOST_GRAPHS
        if self.shared is None or full:
            shared = Buffers(x), Recorder(x.device)
        else:
            shared = self.shared
        buffers, recorder = shared
        right = forward(x, packing, wanted)
        buffers.write(size, x, packing.starts, wanted)
        replay = recorder.record(buffers.bind(size, forward))
        difference = (replay()[: len(right)].float() - right.float()).norm()
        if not float(difference) <= TOLERANCE * float(right.float().norm()):
            raise RuntimeError("a replay gives other numbers than the encoder")
        if full:  # only now: the recording has waited until the last replay was over
            self.replays.clear()
            self.asked.clear()
        self.replays[size] = replay
        self.shared = shared
        return right


class GraphedEncoder(Encoder):
    """An `Encoder` for inference that replays CUDA graphs for small batches.

    Other batches are computed as before; so is whatever a recording would not see: a record that is
    kept, hooks, modules in training mode, another stream than the default one, `torch.compile`,
    attention that reads rectangles. Where modules have been exchanged, it records anew. Where
    graphs do not work, it warns once.
    """

    graphs: Graphs

    def enter(self) -> None:
        self.graphs = Graphs()

    def forward(
        self,
        x: Tensor,
        packing: Packing,
        wanted: Tensor | None = None,
        record: Record | None = None,
    ) -> Tensor:
        y = None
        kept = record is not None and record.is_kept
        if not (torch.compiler.is_compiling() or kept) and self._is_small(x, packing, wanted):
            parts = _parts(self)
            if _can_be_recorded(parts, x):
                y = self._by_graph(parts, x, packing, wanted)
        return super().forward(x, packing, wanted, record) if y is None else y

    def _is_small(self, x: Tensor, packing: Packing, wanted: Tensor | None) -> bool:
        """Whether Python takes longer to launch this batch than the GPU to compute it."""
        layer = self.layers[0] if len(self.layers) else None
        if not isinstance(layer, EncoderLayer) or self.graphs.failed:
            return False
        config = layer.attention.config
        weights = config.hidden_size * (4 * config.hidden_size + 2 * config.intermediate_size)
        most = min(MOST_TOKENS, LAYER_FLOP.get(x.dtype, 0) / (2 * weights))
        number = max(len(x), len(packing.lengths) + 1, 0 if wanted is None else len(wanted))
        return 0 < len(x) and number <= most

    def _by_graph(
        self, parts: list[nn.Module], x: Tensor, packing: Packing, wanted: Tensor | None
    ) -> Tensor | None:
        """(N, C) -> (N, C) or (R, C), or None where no graph can say."""

        def forward(x: Tensor, packing: Packing, wanted: Tensor | None) -> Tensor:
            return Encoder.forward(self, x, packing, wanted)

        with _TURN:
            if self.graphs.failed:
                return None
            now = [*parts, *map(type, parts)]
            if self.graphs.recorded != now:
                self.graphs = Graphs(now)
            try:
                return self.graphs.compute(forward, x, packing, wanted)
            except Exception as error:  # of CUDA, PyTorch or ours: all can be done without
                self.graphs = Graphs()
                self.graphs.failed = True
                reason = str(error).splitlines() or [type(error).__name__]
        warn(
            f"CUDA graphs do not work here ({reason[0][:200]}); small batches are computed without "
            "them, which is slower"
        )
        return None


def _parts(module: nn.Module) -> list[nn.Module]:
    """All modules in this one, as `modules()`, which takes its time, gives them."""
    found = [part for part in module._modules.values() if part is not None]
    for part in found:  # which grows meanwhile
        found += [inner for inner in part._modules.values() if inner is not None]
    return found


def _can_be_recorded(parts: list[nn.Module], x: Tensor) -> bool:
    """Whether launches are all that these modules do, and a replay would do the same."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False  # what a `Body` refuses
    for part in parts:
        if part.training or part._forward_hooks or part._forward_pre_hooks:
            return False
        if isinstance(part, SelfAttention):
            packed = isinstance(part, PackedAttention) and part.config.attention == "auto"
            if not packed or packed_kernel(x.device, x.dtype, part.config.head_size) is None:
                return False
    return is_in_order(x.device)

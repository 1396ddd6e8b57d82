"""What a benchmark needs from a device: a clock, a cold cache, peak memory, measured ceilings.

`find` gives one for "cpu" or "cuda"; nothing else in a benchmark asks which of them it is. The CUDA
half is tested with stand-ins for events and memory counters, and was never run on a GPU by us.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend

from minibert.engine.rule import cpu_features

Run = Callable[[], Any]


def cpu() -> str:
    """Its name, and of its instructions those that make products fast."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    fast = {"bf16": "BF16", "vnni": "VNNI"}
    found = cpu_features()
    return ", ".join(
        [
            f"{platform.machine()}, {(names or ['unknown CPU'])[0]}",
            torch.backends.cpu.get_cpu_capability(),
            *(label for name, label in fast.items() if name in found),
        ]
    )


def at_least_one(text: str) -> int:
    """A count among the arguments of a benchmark; for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {number}; it must be at least 1")
    return number


at_least_one.__name__ = "whole number"  # argparse's word for what it could not read


def cores() -> int:
    """How many threads a benchmark takes if it is told nothing."""
    return os.cpu_count() or 1


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


PEERS = ("transformers", "accelerate", "onnxruntime", "openvino")


def versions(packages: Sequence[str] = PEERS) -> str:
    """Of PyTorch, of those packages that are installed, and of Python; and the date."""
    found = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("torch", *packages)
        if is_installed(name)
    ]
    return ", ".join([*found, f"Python {platform.python_version()}", time.strftime("%Y-%m-%d")])


def conditions(threads: int, packages: Sequence[str] = PEERS) -> str:
    """What a figure depends on beside its command: machine, threads, versions, date."""
    return f"{cpu()}, {threads} threads, {versions(packages)}"


class Cpu:
    """The clock is perf_counter; memory is what PyTorch allocates, not what its libraries do."""

    type = "cpu"
    # More than the last-level cache of common CPUs; 64 MB would not empty some servers' caches.
    flush_bytes = 128 << 20
    flushes = 1  # so many times
    copied_bytes = 256 << 20  # for the bandwidth: too large for caches
    square = 2048  # side of the product for the compute ceiling

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        # The profiler, which counts memory below, writes two lines whenever it starts and stops.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        self._flushed: Tensor | None = None

    def describe(self) -> str:
        """Name, number formats that are fast, and threads; no more of the machine."""
        return f"{cpu()}, {torch.get_num_threads()} threads"

    def dtypes(self) -> list[torch.dtype]:
        return [torch.float32, torch.bfloat16]

    def flush(self) -> None:
        """Fill the caches with something else."""
        if self._flushed is None:
            self._flushed = torch.zeros(self.flush_bytes // 4, device=self.device)
        for _ in range(self.flushes):
            self._flushed.add_(1)

    def wait(self) -> None:
        """Until what was started has ended."""

    def milliseconds(self, run: Run) -> float:
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3

    def free_bytes(self) -> int:
        """Memory that can still be taken, as far as the system tells."""
        try:
            with open("/proc/meminfo") as lines:
                for line in lines:
                    if line.startswith("MemAvailable"):
                        return int(line.split()[1]) << 10
        except OSError:
            pass
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2

    def emulates(self, dtype: torch.dtype) -> bool:
        """Whether the CPU has no instructions for this number format, and is slow at it."""
        return dtype != torch.float32 and "bf16" not in cpu_features()

    def peak_bytes(self, run: Run) -> tuple[Any, int]:
        """What `run` returns, and the most that it holds at once, beyond what was there before;
        from the profiler's record of allocations, since the process's own size hides what is
        allocated again."""
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            returned = run()
        events = recorded.profiler.kineto_results.events()
        records = [event for event in events if event.name() == "[memory]"]
        held = peak = 0
        for record in sorted(records, key=lambda event: event.start_ns()):
            held += record.nbytes()
            peak = max(peak, held)
        return returned, peak

    def begin_peak(self) -> None:
        """Count the peak of `peak_memory` from here on, where the device can."""

    def peak_memory(self) -> int:
        """The most bytes held at once since `begin_peak`; on a CPU by the process, ever."""
        import resource

        unit = 1 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def empty(self) -> None:
        """Give back memory that is kept for later."""

    def is_lost(self) -> bool:
        """Whether an error has left it unusable for this process."""
        return False

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

    def sdpa_backends(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> dict[str, SDPBackend]:
        """The kernels of scaled_dot_product_attention that take this input."""
        return {"math": SDPBackend.MATH, "flash": SDPBackend.FLASH_ATTENTION}


class Cuda(Cpu):
    """The clock is a pair of events on the stream; the cold cache is the L2."""

    type = "cuda"
    flush_bytes = 256 << 20  # an H100 has 50 MB of L2
    flushes = 6  # a millisecond of an H100's, in which Python launches what is timed
    copied_bytes = 2 << 30
    square = 8192

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("cuda")

    def describe(self) -> str:
        properties = torch.cuda.get_device_properties(self.device)
        return (
            f"{properties.name}, sm{properties.major}{properties.minor}, "
            f"{properties.total_memory / 2**30:.0f} GB, CUDA {torch.version.cuda}"
        )

    def dtypes(self) -> list[torch.dtype]:
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return [torch.float32, torch.float16, *([torch.bfloat16] if bf16 else [])]

    def wait(self) -> None:
        torch.cuda.synchronize()

    def milliseconds(self, run: Run) -> float:
        # The flush before keeps the GPU busy while Python launches, so that between the events
        # there is work and not waiting for launches.
        start = torch.cuda.Event(enable_timing=True)
        stop = torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop)

    def free_bytes(self) -> int:
        # What PyTorch keeps of freed memory is not free to others, but it is to us.
        kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        return torch.cuda.mem_get_info()[0] + kept

    def emulates(self, dtype: torch.dtype) -> bool:
        return False  # `dtypes` has only what is in hardware

    def peak_bytes(self, run: Run) -> tuple[Any, int]:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        returned = run()
        torch.cuda.synchronize()
        return returned, torch.cuda.max_memory_allocated() - before

    def begin_peak(self) -> None:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def peak_memory(self) -> int:
        return torch.cuda.max_memory_allocated()

    def empty(self) -> None:
        torch.cuda.empty_cache()

    def is_lost(self) -> bool:
        try:
            torch.cuda.synchronize()
        except RuntimeError:  # an illegal memory access, for instance: it is raised ever after
            return True
        return False

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, torch.OutOfMemoryError)

    def sdpa_backends(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> dict[str, SDPBackend]:
        # PyTorch's own checks of type, head size, mask and GPU.
        cuda = torch.backends.cuda
        parameters = cuda.SDPAParams(query, key, value, mask, 0.0, False, False)
        able = {"math": SDPBackend.MATH}
        if cuda.can_use_efficient_attention(parameters):
            able["efficient"] = SDPBackend.EFFICIENT_ATTENTION
        if cuda.can_use_flash_attention(parameters):
            able["flash"] = SDPBackend.FLASH_ATTENTION
        if cuda.can_use_cudnn_attention(parameters):
            able["cuDNN"] = SDPBackend.CUDNN_ATTENTION
        return able


def find(name: str) -> Cpu:
    """The device of this name, or `ValueError` saying why it cannot be used."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("CUDA is not available here: this needs an NVIDIA GPU and a CUDA build")
    return {"cpu": Cpu, "cuda": Cuda}[name]()


def compute_ceiling(device: Cpu, dtype: torch.dtype, runs: int = 8) -> float:
    """The best rate of a large square product, in floating-point operations a second."""
    side = device.square
    a, b = (torch.randn(side, side, device=device.device).to(dtype) for _ in range(2))
    # As F.linear multiplies: emulated bf16 is 20 times slower the other way round.
    best = min(device.milliseconds(lambda: F.linear(a, b)) for _ in range(runs))
    return 2 * side**3 / best * 1e3


def bandwidth_ceiling(device: Cpu, runs: int = 8) -> float:
    """The best rate of a large copy, read and written bytes a second."""
    source = torch.zeros(device.copied_bytes // 4, device=device.device)
    target = torch.empty_like(source)
    best = min(device.milliseconds(lambda: target.copy_(source)) for _ in range(runs))
    return 2 * device.copied_bytes / best * 1e3

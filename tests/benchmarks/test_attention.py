"""benchmarks/attention.py and devices.py: a whole quick run, and the CUDA half with stand-ins."""

import csv
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import attention
import attention_cells
import attention_contenders
import devices
import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend
from torch.utils.flop_counter import FlopCounterMode

from minibert.data import load
from minibert.tokenizer import WordPieceTokenizer
from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"


def script(*arguments):
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "attention.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


# --- the whole script ----------------------------------------------------------------------------


# Slow: the tiny run of gpu.py goes through the same lines in the default tests.
@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention")
    done = script(
        "--quick",
        "--tokens=256",
        "--heads=4",
        f"--plots={folder / 'plots'}",
        f"--json={folder / 'new' / 'a.json'}",
        f"--csv={folder / 'a.csv'}",
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.slow
def test_a_quick_run_times_every_contender(quick):
    folder, _ = quick
    rows = json.loads((folder / "new" / "a.json").read_text())["results"]
    assert {row["status"] for row in rows} == {"ok"}
    names = {row["contender"] for row in rows}
    assert names >= {
        "minibert",
        "minibert readable",
        "minibert fused",
        "SDPA math",
        "SDPA flash",
        "transformers eager",
        "transformers sdpa",
        "nn.MultiheadAttention",
    }
    assert {row["filling"] for row in rows} == {"full", "masked", "50% padding", "SST-2"}
    for row in rows:
        assert 0 < row["fastest_ms"] <= row["median_ms"] <= row["slowest_ms"]
        assert 1 <= row["runs"] <= 3  # fewer where a machine is busy
        assert 0 < row["error"] < 1e-4 and row["peak_mb"] > 0


@pytest.mark.slow
def test_the_readable_path_holds_the_square_and_the_fused_one_does_not(quick):
    rows = json.loads((quick[0] / "new" / "a.json").read_text())["results"]
    peak = {
        (row["contender"], row["length"]): row["peak_mb"]
        for row in rows
        if row["work"] == "kernel" and row["filling"] == "full"
    }
    # Two rows of 128 with four heads: scores of 0.5 MB, against a result of 0.3 MB.
    assert peak["minibert readable", 128] - peak["minibert fused", 128] >= 0.5


@pytest.mark.slow
def test_csv_and_charts_are_written(quick):
    folder, _ = quick
    with (folder / "a.csv").open() as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(json.loads((folder / "new" / "a.json").read_text())["results"])
    charts = {path.name for path in (folder / "plots").iterdir()}
    assert charts == {
        f"attention_{name}.png" for name in ("speed", "memory", "padding", "roofline")
    }


@pytest.mark.slow
def test_what_is_printed_says_conditions_ceilings_and_the_verdict(quick):
    out = quick[1].stdout
    assert "threads" in out and "cold cache" in out and torch.__version__ in out
    assert len(re.findall(r"^Ceiling: ", out, re.MULTILINE)) == 2
    assert re.search(r"within 10 % of it in \d+ of \d+ cells", out)


def test_a_missing_extra_is_said_before_the_work(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(devices, "is_installed", lambda name: False)
    monkeypatch.setattr(sys, "argv", ["attention.py", "--quick", "--plots", str(tmp_path / "p")])
    with pytest.raises(SystemExit) as exit:
        attention.main()
    out, error = capsys.readouterr()
    assert exit.value.code == 2 and out == "" and "pip install -e '.[viz]'" in error


def test_a_name_that_no_contender_has_is_an_error(monkeypatch, capsys):
    for ceiling in ("compute_ceiling", "bandwidth_ceiling"):  # whose measuring takes seconds
        monkeypatch.setattr(devices, ceiling, lambda *_: 1e9)
    small = ["--quick", "--tokens=64", "--lengths=64", "--heads=1"]
    monkeypatch.setattr(sys, "argv", ["attention.py", *small, "--contenders", "minbert"])
    with pytest.raises(SystemExit) as exit:
        attention.main()
    assert exit.value.code == 2 and "begins with ['minbert']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda"], "CUDA is not available here"),
        (["--dtypes", "fp8"], "'fp8' is none of fp32, bf16, fp16"),
        (["--lengths", "64,x"], "--lengths '64,x': give whole numbers"),
        (["--heads", "0"], "must be at least 1"),
    ],
    ids=["no CUDA", "dtype", "length", "heads"],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["attention.py", *arguments])
    with pytest.raises(SystemExit) as exit:
        attention.main()
    out, error = capsys.readouterr()
    assert exit.value.code == 2 and out == ""
    assert message in error and error.count("\n") == 1


# --- cells ---------------------------------------------------------------------------------------


def cell(work="kernel", direction="forward", length=16, filling="full", rows=4, heads=2):
    lengths = attention_cells.row_lengths(filling, rows, length)
    return attention_cells.Cell(work, direction, torch.float32, heads, length, filling, lengths)


@pytest.mark.parametrize("share", [25, 50, 75])
def test_fillings_have_the_share_of_padding_they_name(share):
    lengths = attention_cells.row_lengths(f"{share}% padding", 64, 256)
    assert max(lengths) == 256 and min(lengths) >= 1
    assert abs(1 - sum(lengths) / (64 * 256) - share / 100) < 0.02


def test_sentences_of_sst2_are_as_long_as_those_of_its_development_part(shared):
    _, development = load(shared / "SST-2")
    with pytest.warns(UserWarning, match="not lower-cased"):  # it is a bare vocabulary
        tokenizer = WordPieceTokenizer.from_pretrained(shared / "bert-base-cased")
    lengths = [len(row.ids) for row in tokenizer.encode_batch(development.texts)]
    shares = [(2 * i + 1) / 64 for i in range(32)]
    assert attention_cells.SST2 == tuple(np.quantile(lengths, shares, method="inverted_cdf"))


def test_flops_are_those_that_pytorch_counts():
    for work in ("kernel", "block"):
        inputs = attention_cells.Inputs(cell(work), torch.device("cpu"))
        found = [c for c in attention.contenders(devices.Cpu(), inputs) if "readable" in c.name]
        job = attention.Job(found[0], inputs)
        with FlopCounterMode(display=False) as counter:
            job.run()
        assert counter.get_total_flops() == inputs.cell.flops


def test_each_size_of_the_grid_holds_the_same_number_of_slots():
    device = SimpleNamespace(type="cuda", emulates=lambda dtype: False)
    lengths = list(attention_cells.LENGTHS["cuda"])
    cells = list(attention_cells.grid(device, [torch.float16], lengths, 16384, [12]))
    slots = {len(c.lengths) * c.length for c in cells if c.filling != "SST-2"}
    assert slots == {16384}
    assert {(c.work, c.direction) for c in cells} == set(attention_cells.RUNS["cuda"])
    assert {c.filling for c in cells if c.length == 64} == {"full", "masked", "50% padding"}
    assert {c.length for c in cells if c.filling == "SST-2"} == {max(attention_cells.SST2)}


# --- measuring -----------------------------------------------------------------------------------


class FakeDevice(devices.Cpu):
    """A clock that ticks a millisecond a run, and a diary."""

    def __init__(self):
        super().__init__()
        self.diary = []

    def flush(self):
        self.diary.append("flush")

    def milliseconds(self, run):
        run()
        return 1.0


def contender(name, change=lambda y: y, diary=None, error=None):
    def build(inputs):
        call, parameters = attention_contenders.packed(inputs)

        def changed(qkv):
            if diary is not None:
                diary.append(name)
            if error is not None:
                raise error
            return change(call(qkv))

        return changed, parameters

    return attention_contenders.Contender(name, "packed", build)


def measured(monkeypatch, device, made, turns=3, warm=False):
    monkeypatch.setattr(attention, "contenders", lambda *_: made)
    return attention.measure(cell(), device, [""], turns, 0.0, warm)


def test_contenders_take_turns_each_with_a_cold_cache(monkeypatch):
    device = FakeDevice()
    made = [contender(name, diary=device.diary) for name in "AB"]
    results = measured(monkeypatch, device, made)
    assert device.diary[-12:] == ["flush", "A", "flush", "B"] * 3
    assert [result.milliseconds for result in results] == [[1.0] * 3] * 2
    device.diary.clear()
    measured(monkeypatch, device, made, warm=True)
    assert device.diary[-6:] == ["A", "B"] * 3 and "flush" not in device.diary


def test_a_wrong_contender_is_named_and_not_timed(monkeypatch):
    results = measured(
        monkeypatch, FakeDevice(), [contender("A", lambda y: y + 0.01), contender("B")]
    )
    assert results[0].status.startswith("wrong by") and results[0].milliseconds == []
    assert results[1].status == "ok" and len(results[1].milliseconds) == 3


def test_a_wrong_gradient_is_seen():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 1.01

    inputs = attention_cells.Inputs(
        cell(direction="both", filling="50% padding"), torch.device("cpu")
    )
    for change, wrong in ((lambda y: y, False), (Wrong.apply, True)):
        job = attention.Job(contender("A", change), inputs)
        error = job.error(job.run())
        assert (error > 1e-3) if wrong else (error < 1e-5)


def test_out_of_memory_is_a_result_and_nothing_else_is(monkeypatch):
    full = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    results = measured(monkeypatch, FakeDevice(), [contender("A", error=full), contender("B")])
    assert [result.status for result in results] == ["out of memory", "ok"]
    with pytest.raises(RuntimeError, match="something else"):
        measured(monkeypatch, FakeDevice(), [contender("A", error=RuntimeError("something else"))])


def test_what_does_not_fit_is_skipped_with_the_numbers(monkeypatch):
    device = FakeDevice()
    device.free_bytes = lambda: 1000
    assert re.match(
        r"skipped: needs about \d+\.\d GB, 0\.0 GB are free",
        measured(monkeypatch, device, [contender("A")])[0].status,
    )


def test_ceilings_follow_the_clock():
    device = FakeDevice()
    device.square, device.copied_bytes = 16, 4096
    assert devices.compute_ceiling(device, torch.float32) == 2 * 16**3 * 1000
    assert devices.bandwidth_ceiling(device) == 2 * 4096 * 1000


def test_peak_memory_of_the_cpu_is_what_a_run_holds_at_once():
    def run():
        a = torch.empty(1 << 20)
        a = torch.empty(1 << 20)  # the first is freed after this one was made
        del a
        return torch.empty(1 << 10)

    assert 8 << 20 <= devices.Cpu().peak_bytes(run)[1] < 9 << 20


# --- CUDA, with stand-ins ------------------------------------------------------------------------


@pytest.fixture()
def cuda(monkeypatch):
    """A Cuda device on a machine without one, whose events read a clock that a run advances."""
    clock = SimpleNamespace(now=0.0, diary=[], held=100, peak=100)

    class Event:
        def __init__(self, enable_timing=False):
            assert enable_timing

        def record(self):
            clock.diary.append("record")
            self.at = clock.now

        def elapsed_time(self, later):
            assert clock.diary[-1] == "synchronize", "read only after the GPU has finished"
            return later.at - self.at

    fakes = {
        "is_available": lambda: True,
        "Event": Event,
        "synchronize": lambda: clock.diary.append("synchronize"),
        "memory_allocated": lambda: clock.held,
        "memory_reserved": lambda: clock.held + 512,
        "max_memory_allocated": lambda: clock.peak,
        "reset_peak_memory_stats": lambda: setattr(clock, "peak", clock.held),
        "mem_get_info": lambda: (7 << 30, 8 << 30),
        "is_bf16_supported": lambda including_emulation: False,
        "get_device_properties": lambda device: SimpleNamespace(
            name="Fake GPU", major=7, minor=5, total_memory=8 << 30
        ),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return devices.find("cuda"), clock


def test_cuda_time_is_between_two_events(cuda):
    device, clock = cuda

    def run():
        clock.diary.append("run")
        clock.now += 2.5

    assert device.milliseconds(run) == 2.5
    assert clock.diary == ["record", "run", "record", "synchronize"]


def test_a_gpu_has_work_while_what_is_timed_is_launched(cuda):
    device, _ = cuda
    device.device, device.flush_bytes = torch.device("cpu"), 1 << 10
    device.flush()
    assert device.flushes > 1 and (device._flushed == device.flushes).all()


def test_cuda_memory_is_the_peak_above_what_was_held(cuda):
    device, clock = cuda
    clock.peak = 10_000  # of something earlier
    assert device.peak_bytes(lambda: setattr(clock, "peak", 640)) == (None, 540)
    assert device.free_bytes() == (7 << 30) + 512  # of it 512 are kept by PyTorch
    assert device.is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not device.is_out_of_memory(RuntimeError("illegal memory access"))


def test_cuda_describes_itself_and_what_it_multiplies(cuda):
    device, _ = cuda
    assert "Fake GPU, sm75, 8 GB" in device.describe()
    assert device.dtypes() == [torch.float32, torch.float16]


def test_cuda_backends_are_those_pytorch_says_it_has(cuda, monkeypatch):
    device, _ = cuda
    asked = []

    def flash(parameters):
        asked.append(parameters)
        return True

    monkeypatch.setattr(torch.backends.cuda, "can_use_flash_attention", flash)
    monkeypatch.setattr(torch.backends.cuda, "can_use_efficient_attention", lambda _: True)
    monkeypatch.setattr(torch.backends.cuda, "can_use_cudnn_attention", lambda _: False)
    query, mask = torch.randn(2, 2, 4, 64), torch.ones(2, 1, 1, 4, dtype=torch.bool)
    assert device.sdpa_backends(query, query, query, mask) == {
        "math": SDPBackend.MATH,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "flash": SDPBackend.FLASH_ATTENTION,
    }
    assert asked[0].attn_mask is mask and asked[0].query is query and asked[0].dropout == 0.0


def test_shapes_of_the_largest_cell_on_the_meta_device():
    qkv = torch.empty(1, 16384, 3, 12, 64, device="meta", dtype=torch.float16)
    query, key, value = attention_contenders.heads_first(qkv)
    for attend in (attention_contenders.readable_attention, attention_contenders.fused_attention):
        context = attend(query, key, value, None)[0]
        assert attention_contenders.heads_beside(context).shape == (1, 16384, 768)

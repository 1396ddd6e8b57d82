"""benchmarks/gpu.py: every section at tiny sizes on a CPU, and what happens when one goes wrong."""

import importlib
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import devices
import gpu
import gpu_cells
import gpu_charts
import gpu_machine
import gpu_pack
import gpu_profile
import gpu_report
import gpu_tests
import gpu_verdict
import gpu_worker
import pytest
import torch
from finetune_contenders import CONTENDERS, Setup
from gpu_cells import Bench, Cell, Late, LeftOut
from gpu_results import Results, done_cells
from safetensors.torch import load_file

from minibert import BertModel, WordPieceTokenizer
from minibert._programs import run_program
from tests import programs
from tests.conftest import ROOT, TEXTS

SCRIPT = ROOT / "benchmarks" / "gpu.py"
TINY = ("--tiny", "--device", "cpu")


class Here:
    """Stands for the process of a section, and works in this one, which has imported everything."""

    def __init__(self, command, log):
        self.command = command
        log.touch()

    def work(self, seconds, meanwhile):
        arguments = gpu.read_arguments(self.command[2:])
        if arguments.section == "device":  # once is enough, and here there are no charts yet
            meanwhile()
        module = importlib.import_module(gpu.SECTIONS[arguments.section].module)
        return {0: "done", gpu_cells.LOST: "lost"}[gpu.work(arguments, module, seconds)]

    def stop(self):
        pass

    def lines(self):
        return []

    warnings = lines


def run(monkeypatch, *arguments):
    """The exit code of the command, run here."""
    monkeypatch.setattr(gpu, "STARTED", time.monotonic())
    monkeypatch.setattr(sys, "argv", ["benchmarks/gpu.py", *map(str, arguments)])
    try:
        run_program(gpu.main)
    except SystemExit as stop:
        return stop.code
    return 0


# --- every section --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a whole tiny run."""
    folder = tmp_path_factory.mktemp("gpu") / "new" / "results"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(gpu, "Worker", Here)
        assert run(monkeypatch, "--output", folder, *TINY) == 0
    return folder


@pytest.fixture(scope="module")
def found(tiny):
    return Results(tiny).read()


def test_every_section_does_all_that_it_planned(found):
    assert list(found["sections"]) == list(gpu.SECTIONS)
    for section in found["sections"].values():
        assert section["status"] == "done" and section["planned"] == list(section["cells"])
    left_out = {
        name: cell["error"]
        for section in found["sections"].values()
        for name, cell in section["cells"].items()
        if cell["status"] != "done"
    }
    assert all("compiled" in name or name == "the card after work" for name in left_out)


def test_there_are_at_most_eight_files(tiny):
    names = {path.name for path in tiny.iterdir()}
    assert names == {"results.json", "report.md", *(f"{name}.png" for name in gpu_charts.CHARTS)}
    assert len(names) <= 8


def test_outputs_and_losses_are_compared(found):
    outputs = done_cells(found, "model")["outputs"]
    assert outputs["agrees"] == {"fp32": True, "bf16": True} and outputs["largest"] > 0.01
    losses = done_cells(found, "finetune")["losses"]
    assert losses["agrees"] and len(losses["curves"]["minibert fp32"]) == 2


def test_figures_are_those_of_their_times(found):
    model = done_cells(found, "model")["minibert bf16, batches of 512 tokens"]
    assert model["rows"] == gpu_cells.TINY.rows and len(model["seconds"]) == 2
    middle = sum(model["seconds"]) / 2
    assert model["tokens_per_s"] == pytest.approx(model["tokens"] / middle)
    ceiling = done_cells(found, "device")["products in bf16"]["flops_per_s"]
    assert model["of_ceiling"] == pytest.approx(model["flops_per_s"] / ceiling)
    step = done_cells(found, "finetune")["base, batches of 4, transformers Trainer"]
    assert step["examples_per_s"] == pytest.approx(4e3 / step["ms_per_step"])


def test_the_attention_grid_has_both_fillings_and_directions(found):
    rows = gpu_report.attention_rows(found)
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["filling"] for row in rows} >= {"full", "50% padding"}
    kinds = {(row["work"], row["direction"]) for row in rows}
    assert kinds == {("kernel", "forward"), ("block", "forward"), ("block", "both")}
    assert {"minibert", "transformers sdpa", "nn.MultiheadAttention"} <= {
        row["contender"] for row in rows
    }


def test_the_examples_that_stand_for_the_cuda_tests_ran(found):
    ran = done_cells(found, "tests")["pytest"]
    assert ran["counts"]["PASSED"] > 0 and ran["failures"] == {} and "output" not in ran


def test_the_report_has_a_table_for_each_section(tiny):
    report = (tiny / "report.md").read_text()
    for title, _, _ in gpu_report.PARTS:
        assert f"\n## {title}\n" in report
    assert "could not be" not in report and "nan" not in report
    assert "`python benchmarks/gpu.py --output" in report and "A tiny run" in report
    assert "Mean difference" in report and "within 5 % of it in" in report


def test_the_verdict_has_what_was_asked_beside_what_was_measured(found):
    measured = {what: value for what, _, value in gpu_verdict.verdict(found)}
    # Batches of 32 and 256 are not those of a tiny run.
    assert [what for what, value in measured.items() if value == "not measured"] == [
        f"fine-tuning BERT-base at batch {size}: times transformers bf16" for size in (32, 256)
    ]
    nothing = {"sections": {}}
    assert {value for *_, value in gpu_verdict.verdict(nothing)} == {"not measured"}


def test_a_difference_of_accuracies_is_told_in_standard_errors():
    runs = {"minibert": [0.92, 0.93, 0.91], "transformers": [0.91, 0.91, 0.91]}
    cells = {
        f"seed {seed}, {who}": {
            "status": "done",
            "result": {"seed": seed, "contender": who, "accuracy": value},
        }
        for who, values in runs.items()
        for seed, value in enumerate(values)
    }
    del cells["seed 2, transformers"]  # it was not reached
    found = {"sections": {"accuracy": {"cells": cells}}}
    assert gpu_verdict.accuracy(found) == "3.0 (+1.50 points, 2 seeds)"
    same = {"sections": {"accuracy": {"cells": {k: v for k, v in cells.items()}}}}
    for cell in same["sections"]["accuracy"]["cells"].values():
        cell["result"]["accuracy"] = 0.5
    assert gpu_verdict.accuracy(same) == "0.0 (+0.00 points, 2 seeds)"


def test_report_and_charts_are_made_again_of_the_results(monkeypatch, tiny, tmp_path):
    shutil.copy(tiny / "results.json", tmp_path)
    assert run(monkeypatch, "--report", tmp_path) == 0
    assert (tmp_path / "report.md").read_text() == (tiny / "report.md").read_text()
    assert (tmp_path / "latency.png").is_file()


def test_the_report_of_a_run_that_was_killed_tells_how_far_it_came(found, tmp_path):
    cut = json.loads(json.dumps(found))
    for name in ("finetune", "profile", "accuracy"):
        del cut["sections"][name]
    cells = cut["sections"]["model"]["cells"]
    for name in list(cells)[1:]:
        del cells[name]
    cells["minibert bf16, texts"] = {"status": "begun"}
    del cut["sections"]["device"]["cells"]["versions"]
    Results(tmp_path).write(cut)
    gpu_report.make(tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "| accuracy |  | not begun |" in report
    assert "- model, minibert bf16, texts: begun" in report
    assert "- model: not reached: " in report


@pytest.mark.slow
def test_the_command_starts_a_process_for_a_section(tmp_path):
    done = programs.run(SCRIPT, "--output", tmp_path, *TINY, "--only", "device")
    assert done.returncode == 0 and "device: done, " in done.stdout, done.stderr
    found = Results(tmp_path).read()["sections"]
    assert list(found) == ["device"] and found["device"]["status"] == "done"


@pytest.mark.slow
def test_the_whole_command_as_it_is_given_on_a_gpu(tmp_path):
    done = programs.run(SCRIPT, "--output", tmp_path, *TINY)
    assert done.returncode == 0, done.stderr
    for section in Results(tmp_path).read()["sections"].values():
        assert section["status"] == "done", section


# --- what goes wrong in a section -----------------------------------------------------------------


class Lost(devices.Cpu):
    """A device that does not recover from one error."""

    def __init__(self):
        super().__init__()
        self.lost = False

    def is_lost(self):
        return self.lost


@pytest.fixture()
def bench(tmp_path):
    results = Results(tmp_path)
    results.write({"sections": {}})
    return Bench(Lost(), gpu_cells.TINY, results, tmp_path)


def states(bench):
    cells = bench.results.read()["sections"]["a"]["cells"]
    return {name: cell["status"] for name, cell in cells.items()}


def test_a_cell_that_fails_or_is_late_does_not_hinder_the_next(bench):
    def fail():
        raise RuntimeError("first line\nthe shapes do not match")

    def leave_out():
        raise LeftOut("there is no triton")

    cells = [
        Cell("good", lambda: {"ms": 1.0}),
        Cell("bad", fail),
        Cell("slow", lambda: time.sleep(30), 0.05),
        Cell("absent", leave_out),
        Cell("last", lambda: {}),
    ]
    assert gpu_cells.run_cells("a", cells, bench, 20) == gpu_cells.DONE
    assert states(bench) == {
        "good": "done",
        "bad": "failed",
        "slow": "late",
        "absent": "left out",
        "last": "done",
    }
    bad = bench.results.read()["sections"]["a"]["cells"]["bad"]
    assert bad["error"] == "RuntimeError: first line" and "do not match" in bad["traceback"]


def test_cells_end_when_the_section_does(bench):
    cells = [Cell(name, lambda: time.sleep(30)) for name in ("one", "two")]
    start = time.monotonic()
    gpu_cells.run_cells("a", cells, bench, 0.1)
    assert time.monotonic() - start < 10
    assert states(bench) == {"one": "late"}
    assert bench.results.read()["sections"]["a"]["planned"] == ["one", "two"]


def test_a_process_that_lost_its_gpu_ends_and_the_next_goes_on_after_that_cell(bench):
    ran = []

    def illegal():
        ran.append("illegal")
        bench.device.lost = True
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cells = [Cell("illegal", illegal), Cell("after", lambda: ran.append("after") or {})]
    assert gpu_cells.run_cells("a", cells, bench, 20) == gpu_cells.LOST
    bench.device.lost = False
    assert gpu_cells.run_cells("a", cells, bench, 20) == gpu_cells.DONE
    assert ran == ["illegal", "after"]
    assert states(bench) == {"illegal": "failed", "after": "done"}


def test_a_time_limit_gives_back_the_timer_that_was_there():
    handler = signal.getsignal(signal.SIGALRM)
    timer = signal.setitimer(signal.ITIMER_REAL, 500)
    try:
        with pytest.raises(Late), gpu_cells.time_limit(0.01):
            time.sleep(5)
        assert 400 < signal.getitimer(signal.ITIMER_REAL)[0] <= 500
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)


WAIT = "import sys; from gpu_worker import wait_for_turn; wait_for_turn();"


@pytest.fixture()
def worker(tmp_path, monkeypatch):
    """Makes a process that waits for its turn, and then runs some code."""
    monkeypatch.setattr(gpu_worker, "GRACE", 0.1)
    light = tmp_path / "gpu_cells.py"  # the real one imports PyTorch
    light.write_text("LOST = 3\n")

    def make(code):
        paths = f"sys.path[:0] = [{str(tmp_path)!r}, {str(SCRIPT.parent)!r}]"
        command = [sys.executable, "-c", f"import sys; {paths}; {WAIT} {code}"]
        made.append(gpu_worker.Worker(command, tmp_path / "log"))
        return made[-1]

    made = []
    yield make
    for each in made:
        each.stop()


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("print('a Warning: so far')", "done"),
        ("sys.exit(3)", "lost"),
        ("sys.exit(1)", "its process ended with exit code 1"),
        ("import os; os.kill(os.getpid(), 11)", "its process was ended by SIGSEGV"),
    ],
    ids=["done", "lost", "failed", "died"],
)
def test_how_a_process_ended_is_told(worker, code, outcome):
    process = worker(code)
    assert process.work(60) == outcome
    assert process.warnings() == (["a Warning: so far"] if outcome == "done" else [])


def until(path):
    """Wait for a file that another process writes."""
    for _ in range(1200):
        if path.exists() and path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} was not written")


def test_a_process_that_hangs_says_where_and_is_stopped_with_what_it_started(worker, tmp_path):
    started = tmp_path / "pid"
    process = worker(
        "import subprocess, time, gpu_worker; gpu_worker.tell_where(); "
        f"p = subprocess.Popen(['sleep', '60']); open({str(started)!r}, 'w').write(str(p.pid)); "
        "time.sleep(60)"
    )
    assert process.work(0, lambda: until(started)) == "late"
    assert any("line 1 in <module>" in line for line in process.lines())
    stat = Path(f"/proc/{started.read_text()}/stat")
    for _ in range(200):
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")


def test_a_process_that_waits_ends_with_the_command(worker):
    process = worker("print('its turn came')")
    process._process.stdin.close()
    assert process._process.wait(60) == 1 and process.lines() == []


class Scripted(Here):
    """A process whose cells end as a test says."""

    def __init__(self, command, log):
        super().__init__(command, log)
        self.name = command[command.index("--section") + 1]
        self.folder = Path(command[command.index("--output") + 1])

    def work(self, seconds, meanwhile):
        meanwhile()
        planned = ["one", "two", "three"]
        with Results(self.folder).section(self.name) as section:
            section["planned"] = planned
            cell = next(name for name in planned if name not in section["cells"])
            section["cells"][cell] = {"status": "begun"}
        return "its process was ended by SIGSEGV"


def test_each_process_that_dies_takes_one_cell_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "Worker", Scripted)
    assert run(monkeypatch, "--output", tmp_path, *TINY, "--only", "model") == 0
    section = Results(tmp_path).read()["sections"]["model"]
    assert [cell["status"] for cell in section["cells"].values()] == ["failed"] * 3
    assert section["status"] == "failed" and "SIGSEGV" in section["error"]
    assert "SIGSEGV" in (tmp_path / "report.md").read_text()


def test_a_report_that_cannot_be_made_ends_no_run(monkeypatch, tmp_path, capsys):
    def fail(folder):
        raise KeyError("seconds")

    monkeypatch.setattr(gpu_report, "make", fail)
    monkeypatch.setattr(gpu, "Worker", Scripted)
    assert run(monkeypatch, "--output", tmp_path, *TINY, "--only", "model") == 0
    assert "the report could not be made: KeyError: 'seconds'" in capsys.readouterr().err


def test_a_section_that_ends_at_once_is_not_tried_again(monkeypatch, tmp_path):
    started = []

    class Broken(Scripted):
        def work(self, seconds, meanwhile):
            started.append(self.name)
            return "its process ended with exit code 1"

    monkeypatch.setattr(gpu, "Worker", Broken)
    assert run(monkeypatch, "--output", tmp_path, *TINY, "--only", "model,profile") == 0
    assert started == ["device", "model", "profile"]


def test_time_is_shared_out_and_what_is_left_goes_to_the_last(monkeypatch, tmp_path):
    given = {}

    class Idle(Scripted):
        def work(self, seconds, meanwhile):
            given[self.name] = seconds
            return "done"

    monkeypatch.setattr(gpu, "Worker", Idle)
    monkeypatch.setattr(gpu_report, "make", lambda folder: None)
    assert run(monkeypatch, "--output", tmp_path, *TINY) == 0
    shares = {name: section.seconds for name, section in gpu.SECTIONS.items()}
    assert all(given[name] == pytest.approx(shares[name], abs=5) for name in given if shares[name])
    assert given["accuracy"] > 60 * gpu.MINUTES - gpu.RESERVE - 10
    assert sum(filter(None, shares.values())) < 60 * gpu.MINUTES - 25


# --- the tests ------------------------------------------------------------------------------------

PYTEST = """\
tests/cuda/test_a.py::test_one PASSED                    [ 25%]
tests/cuda/test_a.py::test_two[bf16-8 rows] FAILED       [ 50%]
tests/cuda/test_a.py::test_three FAILED                  [ 75%]
tests/cuda/test_a.py::test_four SKIPPED (needs two GPUs) [100%]

=================================== FAILURES ===================================
____________________________ test_two[bf16-8 rows] _____________________________
tests/cuda/test_a.py:7: in test_two
    kernel()
E   torch.AcceleratorError: CUDA error: an illegal memory access was encountered
E   CUDA kernel errors might be asynchronously reported
__________________________________ test_three __________________________________
E   torch.AcceleratorError: CUDA error: an illegal memory access was encountered
=========================== short test summary info ============================
SKIPPED [1] tests/cuda/test_a.py:30: needs two GPUs
"""


def test_outcomes_and_reasons_are_read_from_what_pytest_prints():
    outcomes = gpu_tests.outcomes_in(PYTEST)
    assert list(outcomes.values()) == ["PASSED", "FAILED", "FAILED", "SKIPPED"]
    name = "tests/cuda/test_a.py::test_two[bf16-8 rows]"
    assert name in outcomes and "asynchronously" in gpu_tests.reason(name, PYTEST)
    assert gpu_tests.beginning(PYTEST, "SKIPPED [") == [
        "SKIPPED [1] tests/cuda/test_a.py:30: needs two GPUs"
    ]


def test_what_ran_on_a_lost_gpu_is_run_again():
    again = gpu_tests.after_fatal(PYTEST, gpu_tests.outcomes_in(PYTEST))
    assert again == ["tests/cuda/test_a.py::test_three"]
    harmless = PYTEST.replace("torch.AcceleratorError: CUDA error", "AssertionError")
    assert gpu_tests.after_fatal(harmless, gpu_tests.outcomes_in(harmless)) == []


def test_a_failing_test_is_named_also_in_a_run_that_is_stopped(bench, monkeypatch, tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import os, signal, time\n"
        "def test_bad():\n    assert 1 == 2, 'one is not two'\n"
        "def test_good():\n    pass\n"
        "def test_slow():\n    os.kill(os.getppid(), signal.SIGALRM)\n    time.sleep(60)\n"
    )
    monkeypatch.setattr(gpu_tests, "ROOT", tmp_path)
    monkeypatch.setattr(gpu_tests, "CHEAP", "test_x.py")
    with gpu_cells.time_limit(250):
        ran = gpu_tests.run_tests(bench)
    assert ran["counts"] == {"FAILED": 1, "PASSED": 1} and "stopped" in ran["late"]
    (name,) = ran["failures"]
    assert name == "test_x.py::test_bad"


def test_the_files_with_cuda_tests_are_found(tmp_path):
    files = {"a/test_b.py": "@pytest.mark.cuda", "a/test_c.py": "", "cuda/test_d.py": "device"}
    for name, text in files.items():
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / name).write_text(text)
    found = gpu_tests.marked_files(tmp_path / "tests")
    assert found == ["tests/cuda/test_d.py", "tests/a/test_b.py"]


# --- details --------------------------------------------------------------------------------------


def test_the_most_telling_cells_of_the_grid_come_first():
    device = SimpleNamespace(
        type="cuda",
        emulates=lambda dtype: False,
        dtypes=lambda: [torch.float32, torch.float16, torch.bfloat16],
    )
    full = SimpleNamespace(device=device, scale=gpu_cells.FULL)
    planned = gpu_attention_planned(full)
    assert str(planned[0]) == "kernel forward bf16, 64 x 512, 12 heads, full"
    assert {cell.length for cell in planned} >= {64, 128, 256, 512, 1024, 2048, 4096, 8192}
    halves = [cell for cell in planned if cell.filling == "50% padding"]
    assert max(cell.length for cell in halves) == 8192
    assert planned[-1].dtype == torch.float32 and len({str(cell) for cell in planned}) == len(
        planned
    )


def gpu_attention_planned(bench):
    return importlib.import_module("gpu_attention").planned(bench)


def test_time_in_which_kernels_overlap_counts_once():
    assert gpu_profile.covered([(0, 4), (2, 6), (10, 11), (3, 5)]) == 7


def test_a_card_is_asked_and_not_changed(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    answers = ", ".join(f"<{query}>" for query in gpu_machine.QUERIES)
    asked = f"echo $1 >> {tmp_path / 'asked'}"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program.write_text(f"#!/bin/sh\n{asked}\necho '{answers}'\n")
    program.chmod(0o755)
    assert gpu_machine.nvidia_smi()["mig.mode.current"] == "<mig.mode.current>"
    program.write_text(
        f"#!/bin/sh\n{asked}\ncase $1 in *mig*) exit 2;; *) echo 'H100, 580, 80 MiB';; esac\n"
    )
    assert gpu_machine.nvidia_smi() == {
        "name": "H100",
        "driver_version": "580",
        "memory.total": "80 MiB",
    }
    assert all(line.startswith("--query-gpu=") for line in open(tmp_path / "asked"))
    program.write_text("#!/bin/sh\necho no devices; exit 9\n")
    with pytest.raises(LeftOut, match="no devices"):
        gpu_machine.nvidia_smi()


def test_batches_from_other_processes_train_the_same(bench, monkeypatch):
    from gpu_setup import classifier

    folder = classifier(bench, "small", dropout=False)
    setup = Setup(folder, TEXTS[:8], [0, 1] * 4, 4)
    here = CONTENDERS["transformers fp32"](setup, lambda: None).losses
    monkeypatch.setattr(Setup, "workers", 1)
    assert CONTENDERS["transformers fp32"](setup, lambda: None).losses == here


def test_what_is_packed_is_half_as_large_and_opens(start, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    for name in gpu_pack.DATA:
        (data / name).write_text("sentence\tlabel\na film\t1\n")
    gpu_pack.pack(tmp_path / "carried", data, str(start))
    model = tmp_path / "carried" / "minilm"
    halves = load_file(model / "model.safetensors")
    wholes = load_file(start / "model.safetensors")
    assert {name: tensor.half().tolist() for name, tensor in wholes.items()} == {
        name: tensor.tolist() for name, tensor in halves.items()
    }
    assert BertModel.from_pretrained(model).config == BertModel.from_pretrained(start).config
    assert WordPieceTokenizer.from_pretrained(model).tokenize("a film") == ["a", "film"]
    assert "SST-2/dev.tsv" in capsys.readouterr().out


def test_pairs_of_runs_need_data_and_a_model(bench):
    full = replace(bench, scale=gpu_cells.FULL)
    (cell,) = importlib.import_module("gpu_accuracy").cells(full)
    with pytest.raises(LeftOut, match="needs --data and --model"):
        cell.run()


def test_texts_of_the_users_own_are_taken(start, tmp_path):
    from gpu_setup import stream_of, texts_of, tokenizer_of

    for name in gpu_pack.DATA:
        (tmp_path / name).write_text("sentence\tlabel\na fine film\t1\nno film\t0\n")
    results = Results(tmp_path)
    results.write({"sections": {}})
    bench = Bench(devices.Cpu(), gpu_cells.TINY, results, tmp_path / "s", tmp_path, start)
    assert sorted(texts_of(bench).train.texts) == ["a fine film", "no film"]
    assert len(stream_of(bench)) == gpu_cells.TINY.rows
    assert tokenizer_of(bench).tokenize("film") == ["film"]


# --- refusals -------------------------------------------------------------------------------------


class Old(devices.Cpu):
    def dtypes(self):
        return [torch.float32, torch.float16]


class Full(devices.Cpu):
    def free_bytes(self):
        return 5 << 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output is missing"),
        (["--output", "{new}"], "CUDA is not available here"),
        (["--output", "{file}", *TINY], "{file}"),
        (["--output", "{new}", "--minutes", "0"], "--minutes is 0"),
        (["--output", "{new}", "--only", "modle"], "--only names 'modle'"),
        (["--output", "{new}", "--data", "{new}", *TINY], "has no train.tsv"),
        (["--output", "{new}", "--model", "{new}", *TINY], "there is no folder"),
        (["--report", "{new}"], "--report is {new}, which has no results.json; give the folder"),
        (["--pack", "{new}", "--data", "{new}"], "has no train.tsv"),
    ],
    ids=["output", "no GPU", "a file", "minutes", "section", "data", "model", "report", "pack"],
)
def test_mistakes_are_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "Worker", None)
    places = {"new": tmp_path / "new", "file": tmp_path / "file"}
    places["file"].write_text("")
    code = run(monkeypatch, *(argument.format(**places) for argument in arguments))
    out, error = capsys.readouterr()
    assert code == 2 and out == "" and error.count("\n") == 1
    assert message.format(**places) in error and not places["new"].exists()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            Old,
            "section model computes in bfloat16, which this GPU cannot (it needs Ampere or later)",
        ),
        (Full, "section model needs about 8 GB, and 5.0 GB are free"),
    ],
    ids=["no bf16", "memory"],
)
def test_a_gpu_that_cannot_do_a_section_is_refused(monkeypatch, capsys, tmp_path, device, message):
    monkeypatch.setattr(devices, "find", lambda name: device())
    monkeypatch.setattr(gpu, "Worker", None)
    assert run(monkeypatch, "--output", tmp_path / "new", "--device", "cpu") == 2
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and message in error
    assert "--only device,tests,attention" in error and not (tmp_path / "new").exists()


@pytest.mark.parametrize("package", ["matplotlib", "transformers", "accelerate", "pytest"])
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, capsys, tmp_path, package):
    monkeypatch.setattr(devices, "is_installed", lambda name: name != package)
    assert run(monkeypatch, "--output", tmp_path / "new", *TINY) == 2
    error = capsys.readouterr().err
    assert f"this needs {package}: pip install -e '.[" in error and error.count("\n") == 1

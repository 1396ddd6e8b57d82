"""A run that is killed, stopped or runs out of disk goes on where it was, and ends the same."""

import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

import minibert.training.loop
from minibert.training.signals import noted_signals
from minibert.training.state import (
    LOG,
    Log,
    check_same,
    newest_state,
    remove_run,
    run_folder,
    save_state,
    states,
)
from tests.conftest import ROOT
from tests.training.crash_run import EPOCHS, STEPS, run


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The steps are tiny; two threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    weights, history = run(folder)
    assert len(history.losses) == STEPS
    return weights, history, folder


def launch(folder, *options):
    command = [sys.executable, "-m", "tests.training.crash_run", folder, *options]
    return subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal, even where these tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def logged_steps(folder):
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines(keepends=True) if log.is_file() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("\n")]


def wait_for_step(process, folder, step):
    while process.poll() is None and max(logged_steps(folder), default=0) < step:
        time.sleep(0.005)
    return process.poll() is None


def assert_same(folder, uninterrupted):
    weights, history, _ = uninterrupted
    final = torch.load(folder / "final.pt", weights_only=True)
    assert final["losses"] == history.losses
    assert final["weights"].keys() == weights.keys()
    assert all(torch.equal(final["weights"][name], weights[name]) for name in weights)


def resume_here(folder, uninterrupted):
    """Resume in this process; the result must be that of the run that nothing happened to."""
    weights, history = run(folder, resume=True)
    assert history.losses == uninterrupted[1].losses
    assert history.evaluations == uninterrupted[1].evaluations
    assert all(torch.equal(weights[name], uninterrupted[0][name]) for name in weights)


def finish(folder):
    """Resume until the end; what the process wrote to stderr."""
    process = launch(folder, "resume")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert f"finished after {STEPS} steps" in output
    return errors


def test_killed_and_resumed_is_uninterrupted_bit_for_bit(tmp_path, uninterrupted, record_property):
    process = launch(tmp_path)
    assert wait_for_step(process, tmp_path, 13)
    process.kill()
    process.wait()
    assert not (tmp_path / "final.pt").exists()
    resume_here(tmp_path, uninterrupted)
    # The log has every step once, though some were made twice.
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line) for line in lines if "evaluation" not in line]
    assert [line["step"] for line in losses] == list(range(1, STEPS + 1))
    record_property("kills", 1)


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path, uninterrupted, record_property):
    choose, kills = random.Random(0), 0
    for i in range(20):
        folder = tmp_path / str(i)
        folder.mkdir()
        process = launch(folder)
        wait_for_step(process, folder, choose.randint(0, STEPS - 2))
        time.sleep(choose.random() * 0.1)  # in a step, an evaluation, or while a state is written
        process.kill()
        kills += process.wait() == -signal.SIGKILL  # or it had ended
        if choose.random() < 0.3 and not (folder / "final.pt").exists():  # and once more
            process = launch(folder, "resume")
            wait_for_step(process, folder, STEPS - 4)
            process.kill()
            kills += process.wait() == -signal.SIGKILL
        finish(folder)
        assert_same(folder, uninterrupted)
    record_property("kills", kills)  # for benchmarks/reliability.py


@pytest.mark.parametrize(
    "number, code",
    [
        (signal.SIGTERM, 128 + signal.SIGTERM),
        pytest.param(signal.SIGINT, -signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_the_state_and_ends_the_run(tmp_path, uninterrupted, number, code):
    process = launch(tmp_path)
    assert wait_for_step(process, tmp_path, 11)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name} after step " in errors and str(tmp_path) in errors
    _, state = newest_state(tmp_path)
    step = len(state["history"]["losses"])
    assert f"after step {step};" in errors and step >= 11, "no step is lost"
    resume_here(tmp_path, uninterrupted)


def test_a_second_signal_is_obeyed_at_once():
    at_first = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        second_signal()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in what a shell runs in the background
        with noted_signals(True) as noted:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        assert noted == []
    finally:
        signal.signal(signal.SIGINT, at_first)


def second_signal():
    before = signal.getsignal(signal.SIGINT)
    with noted_signals(True) as noted:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert noted == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_full_disk_leaves_the_last_state_and_the_run_goes_on(tmp_path, uninterrupted, caplog):
    """A limit on the size of files stands for the disk; the system refuses the rest of the file."""
    resource = pytest.importorskip("resource")
    with pytest.raises(FloatingPointError):
        run(tmp_path, broken=12)
    before = states(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with caplog.at_level(logging.INFO):
            resume_here(tmp_path, uninterrupted)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "could not be written" in caplog.text and "the run goes on" in caplog.text
    assert states(tmp_path) == before and newest_state(tmp_path) is not None
    assert not list(tmp_path.glob(".unfinished*"))


def test_damaged_states_are_reported_and_skipped(tmp_path, uninterrupted, caplog):
    for step in (5, 10):
        save_state(tmp_path, step, {"step": step})
    newest, older = states(tmp_path)
    with open(newest, "r+b") as file:
        file.seek(-200, os.SEEK_END)
        file.write(b"x")
    with caplog.at_level(logging.WARNING):
        path, state = newest_state(tmp_path)
    assert path == older and state == {"step": 5}
    assert str(newest) in caplog.text and "damaged" in caplog.text
    assert states(tmp_path) == [older], "what is damaged does not count as one of the newest"
    older.write_bytes(older.read_bytes()[:100])
    assert newest_state(tmp_path) is None and states(tmp_path) == []


def test_a_log_that_cannot_be_written_does_not_end_the_run(tmp_path, caplog):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Log(tmp_path, 0) as log, caplog.at_level(logging.WARNING):
        log.write({"step": 1})
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (15, limits[1]))
            log.write({"step": 2, "loss": 0.5})
            log.write({"step": 3})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caplog.text.count("the run goes on") == 1
    with Log(tmp_path, 5):
        assert logged_steps(tmp_path) == [1], "and a line that was cut is no line"


def test_only_the_newest_two_states_are_kept(tmp_path):
    (tmp_path / ".unfinished.0123").write_bytes(b"left by a killed process")
    for step in (5, 10, 100):
        save_state(tmp_path, step, {"step": step})
    assert [path.name.split(".")[0] for path in states(tmp_path)] == [
        "step-00000100",
        "step-00000010",
    ]
    assert newest_state(tmp_path)[1] == {"step": 100}
    assert not list(tmp_path.glob(".unfinished*"))


@pytest.mark.parametrize(
    "change, named",
    [
        ({"batch_size": 7}, "batch_size was 8 and is now 7"),
        ({"lr": 2e-3}, "lr was 0.001 and is now 0.002"),
        ({"fewer": 1}, "data was"),
        ({"start": 1}, "weights at the start was"),
        ({"epochs": EPOCHS + 1}, "epochs was 4 and is now 5"),
        ({"heads": 2}, "config.num_attention_heads was 4 and is now 2"),
    ],
)
def test_another_run_is_not_resumed(uninterrupted, change, named):
    folder = uninterrupted[2]
    before = states(folder)
    with pytest.raises(ValueError, match="cannot be resumed") as caught:
        run(folder, resume=True, **change)
    assert named in str(caught.value) and states(folder) == before


def test_the_size_of_large_states_is_told_before_they_are_written(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    run(tmp_path / "small", epochs=1)
    assert "MB each" not in caplog.text
    monkeypatch.setattr(minibert.training.loop, "TOLD_FROM", 0)
    run(tmp_path / "large", epochs=1)
    (told,) = re.findall(r"newest 2 states, of up to (\d+) MB each", caplog.text)
    written = max(path.stat().st_size for path in states(tmp_path / "large")) / 1e6
    assert abs(float(told) - written) <= max(1, 0.1 * written)


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ValueError, match="save_every is 0"):
        run(tmp_path / "a", save_every=0)
    with pytest.raises(ValueError, match="needs the folder"):
        run(None, resume=True)


def test_another_body_or_number_of_threads_is_not_resumed():
    then = {"product of Linear": "linear", "threads": 2, "device": "cpu"}
    check_same(then, dict(then))
    with pytest.raises(ValueError) as caught:
        check_same(then, {**then, "product of Linear": "convolution", "threads": 4})
    assert "product of Linear was 'linear' and is now 'convolution'" in str(caught.value)
    assert "threads was 2 and is now 4" in str(caught.value) and "device" not in str(caught.value)


def test_threads_are_part_of_the_state(uninterrupted):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        with pytest.raises(ValueError, match=f"threads was {before} and is now {before + 1}"):
            run(uninterrupted[2], resume=True)
    finally:
        torch.set_num_threads(before)


def test_a_finished_run_resumes_to_its_end(uninterrupted):
    weights, history, folder = uninterrupted
    again, same = run(folder, resume=True)
    assert same.losses == history.losses and same.evaluations == history.evaluations
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_folders_that_cannot_be_used_are_found_first(tmp_path, uninterrupted):
    with pytest.raises(FileExistsError, match=r"resume it \(resume=True, --resume\), delete"):
        run(uninterrupted[2])
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot hold the states"):
        run(tmp_path / "file" / "run")


def test_the_folder_of_a_run_stands_beside_its_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for output in ("mine", "mine/", "./mine", tmp_path / "x" / ".." / "mine"):
        assert run_folder(output) == tmp_path / "mine.run"
    assert run_folder(".") == tmp_path.with_name(f"{tmp_path.name}.run"), "and not inside it"


def test_a_run_removes_what_is_its_own(tmp_path):
    save_state(tmp_path, 1, {})
    (tmp_path / LOG).touch()
    (tmp_path / "corpus-100").mkdir()
    (tmp_path / "seed-0").mkdir()  # another program's
    remove_run(tmp_path, "corpus-*")
    assert [path.name for path in tmp_path.iterdir()] == ["seed-0"]
    remove_run(tmp_path / "seed-0")
    remove_run(tmp_path)
    assert not tmp_path.exists()


def test_nothing_to_resume_begins_anew(tmp_path, uninterrupted, caplog):
    with caplog.at_level(logging.INFO):
        _, history = run(tmp_path / "new", resume=True)
    assert "no state to resume from" in caplog.text
    assert history.losses == uninterrupted[1].losses


def test_a_broken_loss_keeps_the_last_state(tmp_path):
    with pytest.raises(FloatingPointError, match=r"nan.*step 13 .*learning rate.*examples \d+, "):
        run(tmp_path, broken=12)
    _, state = newest_state(tmp_path)
    assert len(state["history"]["losses"]) == 10
    assert all(tensor.isfinite().all() for tensor in state["model"].values())

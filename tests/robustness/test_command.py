"""The `minibert` command among other programs: what comes in, what goes out, how it ends."""

import io
import os
import signal
import subprocess
import sys
import time
import warnings
from functools import partial

import pytest

from minibert.cli.main import main
from tests.conftest import small_model
from tests.programs import ROOT, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("command") / "model"
    small_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def command(monkeypatch, capsys, arguments, given=b"", **streams):
    """(exit code, standard output, standard error) of the command, in this process."""
    source = io.TextIOWrapper(io.BytesIO(given)) if given is not None else None
    monkeypatch.setattr(sys, "stdin", source)
    monkeypatch.setattr(sys, "argv", ["minibert", *map(str, arguments)])
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("given", "out", "code", "err"),
    [
        (b"", "", 0, ""),
        (b"\n", "\n", 0, ""),
        (b"good\r\nfilm", "good\nfilm\n", 0, ""),
        (b"\xef\xbb\xbfgood\n", "good\n", 0, ""),
        (
            b"good\nna\xefve\nfilm\n",
            "good\n",
            2,
            "line 2 of the input is not UTF-8 (0xef at byte 2)",
        ),
        (b"good\n" * 5000 + b"\xff", "good\n" * 5000, 2, "line 5001 of the input is not UTF-8"),
        (b"a\0b\n", "ab\n", 0, ""),
        (None, "", 2, "there is no standard input; give texts, one a line"),
    ],
)
def test_lines_in_and_lines_out(monkeypatch, capsys, given, out, code, err):
    found = command(monkeypatch, capsys, ["tokenize", "minilm-l6"], given)
    assert found[:2] == (code, out)
    assert err in found[2] and found[2].count("\n") == bool(err)


def test_lines_before_a_bad_one_are_answered(monkeypatch, capsys, folder):
    given = b"good\n" * 9 + b"\xe9\n"
    code, out, err = command(monkeypatch, capsys, ["classify", folder], given)
    assert code == 2 and out.count("\tgood\n") == 9
    assert err.startswith("minibert: error: line 10 of the input is not UTF-8 (0xe9 at byte 0)")


@pytest.mark.parametrize("name", ["minilm-l7", "", "no/such/folder", "x" * 300, "a\0b"])
@pytest.mark.parametrize("what", ["info", "tokenize", "classify"])
def test_models_that_are_not_there_are_one_line(monkeypatch, capsys, what, name):
    code, out, err = command(monkeypatch, capsys, [what, name])
    assert (code, out) == (2, "")
    assert err.startswith("minibert: error: ") and err.count("\n") == 1


def test_warnings_are_a_line_without_code(monkeypatch, capsys, folder):
    with pytest.warns(UserWarning):  # as pytest sees it
        command(monkeypatch, capsys, ["classify", folder], b"word " * 100)
    result = run("-m", "minibert", "classify", folder, input="word " * 100)
    assert result.stderr.startswith("minibert: warning: 1 of 1 texts are longer than 40 tokens")
    assert result.stderr.count("\n") == 1


def test_warnings_that_are_errors_are_a_line(monkeypatch, capsys, folder):
    """As under `python -W error`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code, _, err = command(monkeypatch, capsys, ["classify", folder], b"word " * 100)
    assert code == 2 and err.startswith("minibert: error: 1 of 1 texts are longer than 40 tokens")


def test_labels_of_several_lines_are_answered_in_one(monkeypatch, capsys, tmp_path, tokenizer):
    small_model(labels=("a\nb\tc", "d\r\ne")).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    code, out, err = command(monkeypatch, capsys, ["classify", tmp_path / "model"], b"good\n")
    label, _, text = out.rstrip("\n").split("\t")
    assert (code, err, text) == (0, "", "good") and label in (r"a\nb\tc", r"d\r\ne")


def test_no_standard_output_is_said(monkeypatch, capsys):
    code, _, err = command(monkeypatch, capsys, ["version"], stdout=None)
    assert code == 2 and "there is no standard output" in err


def test_every_character_can_be_written(monkeypatch, capsys, folder):
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    given = "\u2603 caf\u00e9\n".encode()
    code, _, err = command(monkeypatch, capsys, ["classify", folder], given, stdout=ascii_only)
    assert (code, err) == (0, "")
    assert ascii_only.buffer.getvalue().endswith(rb"\u2603 caf\xe9" + b"\n")


def begin(*arguments, **streams):
    return subprocess.Popen(
        [sys.executable, "-m", "minibert", *map(str, arguments)],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **streams},
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # In the background of a script pytest ignores Ctrl-C, and so would the command.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        process = begin("version", stdout=full)
        err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 2
    assert (
        err.startswith("minibert: error: standard output cannot be written")
        and err.count("\n") == 1
    )


def test_a_reader_that_has_seen_enough_ends_it_in_silence():
    """As `| head -1` does."""
    process = begin("tokenize", "minilm-l6")
    process.stdin.write(b"good film\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"good film\n"
    process.stdout.close()
    try:
        process.stdin.write(b"good film\n" * 20_000)
        process.stdin.close()
    except BrokenPipeError:  # it has ended already
        pass
    assert process.wait(timeout=60) == 141 and process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others on Windows")
@pytest.mark.parametrize("ready", [False, True])
def test_ctrl_c_ends_it_in_silence(ready):
    """While PyTorch is being imported, and while it waits for the next line."""
    process = begin("tokenize", "minilm-l6")
    if ready:
        process.stdin.write(b"good film\n")
        process.stdin.flush()
        process.stdout.readline()
    else:
        time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out, err) == (b"", b"")
    assert process.returncode == (130 if ready else -signal.SIGINT)

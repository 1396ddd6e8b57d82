"""The `minibert` command and its like among other programs: what comes in, what goes out, how it
ends."""

import errno
import io
import logging
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

import minibert
from minibert import _programs
from minibert._programs import LogToOutput, run_program
from minibert.cli.lines import Lines
from minibert.engine.reading import read_windows
from tests.conftest import small_model
from tests.programs import ROOT, command, example


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("command") / "model"
    small_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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
            "line 2 of standard input is not UTF-8 (0xef at byte 2)",
        ),
        (
            b"good\n" * 5000 + b"\xff",
            "good\n" * 5000,
            2,
            "line 5001 of standard input is not UTF-8",
        ),
        (b"a\0b\n", "ab\n", 0, ""),
        (b"\xef\xbb\xbfok\xff\n", "", 2, "line 1 of standard input is not UTF-8 (0xff at byte 2)"),
        ("good\n".encode("utf-16"), "", 2, "convert it:  iconv -f utf-16 -t utf-8"),
        (b"good " * 50_000 + b"\nfilm", "good " * 49_999 + "good\nfilm\n", 0, ""),
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
    assert err.startswith(
        "minibert: error: line 10 of standard input is not UTF-8 (0xe9 at byte 0)"
    )


@pytest.mark.parametrize("name", ["minilm-l7", "", "no/such/folder", "x" * 300, "a\0b"])
@pytest.mark.parametrize("what", ["info", "tokenize", "classify"])
def test_models_that_are_not_there_are_one_line(monkeypatch, capsys, what, name):
    code, out, err = command(monkeypatch, capsys, [what, name])
    assert (code, out) == (2, "")
    assert err.startswith("minibert: error: ") and err.count("\n") == 1


def test_warnings_are_a_line_without_code(capsys):
    def main():
        print(warnings.formatwarning("cut\nto 40", UserWarning, "model.py", 7), end="")

    run_program(main, "minibert: ")
    assert capsys.readouterr().out == "minibert: warning: cut to 40\n"
    assert "UserWarning" in warnings.formatwarning("cut", UserWarning, "model.py", 7)


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


def begin(*arguments):
    """A program of this checkout."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        code, _, err = command(monkeypatch, capsys, ["version"], stdout=full)
    assert code == 2 and err.count("\n") == 1
    assert err.startswith("minibert: error: standard output cannot be written: ")


def test_a_reader_that_has_seen_enough_ends_it_in_silence():
    """As `| head -1` does."""
    process = begin("-m", "minibert", "tokenize", "minilm-l6")
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
@pytest.mark.parametrize(
    "program",
    [
        ["-m", "minibert", "tokenize", "minilm-l6"],
        *(
            pytest.param([f"examples/{name}.py"], marks=pytest.mark.slow)
            for name in ("classify_with_ray", "pretrain", "quickstart", "trace")
        ),
    ],
)
def test_ctrl_c_while_pytorch_is_imported_ends_it_in_silence(program):
    process = begin(*program)
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == (b"", b"") and process.returncode == 130


@pytest.mark.parametrize(
    ("argv", "orig_argv", "ours"),
    [
        (["-m", "info", "x"], ["python", "-m", "minibert", "info", "x"], True),
        (["-m"], ["python", "-Im", "minibert.golden"], True),
        (["/usr/bin/minibert", "info"], ["python", "/usr/bin/minibert", "info"], True),
        (["-m", "minibert"], ["python", "-m", "tool", "minibert"], False),
        (["/usr/bin/tool"], ["python", "/usr/bin/tool"], False),
        ([""], ["python"], False),
        (["a\0b"], ["python"], False),
        (["-m", "a", "b"], [], False),
        ([], ["python"], False),
    ],
)
def test_ctrl_c_is_left_alone_in_programs_of_others(monkeypatch, argv, orig_argv, ours):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert _programs._is_command() is ours
    assert not _programs._is_beside()


def test_the_programs_of_the_checkout_are_ours(monkeypatch):
    for name, ours in [("examples/trace.py", True), ("tests/programs.py", False)]:
        monkeypatch.setattr(sys, "argv", [str(ROOT / name)])
        assert _programs._is_beside() is ours


def lines_of(*chunks):
    """Lines that come through a pipe in these parts, before any of them is read."""
    reader, writer = os.pipe()
    for chunk in chunks:
        os.write(writer, chunk)
    return Lines(os.fdopen(reader, "rb")), writer


def test_lines_that_are_there_are_a_window_and_no_line_is_waited_for():
    lines, writer = lines_of(b"one\n", b"two\nthr")
    windows = read_windows(lines)
    assert next(windows) == ["one", "two"]
    os.write(writer, b"ee\nfour")
    assert next(windows) == ["three"]
    os.close(writer)
    assert list(windows) == [["four"]]


def test_an_input_that_cannot_be_read_is_said_after_the_lines_before():
    """As a folder is: Python itself refuses it, but not as another program hands it over."""

    class Broken(io.BytesIO):
        def read1(self, size):
            if chunk := super().read1(size):
                return chunk
            raise IsADirectoryError(errno.EISDIR, "Is a directory")

    windows = read_windows(Lines(Broken(b"one\ntwo\n")))
    assert next(windows) == ["one", "two"]
    with pytest.raises(OSError, match="standard input cannot be read: Is a directory; give texts"):
        next(windows)


def test_the_version_is_an_option_too(monkeypatch, capsys):
    out = f"minibert {minibert.__version__}\n"
    assert command(monkeypatch, capsys, ["--version"]) == (0, out, "")


# --- how programs end -----------------------------------------------------------------------------


def ended(main, capsys, **names):
    """(exit code, standard error) of a program."""
    code = 0
    try:
        run_program(main, **names)
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ValueError("--seeds is 0"), (2, "error: --seeds is 0\n")),
        (FileNotFoundError("there is no file x"), (2, "error: there is no file x\n")),
        (ImportError("needs matplotlib"), (2, "error: needs matplotlib\n")),
        (FloatingPointError("the loss is nan"), (2, "error: the loss is nan\n")),
        (MemoryError(), (2, "error: there is not enough memory for this: MemoryError\n")),
        (
            RuntimeError("can't allocate 9 bytes\nframe 1"),
            (2, "error: there is not enough memory for this: can't allocate 9 bytes\n"),
        ),
        (KeyboardInterrupt(), (130, "")),
        (BrokenPipeError(), (141, "")),
        (SystemExit(0), (0, "")),
        (SystemExit(2), (2, "")),
    ],
    ids=repr,
)
def test_programs_end_in_one_line_or_in_silence(capsys, error, end):
    assert ended(raising(error), capsys) == end


def test_a_mistake_of_ours_keeps_its_traceback(capsys):
    with pytest.raises(RuntimeError, match="a bug"):
        ended(raising(RuntimeError("a bug")), capsys)


HUGE = 10**30


@pytest.mark.parametrize(
    ("program", "arguments", "line"),
    [
        ("finetune_sst2", ["--seeds", HUGE], f"--seeds is {HUGE}; give 1 to 1000"),
        ("transfer_learning", ["--seeds", HUGE], f"--seeds is {HUGE}; give at most 1000"),
        ("transfer_learning", ["--sizes", "16,"], "--sizes is '16,'; give numbers"),
        ("compare_pretrained", ["--data", "sample", "--seeds", 1], "--seeds is 1; give 2, which"),
        ("compare_pretrained", ["--data", "", "--seeds", 2], "the data is ''; give its path"),
        ("pretrain", ["--text", "x", "--steps", 0], "--steps is 0; it must be 1 to"),
        ("pretrain", ["--text", "x", "--batch-size", HUGE], f"--batch-size is {HUGE}; it must be"),
        ("pretrain", ["--text", "x", "--vocabulary-size", HUGE], "it must be 100 to 1000000"),
        ("pretrain", ["--text", "x", "--max-length", 10**8], "--max-length is 100000000; it must"),
        ("pretrain", ["--text", ROOT / "tests"], "tests is no file; give files of text"),
        ("trace", ["--model", ""], "the model is ''; give a folder or a name"),
    ],
)
def test_arguments_of_examples_out_of_range(
    monkeypatch, capsys, tmp_path, program, arguments, line
):
    monkeypatch.chdir(tmp_path)  # where they would write
    logger = logging.getLogger("minibert")
    level = logger.level
    try:
        code, _, err = example(monkeypatch, capsys, program, *arguments)
    finally:
        logger.setLevel(level)
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert line in err


def test_what_a_program_says_of_itself(capsys):
    names = {"name": "minibert: ", "where": " in rank 1", "stopped": "stopped; go on with --resume"}
    line = "minibert: error in rank 1: no\n"
    assert ended(raising(ValueError("no")), capsys, **names) == (2, line)
    stopped = (130, "stopped; go on with --resume\n")
    assert ended(raising(KeyboardInterrupt()), capsys, **names) == stopped
    assert ended(lambda: 1, capsys) == (1, "")


@pytest.mark.parametrize(
    ("number", "end"),
    [
        (errno.EPIPE, (141, "")),
        (errno.ENOSPC, (2, "error: standard output cannot be written: [Errno 28] no\n")),
    ],
)
def test_output_that_was_not_written_yet_counts(monkeypatch, capsys, number, end):
    """Python would find out as it ends, and print a traceback."""

    class Full(io.StringIO):
        def flush(self):
            raise OSError(number, "no")

    monkeypatch.setattr(sys, "stdout", Full())
    assert ended(lambda: print("done"), capsys) == end


def test_a_log_that_cannot_be_written_ends_the_program(monkeypatch, capsys):
    """logging's own handler prints a traceback for each line and goes on."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    logger = logging.Logger("of a training")
    logger.addHandler(LogToOutput())
    assert ended(lambda: logger.warning("epoch 1"), capsys) == (141, "")


def test_an_error_that_nobody_can_read_still_ends_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit) as stop:
        run_program(raising(ValueError("no")))
    assert stop.value.code == 2


@pytest.mark.slow
@pytest.mark.parametrize("end", ["| head -1", "> /dev/full", ">&-"])
def test_examples_end_without_tracebacks(end):
    result = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -W ignore examples/trace.py {end}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    assert "Traceback" not in result.stderr and result.stderr.count("\n") == ("full" in end)

"""Whatever the destination, who writes says one line and loses nothing that was there before."""

import hashlib
import json
import logging
import os
import runpy
import shutil
import sys
import threading
from pathlib import Path

import pytest
import torch

import minibert
from minibert.checkpoint import replacing
from minibert.checkpoint.folders import check_new_folder, new_files, new_model_folder
from minibert.checkpoint.locks import only_writer
from minibert.cli import learning
from minibert.corpus.store import Corpus
from minibert.corpus.text import TextFile
from minibert.training.state import (
    LOG,
    Log,
    held_for_run,
    held_run_folder,
    newest_state,
    remove_run,
    run_folder,
    save_state,
    states,
)
from tests.conftest import ROOT, TEXTS, small_model
from tests.corpus.conftest import text_of
from tests.programs import run

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="links, limits and kills of POSIX"),
    pytest.mark.filterwarnings("ignore:epochs=1 makes", "ignore:the trained model calls every"),
    pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:.*are longer than 16"),
]


def tree(folder):
    """Every file with its content, every link and folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.is_dir()
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = content
    return found


@pytest.fixture(scope="module")
def tiny():
    return small_model(vocab_size=211)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("classifier") / "model"
    small_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return minibert.TextClassifier.load(folder)


@pytest.fixture()
def writers(tiny, classifier, tokenizer, tmp_path_factory):
    """Everything that writes a folder, as a function of its place."""
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text(text_of(30), encoding="utf-8")

    def train_in(folder):
        with held_for_run(folder, resume=False) as held:
            save_state(held, 1, {"step": 1})

    return {
        "save_pretrained": lambda folder: tiny.save_pretrained(folder, overwrite=True),
        "TextClassifier.save": lambda folder: classifier.save(folder, overwrite=True),
        "the check before": lambda folder: check_new_folder(folder, overwrite=True),
        "tokenizer": tokenizer.save_pretrained,
        "corpus": lambda folder: Corpus.build([TextFile.at(text)], tokenizer, folder),
        "states": train_in,
    }


WRITERS = (
    "save_pretrained",
    "TextClassifier.save",
    "the check before",
    "tokenizer",
    "corpus",
    "states",
)
MODELS = WRITERS[:3]  # replace a folder whole


@pytest.fixture()
def here(tmp_path, monkeypatch):
    """A folder with a bit of everything, which this process stands in."""
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "thesis.tex").write_text("years of work")
    (here / "mine" / "tokens").write_text("not of a corpus")
    (here / "mine" / "tokenizer.json").mkdir()
    (here / "mine" / "log.jsonl").write_text("not of a run")
    (here / "file").write_text("a file")
    (here / "loop").symlink_to("loop")
    (here / "to-file").symlink_to("file")
    monkeypatch.chdir(here)
    return here


REFUSED = {
    "empty": ("", "the folder is ''; give its path"),
    "none": (None, "the folder is None; give its path"),
    "number": (5, "the folder is 5; give its path"),
    "bytes": (b"model", "the folder is b'model'; give its path"),
    "list": (["model"], r"the folder is \['model'\]; give its path"),
    "NUL": ("a\0b", r"the folder is 'a\\x00b'; give its path"),
    "surrogate": ("a\ud800", r"the folder is 'a\\ud800'; give its path"),
    "long": ("x" * 300, "'xxx.*[.]{3}.*' cannot be made or reached: File name too long"),
    "long inside": ("a/" + "x" * 300 + "/b", "too long; give another folder"),
    "long for what is beside it": ("x" * 250, "File name too long"),
    "deep": ("x/" * 3000, "File name too long"),
    "loop": ("loop", "Too many levels of symbolic links"),
    "in a loop": ("loop/model", "Too many levels of symbolic links"),
    "file": ("file", "is a file|is not a model folder"),
    "link to a file": ("to-file", "is a file|is not a model folder"),
    "in a file": ("file/model", "file is a file"),
    "file with a slash": ("file/", "is a file|is not a model folder"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("case", REFUSED)
def test_odd_destinations_are_one_line_and_nothing_is_lost(writers, here, writer, case):
    before = tree(here)
    folder, expected = REFUSED[case]
    with pytest.raises((ValueError, OSError), match=expected) as caught:
        writers[writer](folder)
    assert getattr(caught.value, "errno", None) is None, "in our words"
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)
    assert tree(here) == before


@pytest.mark.parametrize(
    "writer, named",
    [(writer, "not a model folder") for writer in MODELS]
    + [("tokenizer", "tokenizer.json is a folder"), ("corpus", "tokens is not a corpus's")],
)
def test_what_is_not_ours_stays(writers, here, writer, named):
    before = tree(here)
    with pytest.raises(OSError, match=named):
        writers[writer]("mine")
    assert tree(here) == before


@pytest.mark.parametrize("writer", MODELS)
@pytest.mark.parametrize(
    "place", [".", "", "absolute", "link", "..", "../", "link/..", "/", "../inner/.."]
)
def test_the_folder_a_program_runs_in_is_not_replaced(
    writers, tiny, tmp_path, monkeypatch, writer, place
):
    tiny.save_pretrained(tmp_path / "model")
    inner = tmp_path / "model" / "inner" if place.startswith("..") else tmp_path / "model"
    inner.mkdir(exist_ok=True)
    (tmp_path / "link").symlink_to(inner)
    monkeypatch.chdir(inner)
    before = tree(tmp_path)
    folder = {"absolute": inner, "link": tmp_path / "link", "": Path("")}.get(place, place)
    folder = tmp_path / "link" / ".." if place == "link/.." else folder
    with pytest.raises(FileExistsError, match="give a (new )?folder in") as caught:
        writers[writer](folder)
    assert caught.value.errno is None
    assert tree(tmp_path) == before and Path.cwd() == inner and os.listdir(".") is not None


def test_an_empty_folder_that_a_program_runs_in_is_not_replaced_either(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileExistsError, match="runs in"):
        tiny.save_pretrained(".")
    tiny.save_pretrained("model")
    assert (tmp_path / "model" / "config.json").is_file()


def test_a_tokenizer_goes_into_the_folder_a_program_runs_in(tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").touch()
    (tmp_path / "elsewhere").write_text("of another model")
    (tmp_path / "tokenizer.json").symlink_to("elsewhere")
    tokenizer.save_pretrained(".")
    assert sorted(os.listdir(".")) == [
        "elsewhere",
        "notes",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (tmp_path / "elsewhere").read_text() == "of another model", "links are not followed"
    assert minibert.WordPieceTokenizer.from_pretrained(".").tokenize("a b") == ["a", "b"]


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "the check before"])
@pytest.mark.parametrize("place", ["new", "new/", "deep/er/new", "dangling", "link/../new"])
def test_new_folders_are_made(writers, tmp_path, monkeypatch, writer, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dangling").symlink_to("there/new")
    (tmp_path / "elsewhere" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("elsewhere/inner")
    writers[writer](place)
    assert any(path.is_file() for path in Path(place).iterdir())
    if place == "dangling":
        assert Path(place).is_symlink() and Path("there/new").is_dir()
    if place == "link/../new":
        assert Path("elsewhere/new").is_dir(), "as the system understands it"


@pytest.mark.parametrize("writer", WRITERS)
def test_a_deleted_current_folder_costs_nothing(writers, tmp_path, monkeypatch, writer):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError, match="was deleted; give an absolute path"):
        writers[writer]("model")
    writers[writer](tmp_path / "model")


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "the check before"])
def test_a_full_disk_leaves_what_was_there(writers, tmp_path, writer):
    resource = pytest.importorskip("resource")
    if writer != "states":
        writers[writer](tmp_path / "m")
    before = tree(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written|cannot hold") as caught:
            writers[writer](tmp_path / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno is None
    if writer == "corpus":  # which is made again from its texts
        with pytest.raises(FileNotFoundError, match="no corpus"):
            Corpus(tmp_path / "m")
        writers[writer](tmp_path / "m")
        assert tree(tmp_path).keys() == before.keys()
    elif writer != "states":
        assert tree(tmp_path) == before


def test_who_could_read_the_old_model_can_read_the_new_one(tiny, tmp_path):
    tiny.save_pretrained(tmp_path / "m")
    (tmp_path / "m").chmod(0o700)
    tiny.save_pretrained(tmp_path / "m", overwrite=True)
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["folder", "file", "foreign model"])
def test_a_model_whose_place_is_taken_meanwhile_is_kept(tmp_path, overwrite, kind):
    place = tmp_path / "m"
    with pytest.raises(OSError, match="could not be put in place.*the new model is whole") as error:
        with new_model_folder(place, overwrite) as folder:
            (folder / "config.json").write_text("ours")
            if kind == "file":
                place.write_text("theirs")
            else:
                place.mkdir()
                (place / ("config.json" if kind == "foreign model" else "notes")).write_text(
                    "their"
                )
                (place / "thesis.tex").write_text("years of work")
            theirs = tree(tmp_path).keys() - {folder.name, f"{folder.name}/config.json"}
    kept = Path(str(error.value).rpartition(" in ")[2])
    assert (kept / "config.json").read_text() == "ours"
    assert theirs <= tree(tmp_path).keys()


def test_a_model_saved_meanwhile_is_not_overwritten_without_leave(tmp_path):
    with pytest.raises(FileExistsError, match="m exists; choose another name.*whole, in"):
        with new_model_folder(tmp_path / "m") as slow:
            (slow / "config.json").write_text("slow")
            with new_model_folder(tmp_path / "m") as fast:
                (fast / "config.json").write_text("fast")
    assert (tmp_path / "m" / "config.json").read_text() == "fast"


def test_a_parent_deleted_meanwhile_is_an_error_that_says_so(tmp_path):
    with pytest.raises(OSError, match="m could not be written"):
        with new_model_folder(tmp_path / "parent" / "m") as folder:
            shutil.rmtree(tmp_path / "parent")
            (folder / "config.json").write_text("")


# --- killed, and two at once ---------------------------------------------------------------------

# Forks, so that the import is paid for once; the parent computes nothing, and so may fork.
KILLS = r"""
import os, signal, sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from minibert.checkpoint import replacing
from minibert.checkpoint.folders import new_files, new_model_folder, write_weights
from minibert.training.state import newest_state, save_state

place = Path(sys.argv[1])
torch.set_num_threads(1)

def save(number, overwrite=True, at=None):
    with new_model_folder(at or place / "m", overwrite) as folder:
        (folder / "config.json").write_text(str(number))
        write_weights({"w": torch.full((8,), float(number))}, folder)

def saved(path):
    number = int((path / "config.json").read_text())
    weights = load_file(path / "model.safetensors")["w"].tolist()
    assert weights == [number] * 8, "files of two models"
    return number

def forked(work):
    process = os.fork()
    if not process:
        try:
            work()
        except OSError as error:
            os.write(1, f"{type(error).__name__} {error}\n".encode())  # a line in one piece
            os._exit(2)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return process

def ended(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

def killed_everywhere(work, check):
    "Kill the work before its first call of the system, then before its second, to the last."
    moment = code = 0
    while code != 0 or moment == 0:
        moment += 1
        def die(event, arguments, calls=[0], moment=moment):
            if event.startswith(("os.", "shutil.", "open")):
                calls[0] += 1
                if calls[0] == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
        code = ended(forked(lambda: (sys.addaudithook(die), work(moment))))
        assert code in (0, -signal.SIGKILL), code
        check(moment)
    return moment
"""


def in_processes(program, place):
    result = run("-c", KILLS + program, place, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_killed_at_any_moment_there_is_the_old_or_the_new(tmp_path):
    """Models, states and files that are put into a folder: killed before every system call."""
    output = in_processes(
        r"""
save(0)
last = 0
def check_model(moment):
    global last
    assert (found := saved(place / "m")) in (last, moment), found
    last = found
print("model", killed_everywhere(save, check_model))
assert last > 0
save(999)  # whatever is left over
assert saved(place / "m") == 999

# Where the system cannot exchange two folders, the old one is beside, or still in place.
replacing._exchange = lambda one, other: False
def check_both(moment):
    old = list(place.glob(".m.*.old"))
    assert (place / "m").exists() or [saved(path) for path in old]
    if not (place / "m").exists():
        old[0].rename(place / "m")
    for path in old:
        if path.exists():
            path.rename(place / f"checked-{moment}")
    saved(place / "m")
killed_everywhere(save, check_both)

run = place / "run"
run.mkdir()
save_state(run, 1, {"step": 1})
def check_state(moment):
    path, state = newest_state(run)
    assert state["step"] in (1, moment + 1)
def next_state(moment):
    save_state(run, moment + 1, {"step": moment + 1})
print("state", killed_everywhere(next_state, check_state))

def put(moment):
    with new_files(place / "m") as folder:
        (folder / "tokenizer.json").write_text(f"{moment} " * 5000)
def check_file(moment):
    path = place / "m" / "tokenizer.json"
    words = path.read_text().split() if path.exists() else []
    assert not words or (len(words) == 5000 and len(set(words)) == 1)
print("files", killed_everywhere(put, check_file))
assert list((place / "m").glob(".unfinished.*")), "of those that were killed"
save(1000)
assert sorted(path.name for path in (place / "m").iterdir()) == ["config.json", "model.safetensors"]
""",
        tmp_path,
    )
    moments = dict(line.split() for line in output.splitlines())
    assert all(int(moments[kind]) > 5 for kind in ("model", "state", "files")), moments


def test_two_writers_at_once_leave_one_whole_model(tmp_path):
    output = in_processes(
        r"""
save(7)
def often(first):
    for number in range(first, first + 12):
        save(number)
writers = [forked(lambda first=first: often(first)) for first in (100, 200)]
assert [ended(writer) for writer in writers] == [0, 0]
assert saved(place / "m") in (111, 211)
assert [path.name for path in place.iterdir()] == ["m"], "nothing is left"

# Without leave to overwrite only one can be the first; no other's work is lost.
for i in range(5):
    new = place / f"new-{i}"
    writers = [forked(lambda n=n: save(n, overwrite=False, at=new)) for n in range(3)]
    codes = [ended(writer) for writer in writers]
    assert sorted(codes) == [0, 2, 2], codes
    assert saved(new) == codes.index(0)
""",
        tmp_path,
    )
    lines = output.splitlines()
    assert len(lines) == 10
    for line in lines:
        assert "exists; choose another name" in line or "the new model is whole, in" in line


# --- one run, one folder -------------------------------------------------------------------------


def test_a_folder_has_one_writer(tmp_path):
    with only_writer(tmp_path, ".lock"):
        found = []

        def second():
            with pytest.raises(BlockingIOError) as caught, only_writer(tmp_path, ".lock"):
                pass
            found.append(str(caught.value))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert f"is being written by process {os.getpid()} on " in found[0]
        assert "wait until it ends, or give another folder" in found[0]
        with only_writer(tmp_path, ".another-lock"):
            pass
    assert not list(tmp_path.iterdir())
    (tmp_path / ".lock").write_text("process 1, which was killed")
    with only_writer(tmp_path, ".lock"):
        pass
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".lock").symlink_to("mine")
    with pytest.raises(OSError, match="could not be written"), only_writer(tmp_path, ".lock"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_second_run_in_the_same_folder_is_refused(start, tmp_path):
    classifier = minibert.TextClassifier(start, epochs=1)
    with held_for_run(tmp_path, resume=False):
        with pytest.raises(BlockingIOError, match="is being written by process"):
            classifier.fit(TEXTS[:8], [0, 1] * 4, folder=tmp_path)
    classifier.fit(TEXTS[:8], [0, 1] * 4, folder=tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", ".state"]


@pytest.fixture(scope="module")
def program():
    """The parts of the example."""
    return runpy.run_path(str(ROOT / "examples" / "finetune_sst2.py"))


@pytest.fixture()
def example(program, start, monkeypatch, tmp_path_factory):
    """examples/finetune_sst2.py in this process, with a tiny model and a few texts."""
    table = tmp_path_factory.mktemp("table") / "mine.csv"
    rows = [f"{text},{'yes' if i % 2 else 'no'}" for i, text in enumerate(TEXTS)]
    table.write_text("\n".join(["text,label", *rows]))

    def main(*options):
        options = ["--data", table, "--model", start, "--epochs", 1, "--max-length", 16, *options]
        monkeypatch.setattr(sys, "argv", ["finetune_sst2.py", *map(str, options)])
        program["main"]()

    return main


@pytest.mark.parametrize("output", [".", "..", "link", "loop", "", "file", "/"])
def test_an_output_that_cannot_be_is_refused_before_training(
    example, tiny, tmp_path, monkeypatch, output
):
    tiny.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "inner").mkdir()
    for name, to in (("link", "."), ("loop", "loop"), ("file", "config.json")):
        (tmp_path / "model" / name).symlink_to(to)
    monkeypatch.chdir(tmp_path / "model")
    before = tree(tmp_path)
    with pytest.raises((ValueError, OSError)) as caught:
        example("--output", output, "--overwrite")
    assert getattr(caught.value, "errno", None) is None
    assert tree(tmp_path) == before


def test_an_output_may_be_a_link(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("real/model")
    example("--output", "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "model" / "config.json").is_file()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"], "the run's states are gone"
    example("--output", "link", "--overwrite")
    assert (tmp_path / "link").is_symlink() and sorted(os.listdir(tmp_path)) == ["link", "real"]
    assert os.listdir(tmp_path / "real") == ["model"]


def test_a_model_that_cannot_be_saved_is_saved_by_resuming(example, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out"
    describe = learning.describe

    def take_the_place(*arguments):
        output.write_text("by somebody else, while the model is trained")
        return describe(*arguments)

    monkeypatch.setattr(learning, "describe", take_the_place)
    with pytest.raises(FileExistsError, match="not lost.*--resume goes on from its state in .*run"):
        example("--output", output)
    assert output.is_file() and states(run_folder(output) / "seed-0")
    output.unlink()
    monkeypatch.setattr(learning, "describe", describe)
    example("--output", output, "--resume")
    assert "resuming after step" in capsys.readouterr().out or (output / "config.json").is_file()
    assert not run_folder(output).exists()


def test_two_programs_with_one_output_do_not_share_a_run(example, start, tmp_path):
    output = tmp_path / "out"
    with held_run_folder(output):
        with pytest.raises(
            BlockingIOError, match=f"out.run is being written by process {os.getpid()}"
        ):
            example("--output", output)
        with pytest.raises(BlockingIOError):
            example("--output", output, "--resume")
    assert not run_folder(output).exists() and not output.exists()


@pytest.mark.slow
def test_two_programs_at_once_in_processes_of_their_own(start, tmp_path):
    """The second is refused while the first runs; the first ends as if it were alone."""
    output = in_processes(
        rf"""
import runpy, time
program = runpy.run_path({str(ROOT / "examples" / "finetune_sst2.py")!r})
sys.argv = ["finetune_sst2.py", "--model", {str(start)!r}, "--limit=64", "--epochs=2",
            "--batch-size=4", "--output", str(place / "out")]
lock = place / "out.run" / ".program.lock"
first = forked(lambda: program["main"]())
while not (lock.exists() and lock.stat().st_size):
    time.sleep(0.005)
second = forked(lambda: program["main"]())
assert ended(second) == 2
assert ended(first) == 0
assert [path.name for path in place.iterdir()] == ["out"]
third = forked(lambda: program["main"]())
assert ended(third) == 2
""",
        tmp_path,
    )
    assert "BlockingIOError" in output and "out.run is being written by process" in output
    assert "model saved to" in output
    assert "FileExistsError" in output and "overwrite it" in output, "the third, when it was over"


# --- what a run finds in its folder --------------------------------------------------------------


def spoiled(path, how):
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "dangling link":
        path.symlink_to("nowhere")
    elif how == "loop":
        path.symlink_to(path.name)
    else:
        cut = {
            "cut short": content[: len(content) // 2],
            "empty": b"",
            "zeros": bytes(len(content)),
        }
        path.write_bytes(cut[how])


@pytest.mark.parametrize("how", ["cut short", "empty", "zeros", "folder", "dangling link", "loop"])
def test_a_spoiled_state_is_reported_and_the_one_before_it_taken(tmp_path, caplog, how):
    for step in (5, 10):
        save_state(tmp_path, step, {"step": step})
    newest, older = states(tmp_path)
    spoiled(newest, how)
    with caplog.at_level(logging.WARNING):
        assert newest_state(tmp_path) == (older, {"step": 5})
    assert str(newest) in caplog.text and "looking for the state before it" in caplog.text
    save_state(tmp_path, 10, {"step": 10})
    assert newest_state(tmp_path)[1] == {"step": 10}
    remove_run(tmp_path)
    if how != "folder":  # a folder is not ours to remove
        assert not tmp_path.exists()


def named_by_hash(folder, step, content):
    digest = hashlib.sha256(content).hexdigest()[:16]
    path = folder / f"step-{step:08}.{digest}.state"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"PK\3\4 no archive", b"\x80\4]."], ids=["", "0", "zip", "pickle"]
)
def test_what_is_whole_and_no_state_is_one_line(tmp_path, content):
    path = named_by_hash(tmp_path, 3, content)
    with pytest.raises(ValueError, match="not a state that this version of minibert can") as caught:
        newest_state(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.exists(), "the version that wrote it can still resume"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.clear(),
        lambda state: state.pop("best"),
        lambda state: state.update(description=5),
        lambda state: state.update(model={}),
        lambda state: state.update(optimizer=[]),
        lambda state: state.update(schedule=None),
        lambda state: state["history"].update(perplexities=[]),
        lambda state: state["history"].update(losses=None),
        lambda state: state["history"].update(evaluations=[{"step": 1}]),
    ],
)
def test_a_state_of_another_version_is_one_line(start, finished_run, tmp_path, change):
    state = newest_state(finished_run)[1]
    change(state)
    path = save_state(tmp_path, 1, state)
    with pytest.raises(ValueError, match="not a state that this version") as caught:
        minibert.TextClassifier(start, epochs=1).fit(
            TEXTS[:8], [0, 1] * 4, folder=tmp_path, resume=True
        )
    assert "\n" not in str(caught.value) and path.exists()


@pytest.fixture(scope="module")
def finished_run(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    minibert.TextClassifier(start, epochs=1).fit(TEXTS[:8], [0, 1] * 4, folder=folder)
    return folder


@pytest.mark.parametrize("kind", ["folder", "full folder"])
def test_a_log_that_cannot_be_begun_does_not_end_a_run(tmp_path, caplog, kind):
    (tmp_path / LOG).mkdir()
    if kind == "full folder":
        (tmp_path / LOG / "mine").touch()
    with caplog.at_level(logging.WARNING), Log(tmp_path, 0) as log:
        log.write({"step": 1})
        log.flush()
    assert "the run goes on without it" in caplog.text
    assert os.listdir(tmp_path) == [LOG] and (tmp_path / LOG).is_dir()
    remove_run(tmp_path)
    assert (tmp_path / LOG).is_dir(), "a folder is not ours to remove"


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\0binary\n\x80", b"one line of notes", b"1\n2\n3\n", b'{"step": Infinity}\n{}\n'],
)
def test_a_file_that_is_no_log_is_kept(tmp_path, caplog, content):
    (tmp_path / LOG).write_bytes(content)
    with caplog.at_level(logging.WARNING), Log(tmp_path, 3) as log:
        log.write({"step": 4})
    assert "is not the log of a run" in caplog.text
    assert (tmp_path / LOG).read_text() == '{"step": 4}\n'
    (kept,) = tmp_path.glob("log.jsonl.*.damaged")
    assert kept.read_bytes() == content
    remove_run(tmp_path)
    assert kept.exists()


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_log_that_a_crash_cut_is_a_log(tmp_path, caplog, cut):
    line = json.dumps({"step": 1, "loss": 0.5}) + "\n"
    (tmp_path / LOG).write_text(line + line[:cut])
    with caplog.at_level(logging.WARNING), Log(tmp_path, 3):
        pass
    assert not caplog.text and (tmp_path / LOG).read_text() == line


def test_tidying_up_after_a_run_never_ends_it(tmp_path):
    (tmp_path / "corpus-1").write_text("a file")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").touch()
    (tmp_path / "corpus-2").symlink_to("elsewhere")
    (tmp_path / ".unfinished.1").mkdir()
    remove_run(tmp_path, "corpus-*")
    assert (tmp_path / "elsewhere" / "mine").exists()
    remove_run(tmp_path / "nowhere")


def test_new_files_that_fail_leave_the_old_ones(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError, match="no ink"), new_files(tmp_path) as unfinished:
        (unfinished / "a").write_text("new")
        raise RuntimeError("no ink")
    assert tree(tmp_path).keys() == {"a"} and (tmp_path / "a").read_text() == "old"


def test_where_two_folders_cannot_be_exchanged_they_are_renamed(tiny, tmp_path, monkeypatch):
    tiny.save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "README.md").touch()
    monkeypatch.setattr(replacing, "_exchange", lambda one, other: False)
    tiny.save_pretrained(tmp_path / "m", overwrite=True)
    assert os.listdir(tmp_path) == ["m"] and not (tmp_path / "m" / "README.md").exists()
    torch.testing.assert_close(
        minibert.BertForClassification.from_pretrained(tmp_path / "m").state_dict(),
        tiny.state_dict(),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_safetensors_cannot_open_is_refused_before_and_named_when_met(tmp_path):
    folder = tmp_path / os.fsdecode(b"m\xff")
    with pytest.raises(ValueError, match="is not UTF-8, and safetensors opens no other files"):
        small_model().save_pretrained(folder)
    small_model().save_pretrained(tmp_path / "m")
    (tmp_path / "m").rename(folder)
    with pytest.raises(ValueError, match="is not UTF-8.*rename the folder"):
        minibert.BertForClassification.from_pretrained(folder)

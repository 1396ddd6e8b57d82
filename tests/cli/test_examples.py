"""Every example that `--help` tells is run, word by word, on tiny models under the names it has."""

import shlex

import pytest

from minibert.cli.main import COMMANDS
from minibert.tasks import settings
from tests.conftest import small_model
from tests.programs import command

EXAMPLES = [(name, line) for name, each in COMMANDS.items() for line in each.examples]
CODES = {"minibert check bert-base-uncased": 1}  # a random model says something else


@pytest.fixture(scope="module")
def published(tmp_path_factory, tokenizer):
    """The folder of an encoder with the whole vocabulary, to be checked."""
    folder = tmp_path_factory.mktemp("published") / "model"
    small_model(max_position_embeddings=512).bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture()
def place(
    tmp_path,
    monkeypatch,
    folder,
    encoder,
    published,
    masked_lm,
    inference,
    tagger,
    reader,
    questions,
    file,
    tickets,
):
    """A folder with all that the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    things = {
        encoder: ["minilm-l6"],
        published: ["bert-base-uncased"],
        masked_lm: ["bert-base-cased"],
        inference: ["output/nli"],
        tagger: ["output/entities"],
        reader: ["output/answers"],
        questions: ["questions.csv"],
        folder: ["output/reviews", "output/tickets"],
        file: ["texts.txt"],
        tickets: ["tickets.csv", "later.csv"],
    }
    for thing, names in things.items():
        for name in names:
            (tmp_path / name).symlink_to(thing)
    monkeypatch.setattr(settings, "_STEPS", 4)  # enough for a small data set
    return tmp_path


@pytest.mark.filterwarnings("ignore:the trained model calls every text:UserWarning")
@pytest.mark.filterwarnings("ignore:later.csv. 24 of 24 development texts:UserWarning")
@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_examples_run(monkeypatch, capsys, place, name, line):
    told = command(monkeypatch, capsys, [name, "--help"])[1]
    assert f"\n  {line}\n" in told
    words, _, given = line.partition(" < ")
    program, *arguments = shlex.split(words)
    if name == "train":  # which makes it
        (place / "output" / "tickets").unlink()
    before = {path.name for path in place.iterdir()}
    code, out, err = command(
        monkeypatch, capsys, arguments, (place / given).read_bytes() if given else b""
    )
    assert (program, code) == ("minibert", CODES.get(line, 0)), err
    assert err == "" or name == "train"  # whose log goes where pytest has it
    assert out or {path.name for path in place.iterdir()} > before


def test_every_command_has_an_example():
    assert {name for name, _ in EXAMPLES} == set(COMMANDS)

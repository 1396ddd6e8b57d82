"""Every example that `--help` tells is run, word by word, on tiny models under the names it has."""

import shlex

import pytest

from minibert.cli.main import COMMANDS
from tests.conftest import small_model
from tests.programs import command

EXAMPLES = [(name, line) for name, each in COMMANDS.items() for line in each.examples]
CODES = {"check": 1}  # what a random model says is not what was published


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "model"
    small_model().bert.save_pretrained(folder)
    return folder


@pytest.fixture()
def place(tmp_path, monkeypatch, folder, encoder, file, tickets):
    """A folder with all that the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    for name in ("minilm-l6", "output/reviews"):
        (tmp_path / name).symlink_to(folder)
    (tmp_path / "bert-base-uncased").symlink_to(encoder)
    (tmp_path / "texts.txt").symlink_to(file)
    (tmp_path / "tickets.csv").symlink_to(tickets)
    return tmp_path


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_examples_run(monkeypatch, capsys, place, name, line):
    told = command(monkeypatch, capsys, [name, "--help"])[1]
    assert f"\n  {line}\n" in told
    words, _, given = line.partition(" < ")
    program, *arguments = shlex.split(words)
    before = {path.name for path in place.iterdir()}
    code, out, err = command(
        monkeypatch, capsys, arguments, (place / given).read_bytes() if given else b""
    )
    assert (program, code) == ("minibert", CODES.get(name, 0)), err
    assert err == ""
    assert out or {path.name for path in place.iterdir()} > before


def test_every_command_has_an_example():
    assert {name for name, _ in EXAMPLES} == set(COMMANDS)

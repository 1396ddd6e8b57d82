"""examples/transfer_learning.py: what it measures, draws, resumes and refuses."""

import importlib.util
import json
import subprocess
import sys

import pytest

import minibert
import minibert.data
from tests.conftest import ROOT

# A tiny random encoder learns little in an epoch, and most tests here do not ask it to.
pytestmark = pytest.mark.filterwarnings("ignore:the trained model calls every text")


@pytest.fixture()
def example(monkeypatch):
    """The example's main with these arguments, in this process."""
    path = ROOT / "examples" / "transfer_learning.py"
    spec = importlib.util.spec_from_file_location("transfer_learning", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        module.main()

    main.module = module
    return main


@pytest.mark.slow
def test_example_measures_draws_and_resumes(example, start, tmp_path, capsys):
    output, table = tmp_path / "out", tmp_path / "mine.csv"
    rows = [f"{'fine' if i % 2 else 'poor'} film {i},{'yes' if i % 2 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["text,label", *rows]))
    arguments = ["--model", start, "--data", table, "--output", output, "--methods", "frozen"]
    program = [sys.executable, ROOT / "examples" / "transfer_learning.py", *arguments]
    result = subprocess.run(
        [*map(str, program), "--sizes", "8,1000", "--seeds", "1"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "majority baseline" in result.stdout and "frozen encoder" in result.stdout
    assert (output / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    file = output / "fits.jsonl"
    _, *fits = map(json.loads, file.read_text().splitlines())
    # 54, since a tenth of 60 is held out, and there are not 1,000.
    assert [(fit["method"], fit["examples"]) for fit in fits] == [("frozen", 8), ("frozen", 54)]
    for fit in fits:
        assert 0 <= fit["accuracy"] <= 1 and fit["seconds"] > 0 and fit["steps"] >= 500

    whole = file.read_text()
    example(*arguments, "--sizes", "8,1000", "--seeds", 1, "--resume")
    told = capsys.readouterr().out
    assert "2 of 2 fits are in" in told and "after" not in told
    assert file.read_text() == whole, "nothing new was done"

    for changes, message in (
        ([], "exists; add --resume"),
        (["--resume", "--test-limit", 3], "test_limit was None and is now 3"),
    ):
        with pytest.raises(ValueError, match=message):
            example(*arguments, *changes)

    lines = whole.splitlines(keepends=True)
    file.write_text("".join(lines[:-1]) + lines[-1][:20])  # as a crash leaves it
    example(*arguments, "--sizes", "8", "--seeds", 1, "--resume")
    assert file.read_text() == "".join(lines[:-1])


def test_example_draws_the_classes_alternately_and_small_sets_from_large_ones(example):
    draw = example.module.balanced
    texts = minibert.data.LabelledTexts([f"text {i}" for i in range(50)], ["a"] * 40 + ["b"] * 10)
    few, more, most = (draw(texts, number, 3) for number in (10, 20, 50))
    assert few.labels.count("a") == few.labels.count("b") == 5
    assert more.labels.count("b") == 10 and set(few.texts) < set(more.texts)
    assert sorted(most.texts) == sorted(texts.texts), "then the rest"
    assert few == draw(texts, 10, 3) != draw(texts, 10, 4)
    assert all(
        texts.labels[texts.texts.index(t)] == y for t, y in zip(few.texts, few.labels, strict=True)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "full,freezing"], "'freezing'.*frozen"),
        (["--sizes", "16,many"], "'16,many'"),
        (["--sizes", "1"], "2 labels"),
        (["--seeds", "0"], "--seeds is 0"),
    ],
)
def test_example_refuses_bad_arguments_before_training(example, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        example(*arguments, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()

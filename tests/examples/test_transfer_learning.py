"""examples/transfer_learning.py: what it measures, draws, resumes and refuses."""

import importlib.util
import json
import sys

import pytest

import minibert
import minibert.data
from tests.conftest import ROOT, small_variant
from tests.programs import run

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


@pytest.fixture(scope="module")
def finished(start, tmp_path_factory):
    """A whole run as a user starts it: its arguments, its output and the file of its fits."""
    folder = tmp_path_factory.mktemp("transfer")
    table, output = folder / "mine.csv", folder / "out"
    rows = [f"{'fine' if i % 2 else 'poor'} film {i},{'yes' if i % 2 else 'no'}" for i in range(60)]
    table.write_text("\n".join(["text,label", *rows]))
    arguments = ["--model", start, "--data", table, "--output", output, "--methods", "frozen"]
    sizes = ["--sizes", "8,1000", "--seeds", "1"]
    result = run("examples/transfer_learning.py", *arguments, *sizes)
    assert result.returncode == 0, result.stderr
    return arguments, result.stdout, output / "fits.jsonl"


@pytest.fixture()
def fits(finished):
    """The file of the fits, as the run left it, whatever the test before did to it."""
    file = finished[2]
    before = file.read_text()
    yield file
    file.write_text(before)


def test_layers_that_share_weights_are_refused_before_anything_is_written(
    example, tmp_path, tokenizer
):
    small_variant("albert").bert.save_pretrained(tmp_path / "m")
    tokenizer.write_files(tmp_path / "m")
    with pytest.raises(ValueError, match="3 layers share the weights of 1"):
        example("--model", tmp_path / "m", "--sizes", "8", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_example_measures_and_draws(finished, fits):
    _, printed, _ = finished
    assert "majority baseline" in printed and "frozen encoder" in printed
    assert (fits.parent / "accuracy.png").read_bytes()[:4] == b"\x89PNG"
    _, *found = map(json.loads, fits.read_text().splitlines())
    # 54, since a tenth of 60 is held out, and there are not 1,000.
    assert [(fit["method"], fit["examples"]) for fit in found] == [("frozen", 8), ("frozen", 54)]
    for fit in found:
        assert 0 <= fit["accuracy"] <= 1 and fit["seconds"] > 0 and fit["steps"] >= 500


@pytest.mark.slow
def test_a_finished_example_has_nothing_to_resume(example, finished, fits, capsys):
    whole = fits.read_text()
    example(*finished[0], "--sizes", "8,1000", "--seeds", 1, "--resume")
    told = capsys.readouterr().out
    assert "2 of 2 fits are in" in told and "after" not in told
    assert fits.read_text() == whole, "nothing new was done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "exists; add --resume"),
        (["--resume", "--test-limit", 3], "test_limit was None and is now 3"),
    ],
)
def test_another_run_of_the_example_is_refused(example, finished, changes, message):
    with pytest.raises(ValueError, match=message):
        example(*finished[0], *changes)


@pytest.mark.slow
def test_a_line_that_a_crash_cut_is_dropped(example, finished, fits):
    *lines, last = fits.read_text().splitlines(keepends=True)
    fits.write_text("".join(lines) + last[:20])
    example(*finished[0], "--sizes", "8", "--seeds", 1, "--resume")
    assert fits.read_text() == "".join(lines)


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

"""The example that classifies a corpus with Ray Data, on a Ray of this machine."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import torch

import minibert
from minibert.tokenizer import WordPieceTokenizer
from tests.conftest import ROOT, TINY

has_ray = all(importlib.util.find_spec(name) for name in ("ray", "pyarrow", "pandas"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_ray, reason="needs Ray Data: pip install -e '.[ray]'"),
]

WORDS = ["a", "fine", "dull", "film", "never", "very", "joy", "plot", "über", "電影"]
# Empty lines, lines that come twice and one longer than the model takes are lines as well.
LINES = [" ".join(WORDS[(i * k) % 10] for k in range(1, 2 + i % 13)) for i in range(300)]
LINES[7], LINES[8], LINES[9] = "", '  "quoted", with spaces ', "long " * 600


def example(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "classify_with_ray.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("ray") / "model"
    config = minibert.BertConfig(**{**TINY, "vocab_size": 30522}, labels=("bad", "good"))
    minibert.BertForClassification(config).save_pretrained(folder)
    WordPieceTokenizer.from_pretrained("minilm-l6").save_pretrained(folder)
    return folder


def expected(model):
    """Text -> label and probability, as one process has them."""
    classifier = minibert.TextClassifier.load(model)
    scores = classifier.predict_proba(LINES)
    labels = classifier.predict(LINES).tolist()
    assert len(set(labels)) == 2, "a model that calls all texts the same would show nothing"
    return dict(zip(LINES, zip(labels, scores.max(axis=1).tolist(), strict=True), strict=True))


def check(rows, model):
    assert Counter(row["text"] for row in rows) == Counter(LINES), "each line once"
    wanted = expected(model)
    for row in rows:
        label, probability = wanted[row["text"]]
        assert row["label"] == label
        assert row["probability"] == pytest.approx(probability, abs=1e-5)


@pytest.mark.filterwarnings("ignore:.*were cut")
def test_lines_to_json_by_two_actors(model, tmp_path):
    (tmp_path / "corpus").mkdir()
    for part in range(3):
        path = tmp_path / "corpus" / f"{part}.txt"
        path.write_text("\n".join(LINES[part * 100 : part * 100 + 100]) + "\n", encoding="utf-8")
    result = example(
        f"--model={model}",
        f"--input={tmp_path / 'corpus'}",
        f"--output={tmp_path / 'out'}",
        "--format=json",
        "--actors=2",
        "--batch-size=64",
    )
    assert result.returncode == 0, result.stderr
    files = (tmp_path / "out").glob("*.json")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    check([json.loads(line) for line in lines], model)


@pytest.mark.filterwarnings("ignore:.*were cut")
def test_column_of_parquet_to_parquet(model, tmp_path):
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"number": range(len(LINES)), "body": LINES})
    pyarrow.parquet.write_table(table, tmp_path / "corpus.parquet")
    result = example(
        f"--model={model}",
        f"--input={tmp_path / 'corpus.parquet'}",
        "--column=body",
        f"--output={tmp_path / 'out'}",
    )
    assert result.returncode == 0, result.stderr
    check(pyarrow.parquet.read_table(tmp_path / "out").to_pylist(), model)


def test_text_that_is_none_is_named_in_the_last_line(model, tmp_path):
    (tmp_path / "numbers.csv").write_text("text\n1\n2\n", encoding="utf-8")
    result = example(
        f"--model={model}",
        f"--input={tmp_path / 'numbers.csv'}",
        f"--output={tmp_path / 'out'}",
    )
    assert result.returncode == 2
    assert "error: ValueError: text 0 is 1" in result.stderr


def test_mistakes_are_one_line_before_ray_starts(model, tmp_path):
    for name in ("lines.txt", "table.TSV"):
        (tmp_path / name).write_text("a film\n", encoding="utf-8")
    right = {"--model": model, "--input": tmp_path / "lines.txt", "--output": tmp_path / "out"}
    for change, message in (
        ({"--input": tmp_path / "nowhere.txt"}, "no file or folder .*nowhere.txt"),
        ({"--input": tmp_path / "table.TSV"}, "neither .parquet, .csv nor lines"),
        ({"--output": tmp_path}, "exists; give a new folder"),
        ({"--model": tmp_path / "nothing"}, "nothing"),
        ({"--actors": 0}, "--actors.* at least 1"),
    ):
        result = example(*(part for pair in {**right, **change}.items() for part in pair))
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert re.search(message, result.stderr)


def test_missing_ray_is_one_line(model, tmp_path):
    program = (
        "import runpy, sys; sys.modules['ray'] = None; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, ROOT / "examples" / "classify_with_ray.py"]
        + ["--model", model, "--input", tmp_path, "--output", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and "pip install -e '.[ray]'" in result.stderr

"""examples/look_inside.py: the folder it makes of a model, and of a classifier."""

import importlib.util
import sys

import pytest

from tests.conftest import ROOT, small_variant
from tests.inspect.classifiers import saved

OF_A_MODEL = {"sizes", "heads", "one_head", "statistics", "positions", "sentences", "word"}
OF_A_CLASSIFIER = {"importance", "importance_by_occlusion", "deletion", "ablation"}


@pytest.fixture()
def example(monkeypatch, tmp_path):
    """The example's main with these arguments, in this process; its output is tmp_path / "out"."""
    path = ROOT / "examples" / "look_inside.py"
    spec = importlib.util.spec_from_file_location("look_inside", path)
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks for its module.
    monkeypatch.setitem(sys.modules, "look_inside", module)
    spec.loader.exec_module(module)
    table = tmp_path / "texts.csv"
    rows = [
        f"{'fine' if i % 2 else 'poor'} film {i},{'good' if i % 2 else 'bad'}" for i in range(30)
    ]
    table.write_text("\n".join(["text,label", *rows]))

    def main(*arguments):
        given = [*arguments, "--data", table, "--output", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, given)])
        module.main()

    main.module = module
    return main


@pytest.fixture()
def fewer(example, monkeypatch):
    """Of the pictures of any model only the first."""
    monkeypatch.setattr(example.module, "OF_A_MODEL", [example.module.sizes])


def test_a_model_becomes_a_folder_of_pictures_tables_and_the_page(
    example, tmp_path, tokenizer, capsys
):
    small_variant("bert").bert.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    example("A $film$ <b>", "Another", "--model", tmp_path / "m")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {f"{name}.png" for name in OF_A_MODEL} | {"tables.txt", "attention.html"}
    assert (tmp_path / "out" / "heads.png").read_bytes()[:4] == b"\x89PNG"
    tables = (tmp_path / "out" / "tables.txt").read_text(encoding="utf-8")
    assert {line[3:] for line in tables.splitlines() if line.startswith("## ")} == OF_A_MODEL
    assert "strongest head" in tables and "nearest neighbour of the same sense" in tables
    assert "open it in a browser" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="out exists; choose another name, or add"):
        example("A film", "--model", tmp_path / "m")


def test_a_classifier_is_explained_and_a_smaller_look_leaves_nothing_old(
    example, fewer, tmp_path, tokenizer
):
    out = tmp_path / "out"
    example("A film", "--model", saved(tmp_path / "c", tokenizer))
    names = {path.stem for path in out.glob("*.png")}
    assert names == {"sizes"} | OF_A_CLASSIFIER
    tables = (out / "tables.txt").read_text(encoding="utf-8")
    assert "occlusion, log-odds of" in tables and "how far the probability falls" in tables
    (out / "mine.png").write_bytes(b"")
    small_variant("bert").bert.save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    example("A film", "--model", tmp_path / "m", "--overwrite")
    assert {path.stem for path in out.glob("*.png")} == {"sizes", "mine"}


def test_what_a_model_has_not_is_said_and_left_out(
    example, fewer, tmp_path, tokenizer, capsys, monkeypatch
):
    looks = [example.module.ablation, example.module.importance]
    monkeypatch.setattr(example.module, "OF_A_CLASSIFIER", looks)
    example("A film", "--model", saved(tmp_path / "a", tokenizer, "albert"))
    assert "no ablation: the model's 3 layers share the weights of 1" in capsys.readouterr().out
    names = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert names == {"sizes", "importance"}


def test_a_text_without_words_is_refused_before_anything_is_written(example, tmp_path, tokenizer):
    with pytest.raises(ValueError, match="which has no tokens"):
        example(" ", "--model", saved(tmp_path / "c", tokenizer))
    assert not (tmp_path / "out").exists()

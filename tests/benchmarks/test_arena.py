"""benchmarks/arena.py: processes that take turns, one of them with another checkout's minibert."""

import os
from pathlib import Path

import arena
import pytest

from tests.benchmarks.arena_contenders import dies, fails, origin, squares
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _contenders_are_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture()
def light(monkeypatch, tmp_path):
    """A PyTorch that takes no time to import, for contenders that compute nothing."""
    (tmp_path / "torch.py").write_text("def set_num_threads(number):\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))


def test_a_contender_answers_in_a_process_of_its_own_and_tells_its_memory():
    process = arena.Process("squares", squares, 1, threads=1)
    found = [process.turn(number).result for number in (2, 3)]
    process.stop()
    assert found == [5, 10] and not process.failure
    assert process.loading > 0 and process.memory["peak"] > 10


def test_a_contender_imports_the_minibert_of_its_checkout(light, tmp_path):
    for name in ("one", "another"):
        package = tmp_path / name / "minibert"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        checkout = arena.find_checkout(package.parent)
        process = arena.Process("origin", origin, threads=1, checkout=checkout)
        turn = process.turn(None)
        process.stop()
        assert Path(turn.result).parents[1] == checkout


@pytest.mark.parametrize(
    ("contend", "message"),
    [(fails, "ValueError: no such"), (dies, "its process died; is there too little memory?")],
)
def test_a_contender_that_fails_is_left_out_and_named(light, contend, message, capfd):
    process = arena.Process("a", contend, threads=1)
    assert process.turn(1) is None
    process.stop()
    assert process.failure == message
    assert f"a: left out, {message}" in capfd.readouterr().err


def test_everyone_works_once_a_turn_and_neighbours_change_who_is_first():
    order = ["".join(who for turn, who in arena.in_turns("abc", 6) if turn == t) for t in range(6)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in order)
    assert {turn[0] for turn in order} == {"a", "b", "c"}
    for first, second in ("ab", "bc"):
        assert sum(turn.index(first) < turn.index(second) for turn in order) == 3


def test_ratios_are_taken_within_a_turn_that_both_had():
    assert arena.ratio([1.0, 2.0, 4.0], [3.0, 8.0, 8.0, 9.0]) == (3.0, 2.0, 4.0, 3)
    assert arena.ratio([], [1.0]) is None


def test_ours_are_told_against_the_same_contender_of_the_checkout_beside():
    names = ["minibert fp32", "transformers fp32", "minibert int8"]
    assert arena.with_beside(names, None) == names
    paired = arena.with_beside(names, Path("before"))
    assert paired == [
        "minibert fp32",
        "beside fp32",
        "transformers fp32",
        "minibert int8",
        "beside int8",
    ]
    seconds = [[1.0, 1.0], [1.1, 1.3], [9.0, 9.0], [2.0, 2.0]]  # the last one failed
    found = {name: {"seconds": s} for name, s in zip(paired, seconds, strict=False)}
    pairs = arena.pairs_beside(list(found))
    assert pairs == [("minibert fp32", "beside fp32")]
    assert arena.pairs_table(found, pairs, "stream")[2:] == [
        "| stream | minibert fp32 | beside fp32 | 1.20 (1.10 to 1.30) | 2 |"
    ]
    assert arena.pairs_table(found, [], "stream") == []


def test_a_folder_without_minibert_is_no_checkout(tmp_path):
    with pytest.raises(ValueError, match="is no checkout of minibert"):
        arena.find_checkout(tmp_path)

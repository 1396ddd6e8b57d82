"""`minibert zero-shot`."""

import json

import pytest

from minibert.tasks.zero_shot import ZeroShotClassifier
from tests.programs import command

TEXT, LABELS = "The match ended in a draw", ["sport", "politics"]


@pytest.mark.parametrize("several", [False, True])
def test_answers_are_those_of_the_task(monkeypatch, capsys, inference, several):
    (ranking,) = ZeroShotClassifier.load(inference).predict([TEXT], LABELS, several=several)
    arguments = ["zero-shot", inference, TEXT, "--labels", "sport, politics"]
    arguments += ["--several"] if several else []
    code, out, err = command(monkeypatch, capsys, arguments)
    pairs = list(zip(ranking.labels, ranking.scores, strict=True))
    assert (code, err) == (0, "")
    assert out == "".join(f"{label}\t{score:.4f}\t{TEXT}\n" for label, score in pairs)
    told = json.loads(command(monkeypatch, capsys, [*arguments, "--json"])[1])
    assert told["scores"] == pytest.approx(dict(pairs), abs=1e-6)


def test_a_classifier_of_something_else_is_refused(monkeypatch, capsys, folder):
    code, _, err = command(monkeypatch, capsys, ["zero-shot", folder, TEXT, "--labels", "a,b"])
    assert code == 2 and err.count("\n") == 1 and "entailment" in err

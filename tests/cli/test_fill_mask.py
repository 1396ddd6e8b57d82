"""`minibert fill-mask`."""

import json

from minibert.tasks.fill_mask import FillMask
from tests.programs import command

TEXT = "A [MASK] of [MASK]."


def test_answers_are_those_of_the_task(monkeypatch, capsys, masked_lm):
    arguments = ["fill-mask", masked_lm, TEXT, "--top-k", 3]
    masks = FillMask.load(masked_lm).predict([TEXT], top_k=3)[0]
    fills = [fill for mask in masks for fill in mask]
    code, out, err = command(monkeypatch, capsys, arguments)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{f.token}\t{f.score:.4f}\t{f.sequence}" for f in fills]
    told = json.loads(command(monkeypatch, capsys, [*arguments, "--json"])[1])
    assert told["text"] == TEXT
    assert [each["mask"] for each in told["fills"]] == [1, 1, 1, 2, 2, 2]
    assert [each["token"] for each in told["fills"]] == [fill.token for fill in fills]
    table = command(monkeypatch, capsys, [*arguments, "--tsv"])[1].splitlines()
    assert table[0] == "text\tmask\ttoken\tscore\tsequence" and len(table) == 7


def test_a_text_without_a_mask_is_one_line_after_the_answers_before(monkeypatch, capsys, masked_lm):
    given = b"a [MASK].\nnone\n"
    code, out, err = command(monkeypatch, capsys, ["fill-mask", masked_lm], given)
    assert code == 2 and out.count("\n") == 5
    assert err.count("\n") == 1 and "has no [MASK]; write it where" in err


def test_a_model_without_that_head_is_told_which_have_one(monkeypatch, capsys, folder):
    code, _, err = command(monkeypatch, capsys, ["fill-mask", folder, TEXT])
    assert code == 2 and err.count("\n") == 1
    assert "FillMask needs a masked language model, such as google-bert" in err

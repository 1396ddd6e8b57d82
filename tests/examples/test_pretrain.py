"""examples/pretrain.py as a user runs it."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
import transformers

import minibert
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import train_vocabulary
from minibert.tokenizer import Tokenizer, WordPieceTokenizer
from tests.conftest import ROOT, hf_model
from tests.corpus.conftest import text_of
from tests.families import new_reference
from tests.text.kinds import write_folder

# Runs the example once for each list of arguments, in one process, for importing torch takes most
# of the time. "INTERRUPT 4" stands for Ctrl-C in the fifth step.
PROGRAM = """
import contextlib, io, json, logging, runpy, sys
from minibert.corpus.task import MaskedLM

batch = MaskedLM.batch

def interrupted(task, step):
    if f"INTERRUPT {step}" in arguments:
        raise KeyboardInterrupt
    return batch(task, step)

MaskedLM.batch = interrupted

results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["pretrain.py", *(a for a in arguments if not a.startswith("INTERRUPT"))]
    logging.root.handlers.clear()
    out, error, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            runpy.run_path("examples/pretrain.py", run_name="__main__")
        except SystemExit as exit:
            code = exit.code
    results.append([code, out.getvalue(), error.getvalue()])
print(json.dumps(results))
"""
ANY_RUN = ("--steps=8", "--batch-size=4", "--max-length=24", "--whole-word", "--save-every=2")
TINY_RUN = (*ANY_RUN, "--layers=1", "--hidden=16", "--vocabulary-size=100")
WHEN = ("before", "after")
CONTINUED = ("bert", "roberta")
REFUSED = {
    "empty": (b"", (), "is empty"),
    "latin1": (b"caf\xe9 au lait. Encore.\n", (), "not UTF-8"),
    "small": (b"One sentence.\n", (), "too small"),
    "missing": (None, (), "no file"),
    "heads": (b"One. Two.\n", ("--hidden", 30, "--heads", 4), "heads"),
    "unwritable": (b"One. Two.\n", ("--output", "{folder}/unwritable.txt/out"), "is a file"),
    "no steps": (text_of(4).encode(), ("--steps", 0), "steps"),
    "lr": (text_of(4).encode(), ("--lr", 0), "lr"),
}
# The same with --model; the first is the model.
REFUSED_MODEL = {
    "no such model": ("nowhere", (), "nowhere"),
    "no head": ("encoder", (), "is no trained masked language model"),
    "long": ("bert", ("--max-length", 41), "max_length is 41; .* has positions for 40"),
    "another shape": ("bert", ("--layers", 4), "leave out --layers"),
    "another model": ("roberta", ("--resume",), "made with another vocabulary"),
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "drinks.txt"
    path.write_text(text_of(60), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def models(text, tmp_path_factory):
    """A folder with a masked LM of each family, and one without its head."""
    folder = tmp_path_factory.mktemp("models")
    words = WordPieceTokenizer(train_vocabulary([TextFile.at(text)], 100))
    bert = hf_model("BertForPreTraining", max_position_embeddings=40)
    pairs = Tokenizer.from_pretrained(write_folder(folder / "files", "RobertaTokenizer"))
    roberta = new_reference("roberta", "BertForMaskedLM", vocab_size=len(pairs))
    models = {"bert": (bert, words), "encoder": (bert.bert, words), "roberta": (roberta, pairs)}
    for name, (model, tokenizer) in models.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def runs(text, models, tmp_path_factory):
    """Exit code, output and errors of each run of the example; and the folder they wrote to."""
    folder = tmp_path_factory.mktemp("runs")

    def arguments(path, name, *more):
        return ["--text", path, "--output", folder / name, *TINY_RUN, *more]

    def further(model, name, *more):
        model = ["--model", models / model, "--output", folder / name]
        return ["--text", text, *ANY_RUN, "--lr", "1e-3", *model, *more]

    cases = {
        "straight": arguments(text, "straight"),
        "interrupted": arguments(text, "resumed", "INTERRUPT 4"),
        "not asked to resume": arguments(text, "resumed"),
        "resumed": arguments(text, "resumed", "--resume"),
        # Interrupted before there was a state; the vocabulary was learned already.
        "early": arguments(text, "larger", "INTERRUPT 0"),
        "larger": arguments(text, "larger", "--resume", "--vocabulary-size", 120),
    }
    for name, (content, more, _) in REFUSED.items():
        path = folder / f"{name}.txt"
        if content is not None:
            path.write_bytes(content)
        cases[name] = arguments(path, "refused", *(str(m).format(folder=folder) for m in more))
    for name in CONTINUED:
        cases[f"{name} further"] = further(name, f"{name}-further")
        cases[f"{name} interrupted"] = further(name, f"{name}-resumed", "INTERRUPT 4")
    for name, (model, more, _) in REFUSED_MODEL.items():
        output = "bert-resumed" if "--resume" in more else "refused"
        cases[name] = further(model, output, *more)
    for name in CONTINUED:
        cases[f"{name} resumed"] = further(name, f"{name}-resumed", "--resume")
    program = json.dumps([list(map(str, case)) for case in cases.values()])
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr
    return folder, dict(zip(cases, json.loads(process.stdout.splitlines()[-1]), strict=True))


def test_example_pre_trains_and_its_folder_opens_everywhere(runs):
    folder, results = runs
    code, printed, errors = results["straight"]
    assert code == 0, errors
    for line in ("unigram baseline", "before training", "after training", "rows/s"):
        assert line in printed
    output = folder / "straight"
    assert {path.name for path in output.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "learning_curve.png",
        "log.jsonl",
    }
    assert not (folder / "straight.run").exists(), "nothing is left of a run that ended well"

    tokenizer = WordPieceTokenizer.from_pretrained(output)
    theirs = transformers.AutoTokenizer.from_pretrained(output)
    sentence = "The red cat likes [MASK] wine."
    batch = tokenizer(sentence)
    assert theirs(sentence)["input_ids"] == batch["input_ids"][0].tolist()
    assert len(theirs(sentence * 9, truncation=True)["input_ids"]) == 24
    reference = transformers.AutoModelForPreTraining.from_pretrained(output).eval()
    ours = minibert.BertForPreTraining.from_pretrained(output)
    with torch.inference_mode():
        logits = reference(**batch).prediction_logits
        torch.testing.assert_close(ours(**batch).prediction_logits, logits, atol=1e-5, rtol=0)
        masked = minibert.BertForMaskedLM.from_pretrained(output)(**batch).logits
        torch.testing.assert_close(masked, logits, atol=1e-5, rtol=0)
        hidden = minibert.BertModel.from_pretrained(output)(**batch).last_hidden_state
    assert hidden.shape == (*batch["input_ids"].shape, 16)
    assert ours.config.hidden_dropout_prob == 0.1


def test_a_resumed_run_ends_with_the_same_bits(runs):
    folder, results = runs
    assert results["interrupted"][0] == 130
    code, _, errors = results["not asked to resume"]
    assert code == 2 and "earlier run; resume it (resume=True, --resume)" in errors
    code, printed, errors = results["resumed"]
    assert code == 0, errors
    assert "resuming after step 4" in printed
    files = [folder / name / "model.safetensors" for name in ("straight", "resumed")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_without_a_state_may_be_resumed_with_another_vocabulary(runs):
    folder, results = runs
    assert results["early"][0] == 130
    code, printed, errors = results["larger"]
    assert code == 0, errors
    assert "no state to resume from" in printed
    assert "learning the vocabulary" in printed
    assert "learning the vocabulary" not in results["resumed"][1], "with the same one it is kept"
    assert not (folder / "larger.run").exists()


@pytest.mark.filterwarnings("ignore")  # four texts are too few, and a pooler is new
@pytest.mark.parametrize("name", CONTINUED)
def test_a_masked_language_model_learns_further_with_its_own_vocabulary(runs, models, name):
    folder, results = runs
    code, printed, errors = results[f"{name} further"]
    assert code == 0, errors
    assert "learning the vocabulary" not in printed and "of them pairs" not in printed
    before, after = (re.search(rf"{when} training: +\S+ loss (\S+)", printed) for when in WHEN)
    assert float(after[1]) < float(before[1])
    output = folder / f"{name}-further"
    ours, was = (Tokenizer.from_pretrained(path) for path in (output, models / name))
    assert ours.ids == was.ids
    batch = ours(f"The red cat likes {ours.mask_token} wine.")
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(output).eval()
    inputs = transformers.AutoTokenizer.from_pretrained(output)("The red cat", return_tensors="pt")
    assert torch.equal(inputs["input_ids"], ours("The red cat")["input_ids"])
    with torch.inference_mode():
        logits = minibert.BertForMaskedLM.from_pretrained(output)(**batch).logits
        torch.testing.assert_close(logits, theirs(**batch).logits, atol=1e-5, rtol=0)
        unchanged = minibert.BertForMaskedLM.from_pretrained(models / name)(**batch).logits
    assert (logits - unchanged).abs().max() > 1e-3
    texts, labels = ["a red cat", "a white dog"] * 2, [0, 1] * 2
    classifier = minibert.TextClassifier(model=str(output), epochs=1, max_length=16)
    assert classifier.fit(texts, labels).predict(texts).shape == (4,)


@pytest.mark.parametrize("name", CONTINUED)
def test_learning_further_is_resumed_with_the_same_bits(runs, name):
    folder, results = runs
    assert results[f"{name} interrupted"][0] == 130
    code, printed, errors = results[f"{name} resumed"]
    assert code == 0, errors
    assert "resuming after step 4" in printed
    files = [folder / f"{name}-{how}" / "model.safetensors" for how in ("further", "resumed")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_MODEL])
def test_example_refuses_bad_input_in_one_line_with_exit_code_2(runs, name):
    folder, results = runs
    code, _, errors = results[name]
    assert code == 2
    assert re.search({**REFUSED, **REFUSED_MODEL}[name][2], errors)
    assert len(errors.strip().splitlines()) == 1, errors
    assert not (folder / "refused").exists()

"""python-bert, the masked language model that comes with minibert, and the text it learned from."""

import dataclasses
import json
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file

import minibert
from minibert import golden
from minibert.checkpoint.files import SAFETENSORS
from minibert.checkpoint.hub import ALIASES, find_folder
from minibert.corpus.python_text import python_documentation, write_python_documentation
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, count_tokens
from minibert.corpus.text import TextFile
from tests.conftest import ROOT
from tests.programs import command, run

FOLDER = find_folder("python-bert")
GAIN = 1.5  # nats
TEXTS = ["The arguments [MASK] evaluated from left to right.", "A [MASK] is an object."]


def test_it_is_small_and_its_card_says_what_it_is():
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]
    assert sum(sizes) < 2_000_000
    card = (FOLDER / "README.md").read_text("utf-8")
    for words in ("license_name: psf-2.0", "PSF License Version 2", "692,690", "knows nothing"):
        assert words in card


def test_its_halves_become_fp32_with_the_same_values(tmp_path):
    halves = load_file(FOLDER / SAFETENSORS)
    assert {tensor.dtype for tensor in halves.values()} == {torch.float16}
    model = minibert.BertForPreTraining.from_pretrained("python-bert")
    assert sum(parameter.numel() for parameter in model.parameters()) == 692_690
    model.save_pretrained(tmp_path / "again")
    again = load_file(tmp_path / "again" / SAFETENSORS)
    assert again.keys() == halves.keys()
    assert {tensor.dtype for tensor in again.values()} == {torch.float32}
    assert all(torch.equal(tensor, halves[name].float()) for name, tensor in again.items())


@pytest.mark.parametrize(
    "kind", [minibert.BertModel, minibert.BertForMaskedLM, minibert.BertForPreTraining]
)
def test_models_open_it_without_a_new_weight(kind):
    assert kind.from_pretrained("python-bert").load_report.newly_initialised == ()


def test_a_classifier_learns_from_it():
    texts, labels = ["a list of items", "a class of its own"] * 8, ["list", "class"] * 8
    classifier = minibert.TextClassifier(
        "python-bert", epochs=30, batch_size=8, lr=1e-2, trained_layers=0
    )
    assert classifier.fit(texts, labels).score(texts, labels) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["info", "python-bert"], "BERT: 2 layers, 128 wide"),
        (["fill-mask", "python-bert", TEXTS[0], "--top-k", "1"], "are"),
        (["attention", "python-bert", "A class is an object.", "-o", "page.html"], "page.html"),
    ],
    ids=["info", "fill-mask", "attention"],
)
def test_the_command_knows_it(monkeypatch, capsys, tmp_path, given, told):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(monkeypatch, capsys, given)
    assert (code, told in out + err) == (0, True), err


def test_a_copy_that_was_damaged_is_refused(monkeypatch):
    damaged = dataclasses.replace(ALIASES["python-bert"], sha256="0" * 64)
    monkeypatch.setitem(ALIASES, "python-bert", damaged)
    with pytest.raises(ValueError, match="changed or damaged; reinstall minibert, or load"):
        minibert.BertModel.from_pretrained("python-bert")


@torch.inference_mode()
def test_transformers_opens_it_and_says_the_same(parity):
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    batch = minibert.Tokenizer.from_pretrained("python-bert")(TEXTS)
    expected = tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert batch["input_ids"].tolist() == expected["input_ids"].tolist()
    ours = minibert.BertForMaskedLM.from_pretrained("python-bert")(**batch).logits
    real = batch["attention_mask"].bool()
    difference = (ours - theirs(**expected).logits)[real].abs().max()
    parity.at_most("python-bert, logits of the masked LM", difference, 1e-5)


def test_its_answers_are_those_noted_when_it_was_made():
    text, code = golden.report(["python-bert"])
    assert code == 0, text
    assert text.count("ok  ") == len(golden.PYTHON) >= 3


def test_other_answers_fail(monkeypatch):
    text, (first, *others) = next(iter(golden.PYTHON.items()))
    wrong = (first._replace(score=first.score + 0.01), *others)
    monkeypatch.setitem(golden.PYTHON, text, wrong)
    assert golden.report(["python-bert"])[1] == 1


def test_a_folder_of_the_same_shape_is_not_taken_for_it(tmp_path):
    model = minibert.BertForMaskedLM.from_pretrained("python-bert")
    model.save_pretrained(tmp_path / "m")
    text, code = golden.report([str(tmp_path / "m")])
    assert code == 2 and "python-bert" in text


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """The documentation of this Python, as a text for pre-training."""
    pytest.importorskip("pydoc_data.topics", reason="this Python has no pydoc_data")
    path = tmp_path_factory.mktemp("reference") / "python.txt"
    write_python_documentation(path)
    return path


def test_it_beats_the_frequency_of_tokens(text, tmp_path):
    """On paragraphs that are new to it, if this Python has those that it was made with."""
    model = minibert.BertForMaskedLM.from_pretrained("python-bert")
    tokenizer = minibert.Tokenizer.from_pretrained("python-bert")
    corpus = Corpus.build([TextFile.at(text)], tokenizer, tmp_path)
    training, held_out = make_spans(corpus, max_length=32)
    evaluation = HeldOut(Rows(corpus, held_out, tokenizer, max_length=32))
    unigram = evaluation.unigram(count_tokens(corpus, training, tokenizer.vocabulary.size))
    found = evaluation.evaluate(model, step=0)
    assert unigram.loss - found.loss > GAIN
    assert found.accuracy > 3 * unigram.accuracy


def test_what_its_log_and_card_say_is_one():
    unigram, *evaluations = map(json.loads, (FOLDER / "log.jsonl").read_text("utf-8").splitlines())
    steps = [each["step"] for each in evaluations]
    assert steps[0] == 0 and steps == sorted(steps) and len(steps) == 11
    card = (FOLDER / "README.md").read_text("utf-8")
    for each in (unigram["unigram"], evaluations[0], evaluations[-1]):
        assert f"| {each['loss']:.2f} | {each['accuracy']:.1%} |" in card
    assert f"python_bert.py --steps {steps[-1]}\n" in card
    for answers in golden.PYTHON.values():
        assert ", ".join(f"`{each.token}` {each.score:.2f}" for each in answers) in card


def test_the_documentation_is_prose(text):
    paragraphs = python_documentation()
    assert len(paragraphs) > 5000 and sum(len(p.split()) for p in paragraphs) > 100_000
    assert len(set(paragraphs)) == len(paragraphs)
    assert not [p for p in paragraphs if "::=" in p or ">>>" in p or "\n" in p]
    assert text.read_text("utf-8").strip().split("\n\n") == paragraphs


def test_a_python_without_the_reference_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ModuleNotFoundError, match="without pydoc_data, the text behind help"):
        python_documentation()


def test_the_script_makes_such_a_model(text, tmp_path):
    script = ROOT / "examples" / "python_bert.py"
    result = run(script, "--steps", 2, "--output", "made", "--resume", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    made, folder = tmp_path / "made", {path.name for path in FOLDER.iterdir()}
    assert {path.name for path in made.iterdir()} == folder
    shapes = [{k: v.shape for k, v in load_file(f / SAFETENSORS).items()} for f in (made, FOLDER)]
    assert shapes[0].keys() == shapes[1].keys()
    unigram, first, *_ = map(json.loads, (made / "log.jsonl").read_text("utf-8").splitlines())
    assert 5 < unigram["unigram"]["loss"] < first["loss"]

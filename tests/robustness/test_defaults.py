"""What others have set in PyTorch, NumPy or Python before us changes no result of ours."""

import contextlib
import copy
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import minibert
from minibert import BertForMaskedLM, BertForPreTraining, TextClassifier, TextEncoder
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, PreTraining
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import train_vocabulary
from minibert.engine import probe
from minibert.training.batches import Classification, Examples
from minibert.training.loop import train
from minibert.training.recipe import Recipe
from minibert.training.state import states
from tests.conftest import ROOT, TEXTS, TINY, small_model
from tests.corpus.conftest import text_of

LABELS = ["good" if i % 2 else "bad" for i in range(len(TEXTS))]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of few steps, of new weights


class Files:
    """What the tasks start from, all of it made under the usual defaults."""

    def __init__(self, folder):
        self.folder = folder
        self.encoder, self.classifier = folder / "encoder", folder / "classifier"
        (folder / "text.txt").write_text(text_of(25), encoding="utf-8")
        text = [TextFile.at(folder / "text.txt")]
        self.tokenizer = minibert.WordPieceTokenizer(train_vocabulary(text, 100))
        small_model(vocab_size=100).bert.save_pretrained(self.encoder)
        small_model(vocab_size=100, labels=("bad", "good")).save_pretrained(self.classifier)
        for path in (self.encoder, self.classifier):
            self.tokenizer.write_files(path)
        self.corpus = Corpus.build(text, self.tokenizer, folder / "corpus")
        self.spans = make_spans(self.corpus, 24)
        self.run = folder / "run"
        new(self, save_every=1, run=self.run)

    def interrupted(self):
        """The folder of a run whose last step is still to be made."""
        folder = self.folder / "interrupted"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.run, folder)
        states(folder)[0].unlink()
        return folder


def new(files, validation=None, run=None, resume=False, save_every=500, **settings):
    """A classifier after two steps."""
    settings = {"model": files.encoder, "epochs": 1, "batch_size": 12, "lr": 1e-3, **settings}
    classifier = TextClassifier(**settings)
    return classifier.fit(
        TEXTS, LABELS, validation, folder=run, resume=resume, save_every=save_every
    )


def pretraining(files):
    """One step's loss, and the evaluation, of a model whose heads are new."""
    torch.manual_seed(0)
    model = BertForPreTraining.from_pretrained(files.encoder)
    training, held_out = (Rows(files.corpus, spans, files.tokenizer, 24) for spans in files.spans)
    task = PreTraining(training, steps=1, batch_size=4)
    examples = task.batch(0)
    evaluation = HeldOut(held_out).evaluate(model, 0)
    return np.array([task.loss(model, examples, examples).item(), evaluation.loss])


def saved(files):
    folder = files.folder / "saved"
    new(files).save(folder, overwrite=True)
    return TextClassifier.load(folder).predict_proba(TEXTS)


def new_head(files):
    torch.manual_seed(0)
    model = BertForMaskedLM.from_pretrained(files.encoder)
    assert {(p.dtype, p.device.type) for p in model.parameters()} == {(torch.float32, "cpu")}
    return model.masked_lm.dense.weight.detach().numpy()


def attentions(files):
    model = minibert.BertModel.from_pretrained(files.encoder)
    output = model(**files.tokenizer(TEXTS[:4]), output_attentions=True)
    return torch.stack(output.attentions).detach().numpy()


def loaded(files, **settings):
    return TextClassifier.load(files.classifier, **settings)


HELD_OUT = (TEXTS[:6], LABELS[:6])
TASKS = {
    "tokenizer": lambda files: files.tokenizer(TEXTS, TEXTS)["input_ids"].numpy(),
    "predict": lambda files: loaded(files).predict_proba(TEXTS),
    "predict in bf16": lambda files: loaded(files, precision="bf16").predict_proba(TEXTS),
    "predict in int8": lambda files: loaded(files, precision="int8").predict_proba(TEXTS),
    "score": lambda files: np.array(loaded(files).score(TEXTS, LABELS)),
    "encode": lambda files: TextEncoder.load(files.encoder).encode(TEXTS),
    "fit": lambda files: new(
        files, HELD_OUT, class_weight={"good": 2, "bad": 1}, layer_decay=0.9
    ).predict_proba(TEXTS),
    "fit, sparing memory": lambda files: new(
        files, HELD_OUT, class_weight="balanced", accumulate=2, checkpoint=True, keep_best=True
    ).predict_proba(TEXTS),
    "fit in bf16": lambda files: new(files, precision="bf16").predict_proba(TEXTS),
    "fit the head": lambda files: new(files, HELD_OUT, trained_layers=0).predict_proba(TEXTS),
    "fit random weights": lambda files: new(files, weights="random").predict_proba(TEXTS),
    "resume": lambda files: new(files, run=files.interrupted(), resume=True).predict_proba(TEXTS),
    "save and load": saved,
    "new head": new_head,
    "attention weights": attentions,
    "pre-training": pretraining,
}


@contextlib.contextmanager
def set_to(set_value, value, usual):
    set_value(value)
    try:
        yield
    finally:
        set_value(usual)


@contextlib.contextmanager
def everything_strict():
    with contextlib.ExitStack() as stack:
        stack.enter_context(set_to(torch.use_deterministic_algorithms, True, False))
        stack.enter_context(np.errstate(all="raise"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)  # our own, which the tasks ask for
        yield


DEFAULTS = {
    "float64": lambda: set_to(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: set_to(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "float16": lambda: set_to(torch.set_default_dtype, torch.float16, torch.float32),
    # "meta" has no values, so that nothing which is made there by mistake goes unseen.
    "set_default_device": lambda: set_to(torch.set_default_device, "meta", None),
    "with torch.device": lambda: torch.device("meta"),
    "everything strict": everything_strict,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}
# The same mechanism as another one of these.
ALIKE = ("bfloat16", "float16", "set_default_device", "no_grad")
# What a context of the caller's own is to change: the model called directly, by their own loop.
FOLLOWING = {("autocast", task) for task in ("attention weights", "pre-training")}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The files, and the results under the usual defaults."""
    files = Files(tmp_path_factory.mktemp("defaults"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return files, {name: task(files) for name, task in TASKS.items()}


@pytest.fixture()
def untried(monkeypatch):
    """Bodies are probed again, under the defaults of the test."""
    monkeypatch.setattr(probe, "_FAILURES", {})


@pytest.mark.parametrize(
    "default",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in DEFAULTS],
)
def test_every_task_has_the_usual_result_bit_for_bit(usual, untried, default):
    files, expected = usual
    for name, task in TASKS.items():
        if (default, name) not in FOLLOWING:
            with DEFAULTS[default]():
                result = task(files)
            assert result.dtype == expected[name].dtype, name
            np.testing.assert_array_equal(result, expected[name], err_msg=name)
    assert set(probe._FAILURES.values()) == {""}


@pytest.mark.parametrize(
    "setting",
    [
        lambda: set_to(torch.set_float32_matmul_precision, "medium", "highest"),
        lambda: set_to(torch.set_num_threads, 1, torch.get_num_threads()),
    ],
    ids=["medium", "one thread"],
)
def test_what_orders_sums_otherwise_changes_their_rounding_only(usual, setting):
    files, expected = usual
    for name in ("predict", "encode", "fit"):
        with setting():
            np.testing.assert_allclose(TASKS[name](files), expected[name], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["BertForClassification", "BertForPreTraining", "BertForMaskedLM"])
def test_a_model_made_by_hand_is_of_the_default_dtype_and_runs(tokenizer, kind, dtype):
    config = minibert.BertConfig(**{**TINY, "vocab_size": 30522})
    with set_to(torch.set_default_dtype, dtype, torch.float32):
        model = getattr(minibert, kind)(config)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    output = model(**tokenizer(TEXTS[:4]))
    output[0].sum().backward()
    assert output[0].dtype == dtype
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


class TestAModelWithoutWeights:
    @pytest.fixture(scope="class")
    def model(self):
        with torch.device("meta"):
            return minibert.BertForClassification(minibert.BertConfig(**TINY)).eval()

    @pytest.mark.parametrize(
        "use",
        [
            lambda model, folder: model(torch.tensor([[5, 6]])),
            lambda model, folder: model.save_pretrained(folder / "saved"),
            lambda model, folder: minibert.optimize(model),
            lambda model, folder: train(
                model, Classification(Examples([], []), None, 8), Recipe(epochs=1, lr=1e-4)
            ),
        ],
        ids=["call", "save", "optimize", "train"],
    )
    def test_is_refused_by_one_line(self, model, tmp_path, use):
        with pytest.raises(ValueError, match="on the meta device and has no weights; load it"):
            use(model, tmp_path)
        assert not list(tmp_path.iterdir())


def test_a_model_that_cannot_be_trained_is_refused_and_its_copy_is_trained(tokenizer):
    with torch.inference_mode():
        model = small_model()
    rows = tokenizer.encode_batch(TEXTS)
    task = Classification(Examples(rows, [i % 2 for i in range(len(rows))]), tokenizer, 12)
    with pytest.raises(ValueError, match="was made in torch.inference_mode.*copy.deepcopy"):
        train(model, task, Recipe(epochs=1, lr=1e-4))
    assert len(train(copy.deepcopy(model), task, Recipe(epochs=1, lr=1e-4)).losses) == 2


def test_a_model_loaded_in_inference_mode_can_be_trained(usual):
    with torch.inference_mode():
        model = minibert.BertModel.from_pretrained(usual[0].encoder)
    model(torch.tensor([[5, 6]])).last_hidden_state.sum().backward()
    assert model.encoder.layers[0].feed_forward.up.weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_run_of_another_dtype_keeps_its_states(tokenizer, tmp_path, dtype):
    rows = tokenizer.encode_batch(TEXTS)
    task = Classification(Examples(rows, [i % 2 for i in range(len(rows))]), tokenizer, 12)
    train(small_model().to(dtype), task, Recipe(epochs=1, lr=1e-4), folder=tmp_path)
    assert states(tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_an_optimized_model_under_autocast_is_right_or_says_so(tokenizer, precision):
    model, batch = small_model(), tokenizer(TEXTS)
    optimized = minibert.optimize(model, precision)
    expected = model(**batch).logits
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        try:
            result = optimized(**batch).logits.float()
        except RuntimeError as error:
            assert "call it outside of torch.autocast" in str(error)
        else:
            torch.testing.assert_close(result, expected, atol=0.1, rtol=0.1)


@pytest.mark.slow
def test_ordinary_use_warns_of_nothing():
    """In a process of its own: PyTorch says some things once, and only to the first who asks."""
    program = """
import tempfile, minibert
for precision in ("fp32", "int8"):
    minibert.TextEncoder.load("minilm-l6", precision=precision).encode(["a text", "b"])
texts, labels = ["good", "bad"] * 16, ["good", "bad"] * 16
classifier = minibert.TextClassifier("minilm-l6", epochs=30).fit(texts, labels)
folder = tempfile.mkdtemp() + "/model"
classifier.save(folder)
assert minibert.TextClassifier.load(folder).predict(texts).tolist() == labels
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=ROOT)

"""Streams: results come while texts are still being read, in order, and nothing piles up."""

import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import types
import weakref

import numpy as np
import pytest
import torch

import minibert
from minibert import TextClassifier
from minibert.tokenizer import WordPieceTokenizer
from tests.conftest import ROOT, TINY

WINDOW = 4
TEXTS = [f"number {i} " + "very " * (i * 13 % 31) for i in range(11)]  # in no order of length


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random classifier with the real vocabulary."""
    path = tmp_path_factory.mktemp("streams") / "model"
    torch.manual_seed(0)
    sizes = {"vocab_size": 30522, "max_position_embeddings": 40}
    config = minibert.BertConfig(**{**TINY, **sizes}, labels=("bad", "good"))
    minibert.BertForClassification(config).save_pretrained(path)
    WordPieceTokenizer.from_pretrained("minilm-l6").write_files(path)
    return path


@pytest.fixture(scope="module")
def classifier(folder):
    return TextClassifier.load(folder)


class Lost(Exception):
    """The source of the texts is gone."""


def test_an_endless_source_is_answered(classifier):
    endless = (f"text {i}" for i in itertools.count())
    answers = list(itertools.islice(classifier.stream(endless, window=WINDOW), 10))
    assert [text for text, _ in answers] == [f"text {i}" for i in range(10)]
    assert next(endless) == f"text {3 * WINDOW}", "only windows that were needed are read"


def test_each_text_has_its_own_result_in_order(classifier):
    answers = list(classifier.stream(iter(TEXTS), window=WINDOW))
    assert [text for text, _ in answers] == TEXTS
    wanted = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose([scores for _, scores in answers], wanted, atol=1e-5)


def test_a_window_of_one_answers_before_the_next_is_read(classifier):
    read = []
    source = (read.append(text) or text for text in TEXTS)
    for number, _ in enumerate(classifier.stream(source, window=1), 1):
        assert len(read) == number


@pytest.mark.parametrize("position", [0, 2, WINDOW, WINDOW + 1])
def test_an_error_comes_after_the_results_before_it(classifier, position):
    error = Lost("connection")

    def source():
        yield from TEXTS[:position]
        raise error

    answered = []
    with pytest.raises(Lost) as caught:
        for text, _ in classifier.stream(source(), window=WINDOW):
            answered.append(text)
    assert caught.value is error and answered == TEXTS[:position]
    with pytest.raises(Lost) as caught:
        classifier.predict_proba(source())
    assert len(caught.value.finished) == position
    assert f"{position} texts were finished" in caught.value.__notes__[-1]


def test_who_stops_early_leaves_nothing_behind(classifier):
    closed, model = [], classifier.model_

    def source():
        try:
            yield from map(Text, TEXTS)
        finally:
            closed.append(True)

    class Text(str):
        """A text that can be asked whether it is still there."""

    answers = classifier.stream(source(), window=WINDOW)
    model.train()
    try:
        text, _ = next(answers)
        assert model.training and not torch.is_inference_mode_enabled()
    finally:
        model.eval()
    alive = weakref.ref(text)
    answers.close()
    del text, answers
    assert closed and alive() is None


def test_no_more_than_a_window_is_kept(classifier):
    alive = set()

    class Text(str):
        """A text that can be asked whether it is still there."""

    def source():
        for i in range(5 * WINDOW):
            text = Text(f"text {i}")
            alive.add(i)
            weakref.finalize(text, alive.discard, i)
            yield text
            del text
            assert len(alive) <= WINDOW

    for text, _ in classifier.stream(source(), window=WINDOW):
        del text
    assert not alive


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_holds_a_text_at_least(classifier, window):
    with pytest.raises(ValueError, match=f"window is {window}.*at least 1"):
        next(classifier.stream(TEXTS, window))


def test_cut_texts_are_counted_at_the_line_that_reads_the_stream(classifier):
    texts = [*TEXTS, "long " * 60, "long " * 60]
    with pytest.warns(UserWarning, match="^2 of 13 texts are longer than 40") as caught:
        list(classifier.stream(texts, window=WINDOW))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("kernel", [True, False], ids=["a notebook", "IPython in a terminal"])
def test_a_notebook_shows_a_bar_though_its_stderr_is_no_terminal(classifier, monkeypatch, kernel):
    import tqdm.auto

    class Bar(tqdm.auto.tqdm):
        disabled: list[bool] = []

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.disabled.append(self.disable)

    shell = types.SimpleNamespace(config={"IPKernelApp": {}} if kernel else {})
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    classifier.predict_proba(TEXTS)
    assert Bar.disabled == [not kernel]


# --- the command ---------------------------------------------------------------------------------


class Command:
    """`minibert classify` as it runs; `line()` is what it prints next."""

    def __init__(self, folder, stdin):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minibert", "classify", str(folder)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self):
        return self._lines.get(timeout=120)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_classify_answers_each_line_as_it_is_typed_and_ctrl_c_ends_it_in_silence(folder):
    keyboard, terminal = os.openpty()
    try:
        with Command(folder, terminal) as command:
            for text in ("a joy", "a bore"):
                os.write(keyboard, f"{text}\n".encode())
                label, score, answered = command.line().rstrip("\n").split("\t")
                assert label in ("bad", "good") and 0.5 <= float(score) <= 1 and answered == text
            assert command.process.poll() is None, "it waits for more"
            command.process.send_signal(signal.SIGINT)
            assert command.process.wait(timeout=60) == 130
            asked = "minibert: type texts, one a line; Ctrl-D ends\n"  # as it began
            assert command.process.stderr.read() == asked
    finally:
        os.close(keyboard)
        os.close(terminal)

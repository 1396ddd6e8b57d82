"""Predictions stream texts of any number, in their order, and keep what is done when it breaks."""

import contextlib
import io
import threading
import time
import warnings
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import tqdm.auto

from minibert import TextClassifier
from minibert.engine import reading
from minibert.engine.reading import one_ahead, read_windows
from minibert.engine.streams import Stream
from minibert.tokenizer import Row
from tests.engine.conftest import SHUFFLED, WINDOW

# What the CPU of the day has no kernel for is said by a warning, and tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")


@pytest.fixture(params=["classifier", "encoder"])
def results(request, loaded_classifier, encoder, windows):
    """predict_proba or encode, with small windows."""
    both = {"classifier": loaded_classifier.predict_proba, "encoder": encoder.encode}
    return both[request.param]


@pytest.fixture(scope="module")
def alone(loaded_classifier, encoder):
    """What each text of SHUFFLED gives alone, for both."""
    methods = (loaded_classifier.predict_proba, encoder.encode)
    return {method: np.concatenate([method([text]) for text in SHUFFLED]) for method in methods}


@contextlib.contextmanager
def at_each_batch(results, call):
    """Call something whenever the model is about to compute."""
    ours = results.__self__
    model = ours._engine.optimized(getattr(ours, "model_", None) or ours.model)
    handle = model.register_forward_pre_hook(lambda *_: call())
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        iter,
        np.array,
        lambda texts: dict.fromkeys(texts).keys(),
        lambda texts: (text for text in texts),
    ],
    ids=["list", "tuple", "iterator", "array", "keys of a dict", "generator"],
)
def test_any_iterable_gives_each_text_its_own_result(results, alone, kind):
    got = results(kind(SHUFFLED))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, alone[results], atol=1e-5)


def test_an_open_file(results, alone, tmp_path):
    (tmp_path / "texts").write_text("\n".join(SHUFFLED))
    with open(tmp_path / "texts") as file:
        np.testing.assert_allclose(results(file), alone[results], atol=1e-5)


@pytest.mark.parametrize("number", [1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW])
def test_any_number_of_texts(results, alone, number):
    got = results(iter(SHUFFLED[:number]))
    np.testing.assert_allclose(got, alone[results][:number], atol=1e-5)


@pytest.mark.parametrize("kind", [list, tuple, np.array, iter])
def test_no_texts_give_no_rows(results, kind):
    width = results(["one"]).shape[1]
    got = results(kind([]))
    assert got.shape == (0, width) and got.dtype == np.float32


def test_no_texts_give_no_labels(classifier):
    got = classifier.predict(iter([]))
    assert got.shape == (0,) and got.dtype == classifier.classes_.dtype


def test_labels_come_in_the_order_of_a_generator(classifier, alone):
    proba = alone[classifier.predict_proba]
    wanted = classifier.classes_[proba.argmax(axis=1)].tolist()
    assert classifier.predict(text for text in SHUFFLED).tolist() == wanted
    assert len(set(wanted)) > 1, "or the order would not show"


def test_a_generator_is_read_a_window_at_a_time(results):
    read, seen = [], []

    def source():
        for text in SHUFFLED:
            read.append(text)
            yield text

    with at_each_batch(results, lambda: seen.append(len(read))):
        results(source())
    assert seen == [5, 10, 15, 20, 23]


class Watched(str):
    """A text that can be asked whether it is still there."""


def test_texts_are_forgotten_window_by_window(results):
    alive, most = set(), 0

    def source():
        nonlocal most
        for i in range(20 * WINDOW):
            text = Watched(f"text {i}")
            alive.add(i)
            weakref.finalize(text, alive.discard, i)
            most = max(most, len(alive))
            yield text
            del text

    assert len(results(source())) == 20 * WINDOW
    assert most <= 2 * WINDOW, "the one that is read and the one before"
    assert not alive


def test_long_texts_end_a_window_early(monkeypatch):
    monkeypatch.setattr(reading, "WINDOW_CHARACTERS", 25)
    texts = ["ten chars."] * 7 + [("five ", "and five")] * 2
    assert [len(window) for window in read_windows(texts)] == [3, 3, 3]


# --- what goes wrong on the way -------------------------------------------------------------------


class Lost(Exception):
    """The source of the texts is gone."""


def broken_off(texts, error):
    """These texts, and then an error."""
    yield from texts
    raise error


# None, inside a window, at its end, inside and at the end of a later one.
BREAKS = [0, 3, WINDOW, WINDOW + 2, 2 * WINDOW]


def test_one_string_is_no_iterable_of_texts(results):
    with pytest.raises(ValueError, match="'Wonderful'; give a list"):
        results("Wonderful")


@pytest.mark.parametrize("wrong", [None, b"bytes", ("one",), "\ud800"], ids=repr)
def test_what_is_no_text_is_named_by_its_place_in_the_stream(results, wrong):
    with pytest.raises(ValueError, match="text 7 "):
        results(iter([*SHUFFLED[:7], wrong]))


@pytest.mark.parametrize("position", BREAKS)
def test_what_came_before_is_finished(results, position):
    texts = (text for text in [*SHUFFLED[:position], 7, *SHUFFLED])
    with pytest.raises(ValueError, match=f"text {position} is 7, a int") as caught:
        results(texts)
    finished = caught.value.finished
    wanted = results(SHUFFLED[:position])
    assert finished.shape == wanted.shape and finished.dtype == np.float32
    np.testing.assert_allclose(finished, wanted, atol=1e-6)
    assert f"{position} texts were finished" in caught.value.__notes__[0]


@pytest.mark.parametrize("position", BREAKS)
def test_an_error_of_the_source_comes_out_as_it_is(results, position):
    error = Lost("connection")
    with pytest.raises(Lost) as caught:
        results(broken_off(SHUFFLED[:position], error))
    assert caught.value is error
    np.testing.assert_allclose(error.finished, results(SHUFFLED[:position]), atol=1e-6)


@pytest.mark.parametrize("position", BREAKS)
@pytest.mark.parametrize("error", [Lost, KeyboardInterrupt])
def test_predict_finishes_labels(classifier, position, error):
    with pytest.raises(error) as caught:
        classifier.predict(broken_off(SHUFFLED[:position], error()))
    finished = caught.value.finished
    whole = position if error is Lost else position // WINDOW * WINDOW
    assert finished.dtype == classifier.classes_.dtype
    assert finished.tolist() == classifier.predict(SHUFFLED[:whole]).tolist()


def test_ctrl_c_while_reading_keeps_whole_windows(results):
    wanted = results(SHUFFLED)
    with pytest.raises(KeyboardInterrupt) as caught:
        results(broken_off(SHUFFLED[:12], KeyboardInterrupt()))
    np.testing.assert_allclose(caught.value.finished, wanted[:10], atol=1e-6)
    np.testing.assert_array_equal(results(SHUFFLED), wanted, "and it predicts again")


def test_ctrl_c_while_computing_keeps_whole_windows(results):
    wanted, batches = results(SHUFFLED), iter(range(100))

    def interrupt():
        if next(batches) == 2:
            raise KeyboardInterrupt

    with at_each_batch(results, interrupt), pytest.raises(KeyboardInterrupt) as caught:
        results(iter(SHUFFLED))
    np.testing.assert_allclose(caught.value.finished, wanted[:10], atol=1e-6)
    np.testing.assert_array_equal(results(SHUFFLED), wanted, "and it predicts again")


# --- what is said on the way ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score", "encode"])
def test_long_texts_are_counted_in_one_warning_at_the_callers_line(classifier, encoder, method):
    texts = [*SHUFFLED]
    for position in (1, 2, 19):
        texts[position] = "long " * 60
    call = getattr(encoder if method == "encode" else classifier, method)
    more = (["bad"] * 23,) if method == "score" else ()
    with pytest.warns(UserWarning, match="^3 of 23 texts are longer than 40 tokens") as caught:
        call(texts, *more)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_warning_made_an_error_keeps_the_results(folder):
    classifier = TextClassifier.load(folder, max_length=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning) as caught:
            classifier.predict_proba(["a text that is far too long for it", "short"])
    assert len(caught.value.finished) == 2


class Screen(io.StringIO):
    """What a terminal would show."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Screen])
def test_progress_shows_on_a_terminal_only(results, monkeypatch, stream):
    class Prompt(tqdm.auto.tqdm):
        """A bar that does not wait two seconds before it shows."""

        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **{**options, "delay": 0}, file=errors)

    errors = stream()
    monkeypatch.setattr(tqdm.auto, "tqdm", Prompt)
    results(SHUFFLED)
    assert bool(errors.getvalue()) == (stream is Screen)


# --- reading ahead --------------------------------------------------------------------------------


def test_the_next_item_is_made_while_one_is_in_use():
    made, used = [], []

    def items():
        for i in range(5):
            made.append(i)
            yield i

    for item in one_ahead(items()):
        deadline = time.monotonic() + 10
        while len(made) < min(item + 2, 5) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) == min(item + 2, 5), "one more, and not two"
        used.append(item)
    assert used == list(range(5))


def test_an_error_made_ahead_comes_in_its_turn():
    def items():
        yield from "ab"
        raise OSError("gone")

    got = []
    with pytest.raises(OSError, match="gone"):
        got.extend(one_ahead(items()))  # extend keeps what came before
    assert got == ["a", "b"]


@pytest.mark.parametrize(("device", "ahead"), [("cpu", False), ("cuda", True)])
def test_lists_are_tokenized_ahead_for_devices_that_compute_beside(device, ahead, monkeypatch):
    threads = []

    def encode_batch(texts, *_):
        threads.append(threading.current_thread())
        return [Row([1, 2], [0, 0], 0) for _ in texts]

    stream = Stream(
        SimpleNamespace(device=torch.device(device)),
        SimpleNamespace(encode_batch=encode_batch),
        compute=None,
        width=1,
        max_length=9,
    )
    texts = [str(i) for i in range(7)]
    for given in (texts, iter(texts)):
        threads.clear()
        windows = [read for read, rows in stream._tokenized(given, 3) if len(read) == len(rows)]
        assert windows == [texts[:3], texts[3:6], texts[6:]]
        beside = ahead and given is texts
        assert {thread is threading.main_thread() for thread in threads} == {not beside}

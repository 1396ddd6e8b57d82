"""Optimized models compute what the originals do; predictions stream texts of any number."""

import contextlib
import copy
import io
import pickle
import warnings
import weakref

import numpy as np
import pytest
import torch
import tqdm.auto
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import minibert
from minibert import BertModel, TextClassifier, TextEncoder, optimize
from minibert.engine import bodies as kernels
from minibert.engine import streams as inference
from minibert.engine.bodies import Body
from minibert.engine.streams import batches_by_length, read_windows
from minibert.linear import Linear
from minibert.tokenizer import Row, WordPieceTokenizer
from tests.conftest import BATCHES, TEXTS, TINY, hf_model, ours_from
from tests.parity.test_end_to_end import HEADS, fields

WINDOW = 5
# As many windows as may be: texts of 0 to 30 words, in no order of length.
SHUFFLED = [f"number {i} " + "very " * (i * 13 % 31) for i in range(23)]
# What the CPU of the day has no kernel for is said by a warning, and tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore:this CPU has no")


# --- optimized models ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=HEADS)
def trio(request):
    """(the reference, our model with its weights, the same optimized) for each class."""
    reference = hf_model(request.param, **HEADS[request.param])
    ours = ours_from(reference)
    return reference, ours, optimize(ours)


def labels_for(model, batch):
    """Something to compute every loss of a model from."""
    real, rows = batch["attention_mask"].bool(), len(batch["input_ids"])
    tokens = batch["input_ids"].masked_fill(~real, -100)
    starts = torch.where(real.any(dim=1), 0, -100)
    return {
        "BertModel": {},
        "BertForClassification": {"labels": torch.arange(rows) % 3},
        "BertForTokenClassification": {"labels": torch.where(real, tokens % 2, -100)},
        "BertForQuestionAnswering": {"start_positions": starts, "end_positions": starts},
        "BertForMaskedLM": {"labels": tokens},
        "BertForPreTraining": {"labels": tokens, "next_sentence_label": torch.arange(rows) % 2},
    }[type(model).__name__]


def assert_equal(ours, optimized, batch, **options):
    options |= labels_for(ours, batch)
    wanted, got = fields(ours(**batch, **options)), fields(optimized(**batch, **options))
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        assert value.shape == wanted[name].shape and value.dtype == wanted[name].dtype, name
        assert (value - wanted[name]).abs().max() <= 1e-5, name


@torch.inference_mode()
def test_every_output_and_loss_is_that_of_the_original(trio, batch):
    assert_equal(*trio[1:], batch)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["ragged", "holes", "an all-padding row"])
def test_hidden_states_and_attentions_are_those_of_the_original(trio, name):
    everything = {"output_hidden_states": True, "output_attentions": True}
    assert_equal(*trio[1:], BATCHES[name], **everything)


@torch.inference_mode()
def test_every_output_is_that_of_transformers(trio, batch):
    reference, _, optimized = trio
    wanted, got = fields(reference(**batch)), fields(optimized(**batch))
    assert got.keys() == wanted.keys()
    real = batch["attention_mask"].bool()
    for name, value in got.items():
        # What theirs holds at padding, or for a row of nothing else, means nothing.
        at = real if value.shape[:2] == real.shape else real[:, 0]
        assert (value - wanted[name])[at].abs().max() <= 1e-5, name


def test_only_linear_is_another_class(trio):
    _, ours, optimized = trio
    originals, replaced = dict(ours.named_modules()), dict(optimized.named_modules())
    assert originals.keys() == replaced.keys()
    bodies = set()
    for name, module in originals.items():
        if type(module) is Linear:
            bodies.add(type(replaced[name]))
        else:
            assert type(replaced[name]) is type(module), name
    assert len(bodies) == 1 and all(issubclass(body, Body) for body in bodies)


def test_the_original_stays_as_it_was_and_can_be_trained():
    model = ours_from(hf_model("BertForMaskedLM")).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimized = optimize(model)
    batch = BATCHES["ragged"]
    with torch.inference_mode():
        optimized(**batch)
    assert model.training and not optimized.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    model(**batch, **labels_for(model, batch)).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_original_and_optimized_share_no_weights():
    model = ours_from(hf_model())
    optimized, batch = optimize(model), BATCHES["ragged"]
    with torch.inference_mode():
        before = optimized(**batch).last_hidden_state
        for parameter in model.parameters():
            parameter.zero_()
        assert torch.equal(optimized(**batch).last_hidden_state, before)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["BertForMaskedLM", "BertForPreTraining"])
def test_masked_lm_still_shares_its_matrix_with_the_embeddings(kind):
    optimized = optimize(ours_from(hf_model(kind)))
    optimized.bert.embeddings.token.weight.zero_()
    logits = optimized(**BATCHES["full"])[0]
    assert torch.equal(logits, optimized.masked_lm.bias.expand_as(logits))


def test_optimizing_twice_is_refused():
    with pytest.raises(ValueError, match="optimized already"):
        optimize(optimize(ours_from(hf_model())))


def test_optimizing_what_is_no_model_is_refused(classifier, encoder):
    for thing in (classifier, encoder):
        with pytest.raises(ValueError, match=f"not a {type(thing).__name__}.*precision="):
            optimize(thing)


# --- lower precision -----------------------------------------------------------------------------

# Relative to the hidden states of fp32. bf16 keeps 8 significant bits, an error of 2^-9 in each
# number, which layers add up to 0.013. int8 on CPUs without VNNI has 7 bits for the weights, an
# error of 1 % in each product, which six layers add up to 0.10. The bounds leave twice that over.
LOWER = {"bf16": 0.03, "int8": 0.25}


@pytest.fixture(scope="module")
def real(minilm):
    """The packaged checkpoint and a batch of texts of different lengths."""
    tokenizer = WordPieceTokenizer.from_pretrained(minilm)
    return BertModel.from_pretrained(minilm), tokenizer(SHUFFLED[:8])


@torch.inference_mode()
@pytest.mark.parametrize("precision", LOWER)
@pytest.mark.parametrize("which", ["random", "real"])
def test_lower_precision_is_near_fp32(precision, which, real):
    model, batch = (ours_from(hf_model()), BATCHES["holes"]) if which == "random" else real
    wanted = model(**batch).last_hidden_state
    got = optimize(model, precision)(**batch).last_hidden_state.float()
    assert got.isfinite().all()
    assert (got - wanted).norm() / wanted.norm() <= LOWER[precision]


@torch.inference_mode()
@pytest.mark.parametrize("which", ["random", "real"])
def test_int8_gives_a_text_the_same_bits_alone_padded_and_in_company(which, real):
    model, batch = (ours_from(hf_model()), BATCHES["ragged"]) if which == "random" else real
    optimized = optimize(model, "int8")
    together = optimized(**batch).last_hidden_state
    for i, length in enumerate(batch["attention_mask"].sum(dim=1).tolist()):
        padded = {name: value[i : i + 1] for name, value in batch.items()}
        alone = {name: value[:, :length] for name, value in padded.items()}
        twice = {name: value.expand(2, -1) for name, value in alone.items()}
        for company in (padded, alone, twice):
            got = optimized(**company).last_hidden_state
            assert torch.equal(got[-1, :length], together[i, :length])


@pytest.mark.parametrize("precision", LOWER)
def test_predictions_in_lower_precision_save_fp32(folder, tmp_path, precision):
    classifier = TextClassifier.load(folder, precision=precision)
    near = TextClassifier.load(folder).predict_proba(TEXTS)
    assert np.abs(classifier.predict_proba(TEXTS) - near).max() <= LOWER[precision]
    assert {p.dtype for p in classifier.model_.parameters()} == {torch.float32}
    classifier.save(tmp_path / "m")
    saved = load_file(tmp_path / "m" / "model.safetensors")
    original = load_file(folder / "model.safetensors")
    assert saved.keys() == original.keys()
    assert all(torch.equal(saved[name], original[name]) for name in saved)


# --- classifiers and encoders on a stream --------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random classifier with the real vocabulary; an encoder can be made of it, too."""
    path = tmp_path_factory.mktemp("inference") / "model"
    torch.manual_seed(0)
    sizes = {"vocab_size": 30522, "max_position_embeddings": 40}
    config = minibert.BertConfig(**{**TINY, **sizes}, labels=("bad", "good", "so-so"))
    minibert.BertForClassification(config).save_pretrained(path)
    WordPieceTokenizer.from_pretrained("minilm-l6").write_files(path)
    return path


@pytest.fixture()
def windows(monkeypatch):
    """Windows so small that there are many."""
    monkeypatch.setattr(inference, "WINDOW_TEXTS", WINDOW)


@pytest.fixture(scope="module")
def loaded_classifier(folder):
    """Shared by the tests that leave its weights alone."""
    return TextClassifier.load(folder)


@pytest.fixture(scope="module")
def encoder(folder):
    return TextEncoder.load(folder)


@pytest.fixture()
def classifier(loaded_classifier, windows):
    """The same, with small windows."""
    return loaded_classifier


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
    [list, tuple, iter, np.array, dict.fromkeys, lambda texts: (text for text in texts)],
    ids=["list", "tuple", "iterator", "array", "dict", "generator"],
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
    monkeypatch.setattr(inference, "WINDOW_CHARACTERS", 25)
    texts = ["ten chars."] * 7 + [("five ", "and five")] * 2
    assert [len(window) for window in read_windows(texts)] == [3, 3, 3]


# --- what goes wrong on the way ------------------------------------------------------------------


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


# --- what is said on the way ---------------------------------------------------------------------


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


# --- the model behind predictions ----------------------------------------------------------------


def in_place(weight):
    with torch.no_grad():
        weight.mul_(3)


def by_another_tensor(weight):
    weight.data = weight.data * 3


@pytest.mark.parametrize("change", [in_place, by_another_tensor])
def test_predictions_follow_the_weights(folder, change):
    classifier = TextClassifier.load(folder)
    before = classifier.predict_proba(TEXTS)
    change(classifier.model_.bert.encoder.layers[0].feed_forward.up.weight)
    after = classifier.predict_proba(TEXTS)
    batch = classifier.tokenizer_(TEXTS)
    with torch.inference_mode():
        wanted = classifier.model_(**batch).logits.softmax(dim=-1)
    assert np.abs(wanted.numpy() - before).max() > 1e-3, "or nothing would show"
    np.testing.assert_allclose(after, wanted, atol=1e-5)


def test_predictions_follow_a_state_dict(folder):
    classifier = TextClassifier.load(folder)
    before = classifier.predict_proba(TEXTS)
    state = {name: 2 * tensor for name, tensor in classifier.model_.state_dict().items()}
    classifier.model_.load_state_dict(state)
    with torch.inference_mode():
        wanted = classifier.model_(**classifier.tokenizer_(TEXTS)).logits.softmax(dim=-1)
    assert np.abs(wanted.numpy() - before).max() > 1e-3, "or nothing would show"
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), wanted, atol=1e-5)


def test_the_optimized_model_is_made_once(classifier):
    assert classifier._engine.optimized(classifier.model_) is classifier._engine.optimized(
        classifier.model_
    )


def test_where_nothing_is_faster_the_model_itself_predicts(folder, monkeypatch):
    monkeypatch.setattr(kernels, "cpu_features", frozenset)
    classifier = TextClassifier.load(folder)
    assert classifier._engine.optimized(classifier.model_) is classifier.model_


# --- batches -------------------------------------------------------------------------------------

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=30)
budgets = st.integers(1, 80)


def batches_of(numbers, tokens):
    """The lengths of the rows in each batch; every row is in one."""
    rows = [Row([1] * number, [0] * number, 0) for number in numbers]
    batches = list(batches_by_length(rows, tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    return [[numbers[i] for i in batch] for batch in batches]


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_batches_keep_to_the_budget_unless_one_row_is_above_it(numbers, tokens):
    for batch in batches_of(numbers, tokens):
        assert sum(batch) <= tokens or len(batch) == 1


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_batches_have_their_rows_longest_first(numbers, tokens):
    batches = batches_of(numbers, tokens)
    assert all(batch == sorted(batch, reverse=True) for batch in batches)
    longest = [batch[0] for batch in batches]
    assert longest == sorted(longest, reverse=True)


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_batches_are_full_as_long_as_there_are_rows_to_fill_them(numbers, tokens):
    batches = batches_of(numbers + [1] * tokens * len(numbers), tokens)
    assert all(sum(batch) == tokens or batch[0] > tokens for batch in batches[:-1])


@settings(max_examples=100, deadline=None)
@given(lengths, budgets)
def test_no_two_batches_would_fit_into_one(numbers, tokens):
    """What a batch leaves free is less than any row that comes after it."""
    batches = batches_of(numbers, tokens)
    for i, batch in enumerate(batches):
        later = [length for other in batches[i + 1 :] for length in other]
        assert sum(batch) + min(later, default=tokens + 1) > tokens


def test_no_rows_no_batches():
    assert not list(batches_by_length([], 512))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_a_classifier_predict_the_same(classifier, again):
    wanted = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(again(classifier).predict_proba(TEXTS), wanted, atol=1e-6)


def test_an_encoder_takes_an_optimized_model(folder):
    encoder = TextEncoder.load(folder)
    again = TextEncoder(optimize(encoder.model), encoder.tokenizer, max_length=40)
    np.testing.assert_allclose(again.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)


def test_predictions_leave_the_callers_random_numbers_alone(folder):
    kernels._FAILURES.clear()
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    TextClassifier.load(folder).predict(TEXTS)
    assert torch.equal(torch.rand(3), wanted)


def test_a_warning_made_an_error_keeps_the_results(folder):
    classifier = TextClassifier.load(folder, max_length=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning) as caught:
            classifier.predict_proba(["a text that is far too long for it", "short"])
    assert len(caught.value.finished) == 2

"""Settings and arguments of every kind: each works, or ends in one line before any training."""

import enum
import json
import math
import shutil
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import minibert.tasks.held_out
import minibert.training.finetune
from minibert import TextClassifier, TextEncoder
from minibert.engine.streams import find_device
from minibert.training.recipe import Recipe
from tests.conftest import TEXTS, small_model
from tests.training.conftest import fit

pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
    pytest.mark.filterwarnings("ignore:lr="),
]
FEW = TEXTS[:8]
LABELS = ["good" if i % 2 else "bad" for i in range(24)]
FEW_LABELS = LABELS[:8]
HALF = (FEW[:2], LABELS[:2])


class Kind(enum.Enum):
    ONE = 1


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


NUMBERS = [-1, 0, 1, 3, 1.5, 2.0, 10**30, -(10**30), 10**5000, 1e308, 1e-320, 1 + 2j]
NUMBERS += [
    math.nan,
    math.inf,
    -math.inf,
    np.int64(2),
    np.float64(0.5),
    np.datetime64("2024-01-01"),
]
STRINGS = ["x", "", "3", "bf16", "a\0b", "\ud800", "x" * 10**6, b"x"]
SWITCHES = [None, True, False, np.bool_(True)]
CONTAINERS = [[], ["cpu"], ["head"], {}, {"a": 1}, (), set(), {1}, range(3)]
ARRAYS = [np.array(["bf16"]), np.array([1, 2]), np.array(3), np.array([]), np.zeros((2, 2))]
TENSORS = [torch.tensor(1), torch.tensor([1.0]), torch.tensor([1, 2])]
OBJECTS = [object(), Unprintable(), Kind.ONE, int, print, Exception("x")]
ODD = [*NUMBERS, *STRINGS, *SWITCHES, *CONTAINERS, *ARRAYS, *TENSORS, *OBJECTS]


class Trains(Exception):
    """Ends `fit` where training would begin."""


@pytest.fixture()
def stopped(monkeypatch):
    """`fit` as far as the loop has looked at its arguments."""

    class Stopped(minibert.training.loop._Run):
        def train(self):
            raise Trains

    monkeypatch.setattr(minibert.training.loop, "_Run", Stopped)


def works_or_says_why(call, value):
    """Call with an odd value: it works, or the error is one line of ours. Returns the line."""
    try:
        call(value)
    except Trains:
        return None
    except (ValueError, OSError) as error:
        line = str(error)
        assert not isinstance(error, UnicodeError), line
        assert "\n" not in line and len(line) < 500, line[:500]
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        assert Path(raised_in).is_relative_to(Path(minibert.__file__).parent), line
        return line
    return None


def new(folder, **changes):
    return TextClassifier(folder, **{"epochs": 1, "batch_size": 8, **changes})


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("name", TextClassifier().get_params())
def test_every_setting_of_a_classifier(start, name):
    given = {"model": start, "epochs": 1, "batch_size": 8}
    lines = [
        works_or_says_why(
            lambda v: TextClassifier(**{**given, name: v}).fit(FEW, FEW_LABELS, HALF), value
        )
        for value in ODD
    ]
    refused = [line for line in lines if line is not None]
    assert len(refused) > len(ODD) / 2
    assert name == "model" or all(name in line for line in refused)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("name", ["labels", "validation", "folder", "resume", "save_every"])
def test_every_argument_of_fit(start, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    given = {"texts": FEW, "labels": FEW_LABELS, "validation": HALF}
    for value in ODD:
        works_or_says_why(lambda v: new(start).fit(**{**given, name: v}), value)


@pytest.mark.usefixtures("stopped")
def test_every_weight_of_a_class(start):
    for value in ODD:
        weights = {"good": value, "bad": 1}
        works_or_says_why(lambda v: new(start, class_weight=v).fit(FEW, FEW_LABELS), weights)


@pytest.fixture(scope="module")
def saved(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "m"
    new(start).fit(FEW, FEW_LABELS).save(folder)
    return folder


@pytest.mark.parametrize("name", ["max_length", "precision", "device"])
def test_every_argument_of_load(saved, name):
    for value in ODD:
        works_or_says_why(lambda v: TextClassifier.load(saved, **{name: v}), value)


@pytest.mark.parametrize("name", ["pooling", "normalize", "max_length", "precision", "device"])
def test_every_argument_of_an_encoder(start, name):
    for value in ODD:
        works_or_says_why(lambda v: TextEncoder.load(start, **{name: v}), value)


@pytest.mark.parametrize("name", ["pooling", "normalize", "max_length", "precision"])
def test_every_setting_of_an_encoder_made_from_its_parts(start, name):
    encoder = TextEncoder.load(start)
    for value in ODD:
        works_or_says_why(
            lambda v: TextEncoder(encoder.model, encoder.tokenizer, **{name: v}).encode(FEW), value
        )


@pytest.mark.parametrize("name", ["max_length", "truncation"])
def test_every_setting_that_counts_after_loading(saved, name):
    classifier = TextClassifier.load(saved)
    for value in ODD:
        works_or_says_why(lambda v: classifier.set_params(**{name: v}).predict(FEW), value)


def test_every_window_of_a_stream(saved):
    classifier = TextClassifier.load(saved)
    for value in ODD:
        works_or_says_why(lambda v: list(classifier.stream(FEW, v)), value)


# --- the line of each example ---------------------------------------------------------------------

VALIDATION = "give a tuple of two lists, .texts, labels."
LINES = [
    (
        {"device": ["cpu"]},
        r"device \['cpu'\] cannot be used here: it must be a string such as 'cpu'",
    ),
    ({"device": "cpu:7x"}, "device 'cpu:7x' cannot be used here: Invalid device string"),
    ({"device": True}, "device True cannot be used here: it must be a string"),
    ({"max_length": "5"}, "max_length is '5'; it must be a whole number of at least 3"),
    ({"max_length": True}, "max_length is True; it must be a whole number"),
    ({"max_length": 1.5}, "max_length is 1.5; it must be a whole number"),
    ({"max_length": 2}, "max_length is 2; it must be a whole number of at least 3"),
    (
        {"max_length": 10**30},
        "max_length is 10000.*; it must be a whole number of at most 2147483647",
    ),
    ({"epochs": True}, "epochs is True; it must be a whole number of at least 1"),
    ({"epochs": "3"}, "epochs is '3'; it must be a whole number of at least 1"),
    ({"epochs": math.nan}, "epochs is nan"),
    (
        {"batch_size": 10**30},
        "batch_size is 10000.*; it must be a whole number of at most 2147483647",
    ),
    ({"seed": True}, "seed is True; it must be a whole number of at least 0"),
    ({"seed": 2**32}, "seed is 4294967296; it must be a whole number of at most 4294967295"),
    ({"lr": 1e30}, r"lr is 1e\+30; it must be above 0 and at most 1, usually 1e-5 to 1e-4"),
    ({"lr": True}, "lr is True; it must be above 0"),
    ({"precision": ["bf16"]}, r"precision for training is \['bf16'\]; it must be one of"),
    ({"precision": np.array(["bf16"])}, "precision for training is array"),
    (
        {"truncation": ["head"]},
        r"truncation is \['head'\]; it must be one of \('head', 'head\+tail', 'windows'\)",
    ),
    ({"weights": np.array(["random", "x"])}, "weights is array"),
    ({"trained_layers": True}, "trained_layers is True; it must be a whole number of at least 0"),
    ({"keep_best": np.array([1, 2])}, r"keep_best is array.*; it must be one of \(True, False\)"),
    ({"class_weight": [1, 2]}, r"class_weight is \[1, 2\]; give 'balanced' or"),
    ({"class_weight": {"good": 10**400, "bad": 1}}, "class_weight of 'good' is a whole number of"),
    (
        {"class_weight": {"good": True, "bad": 1}},
        "class_weight of 'good' is True; it must be above 0",
    ),
    (
        {"class_weight": {"good": 1e300, "bad": 1}},
        r"class_weight of 'good' is 1e\+300; .*fit into fp32",
    ),
]
FIT_LINES = [
    ({"validation": ()}, rf"validation is \(\); {VALIDATION}"),
    ({"validation": (FEW,)}, f"validation is .*; {VALIDATION}"),
    ({"validation": {"texts": FEW, "labels": LABELS}}, f"validation is {{.*; {VALIDATION}"),
    ({"validation": (FEW, LABELS, FEW)}, f"validation is .*; {VALIDATION}"),
    ({"validation": (FEW, None)}, "validation labels is None; give a list with one for each"),
    ({"validation": (FEW, LABELS[:7])}, "there are 8 texts and 7 validation labels"),
    ({"folder": 5}, "the folder is 5; give its path"),
    ({"folder": ""}, "the folder is ''; give its path"),
    ({"save_every": "x"}, "save_every is 'x'; it must be a whole number of at least 1"),
    ({"resume": "yes"}, "resume is 'yes'; it must be one of"),
]


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(("settings", "line"), LINES, ids=[line for _, line in LINES])
def test_the_line_of_a_setting(start, settings, line):
    with pytest.raises(ValueError, match=line):
        new(start, **settings).fit(FEW, FEW_LABELS)


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(("arguments", "line"), FIT_LINES, ids=[line for _, line in FIT_LINES])
def test_the_line_of_an_argument_of_fit(start, tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, OSError), match=line):
        new(start).fit(FEW, FEW_LABELS, **arguments)


@pytest.mark.parametrize("window", ["x", True, 0, 1.5])
def test_the_window_of_a_stream_is_looked_at_before_its_first_text(saved, window):
    with pytest.raises(ValueError, match=f"window is {window!r}; it must be a whole number"):
        TextClassifier.load(saved).stream(FEW, window)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"max_length": 0}, "max_length is 0; it must be a whole number of at least 3"),
        ({"max_length": "5"}, "max_length is '5'"),
        ({"precision": None}, "precision is None; it must be one of"),
    ],
)
def test_loading_looks_at_settings_first(arguments, line):
    with pytest.raises(ValueError, match=line):
        TextClassifier.load("no/such-model", **arguments)
    with pytest.raises(ValueError, match=line):
        TextEncoder.load("no/such-model", **arguments)


def test_an_encoder_is_made_of_a_model_not_of_its_name(tokenizer):
    for model in ("minilm-l6", None, small_model()):
        with pytest.raises(
            ValueError, match="model is of type .*; give a BertModel and a Tokenizer"
        ):
            TextEncoder(model, tokenizer)
    with pytest.raises(ValueError, match="tokenizer str; give a BertModel"):
        TextEncoder(small_model().bert, "minilm-l6")


def test_numbers_of_numpy_are_numbers(start, tmp_path):
    settings = dict(trained_layers=np.int64(1), batch_size=np.int32(4), max_length=np.int64(9))
    new(start, **settings, seed=np.uint8(1), epochs=np.int8(1)).fit(FEW, FEW_LABELS).save(
        tmp_path / "m"
    )
    assert TextClassifier.load(tmp_path / "m").max_length == 9
    assert (
        TextEncoder.load(start, normalize=np.bool_(False), max_length=np.int64(9)).max_length == 9
    )


def test_a_device_may_be_an_object_of_torch():
    assert find_device(torch.device("cpu")) == find_device("cpu")
    with pytest.raises(ValueError, match="device 'meta' cannot be used here"):
        find_device("meta")


# --- lengths that others read ---------------------------------------------------------------------


@pytest.mark.parametrize(("max_length", "carried"), [(8, 8), (None, 40)])
@pytest.mark.parametrize("stated", [None, 512])
def test_the_saved_tokenizer_carries_the_trained_length(
    start, tmp_path, max_length, carried, stated
):
    """Never above the 40 positions of the model, whatever the tokenizer said before."""
    classifier = new(start, max_length=max_length).fit(TEXTS, LABELS)
    vocabulary = classifier.tokenizer_.vocabulary
    object.__setattr__(vocabulary, "model_max_length", stated)
    classifier.save(tmp_path / "m")
    assert_others_answer_alike(classifier, tmp_path / "m", carried)


def test_a_length_given_at_loading_is_carried_on(saved, tmp_path):
    classifier = TextClassifier.load(saved, max_length=7)
    classifier.save(tmp_path / "m")
    assert TextClassifier.load(tmp_path / "m").max_length == 7
    assert_others_answer_alike(classifier, tmp_path / "m", 7)
    classifier.set_params(max_length=5).save(tmp_path / "m", overwrite=True)
    assert_others_answer_alike(classifier, tmp_path / "m", 5)


@pytest.mark.filterwarnings("ignore:.*were cut")
def assert_others_answer_alike(classifier, folder, length):
    text = "a fine film, " * 100
    pipeline = transformers.pipeline("text-classification", str(folder), top_k=None, device="cpu")
    assert pipeline.tokenizer.model_max_length == length
    theirs = {answer["label"]: answer["score"] for answer in pipeline([text], truncation=True)[0]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = classifier.predict_proba([text])[0]
    np.testing.assert_allclose([theirs[name] for name in classifier.classes_], ours, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("minibert_max_length", "9", "minibert_max_length is '9'; it must be a whole number"),
        ("minibert_max_length", 0, "minibert_max_length is 0; it must be a whole number from 3"),
        ("minibert_truncation", "tail", "minibert_truncation is 'tail'; it must be one of"),
        ("minibert_truncation", ["head"], r"minibert_truncation is \['head'\]"),
    ],
)
def test_a_saved_setting_of_the_wrong_kind_is_named_with_its_file(
    saved, tmp_path, key, value, line
):
    TextClassifier.load(saved).save(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ValueError, match=f"config.json: {line}"):
        TextClassifier.load(tmp_path / "m")


def test_what_a_model_card_is_told_must_be_a_text(saved, tmp_path):
    classifier = TextClassifier.load(saved)
    for data in (5, None, ["x"], "\ud800"):
        with pytest.raises(ValueError, match="data "):
            classifier.save(tmp_path / "m", data=data)
        assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("card", ["license: [", "license: " + "[" * 10**4, "- a list", "\x00"])
def test_a_card_that_cannot_be_read_does_not_cost_the_training(start, tmp_path, card):
    """The licence is looked up in the card of the model to start from."""
    shutil.copytree(start, tmp_path / "start")
    (tmp_path / "start" / "README.md").write_text(f"---\n{card}\n---\n")
    new(tmp_path / "start").fit(FEW, FEW_LABELS).save(tmp_path / "m")
    assert "license" not in (tmp_path / "m" / "README.md").read_text()


def test_more_parts_than_texts_are_as_many_as_texts(tokenizer):
    many, one_each = (
        fit(small_model(), tokenizer, batch_size=8, accumulate=parts) for parts in (2**31 - 1, 8)
    )
    assert many.losses == one_each.losses


# --- numbers that are no longer numbers -----------------------------------------------------------


@pytest.mark.parametrize("lr", [1.01, 5, 1e30, 10**400])
def test_a_rate_above_one_cannot_be_meant(lr):
    with pytest.raises(ValueError, match="lr is .*; it must be above 0 and at most 1"):
        Recipe(lr=lr)


def test_a_decay_that_turns_weights_around_cannot_be_meant():
    Recipe(lr=0.5, weight_decay=2)
    with pytest.raises(ValueError, match="weight_decay is 2.1; .*at most 1 / lr, here 2"):
        Recipe(lr=0.5, weight_decay=2.1)


def test_an_evaluation_that_is_no_number_ends_the_run(tokenizer, tmp_path):
    losses = iter([0.7, math.nan])

    def evaluate(step):
        return minibert.training.loop.Evaluation(step, next(losses), {"accuracy": 0.5})

    with pytest.raises(FloatingPointError, match=r"evaluation after step 3 is nan; lower lr \(now"):
        fit(small_model(), tokenizer, evaluate, epochs=2)


def test_an_evaluation_that_is_no_number_before_training_names_the_start(tokenizer):
    def evaluate(step):
        return minibert.training.loop.Evaluation(step, math.inf, {"accuracy": 0.5})

    with pytest.raises(FloatingPointError, match="after step 0 is inf; no step was made yet"):
        fit(small_model(), tokenizer, evaluate)


def test_a_trained_model_whose_scores_are_no_numbers_is_refused(start, monkeypatch):
    monkeypatch.setattr(
        minibert.tasks.held_out,
        "logits_of",
        lambda *_: torch.tensor([[0.0, math.nan]] * len(FEW)),
    )
    with pytest.raises(FloatingPointError, match="scores that are not finite; lower lr"):
        new(start).fit(FEW, FEW_LABELS)


def test_weights_that_the_last_step_ruined_are_not_handed_over(tokenizer, monkeypatch):
    step = torch.optim.AdamW.step
    done = []

    def ruin(self, *arguments):
        step(self, *arguments)
        done.append(self)
        if len(done) == 3:  # the last
            self.param_groups[0]["params"][0].data[0] = math.nan

    monkeypatch.setattr(torch.optim.AdamW, "step", ruin)
    model = small_model()
    with pytest.raises(FloatingPointError, match=r"\S+ is no longer finite after step 3; lower lr"):
        fit(model, tokenizer)

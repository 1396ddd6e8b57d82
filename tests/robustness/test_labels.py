"""Labels of every kind: what is taken, and the one line that the others end in."""

import datetime
import enum
import json
import math
import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn.base
import torch
import transformers

import minibert
from minibert import TextClassifier
from minibert.tasks.label_values import checked_labels
from minibert.tasks.labels import KIND, Labels
from minibert.tasks.problems import OneLabel
from minibert.tasks.starting import starting_model
from tests.conftest import TEXTS, small_model

pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model calls every text"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
]
FEW = TEXTS[:6]
LABELS = ["good" if i % 2 else "bad" for i in range(24)]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 0
    HIGH = 1


class Column(list):
    """A column as pandas gives it: it has a shape."""

    @property
    def shape(self):
        return (len(self),)


class Table(dict):
    """A table as pandas gives it: iterating gives the names of its columns."""

    @property
    def shape(self):
        return (6, len(self))


def new(folder, **changes):
    return TextClassifier(folder, **{"epochs": 1, "batch_size": 8, **changes})


# --- what is taken --------------------------------------------------------------------------------

TAKEN = {
    "strings": ["no", "yes"],
    "an empty string": ["", "yes"],
    "a NUL at the end": ["yes", "yes\0"],
    "nothing but NULs": ["", "\0", "\0\0"],
    "white space and case": ["Yes", "yes", "yes ", "yes\n"],
    "emoji and accents": ["\N{PILE OF POO}", "caf\u00e9", "cafe\u0301"],
    "digits as strings": ["01", "1"],
    "names of booleans": ["False", "True"],
    "integers": [-1, 0, 7],
    "booleans": [False, True],
    "64 bits": [-(2**63), 2**63 - 1],
    "64 bits without a sign": [0, 2**64 - 1],
    "63 bits beside a negative number": [-1, 2**63],
    "beyond 64 bits": [2**53, 2**53 + 1, 10**30],
}


@pytest.mark.parametrize("distinct", TAKEN.values(), ids=TAKEN)
def test_labels_come_back_as_they_were_given(distinct):
    given = [distinct[i % len(distinct)] for i in range(6)]
    labels = Labels.of(given)
    config = minibert.BertConfig(labels=labels.names, extra={KIND: labels.kind})
    again = Labels.read(minibert.BertConfig.from_dict(json.loads(json.dumps(config.to_dict()))))
    for either in (labels, again):
        assert either.classes.tolist() == sorted(distinct)
        assert {type(label) for label in either.classes.tolist()} == {type(distinct[0])}
        ids = either.ids_of(given, 6, "labels")
        assert either.most_probable(np.eye(len(distinct))[ids]).tolist() == given


@pytest.mark.parametrize("distinct", [["yes", "yes\0"], [-1, 2**63], ["", "empty"]])
def test_a_classifier_and_its_folder_answer_in_the_labels_given(start, tmp_path, distinct):
    given = distinct * 3
    classifier = new(start).fit(FEW, given)
    classifier.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    answers = classifier.predict(FEW).tolist()
    assert answers == again.predict(FEW).tolist() and set(answers) <= set(distinct)
    right = [a == b for a, b in zip(answers, given, strict=True)]
    assert classifier.score(FEW, given) == again.score(FEW, given) == np.mean(right)
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "m")
    assert list(theirs.id2label.values()) == [str(label) for label in sorted(distinct)]


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (torch.tensor([2, 1]), [2, 1]),
        (torch.tensor([True, False]), [True, False]),
        (torch.tensor([3, 4], dtype=torch.uint8), [3, 4]),
        ([torch.tensor(2), torch.tensor(1)], [2, 1]),
        (np.array([2, 1], dtype=np.uint16), [2, 1]),
        (np.array(["b", "a"]), ["b", "a"]),
        (np.array(["b\0", "a"], dtype=object), ["b\0", "a"]),
        ([np.array(2), np.int8(1)], [2, 1]),
        ([np.str_("b"), "a"], ["b", "a"]),
        ([np.bool_(True), False], [True, False]),
        (Column(["b", "a"]), ["b", "a"]),
        (("b", "a"), ["b", "a"]),
        (iter(["b", "a"]), ["b", "a"]),
        (range(2), [0, 1]),
        ({"x": "b", "y": "a"}.values(), ["b", "a"]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_as_good_as_a_list_is_one(given, values):
    found = checked_labels(given, "labels")
    assert found == values
    assert [type(label) for label in found] == [type(label) for label in values]


# --- what is refused ------------------------------------------------------------------------------

REGRESSION = "to predict numbers, set problem_type='regression'"
GIVE = "give a list with one for each text"
NO_LIST = [
    (None, f"labels is None; {GIVE}"),
    (5, f"labels is 5; {GIVE}"),
    ("good", f"labels is 'good'; {GIVE}"),
    (b"good", f"labels is b'good'; {GIVE}"),
    ({"good": 3}, "labels is of type dict; .*list.labels.values"),
    ({"good", "bad"}, "labels is of type set, which has no order"),
    (
        Table(label=LABELS[:6]),
        r"labels is of type Table and shape \(6, 1\); .*one column of a table",
    ),
    (np.array("good"), r"labels is of type ndarray and shape \(\)"),
    (np.eye(6), r"labels is of type ndarray and shape \(6, 6\); .*argmax.axis=1. of one-hot rows"),
    (torch.eye(6), r"labels is of type Tensor and shape \(6, 6\); .*argmax"),
    (scipy.sparse.eye(6, format="csr"), r"labels is of type csr_matrix and shape \(6, 6\)"),
    (np.array([["a"], ["b"]]), r"shape \(2, 1\); .*one column"),
    (torch.zeros(6), f"labels is a tensor of float32; .*labels.long.*{REGRESSION}"),
    (torch.zeros(6, dtype=torch.long, device="meta"), "labels is a tensor of int64"),
]
NO_LABEL = [
    ([[0, 1]] * 6, r"number 0 is \[0, 1\], of type list; .*place of its 1.*multi_label"),
    ([("a", "b")] * 6, "number 0 is .*, of type tuple; give one label"),
    ([torch.tensor([0, 1])] * 6, "number 0 is .*, of type Tensor; give one label"),
    ([*LABELS[:5], None], "labels: number 5 is None, a missing value; leave out the texts without"),
    ([1, 0, math.nan], "labels: number 2 is nan, a missing value"),
    ([np.datetime64("NaT")] * 6, "number 0 is .*NaT.*, a missing value; leave out"),
    ([1.0, 0.0], f"number 0 is 1.0, of type float; give int.label. where .*; {REGRESSION}"),
    (np.array([0.0, 1.0], dtype=np.float32), "number 0 is .*0.0.*, of type float32; give int"),
    ([1, 0.5], "number 1 is 0.5, of type float"),
    ([b"good"] * 6, "number 0 is b'good', bytes; give label.decode"),
    ([*Colour] * 3, "number 0 is <Colour.RED: 'red'>, an Enum; give label.value or label.name"),
    ([*Level] * 3, "number 0 is <Level.LOW: 0>, an Enum; give label.value"),
    ([datetime.date(2024, 1, 1)] * 6, "of type date; labels must be all str, .*give str.label"),
    (
        np.array(["2024-01-01", "2024-01-02"], dtype="M8[ns]"),
        "of type datetime64; .*give str.label",
    ),
    ([1 + 2j] * 6, "of type complex; labels must be"),
    (["good", "b\ud800d"], r"labels: number 1 has a lone surrogate, '\\ud800', at position 1"),
    (
        ["good", "b" * 1001],
        "number 1 is 'bbb.*, which is longer than a name may be; .*at most 1000",
    ),
    ([10**5000, 1], "number 0 is a whole number of 16610 bits, which is longer"),
]
NO_CLASSES = [
    ([1, "one"], "labels are of type int, str; .*give str.label. for each"),
    ([True, 1], "labels are of type bool, int; they must be all str, all int or all bool"),
    (["good"] * 6, "every label is 'good'; a classifier needs at least two classes"),
]


def table(*tables):
    """Parameters of a test, called by the lines that are expected."""
    cases = [case for each in tables for case in each]
    return pytest.mark.parametrize(("labels", "line"), cases, ids=[line for _, line in cases])


@table(NO_LIST, NO_LABEL, NO_CLASSES)
def test_labels_whose_meaning_would_be_a_guess_are_refused(labels, line):
    with pytest.raises(ValueError, match=line) as caught:
        Labels.of(labels)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.fixture(scope="module")
def fitted(start):
    return new(start).fit(TEXTS, LABELS)


@table(NO_LIST, NO_LABEL)
def test_score_and_validation_refuse_what_fit_refuses(start, fitted, labels, line):
    with pytest.raises(ValueError, match=line):
        fitted.score(FEW, labels)
    with pytest.raises(ValueError, match=line):
        new(start).fit(TEXTS, LABELS, validation=(FEW, labels))


def test_score_takes_what_predict_takes(fitted):
    wanted = fitted.score(TEXTS, LABELS)
    for texts in (iter(TEXTS), tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, dtype=object)):
        assert fitted.score(texts, np.array(LABELS)) == wanted
    with pytest.raises(ValueError, match="there are 24 texts and 23 labels; give as many"):
        fitted.score(iter(TEXTS), LABELS[:-1])
    with pytest.raises(ValueError, match="there are no texts and no labels"):
        fitted.score([], [])


def test_numbers_given_as_labels_are_warned_of_before_they_are_trained():
    prices = list(range(1000, 1100))
    with pytest.warns(UserWarning, match=f"100 different labels for 100 texts.*{REGRESSION}"):
        Labels.of(prices)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Labels.of(prices * 2)  # two texts of each
        Labels.of(["a", "b", "c"])  # few texts


def test_errors_stay_one_line_however_many_labels_there_are():
    many = Labels.of([f"label {i}" for i in range(500)] * 2)
    for fails in (
        lambda: many.ids_of(["other"], 1, "labels"),
        lambda: many.weights({"label 1": 2.0}, [0]),
    ):
        with pytest.raises(ValueError, match="'label 0', 'label 1', .* and 490 more") as caught:
            fails()
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("float", r"config.json: minibert_label_type is 'float'; .*'str', 'int', 'bool'"),
        (["int"], r"config.json: minibert_label_type is \['int'\]; it must be one of"),
        (None, "config.json: minibert_label_type is None"),
    ],
)
def test_a_saved_kind_that_is_unknown_is_refused(fitted, tmp_path, kind, line):
    fitted.save(tmp_path / "m")
    change_config(tmp_path / "m", minibert_label_type=kind)
    with pytest.raises(ValueError, match=line):
        TextClassifier.load(tmp_path / "m")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# --- training on ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory):
    """The folder of a classifier for three labels, in an order that is not the alphabet's."""
    folder = tmp_path_factory.mktemp("trained") / "m"
    names = ("neutral", "good", "bad")
    model = small_model(labels=names, problem_type="single_label_classification")
    model.save_pretrained(folder)
    minibert.WordPieceTokenizer.from_pretrained(start).write_files(folder)
    return folder


THREE = ["bad", "good", "neutral"] * 8


def begin(folder, labels, **settings):
    """The model that training would begin with, and whether a warning told of a lost head."""
    classifier = new(folder, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = starting_model(folder, OneLabel.of(labels), classifier.weights, 0)
    lost = [str(w.message) for w in caught if "has a head that was trained" in str(w.message)]
    return model.eval(), minibert.Tokenizer.from_pretrained(folder), lost


def test_a_head_for_the_same_labels_is_trained_on(trained):
    saved = minibert.BertForClassification.from_pretrained(trained)
    model, tokenizer, lost = begin(trained, THREE)
    assert not lost and model.config.labels == ("bad", "good", "neutral")
    batch = tokenizer(TEXTS)
    with torch.no_grad():
        before, after = saved(**batch).logits, model(**batch).logits
    assert torch.equal(before[:, [2, 1, 0]], after), "each output goes with its label"


def test_training_on_is_told_and_begins_where_the_other_ended(start, trained, caplog):
    caplog.set_level("INFO")
    classifier = new(trained).fit(TEXTS, THREE, validation=(TEXTS, THREE))
    assert "has a head for the same labels, which is trained further" in caplog.text
    saved = TextClassifier.load(trained)
    first = classifier.history_.evaluations[0]
    assert first.accuracy == pytest.approx(saved.score(TEXTS, THREE))
    clone = sklearn.base.clone(classifier).fit(TEXTS, THREE, validation=(TEXTS, THREE))
    assert clone.history_.losses == classifier.history_.losses, "a clone starts there, too"


@pytest.mark.parametrize(
    ("labels", "changes"),
    [
        (["bad", "good"] * 12, {}),  # fewer
        (["bad", "good", "other"] * 8, {}),  # others
        (THREE, {"problem_type": "multi_label_classification"}),  # another meaning
        ([0, 1, 2] * 8, {"id2label": {"0": "0", "1": "1", "2": "2"}}),  # strings, not integers
    ],
)
def test_any_other_head_is_replaced_and_that_is_said(start, trained, tmp_path, labels, changes):
    saved = minibert.BertForClassification.from_pretrained(trained)
    saved.save_pretrained(tmp_path / "m")
    minibert.WordPieceTokenizer.from_pretrained(start).write_files(tmp_path / "m")
    change_config(tmp_path / "m", **changes)
    model, _, lost = begin(tmp_path / "m", labels)
    assert len(lost) == 1 and "a new one is trained for" in lost[0]
    assert model.config.labels == tuple(str(label) for label in sorted(set(labels)))
    assert not torch.equal(model.classifier.weight[0], saved.classifier.weight[0])


def test_without_a_trained_head_there_is_nothing_to_say(start, trained):
    model, _, lost = begin(start, THREE)
    again, _, _ = begin(start, THREE)
    assert not lost and torch.equal(model.classifier.weight, again.classifier.weight)
    random, _, lost = begin(trained, THREE, weights="random")
    assert not lost
    saved = minibert.BertForClassification.from_pretrained(trained)
    assert (random.classifier.weight - saved.classifier.weight[[2, 1, 0]]).abs().max() > 0.01

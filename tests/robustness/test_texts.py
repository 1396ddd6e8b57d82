"""What is not a list of texts is refused by name, with what to pass instead."""

import collections
import random
import sqlite3
import sys
import types
import warnings
from array import array
from dataclasses import replace

import numpy as np
import pytest
import torch

from minibert.tasks.text_classifier import TextClassifier
from minibert.tasks.text_encoder import TextEncoder
from minibert.text.byte_pairs import BytePairs
from minibert.text.inputs import iterated, listed
from minibert.tokenizer import WordPieceTokenizer
from tests.conftest import small_model

LABELS = ["LABEL_0", "LABEL_1"]
LETTER = "w" if sys.version_info >= (3, 13) else "u"  # the type of an array of letters
with warnings.catch_warnings(action="ignore"):  # PyTorch's, of nested tensors
    NESTED = torch.nested.nested_tensor([torch.ones(2)])


class Table:
    """What the data frames of pandas, polars and others have in common, and no more."""

    def __init__(self, **columns):
        self.data = columns
        self.columns = list(columns)
        self.shape = (len(next(iter(columns.values()))), len(columns))

    def __iter__(self):
        return iter(self.columns)

    def __len__(self):
        return self.shape[0]

    def keys(self):
        return self.columns


class Column:
    """A column as pandas has it: its keys are the rows' names, and it may have one of any name."""

    def __init__(self, values):
        self.values, self.shape, self.columns = values, (len(values),), "an entry of this name"

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)

    def keys(self):
        return range(len(self.values))


class NoTexts:
    """Something that cannot be iterated."""

    def __repr__(self):
        return "x" * 1000


def row_of_a_database():
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row = connection.execute("select 'good' as text, 'bad' as other").fetchone()
    connection.close()
    return row


RECORDS = np.array([("good", 1), ("bad", 0)], dtype=[("text", "U9"), ("label", int)])
WRONG = {
    "a string": ("good", "texts is the string 'good'; give a list of texts"),
    "a long string": ("good " * 10**6, "texts is the string 'good good"),
    "bytes": (b"good", "texts is bytes; give a list of strings, decoded"),
    "a bytearray": (bytearray(b"good"), "texts is bytearray; give a list"),
    "a dict": (
        {"text": ["good"] * 5, "label": [1] * 5},
        'texts is a dict with the keys text, label; give a list of texts, such as mapping["text"]',
    ),
    "a mapping": (types.MappingProxyType({1: "good"}), "is a mappingproxy with the keys 1;"),
    "an ordered dict": (collections.OrderedDict(a="b"), "is a OrderedDict with the keys a;"),
    "a row of a database": (row_of_a_database(), "texts is a Row with the keys text, other;"),
    "a wide dict": (dict.fromkeys(map(str, range(99))), "the keys 0, 1, 2, 3, 4, 5, ...; give"),
    "an empty dict": ({}, "texts is a dict with the keys"),
    "a table": (
        Table(a=["good"], b=["bad"]),
        'texts is a Table with the columns a, b; give one column: table["a"]',
    ),
    "records": (RECORDS, "texts is a ndarray with the columns text, label; give one column"),
    "a set": ({"good", "bad"}, "texts is a set, which has no order"),
    "a frozenset": (frozenset({"good"}), "texts is a frozenset, which has no order"),
    "an array of no dimension": (np.array("good"), "texts is a ndarray of 0 dimensions; give a"),
    "an array of two dimensions": (
        np.array([["good", "bad"]]),
        "texts is a ndarray of 2 dimensions; give a list, an array of one dimension, or one column",
    ),
    "an array of three dimensions": (np.full((1, 2, 3), "good"), "is a ndarray of 3 dimensions"),
    "a tensor": (torch.ones(2), "texts is a Tensor, which holds numbers; give a list of strings"),
    "a tensor of no dimension": (torch.tensor(1), "texts is a Tensor, which holds numbers"),
    "a sparse tensor": (torch.eye(2).to_sparse(), "texts is a Tensor, which holds numbers"),
    "a nested tensor": (NESTED, "texts is a Tensor, which holds numbers; give a list of strings"),
    "letters": (array(LETTER, "good"), "'o', 'd']); give a list of texts"),
    "None": (None, "texts is None, a NoneType; give a list of strings"),
    "a number": (5, "texts is 5, a int; give a list of strings"),
    "a class": (dict, "texts is <class 'dict'>, a type; give a list of strings"),
    "an object": (NoTexts(), "texts is xxx"),
}


@pytest.fixture(params=WRONG)
def wrong(request):
    return WRONG[request.param]


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return TextEncoder(small_model().bert, tokenizer)


@pytest.fixture(scope="module")
def classifier(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "model"
    small_model().save_pretrained(folder)
    tokenizer.write_files(folder)
    return TextClassifier.load(folder)


def refused(use, value):
    """The one line in which the use refuses the value."""
    with pytest.raises(ValueError) as caught:
        use(value)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400, line
    return line


def test_texts_to_list_or_to_iterate_are_refused_by_name(wrong):
    value, message = wrong
    assert message in refused(listed, value)
    assert message in refused(iterated, value)


def test_the_classifier_refuses_them_everywhere(wrong, classifier):
    value, message = wrong
    for use in (
        classifier.predict,
        classifier.predict_proba,
        lambda texts: next(classifier.stream(texts)),
        lambda texts: classifier.fit(texts, LABELS),
        lambda texts: classifier.score(texts, LABELS),
        lambda texts: classifier.fit(["a", "b"], LABELS, validation=(texts, LABELS)),
    ):
        assert message in refused(use, value)


def test_the_encoder_refuses_them(wrong, encoder):
    value, message = wrong
    assert message in refused(encoder.encode, value)


def test_the_tokenizer_refuses_them(wrong, tokenizer):
    value, message = wrong
    assert message in refused(tokenizer.encode_batch, value)
    if not isinstance(value, str):  # alone or beside another, a string is one text here
        assert message in refused(tokenizer, value)
        if value is not None:
            message = message.replace("texts is", "pairs is")
            assert message in refused(lambda pairs: tokenizer(["good", "bad"], pairs), value)


ITEMS = {
    "None": (None, 'text 1 is None, a NoneType; it must be a string; leave it out, or give ""'),
    "NaN": (float("nan"), "text 1 is nan, a float; it must be a string; leave it out, or"),
    "numpy's NaN": (np.float64("nan"), "a float64; it must be a string; leave it out"),
    "a number": (7, "text 1 is 7, a int; it must be a string"),
    "bytes": (b"good", "text 1 is b'good', a bytes; it must be a string: decode it"),
    "a list of two": (["a", "b"], "text 1 is a list of 2; give (text, pair) as a tuple"),
    "a list": (["a"], "text 1 is ['a'], a list; it must be a string"),
    "a long list": ([["x" * 10**6] * 10**3], "text 1 is [['xxx"),
    "a dict": ({"text": "good"}, "text 1 is {'text': 'good'}, a dict; it must be a string"),
    "a tuple of three": (("a", "b", "c"), "text 1 is a tuple of 3; give (text, pair)"),
    "an empty tuple": ((), "text 1 is a tuple of 0; give (text, pair)"),
    "a pair without its text": ((None, "b"), "text 1 is None, a NoneType"),
    "a pair of numbers": (("a", 1), "the pair of text 1 is 1, a int"),
    "a pair within a pair": ((("a", "b"), "c"), "text 1 is ('a', 'b'), a tuple"),
    "an array": (np.zeros((9, 9)), "text 1 is array([[0., 0."),
    "a tensor": (torch.ones(9, 9), "text 1 is tensor([[1., 1."),
    "half a character": ("x" * 10**6 + "\ud800", "text 1 has a lone surrogate, '\\ud800', at"),
    "letters as bytes": (memoryview(b"good"), "a memoryview; it must be a string"),
}


@pytest.mark.parametrize("case", ITEMS)
def test_an_item_is_refused_by_its_place(case, tokenizer, encoder, classifier):
    item, message = ITEMS[case]
    for use in (tokenizer, tokenizer.encode_batch, encoder.encode, classifier.predict):
        assert message in refused(use, ["good", item, "bad"])
    learner = TextClassifier(classifier.model, epochs=1)
    assert message in refused(lambda texts: learner.fit(texts, LABELS), ["good", item])


def test_a_gap_in_an_array_is_refused_by_its_place(encoder):
    texts = np.array(["good", None, float("nan")], dtype=object)
    assert "text 1 is None" in refused(encoder.encode, texts)
    assert "text 1 is nan" in refused(encoder.encode, texts[[0, 2]])


@pytest.mark.parametrize(
    "texts",
    [
        ("good", "bad"),
        np.array(["good", "bad"]),
        np.array(["good", "bad"], dtype=object),
        Column(["good", "bad"]),
        collections.deque(["good", "bad"]),
        {"good": 1, "bad": 0}.keys(),
        {1: "good", 0: "bad"}.values(),
    ],
    ids=lambda texts: type(texts).__name__,
)
def test_what_has_texts_in_their_order_is_read(texts, encoder, tokenizer):
    wanted = ["good", "bad"]
    np.testing.assert_array_equal(encoder.encode(texts), encoder.encode(wanted))
    assert tokenizer(texts)["input_ids"].equal(tokenizer(wanted)["input_ids"])
    assert tokenizer(texts, texts)["input_ids"].equal(tokenizer(wanted, wanted)["input_ids"])


def test_generators_and_files_are_read_as_they_are_needed(encoder, tokenizer, tmp_path):
    (tmp_path / "texts").write_text("good\nbad\n")
    wanted = encoder.encode(["good", "bad"])
    np.testing.assert_array_equal(encoder.encode(iter(["good", "bad"])), wanted)
    with open(tmp_path / "texts") as lines:
        np.testing.assert_array_equal(encoder.encode(lines), wanted)
    assert tokenizer(text for text in ["good"])["input_ids"].shape == (1, 3)
    endless = iter(lambda: "good", None)
    assert next(iterated(endless)) == "good"


class Loader:
    """Texts as PyTorch's DataLoader has them: what its length is asked of may have none."""

    def __iter__(self):
        return iter(["good", "bad"])

    def __len__(self):
        raise TypeError("object of type 'Texts' has no len()")


def test_texts_of_unknown_length_are_read(encoder):
    wanted = encoder.encode(["good", "bad"])
    np.testing.assert_array_equal(encoder.encode(Loader()), wanted)


class Asked:
    """Texts that count how often they are begun."""

    begun = 0

    def __iter__(self):
        self.begun += 1
        yield "good"


def test_texts_are_begun_once(encoder):
    texts = Asked()
    encoder.encode(texts)
    assert texts.begun == 1


# --- what else is given to a tokenizer -----------------------------------------------------------

BACKENDS = ("python", "rust")


@pytest.fixture(scope="module", params=BACKENDS)
def either(request, tokenizer):
    return WordPieceTokenizer(tokenizer.vocabulary, request.param)


@pytest.mark.parametrize("value", ["5", True, False, 0, -1, 1, 1.5, 5.0, [5], 2**70, np.ones(3)])
def test_a_maximum_that_is_no_length_is_refused(value, either):
    for use in (
        lambda: either(["good"], max_length=value),
        lambda: either.encode_batch(["good"], value),
        lambda: either.encode_batch([], value),
        lambda: either.encode("good", max_length=value),
    ):
        line = refused(lambda _, use=use: use(), None)
        assert line.startswith("max_length is ") and "a whole number of at" in line


def test_a_maximum_below_the_special_tokens_of_a_pair_is_refused(either):
    line = refused(lambda length: either([("a", "b")], max_length=length), 2)
    assert line == "max_length is 2; the special tokens alone need 3"


def test_numbers_of_numpy_are_lengths(either):
    assert either(["good good good"], max_length=np.int64(4))["input_ids"].shape == (1, 4)
    assert either(["good good good"], max_length=None)["input_ids"].shape == (1, 5)


@pytest.mark.parametrize("value", ["tail", None, True, 1, ["head"], {"head"}, np.array(["head"])])
def test_another_truncation_is_refused(value, either):
    line = refused(lambda truncation: either.encode_batch(["good"], 5, truncation), value)
    assert line.startswith("truncation is ")


@pytest.mark.parametrize("value", [5, None, "go", True, ["rust"], np.array(["rust", "python"])])
def test_another_backend_is_refused(value, tokenizer):
    line = refused(lambda backend: WordPieceTokenizer(tokenizer.vocabulary, backend), value)
    assert line.startswith("backend is ") and "one of ('rust', 'python')" in line


@pytest.mark.parametrize("value", ["minilm-l6", None, {"hello": 0}])
def test_a_name_is_not_a_vocabulary(value):
    line = refused(WordPieceTokenizer, value)
    assert line.startswith("vocabulary is ") and "WordPieceTokenizer.from_pretrained" in line


SINGLE = [None, 5, b"good", ["good"], ("good", "bad"), float("nan"), np.array("good")]


@pytest.mark.parametrize("value", SINGLE, ids=repr)
def test_one_text_must_be_a_string(value, either):
    assert refused(either.tokenize, value).startswith("the text is ")
    assert refused(either.encode, value).startswith("the text is ")
    if value is not None:
        assert refused(lambda pair: either.encode("a", pair), value).startswith("the pair is ")


def test_no_error_repeats_ten_megabytes(either):
    text = "x" * 10**7
    for use, value in (
        (either.tokenize, text + "\ud800"),
        (either.encode, [text]),
        (either.encode_batch, text),
        (either.decode, text),
        (lambda value: either(["a"], max_length=value), text),
        (lambda value: WordPieceTokenizer(either.vocabulary, value), text),
        (WordPieceTokenizer, text),
    ):
        refused(use, value)  # which looks at the length


IDS = {
    "rows": ([[101, 102], [101, 102]], "ids holds rows; give one row at a time"),
    "a row that is a tensor": ([torch.tensor([101])], "ids holds rows; give one row at a time"),
    "a batch": (torch.tensor([[101, 102]]), "ids is a Tensor of 2 dimensions; give one row at"),
    "an array of rows": (np.array([[101, 102]]), "ids is a ndarray of 2 dimensions; give one row"),
    "one id": (101, "ids is 101, a int; give a list of whole numbers"),
    "a tensor of one id": (torch.tensor(101), "ids is a Tensor of 0 dimensions"),
    "the dict of a batch": ({"input_ids": [101]}, "ids is {'input_ids': [101]}, a dict; give"),
    "None": (None, "ids is None, a NoneType; give a list of whole numbers"),
    "a text": ("101", "ids is '101', a str; give a list of whole numbers"),
    "bytes": (b"101", "ids is b'101', a bytes; give a list of whole numbers"),
    "a set": ({101}, "ids is {101}, a set; give a list of whole numbers"),
    "a sparse tensor": (torch.tensor([101]).to_sparse(), "ids is a Tensor that is not dense"),
    "a tensor without numbers": (torch.empty(1, device="meta"), "ids is a Tensor that is not"),
    "fractions": ([101.0], "id 0 is 101.0; it must be a whole number"),
    "a tensor of fractions": (torch.tensor([101.5]), "id 0 is 101.5; it must be a whole number"),
    "strings": (["101"], "id 0 is '101'; it must be a whole number"),
    "rows of several lengths": (NESTED, "ids is a Tensor of 2 dimensions; give one row at a time"),
    "truth": ([101, True], "id 1 is True; it must be a whole number"),
    "a gap": ([101, None], "id 1 is None; it must be a whole number"),
    "too large": ([30522], "30522 is not an id of this vocabulary of 30522"),
    "negative": (torch.tensor([101, -100]), "-100 is not an id of this vocabulary of 30522"),
    "huge": ([10**5000], "is not an id of this vocabulary of 30522"),
}


@pytest.mark.parametrize("case", IDS)
def test_what_is_not_a_row_of_ids_is_refused(case, either):
    ids, message = IDS[case]
    assert message in refused(either.decode, ids)


@pytest.mark.parametrize("kind", [list, tuple, iter, np.array, torch.tensor])
def test_a_row_of_ids_may_be_of_any_kind(kind, either):
    assert either.decode(kind([101, 2204, 102]), skip_special_tokens=True) == "good"


def test_a_batch_of_no_rows_is_refused(either):
    assert refused(either.pad, []) == "there are no rows; give at least one"
    assert refused(either, []) == "there are no texts; give at least one"
    assert refused(lambda pairs: either([], pairs), []) == "there are no texts; give at least one"
    assert refused(lambda pairs: either("a", pairs), []) == "there are 1 texts and 0 pairs"


def test_the_length_that_a_vocabulary_states_cuts_nothing(tokenizer):
    vocabulary = replace(tokenizer.vocabulary, model_max_length=4)
    for backend in BACKENDS:
        batch = WordPieceTokenizer(vocabulary, backend)(["good good good good"])
        assert batch["input_ids"].shape == (1, 6)


ROWS = {
    "a number": (5, "rows is 5; give the rows of tokenizer.encode_batch"),
    "a text": ("good", "rows is 'good'; give the rows of tokenizer.encode_batch"),
    "a batch": ({"input_ids": [[101, 102]]}, "rows is {'input_ids': [[101, 102]]}; give the rows"),
    "texts": (["good"], "row 0 is 'good'; give the rows of tokenizer.encode_batch, or texts to"),
    "lists of ids": ([[101, 102]], "row 0 is [101, 102]; give the rows of tokenizer.encode_batch"),
    "dicts": ([{"input_ids": [101, 102]}], "row 0 is {'input_ids': [101, 102]}; give the rows"),
}


@pytest.mark.parametrize("case", ROWS)
def test_what_is_not_a_row_is_not_padded(case, either):
    rows, message = ROWS[case]
    assert message in refused(either.pad, rows)


@pytest.mark.parametrize("value", ["no", [1], 1.0, torch.ones(2), np.ones(2)], ids=repr)
def test_whether_special_tokens_are_skipped_is_true_or_false(value, either):
    line = refused(lambda skip: either.decode([101], skip_special_tokens=skip), value)
    assert line.startswith("skip_special_tokens is ") and "must be True or False" in line


class CountingRanks(dict):
    asked = 0

    def get(self, *arguments):
        self.asked += 1
        return super().get(*arguments)


def test_a_word_of_any_length_is_merged_in_time_that_grows_with_it():
    letters = "abcdefgh"
    byte_pairs = BytePairs(letters, [(a, b) for a in letters for b in letters])
    byte_pairs.ranks = CountingRanks(byte_pairs.ranks)
    word = random.Random(0).choices(letters, k=2000)
    merged = byte_pairs.merge(word)
    assert "".join(merged) == "".join(word) and len(merged) < 1500
    assert byte_pairs.ranks.asked < 10 * len(word)

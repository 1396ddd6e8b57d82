"""Tasks beside each other: what one task leaves in a folder never misleads another, and what people
give or ask that no task has is one line."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

from minibert import BertForMaskedLM, TextClassifier, Tokenizer
from minibert.checkpoint.files import read_config
from minibert.config import BertConfig
from minibert.tasks.entities import AGGREGATIONS, entities
from minibert.tasks.fill_mask import FillMask
from minibert.tasks.label_values import checked_label_sets
from minibert.tasks.passages import read_passages
from minibert.tasks.problems import Numbers
from minibert.tasks.question_answerer import QuestionAnswerer
from minibert.tasks.spans import best_answers
from minibert.tasks.token_classifier import TokenClassifier
from minibert.tasks.word_pieces import cut
from minibert.tasks.zero_shot import ZeroShotClassifier
from minibert.training.history import Evaluation
from minibert.training.results import Report
from tests.conftest import TEXTS

pytestmark = [
    pytest.mark.filterwarnings("ignore:the trained model"),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
    pytest.mark.filterwarnings("ignore:.*has a head that was trained for"),
]
SETTINGS = {"epochs": 1, "batch_size": 8, "lr": 1e-4, "device": "cpu"}
WORDS, TAGS = [["a", "good", "film"]] * 8, [["1", "2", "1"]] * 8
CONTEXT = "the film is good"
ANSWERS = {"text": ["good"], "answer_start": [12]}
QUESTIONS = [{"question": "How?", "context": CONTEXT, "answers": ANSWERS}] * 8


@pytest.fixture(scope="module")
def folders(start, tmp_path_factory):
    """A saved model of each task."""
    root = tmp_path_factory.mktemp("tasks")
    texts, labels = TEXTS[:8], [1, 2] * 4
    cut_up = {"truncation": "windows", "stride": 3}
    TextClassifier(start, **cut_up, **SETTINGS).fit(texts, labels).save(root / "TextClassifier")
    words = TokenClassifier(start, **SETTINGS, stride=5).fit(WORDS, TAGS)
    words.save(root / "TokenClassifier")
    QuestionAnswerer(start, **SETTINGS).fit(QUESTIONS).save(root / "QuestionAnswerer")
    masked = BertForMaskedLM(read_config(start, BertConfig.from_dict))
    FillMask(masked, Tokenizer.from_pretrained(start)).save(root / "FillMask")
    return root


TASKS = [TextClassifier, TokenClassifier, QuestionAnswerer, FillMask]


@pytest.mark.parametrize("task", [*TASKS, ZeroShotClassifier])
def test_a_folder_of_another_task_is_one_line_that_names_the_task(folders, task):
    for other in {each.__name__ for each in TASKS} - {task.__name__}:
        if (task, other) == (ZeroShotClassifier, "TextClassifier"):
            continue  # its labels are looked at
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match=f"which {other} opens; ") as caught:
                task.load(folders / other)
        assert "\n" not in str(caught.value)


def test_what_the_first_task_remembers_is_not_taken_for_the_next_ones(folders, tmp_path):
    """Windows and whole numbers as labels; the tags are strings that look like numbers."""
    first = folders / "TextClassifier"
    tagger = TokenClassifier(first, **SETTINGS).fit(WORDS, TAGS)
    tagger.save(tmp_path / "tagger")
    again = TokenClassifier.load(tmp_path / "tagger")
    assert again.predict_tags(WORDS) == tagger.predict_tags(WORDS)
    assert again.score(WORDS, TAGS) == tagger.score(WORDS, TAGS)
    answerer = QuestionAnswerer(first, **SETTINGS).fit(QUESTIONS)
    answerer.save(tmp_path / "answerer")
    assert QuestionAnswerer.load(tmp_path / "answerer").stride is answerer.stride is None


@pytest.mark.parametrize(
    ("task", "setting"),
    [(TokenClassifier, {"aggregation": "all"}), (TextClassifier, {"truncation": "tail"})],
)
def test_a_setting_that_no_folder_could_be_opened_with_is_not_saved(
    folders, tmp_path, task, setting
):
    model = task.load(folders / task.__name__).set_params(**setting)
    with pytest.raises(ValueError, match=f"{next(iter(setting))} is .*must be one of"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


# --- numbers and labels ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([1, 10**400], "labels: number 1 is a whole number of 1329 bits; each must be a number fr"),
        ([1, Fraction(10**400, 3)], "labels: number 1 is Fraction"),
        ([1.7e308, -1.7e308], r"labels: number 0 is 1.7e\+308; each must be a number from -3.4028"),
        ([1e39, 2e39], r"labels: number 0 is 1e\+39"),  # no prediction could be that
        ([1e9, 1e9 + 7], "labels are from 1000000000.0 to 1000000007.0, which are the same number"),
        ([1e-200, 2e-200], "labels are from 1e-200 to 2e-200, which are the same number in fp32"),
        ([3, 3.0], "labels are all 3.0; there is nothing to learn"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_numbers_that_no_model_could_say_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        Numbers.of(numbers)


@pytest.mark.filterwarnings("error")
def test_numbers_of_any_size_that_fp32_holds_are_learned():
    for numbers in ([0, 3e38], [1e-37, 2e-37], np.array([-128, 127], dtype=np.int8)):
        scores = np.array(numbers, dtype=np.float32)[:, None]
        Numbers.of(numbers).warn_of_sameness(scores, 0.5)  # they differ: nothing to warn of


def test_a_set_with_what_cannot_be_printed_is_one_line_of_ours():
    with pytest.raises(ValueError, match="is a whole number of 16610 bits, which is longer than a"):
        checked_label_sets([{10**5000, 1}], "labels")


# --- results --------------------------------------------------------------------------------------


def test_a_metric_that_was_not_counted_is_said():
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    report = Report.of("single_label_classification", [0, 1], scores, ["bad", "good"])
    evaluation = Evaluation(0, 0.5, {"r2": 0.1})
    for name, value in [("f1_tiny", report.value), ("f1:ugly", report.value)]:
        with pytest.raises(ValueError, match=f"'{name}', which was not counted; there are acc"):
            value(name)
    with pytest.raises(ValueError, match="'accuracy', which was not counted; there are loss, r2"):
        _ = evaluation.accuracy


@pytest.mark.parametrize("accents", ["\u0301", "\u0301\u0302"])
def test_no_entity_and_no_answer_ends_between_a_letter_and_its_accent(tokenizer, accents):
    """BERT's tokenizer leaves accents out, and so its last piece ends in front of them."""
    word = f"Cafe{accents}"
    text = f"In {word} now"
    pieces = cut(tokenizer, text, 40, 8)
    scores = np.full((len(pieces.ids), 2), 0.1, dtype=np.float32)
    scores[:, 1] = 0.9
    scores[[i for i, n in enumerate(pieces.word_ids) if n == 1]] = [0.9, 0.1]
    for aggregation in AGGREGATIONS:
        found = entities(text, pieces, scores, ["B-LOC", "O"], aggregation)
        assert [(e.start, e.end, e.text) for e in found] == [(3, 3 + len(word), word)]
    (passage,) = read_passages(tokenizer, [("Where?", text)], 40, 8)
    logits = np.zeros((2, len(passage.rows[0].ids)), dtype=np.float32)
    logits[:, passage.column + 1] = 20
    (answer,) = best_answers(text, passage, [logits], 1, False, 15)
    assert (answer.text, answer.start, answer.end) == (word, 3, 3 + len(word))

"""What the tests of the command share: a tiny model that classifies, and texts in a file."""

import csv
import logging

import pytest

import minibert
from tests.conftest import FEW, TEXTS, randomize, small_model


@pytest.fixture(autouse=True)
def quiet_again():
    """A training that is run as a program sets up logging."""
    level = logging.getLogger("minibert").level
    yield
    logging.getLogger("minibert").setLevel(level)


def new(**changes):
    """A tiny random classifier for `few_words`."""
    return small_model(vocab_size=FEW, max_position_embeddings=512, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, few_words):
    """The folder of a tiny classifier with its tokenizer."""
    folder = tmp_path_factory.mktemp("command") / "model"
    new(labels=("bad", "good")).save_pretrained(folder)
    few_words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, few_words):
    """The folder of a tiny model without a head."""
    folder = tmp_path_factory.mktemp("encoder") / "model"
    new().bert.save_pretrained(folder)
    few_words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory, few_words):
    """The folder of a tiny masked language model."""
    folder = tmp_path_factory.mktemp("masked") / "model"
    config = new().config
    minibert.BertForMaskedLM(config).save_pretrained(folder)
    few_words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def inference(tmp_path_factory, few_words):
    """The folder of a tiny model of natural language inference."""
    folder = tmp_path_factory.mktemp("inference") / "model"
    labels = ("contradiction", "neutral", "entailment")
    new(labels=labels).save_pretrained(folder)
    few_words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tagger(tmp_path_factory, few_words):
    """The folder of a tiny model that tags tokens."""
    folder = tmp_path_factory.mktemp("tagger") / "model"
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    config = new(labels=labels).config
    randomize(minibert.BertForTokenClassification(config), 0).save_pretrained(folder)
    few_words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory, few_words):
    """The folder of a tiny model that answers questions."""
    folder = tmp_path_factory.mktemp("reader") / "model"
    config = new().config
    randomize(minibert.BertForQuestionAnswering(config), 0).save_pretrained(folder)
    few_words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """A table of questions with their contexts."""
    file = tmp_path_factory.mktemp("questions") / "questions.csv"
    file.write_text("question,context\nWho came?,A man came.\nWhat broke?,The door.\n", "utf-8")
    return file


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of texts, one a line."""
    file = tmp_path_factory.mktemp("texts") / "texts.txt"
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def tickets(tmp_path_factory):
    """A table with a column of texts, one of labels, and others."""
    file = tmp_path_factory.mktemp("tickets") / "tickets.csv"
    with open(file, "w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "subject", "body", "category"])
        for i, text in enumerate(TEXTS):
            table.writerow([i, f"about {i}", f'{text}, and "so"\non', ["bad", "good"][i % 2]])
    return file

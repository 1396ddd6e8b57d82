"""Few texts need as many steps as many texts do, and get them."""

import logging
import warnings

import pytest
import torch

import minibert
from minibert import TextClassifier
from tests.conftest import TEXTS, TINY

LABELS = ["good" if i % 2 else "bad" for i in range(24)]
pytestmark = pytest.mark.filterwarnings("ignore:the trained model calls every text")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start") / "model"
    torch.manual_seed(0)
    sizes = {"vocab_size": 30522, "max_position_embeddings": 40, "num_hidden_layers": 1}
    minibert.BertModel(minibert.BertConfig(**{**TINY, **sizes})).save_pretrained(folder)
    minibert.WordPieceTokenizer.from_pretrained("minilm-l6").write_files(folder)
    return folder


@pytest.mark.parametrize(
    ("texts", "batch_size", "epochs"),
    [(24, 32, 100), (24, 8, 34), (600, 8, 3)],
)
def test_without_epochs_there_are_three_or_enough_for_100_steps(
    start, caplog, texts, batch_size, epochs
):
    caplog.set_level(logging.INFO, "minibert")
    classifier = TextClassifier(start, batch_size=batch_size)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "epochs=")
        classifier.fit((TEXTS * 25)[:texts], (LABELS * 25)[:texts])
    steps = -(-texts // batch_size)
    assert len(classifier.history_.losses) == epochs * steps >= 100
    told = [message for message in caplog.messages if "set epochs to change it" in message]
    assert told == [
        f"{texts} texts make few steps an epoch, {steps}, so epochs={epochs} is taken, which makes "
        f"{epochs * steps}; set epochs to change it"
    ] * (epochs > 3)
    assert classifier.epochs is None, "the setting stays as it was given"


def test_few_steps_that_were_asked_for_are_made_and_warned_of(start):
    classifier = TextClassifier(start, epochs=3, batch_size=8)
    with pytest.warns(UserWarning, match="epochs=3 makes only 9 steps .* set epochs=34") as caught:
        classifier.fit(TEXTS, LABELS)
    assert len(classifier.history_.losses) == 9
    assert {warning.filename for warning in caught} == {__file__}


def test_enough_steps_are_not_warned_of(start):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "epochs=")
        TextClassifier(start, epochs=10, batch_size=8).fit(TEXTS, LABELS)


TOPICS = {
    "sports": "the striker scored|our goalkeeper was injured|she won the marathon|the coach "
    "praised the team|a tennis final in five sets|the league match was postponed|he broke the "
    "swimming record|fans filled the stadium",
    "food": "simmer the soup gently|fresh bread with butter|a pinch of salt and pepper|the cake "
    "needs more sugar|roast the chicken with garlic|a bowl of noodles|peel and slice the onions|"
    "the sauce tastes of basil",
    "money": "the bank raised its rates|shares fell on the stock market|she paid back the loan|"
    "inflation eats our savings|the company reported a profit|file your tax return|the dollar "
    "lost value|investors bought bonds",
    "weather": "heavy rain is expected|a sunny afternoon|snow fell all night|strong winds from "
    "the north|fog in the valleys|the storm moved east|a cold and frosty morning|thunder and "
    "lightning",
}
NEW = {
    "sports": "the referee gave a penalty|a gold medal in rowing",
    "food": "grill the fish with lemon|mash the potatoes",
    "money": "the budget deficit grew|a mortgage at a fixed interest",
    "weather": "hail and gusts tonight|the temperature drops below freezing",
}


def test_minilm_learns_32_texts_by_default():
    """In the 3 epochs that it used to take it learns next to nothing."""
    texts = [text for topic in TOPICS.values() for text in topic.split("|")]
    labels = [label for label, topic in TOPICS.items() for _ in topic.split("|")]
    new = [text for topic in NEW.values() for text in topic.split("|")]
    expected = [label for label, topic in NEW.items() for _ in topic.split("|")]
    classifier = TextClassifier("minilm-l6", batch_size=8).fit(texts, labels)
    assert classifier.score(texts, labels) == 1.0
    assert classifier.score(new, expected) >= 0.75

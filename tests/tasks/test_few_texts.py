"""Few texts need as many steps as many texts do, and get them."""

import logging
import warnings

import pytest

import minibert
import minibert.data
from minibert import TextClassifier
from tests.conftest import TEXTS, new_encoder

LABELS = ["good" if i % 2 else "bad" for i in range(24)]
pytestmark = pytest.mark.filterwarnings("ignore:the trained model calls every text")


@pytest.fixture(scope="module")
def start(tmp_path_factory, few_words):
    return new_encoder(tmp_path_factory.mktemp("start") / "model", few_words, num_hidden_layers=1)


@pytest.mark.parametrize(
    ("texts", "batch_size", "epochs"),
    [(24, 32, 100), (24, 8, 34), (600, 8, 3)],
)
def test_without_epochs_there_are_three_or_enough_for_100_steps(
    start, planned, caplog, texts, batch_size, epochs
):
    caplog.set_level(logging.INFO, "minibert")
    classifier = TextClassifier(start, batch_size=batch_size)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "epochs=")
        _, task, recipe = planned(classifier, (TEXTS * 25)[:texts], (LABELS * 25)[:texts])
    steps = -(-texts // batch_size)
    assert (recipe.epochs, task.steps_per_epoch) == (epochs, steps) and epochs * steps >= 100
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


def test_enough_steps_are_not_warned_of(start, planned):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "epochs=")
        planned(TextClassifier(start, epochs=10, batch_size=8))


TOPICS = {
    "sports": "the striker scored|our goalkeeper was injured|she won the marathon|the coach "
    "praised the team|a tennis final in five sets|the league match was postponed|he broke the "
    "swimming record|fans filled the stadium|the referee gave a penalty|a gold medal in rowing",
    "food": "simmer the soup gently|fresh bread with butter|a pinch of salt and pepper|the cake "
    "needs more sugar|roast the chicken with garlic|a bowl of noodles|peel and slice the onions|"
    "the sauce tastes of basil|grill the fish with lemon|mash the potatoes",
    "money": "the bank raised its rates|shares fell on the stock market|she paid back the loan|"
    "inflation eats our savings|the company reported a profit|file your tax return|the dollar "
    "lost value|investors bought bonds|the budget deficit grew|a mortgage at a fixed interest",
    "weather": "heavy rain is expected|a sunny afternoon|snow fell all night|strong winds from "
    "the north|fog in the valleys|the storm moved east|a cold and frosty morning|thunder and "
    "lightning|hail and gusts tonight|the temperature drops below freezing",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:epochs=3 makes only 6 steps")
def test_minilm_learns_from_16_texts_by_default_and_not_in_the_usual_3_epochs():
    texts = [(text, label) for label, topic in TOPICS.items() for text in topic.split("|")]
    taken = [i for i in range(40) if i % 10 < 4]  # four of each topic
    train, new = (
        list(zip(*(texts[i] for i in range(40) if (i in taken) == wanted), strict=True))
        for wanted in (True, False)
    )
    by_default = TextClassifier("minilm-l6", batch_size=8).fit(*train).score(*new)
    in_6_steps = TextClassifier("minilm-l6", batch_size=8, epochs=3).fit(*train).score(*new)
    assert by_default >= 0.95 and in_6_steps <= 0.85


@pytest.mark.slow
def test_minilm_learns_the_bundled_sentences_by_default():
    train, development = minibert.data.load("sample")
    classifier = TextClassifier("minilm-l6").fit(train.texts, train.labels)
    assert 0.8 <= classifier.score(development.texts, development.labels) <= 0.95

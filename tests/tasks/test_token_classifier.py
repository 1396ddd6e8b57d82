"""TokenClassifier learns tags of words, survives crashes, is saved, and is judged as by seqeval."""

import copy
import warnings

import numpy as np
import pytest
import seqeval.metrics
import torch
import transformers
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import minibert
from minibert._checks import IGNORED
from minibert.tasks.labels import Labels
from minibert.tasks.tagged_words import in_rows
from minibert.tasks.token_classifier import TokenClassifier
from minibert.training.batches import split
from minibert.training.tags import Tagging
from tests.conftest import small_model

pytestmark = [
    pytest.mark.filterwarnings("ignore:lr="),
    pytest.mark.filterwarnings("ignore:epochs=. makes only"),
    pytest.mark.filterwarnings("ignore:the trained model tags every word"),
    pytest.mark.filterwarnings("ignore:.* has a head that was trained for the labels"),
]
CITIES, PEOPLE = ["Reykjavik", "New York", "U.S.", "Rome"], ["Karl", "Angela", "Zinédine"]
WORDS, TAGS = [], []
for i in range(24):
    person, city = PEOPLE[i % 3].split(), CITIES[i % 4].split()
    WORDS.append([*person, "Marx", "visited", "the", *city, "."])
    TAGS.append(["B-PER", "I-PER", "O", "O", "B-LOC", *["I-LOC"] * (len(city) - 1), "O"])
HELD = (WORDS[:6], TAGS[:6])
POS = [["VERB" if word == "visited" else "NAME" for word in words] for words in WORDS]


# A vocabulary of what the sentences need, for steps that take milliseconds.
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] . u s the visited marx new york rome rey ##k ##ja ##vik"
PIECES += " karl ang ##ela zine ##dine a una ##fford ##able"


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The folder of a tiny encoder, its tokenizer beside it."""
    folder = tmp_path_factory.mktemp("start") / "model"
    still = {"hidden_dropout_prob": 0.0, "vocab_size": len(PIECES.split())}
    small_model(num_hidden_layers=1, **still).bert.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(PIECES.split()) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return folder


@pytest.fixture(scope="module")
def tokenizer(start):
    return minibert.Tokenizer.from_pretrained(start)


def new(start, **changes):
    settings = {"model": start, "epochs": 1, "batch_size": 8, "lr": 1e-4, "device": "cpu"}
    return TokenClassifier(**{**settings, **changes})


@pytest.fixture(scope="module")
def learned(start):
    """A tagger that has learned these sentences."""
    return new(start, epochs=8, batch_size=6, lr=2e-2).fit(WORDS, TAGS, HELD)


def test_it_learns_and_its_score_is_that_of_seqeval(learned):
    predicted = learned.predict_tags(WORDS)
    assert learned.score(WORDS, TAGS) == seqeval.metrics.f1_score(TAGS, predicted)
    assert learned.score(WORDS, TAGS) > 0.9
    first, *_, last = learned.history_.evaluations
    assert (first.metric, last.metric) == ("f1", "f1")
    assert first.value() < 0.5 < last.value()
    assert learned.history_.best.metrics["f1:LOC"] > 0.9
    assert learned.classes_.tolist() == ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]


def test_a_report_is_type_by_type(learned):
    wrong = copy.deepcopy(TAGS)
    wrong[0][0] = "O"
    wrong[0][1] = "B-PER"
    report = learned.evaluate(WORDS, wrong)
    predicted = learned.predict_tags(WORDS)
    theirs = seqeval.metrics.classification_report(wrong, predicted, output_dict=True)
    for each in report.classes:
        assert each.recall == pytest.approx(theirs[each.label]["recall"])
        assert each.support == theirs[each.label]["support"]
    assert report.metrics["f1"] == pytest.approx(theirs["micro avg"]["f1-score"])
    assert "LOC" in str(report) and "calibration" not in str(report)


def test_saved_it_finds_the_same_entities_here_and_in_transformers(learned, tmp_path):
    learned.save(tmp_path / "tagger", data="Sentences about travel.")
    texts = [" ".join(words) for words in WORDS[:4]]
    found = learned.predict(texts)
    assert any(found)
    loaded = TokenClassifier.load(tmp_path / "tagger", device="cpu")
    assert loaded.predict(texts) == found
    assert loaded.max_length == 40  # as it was trained: all the model takes
    pipeline = transformers.pipeline("token-classification", str(tmp_path / "tagger"), device="cpu")
    plain = TokenClassifier.load(tmp_path / "tagger", aggregation="simple", device="cpu")
    for text, mine in zip(texts, plain.predict(texts), strict=True):
        theirs = pipeline(text, aggregation_strategy="simple")
        assert [(e.label, e.start, e.end) for e in mine] == [
            (each["entity_group"], each["start"], each["end"]) for each in theirs
        ]
        assert [e.score for e in mine] == pytest.approx([each["score"] for each in theirs], 1e-5)
    with pytest.raises(ValueError, match="loaded"):
        clone(loaded).fit(WORDS, TAGS)
    card = (tmp_path / "tagger" / "README.md").read_text(encoding="utf-8")
    for line in (
        "pipeline_tag: token-classification",
        "transformers opens it as BertForTokenClassification.",
        f"24 texts for training: {sum(map(len, WORDS))} words, 48 entities (PER 24, LOC 24). 6 for",
        "| PER | 1.0000 |",
        "Sentences about travel.",
    ):
        assert line in card


def test_training_goes_on_with_the_head_of_the_same_tags(learned, tmp_path):
    learned.save(tmp_path / "tagger")
    again = new(tmp_path / "tagger").fit(WORDS, TAGS, HELD)
    assert again.history_.evaluations[0].value() == learned.history_.evaluations[-1].value()
    with pytest.warns(UserWarning, match="has a head that was trained for the labels"):
        new(tmp_path / "tagger").fit(WORDS, POS)


def test_a_crash_costs_nothing(start, tmp_path, monkeypatch):
    settings = {"epochs": 2, "keep_best": True}
    whole = new(start, **settings).fit(WORDS, TAGS, HELD)
    loss, calls = Tagging.loss, []

    def crash(self, *arguments):
        calls.append(0)
        if len(calls) == 5:
            raise RuntimeError("power")
        return loss(self, *arguments)

    monkeypatch.setattr(Tagging, "loss", crash)
    with pytest.raises(RuntimeError, match="power"):
        new(start, **settings).fit(WORDS, TAGS, HELD, folder=tmp_path / "run", save_every=2)
    monkeypatch.undo()
    arguments = {"folder": tmp_path / "run", "resume": True, "save_every": 2}
    resumed = new(start, **settings).fit(WORDS, TAGS, HELD, **arguments)
    for mine, theirs in zip(resumed.model_.parameters(), whole.model_.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert resumed.history_.evaluations == whole.history_.evaluations
    with pytest.raises(ValueError, match="cannot be resumed"):
        new(start, **settings).fit(WORDS, TAGS, (WORDS[:5], TAGS[:5]), **arguments)


def labelled(tokenizer, words, tags, max_length=40, stride=4):
    labels = Labels.of(tag for each in tags for tag in each)
    return in_rows(tokenizer, words, tags, labels, max_length, stride), labels


def test_a_batch_has_the_same_loss_however_it_is_split(tokenizer):
    sentences, labels = labelled(tokenizer, WORDS, TAGS)
    config = minibert.BertConfig.from_dict(
        {**small_model().config.to_dict(), "id2label": dict(enumerate(labels.names))}
    )
    torch.manual_seed(0)
    model = minibert.BertForTokenClassification(config).eval()
    task = Tagging(sentences.examples, tokenizer, 24)
    batch = task.batch(0)
    whole = task.loss(model, batch, batch)
    parts = [task.loss(model, part, batch) for part in split(batch, 5)]
    assert torch.stack(parts).sum().item() == pytest.approx(whole.item(), abs=1e-6)
    padded = tokenizer.pad([example.row for example in batch])
    length = padded["input_ids"].shape[1]
    targets = torch.tensor([x.label + [IGNORED] * (length - len(x.label)) for x in batch])
    assert model(**padded, labels=targets).loss.item() == pytest.approx(whole.item(), abs=1e-6)


@pytest.mark.parametrize(("max_length", "stride"), [(40, 4), (9, 4), (6, 0)])
def test_each_word_is_labelled_once_at_its_first_piece(tokenizer, max_length, stride):
    words, tags = (
        [["unaffordable", "\u200b", "Reykjavik", "a"] * 4],
        [["B-A", "O", "B-B", "I-B"] * 4],
    )
    sentences, labels = labelled(tokenizer, words, tags, max_length, stride)
    assert [labels.names[i] for i in sentences.tags()[0]] == tags[0]
    firsts = {tokenizer.ids[piece] for piece in ("una", "[UNK]", "rey", "a")}
    for rows, of_rows in zip(sentences.rows, sentences.labels, strict=True):
        assert (len(rows) > 1) == (max_length < 40)
        for row, ids in zip(rows, of_rows, strict=True):
            assert len(row.ids) == len(ids) <= max_length
            assert {i for i, label in zip(row.ids, ids, strict=True) if label >= 0} <= firsts


def test_long_sentences_are_learned_and_judged_in_windows(start):
    words, tags = [sum(WORDS[:8], [])], [sum(TAGS[:8], [])]
    tagger = new(start, max_length=12, stride=4, epochs=1).fit(words * 4, tags * 4, (words, tags))
    assert len(tagger.predict_tags(words)[0]) == len(words[0])
    assert tagger.score(words, tags) == seqeval.metrics.f1_score(tags, tagger.predict_tags(words))


def test_labels_that_mark_no_entities_are_judged_by_accuracy(start):
    tagger = new(start, metric="f1_macro", keep_best=True, epochs=4, lr=1e-3)
    tagger.fit(WORDS, POS, (WORDS[:6], POS[:6]))
    predicted = np.concatenate(tagger.predict_tags(WORDS))
    assert tagger.score(WORDS, POS) == (predicted == np.concatenate(POS)).mean()
    assert tagger.history_.evaluations[0].metric == "accuracy"
    assert tagger.evaluate(WORDS, POS).confusion.sum() == len(predicted)


def test_the_best_is_chosen_by_the_metric_that_was_named(start):
    tagger = new(start, metric="f1:LOC", keep_best=True, epochs=2, lr=1e-3).fit(WORDS, TAGS, HELD)
    best = max(each.metrics["f1:LOC"] for each in tagger.history_.evaluations)
    assert tagger.history_.best.metrics["f1:LOC"] == best
    with pytest.raises(ValueError, match=r"metric is 'f1:ORG'; for entities .*\['LOC', 'PER'\]"):
        new(start, metric="f1:ORG").fit(WORDS, TAGS)


def test_held_out_words_of_one_tag_are_no_sign_of_one_answer(learned, tmp_path):
    learned.save(tmp_path / "tagger")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the trained model tags every word")
        new(tmp_path / "tagger", lr=1e-6).fit(WORDS, TAGS, ([["."]], [["O"]]))


def test_how_texts_are_read_is_remembered(learned, tmp_path):
    usual = learned.aggregation, learned.stride
    learned.set_params(aggregation="max", stride=7).save(tmp_path / "m")
    learned.set_params(aggregation=usual[0], stride=usual[1])
    saved = TokenClassifier.load(tmp_path / "m")
    asked = TokenClassifier.load(tmp_path / "m", aggregation="average", stride=0)
    assert (saved.aggregation, saved.stride) == ("max", 7)
    assert (asked.aggregation, asked.stride) == ("average", 0)


def test_scikit_learn_clones_it(start):
    tagger = new(start, aggregation="max", stride=7)
    assert clone(tagger).get_params() == tagger.get_params()
    assert {"aggregation", "stride", "lr"} <= tagger.get_params().keys()


def test_scikit_learn_cross_validates_it(start):
    scores = cross_val_score(new(start), WORDS, TAGS, cv=2)
    assert len(scores) == 2 and all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        (WORDS, TAGS[:-1], "there are 24 sentences and tags of 23; give as many"),
        ([], [], "there are no sentences and tags of none"),
        ([["a", "b"]], [["O"]], "sentence 0 has 2 words and 1 tags; give a tag for each word"),
        ([["a"], []], [["O"], []], "sentence 1 has no words; leave it out"),
        ([["a", " "]], [["O", "O"]], "sentence 0, word 1 is ' ', which is empty; leave it out"),
        (["a b"], [["O", "O"]], "sentence 0 is 'a b', of type str; give a list of words"),
        ([["a"]], ["O"], "tags: sentence 0 is 'O'; give a list with a tag for each word"),
        ([["a", "b"]], [["O", 3]], "tags: sentence 0, word 1 is 3; a tag is a string"),
        ([["a", "b"]], [["O", ""]], "tags: sentence 0, word 1 is ''; give each word a tag"),
        ([["a", "b"]], [["B-A", "A"]], "tags: sentence 0, word 1 is 'A' .* give tags of one sch"),
        ([["a", "b"]], [["O", "O"]], "every label is 'O'; a classifier needs at least two"),
    ],
)
def test_bad_data_is_refused_before_training(tmp_path, words, tags, message):
    with pytest.raises(ValueError, match=message):
        new(tmp_path / "nothing is opened").fit(words, tags)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ((WORDS, [["B-ORG"] * len(tags) for tags in TAGS]), "sentence 0, word 0 is 'B-ORG', whi"),
        (([["a"]], [["I-PER"]]), "validation tags: sentence 0, word 0 is 'I-PER'; the tags are I"),
        (([["a"]], [["O", "O"]]), "validation sentence 0 has 1 words and 2 tags"),
        ("dev", "validation is 'dev'; give a tuple of two lists"),
    ],
)
def test_validation_that_does_not_belong_is_refused(tmp_path, validation, message):
    with pytest.raises(ValueError, match=message):
        new(tmp_path / "nothing is opened").fit(WORDS, TAGS, validation)


def test_what_is_not_trained_says_so(start):
    with pytest.raises(ValueError, match="this TokenClassifier is not trained; call fit, or Tok"):
        new(start).predict(["a"])

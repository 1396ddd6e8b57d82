"""Entities of texts, compared with transformers' TokenClassificationPipeline."""

import copy
import random

import numpy as np
import pytest
import transformers

from minibert import Tokenizer
from minibert.tasks.entities import AGGREGATIONS, entities, word_tags
from minibert.tasks.token_classifier import TokenClassifier
from minibert.tasks.word_pieces import cut
from minibert.text.words import joined, word_spans
from tests.conftest import hf_model
from tests.text import kinds

LABELS = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
# Texts whose words the pipeline cuts as we do: no mark stands inside of a word.
TEXTS = [
    "Angela met Unaffordable Tokenizers in Reykjavik, Iceland.",
    "",
    "(Visit) the café on Karl Marx Street; ask for Zinédine!",
    "我住在北京 with Emoji 😀 and\tspaces  \n here",
    "word " * 12 + "Wolfeschlegelsteinhausenbergerdorff",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, minilm):
    """A random model of transformers with the packaged tokenizer."""
    folder = tmp_path_factory.mktemp("tagger") / "model"
    model = hf_model("BertForTokenClassification", seed=3, vocab_size=30522, num_labels=5)
    model.classifier.weight.data.mul_(5)  # or it would say nearly the same of all tokens
    model.config.id2label = dict(enumerate(LABELS))
    model.config.label2id = {label: i for i, label in enumerate(LABELS)}
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(minilm).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    return TokenClassifier.load(folder, device="cpu")


@pytest.fixture()
def tagger(loaded):
    """With settings of its own."""
    return copy.copy(loaded)


@pytest.fixture(scope="module")
def pipeline(folder):
    return transformers.pipeline("token-classification", str(folder), device="cpu")


def same(mine, theirs, text):
    names = [each.get("entity_group", each.get("entity")) for each in theirs]
    assert [entity.label for entity in mine] == names
    assert [(e.start, e.end) for e in mine] == [(each["start"], each["end"]) for each in theirs]
    assert [entity.score for entity in mine] == pytest.approx(
        [float(each["score"]) for each in theirs], abs=1e-5
    )
    assert all(text[entity.start : entity.end] == entity.text for entity in mine)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_entities_are_those_of_transformers(tagger, pipeline, aggregation):
    tagger.set_params(aggregation=aggregation)
    found = tagger.predict(TEXTS)
    assert sum(map(len, found)) > 20
    for text, mine in zip(TEXTS, found, strict=True):
        theirs = pipeline(text, aggregation_strategy=aggregation) if text else []
        same(mine, theirs, text)


def test_a_word_with_marks_inside_stays_one_word_unlike_in_the_pipeline(tagger, pipeline):
    text = "The U.S. met AT&T's Jean-Luc at 12:30."
    words = [text[start:end] for start, end in word_spans(text)]
    assert words == ["The", "U.S.", "met", "AT&T", "'s", "Jean-Luc", "at", "12:30", "."]
    edges = {place for span in word_spans(text) for place in span}
    for aggregation in ("first", "average", "max"):
        tagger.set_params(aggregation=aggregation)
        for entity in tagger.predict([text])[0]:
            assert {entity.start, entity.end} <= edges
    theirs = pipeline(text, aggregation_strategy="first")
    assert not {place for each in theirs for place in (each["start"], each["end"])} <= edges


# What each piece of "U . S . met" says: of five labels the score of one, for U.S. to disagree on.
SCORES = np.full((5, 5), 0.05, dtype=np.float32)
for piece, (label, score) in enumerate([(0, 0.6), (4, 0.7), (4, 0.8), (4, 0.65), (1, 0.9)]):
    SCORES[piece, label] = score


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("first", [("LOC", 0, 4, 0.6), ("PER", 5, 8, 0.9)]),
        ("average", [("PER", 5, 8, 0.9)]),
        ("max", [("PER", 5, 8, 0.9)]),
        ("simple", [("LOC", 0, 1, 0.6), ("PER", 5, 8, 0.9)]),
        ("none", [("B-LOC", 0, 1, 0.6), ("B-PER", 5, 8, 0.9)]),
    ],
)
def test_the_pieces_of_a_word_agree_by_the_rule_that_was_asked_for(
    tokenizer, aggregation, expected
):
    pieces = cut(tokenizer, "U.S. met", 40, 8)
    assert pieces.word_ids == [0, 0, 0, 0, 1]
    found = entities("U.S. met", pieces, SCORES, LABELS, aggregation)
    assert [(e.label, e.start, e.end, pytest.approx(e.score)) for e in found] == expected


@pytest.mark.parametrize("labels", [["E-A", "S-A", "I-A", "B-A", "O"], ["A", "B", "A-C", "D", "O"]])
def test_neighbours_are_joined_as_their_scheme_says(tokenizer, labels):
    """A, ends; A alone; A, begins; A, goes on. Without prefixes equal labels make one entity."""
    text = "a b c d e"
    pieces = cut(tokenizer, text, 40, 8)
    ids = [0, 1, 3, 2, 2] if "E-A" in labels else [0, 0, 2, 4, 1]
    scores = np.eye(5, dtype=np.float32)[ids]
    found = [(e.label, e.text) for e in entities(text, pieces, scores, labels, "first")]
    if "E-A" in labels:
        assert found == [("A", "a"), ("A", "b"), ("A", "c d e")]
    else:
        assert found == [("A", "a b"), ("A-C", "c"), ("B", "e")]


def test_words_that_are_given_are_numbered(tagger):
    words = ["The", "U.S.", "met", "New York", "'s", "Reykjavik", ","]
    text, spans = joined(words)
    starts, ends = zip(*spans, strict=True)
    found, of_text = tagger.predict([words, text])
    assert found and of_text
    for entity in found:
        assert entity.text == " ".join(words[entity.start : entity.end])
        assert entity.text == text[starts[entity.start] : ends[entity.end - 1]]
    tags = tagger.predict_tags([words])[0]
    assert len(tags) == len(words)
    assert [tag for tag in tags if tag != "O"]
    assert sum(tag != "O" for tag in tags) == sum(e.end - e.start for e in found)


def test_every_given_word_has_a_tag_even_one_the_tokenizer_sees_nothing_of(tagger, tokenizer):
    words = ["\u200b", "a", "\u200b\u200d", "unaffordable", "\u200b"]
    pieces = cut(tokenizer, words, 40, 8)
    assert pieces.word_ids == [0, 1, 2, 3, 3, 3, 3, 4]
    assert pieces.ids[0] == pieces.ids[2] == pieces.ids[-1] == tokenizer.ids["[UNK]"]
    assert list(map(len, tagger.predict_tags([words, []]))) == [5, 0]


KINDS = ["RobertaTokenizer", "XLMRobertaTokenizer", "AlbertTokenizer"]
ODD = "aAbé .,'’-\u200b\xad\n\t\xa0北한ß😀👍🏽\u0301U.S.&@_[MASK]</s>12½ﬁ\u2028\ufe0f#İ"


@pytest.mark.parametrize("name", ["BertTokenizer", *KINDS])
def test_whatever_the_text_every_part_of_it_is_found_where_it_stands(name, tokenizer, tmp_path):
    if name in KINDS:
        tokenizer = Tokenizer.from_pretrained(kinds.write_folder(tmp_path / "kind", name))
    generator = random.Random(0)
    scores = np.random.default_rng(0).random((400, 5), dtype=np.float32)
    for _ in range(60):
        text = "".join(generator.choices(ODD, k=generator.randint(0, 30)))
        words = [word for word in text.split(" ") if word.strip()]
        for item in (text, words):
            pieces = cut(tokenizer, item, generator.choice([8, 200]), 3)
            for aggregation in AGGREGATIONS:
                places = entities(item, pieces, scores[: len(pieces.ids)], LABELS, aggregation)
                assert places == sorted(places, key=lambda entity: entity.start)
                for entity in places:
                    part = item[entity.start : entity.end]
                    assert entity.text == (part if item is text else " ".join(part))
                    assert entity.text and entity.text == entity.text.strip(" ")
        tags = word_tags(pieces, scores[: len(pieces.ids)], LABELS, "first")
        assert len(tags) == len(words)


@pytest.mark.parametrize("name", KINDS)
def test_other_tokenizers_find_the_same_words(name, tmp_path):
    """Their pieces may begin with a space, or be nothing else; no entity does."""
    tokenizer = Tokenizer.from_pretrained(kinds.write_folder(tmp_path / "kind", name))
    text = " Angela met\n\n the  U.S.\n(in 😀May) yesterday's"
    words = [text[start:end] for start, end in word_spans(text)]
    pieces = cut(tokenizer, text, 200, 8)
    labels = [f"B-{i}" for i in range(len(words))]
    scores = np.eye(len(words), dtype=np.float32)[[word or 0 for word in pieces.word_ids]]
    found = entities(text, pieces, scores, labels, "first")
    assert [entity.text for entity in found] == words
    for aggregation in ("none", "simple"):
        parts = entities(text, pieces, scores, labels, aggregation)
        assert all(part.text and part.text == part.text.strip() for part in parts)
        assert {int(part.label.removeprefix("B-")) for part in parts} == {*range(len(words))}
    firsts = [pieces.places[group[0]] for group in pieces.groups()]
    assert not [text[start:end] for start, end in firsts if "\n" in text[start:end]]


@pytest.mark.parametrize(("max_length", "stride"), [(12, 4), (7, 0), (9, 6)])
def test_each_piece_is_read_where_it_stands_farthest_from_a_cut(tagger, max_length, stride):
    text = " ".join(f"Reykjavik number {i}, word" for i in range(9))
    settings = {"max_length": max_length, "stride": stride, "aggregation": "none"}
    tagger.set_params(**settings)
    pieces = cut(tagger.tokenizer_, text, max_length, stride)
    of_windows = []
    for (start, end), row in zip(pieces.windows, pieces.rows(tagger.tokenizer_), strict=True):
        logits = tagger.model_(**tagger.tokenizer_.pad([row])).logits[0, 1:-1]
        of_windows.append((start, end, logits.softmax(dim=1).detach().numpy()))
    expected = []
    for i, place in enumerate(pieces.places):
        context, scores = max(
            (
                (min(i - start, end - 1 - i), x[i - start])
                for start, end, x in of_windows
                if start <= i < end
            ),
            key=lambda found: found[0],
        )
        assert context >= min(stride // 2 - 1, i, len(pieces.ids) - 1 - i)
        if (label := LABELS[scores.argmax()]) != "O":
            expected.append((label, *place, pytest.approx(float(scores.max()), abs=1e-5)))
    (found,) = tagger.predict([text])
    assert [(e.label, e.start, e.end, e.score) for e in found] == expected
    assert len(pieces.windows) > 3


def test_a_text_that_fits_is_not_changed_by_windows(tagger):
    long = tagger.predict(TEXTS)
    short = tagger.set_params(max_length=30, stride=20).predict(TEXTS)
    assert [len(each) for each in long[1:4]] == [len(each) for each in short[1:4]]


def test_any_stream_and_what_was_finished_before_an_error(tagger, tmp_path):
    expected = tagger.predict([TEXTS[0], ["a", "Reykjavik"]])
    file = tmp_path / "texts.txt"
    file.write_text(f"{TEXTS[0]}\n", encoding="utf-8")
    with file.open(encoding="utf-8") as lines:
        assert [e[1:3] for e in tagger.predict(lines)[0]] == [e[1:3] for e in expected[0]]
    assert list(tagger.predict(iter([]))) == []
    with pytest.raises(ValueError, match="text 2 is 3, of type int; give a") as caught:
        tagger.predict(item for item in [TEXTS[0], ["a", "Reykjavik"], 3])
    assert [[e[:3] for e in each] for each in caught.value.finished] == [
        [e[:3] for e in each] for each in expected
    ]
    streamed = tagger.stream([TEXTS[0]], window=1)
    assert [e[:3] for e in next(streamed)[1]] == [e[:3] for e in expected[0]]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("a", "b"), "text 0 is a tuple, which would be a text and its pair; give a string, or"),
        (["a", ""], "text 0, word 1 is '', which is empty; leave it out"),
        (["a", None], "text 0, word 1 is None, a NoneType; it must be a string"),
        (None, "text 0 is None, of type NoneType; give a string, or a list of words"),
    ],
)
def test_what_is_no_text_is_refused(tagger, item, message):
    with pytest.raises(ValueError, match=message):
        tagger.predict([item])


def test_only_lists_of_words_have_a_tag_for_each(tagger):
    with pytest.raises(ValueError, match="sentence 0 is 'a text', of type str; give a list of wor"):
        tagger.predict_tags(["a text"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"aggregation": "best"}, "aggregation is 'best'; it must be one of"),
        ({"stride": 40, "max_length": 40}, "stride is 40 and a window has room for 38"),
        ({"max_length": 600}, "max_length is 600; this model takes 3 to 512"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        TokenClassifier.load(folder, device="cpu", **settings)


def test_a_checkpoint_without_the_head_is_told_which_have_one(start):
    with pytest.raises(ValueError, match="no trained weights for classifier.*dslim/bert-base-NER"):
        TokenClassifier.load(start)

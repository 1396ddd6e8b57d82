"""Tags that mark entities: which scheme they are of, and how many were found, by seqeval."""

import random

import pytest
import seqeval.metrics
from seqeval.metrics.sequence_labeling import get_entities

from minibert.training.tag_schemes import Scheme

SAME = {  # two entities of one type side by side, in each scheme
    "IOB2": ["B-PER", "I-PER", "O", "B-LOC", "B-LOC"],
    "IOB1": ["I-PER", "I-PER", "O", "I-LOC", "B-LOC"],
    "BIOES": ["B-PER", "E-PER", "O", "S-LOC", "S-LOC"],
}


@pytest.mark.parametrize("name", SAME)
def test_the_schemes_say_the_same_of_the_same_entities(name):
    scheme = Scheme.of_sentences([["O"], SAME[name]], "tags")
    assert scheme.name == name
    assert scheme.chunks(SAME[name]) == [("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 5)]


def test_labels_without_prefixes_are_plain():
    assert Scheme.of_sentences([["DET", "NOUN", "O"]], "tags").name == "plain"


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([["O"], ["B-PER", "PER"]], "tags: sentence 1, word 1 is 'PER' behind 'B-PER', beside 'B-"),
        ([["B-A", "I-A"], ["O", "I-A", "I-A"]], "sentence 1, word 1 is 'I-A' behind 'O'; the tags"),
        ([["B-A", "I-B"], ["B-A"]], "sentence 0, word 1 is 'I-B' behind 'B-A'; .* IOB2, where"),
        ([["I-A"], ["O", "I-B"], ["B-A"]], "sentence 2, word 0 is 'B-A'; the tags are IOB1"),
        ([["B-A", "O"], ["S-A"]], "sentence 0, word 1 is 'O' behind 'B-A'; the tags are BIOES"),
        ([["S-A"], ["B-A", "I-A"]], "sentence 1 ends behind 'I-A'"),
        ([["S-A", "E-A"], ["E-A"]], r"word 1 is 'E-A' behind 'S-A' \(and 1 more\)"),
    ],
    ids=["mixture", "I alone", "other type", "B alone", "unclosed", "end", "E alone"],
)
def test_tags_that_are_of_no_scheme_are_refused_by_sentence_and_word(sentences, message):
    with pytest.raises(ValueError, match=message):
        Scheme.of_sentences(sentences, "tags")


def random_sentences(tags, seed):
    generator = random.Random(seed)
    return [generator.choices(tags, k=generator.randint(1, 9)) for _ in range(60)]


@pytest.mark.parametrize("prefixes", ["BI", "BIES"])
def test_any_tags_make_the_chunks_and_the_scores_of_seqeval(prefixes):
    tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC", "A-B"))]
    scheme = Scheme.of_labels(tags)
    truth = random_sentences(tags, 0)
    predicted = [
        [tag if random.Random(f"{i}{j}").random() < 0.7 else "O" for j, tag in enumerate(sentence)]
        for i, sentence in enumerate(truth)
    ]
    for sentence in truth:
        theirs = [(label, start, end + 1) for label, start, end in get_entities(sentence)]
        assert scheme.chunks(sentence) == theirs
    found = scheme.metrics(truth, predicted, tags)
    for name in ("precision", "recall", "f1"):
        theirs = getattr(seqeval.metrics, f"{name}_score")(truth, predicted)
        assert found[name] == pytest.approx(theirs, abs=1e-12)
        assert 0 < found[name] < 1
    assert found["accuracy"] == seqeval.metrics.accuracy_score(truth, predicted)
    report = seqeval.metrics.classification_report(truth, predicted, output_dict=True)
    for kind in ("PER", "LOC", "A-B"):
        assert found[f"f1:{kind}"] == pytest.approx(report[kind]["f1-score"])
    assert found["f1_macro"] == pytest.approx(report["macro avg"]["f1-score"])
    assert next(iter(found)) == "f1"


def test_what_is_undefined_is_zero():
    found = Scheme("IOB2").metrics([["O"]], [["O"]], ["O", "B-PER"])
    assert found.pop("accuracy") == 1
    assert set(found.values()) == {0}
    assert {"f1", "precision", "recall", "f1_macro", "recall:PER"} <= found.keys()


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (["O", "B-PER", "I-PER"], "IOB2"),
        (["O", "I-PER"], "IOB2"),
        (["O", "B-PER", "MISC"], "IOB2"),
        (["O", "B-PER", "E-PER", "S-PER"], "BIOES"),
        (["NOUN", "VERB", "E-X"], "plain"),
        (["LABEL_0", "LABEL_1"], "plain"),
    ],
)
def test_the_scheme_of_a_model_is_known_by_its_labels(labels, name):
    assert Scheme.of_labels(labels).name == name

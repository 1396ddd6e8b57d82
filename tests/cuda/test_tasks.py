"""What users call, on a GPU: classifier, tagger and encoder of texts, as they are on the CPU."""

import numpy as np
import pytest

from minibert import TextClassifier, TextEncoder
from minibert.engine import reading, rows
from minibert.tasks.token_classifier import TokenClassifier
from tests.conftest import TEXTS
from tests.cuda.conftest import everywhere

LABELS = ["good" if i % 2 else "bad" for i in range(len(TEXTS))]
PAIRS = list(zip(TEXTS, TEXTS, strict=True))
# Of probabilities.
NEAR = {"fp32": 1e-4, "bf16": 0.1}


@pytest.fixture(scope="module")
def classifier(start, device):
    fitted = TextClassifier(start, epochs=15, lr=3e-4, batch_size=8, device=str(device))
    return fitted.fit(TEXTS, LABELS, validation=(TEXTS[:8], LABELS[:8]))


def difference(some, others):
    assert some.shape == others.shape and some.dtype == others.dtype == np.float32
    return float(np.abs(some - others).max())


def test_the_classifier_learns_and_is_evaluated_on_the_device(classifier, device):
    assert classifier.model_.device == device
    assert len(classifier.history_.evaluations) == 16
    assert classifier.score(TEXTS, LABELS) >= 0.9


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    classifier.save(folder)
    return folder


@pytest.mark.parametrize("precision", NEAR)
@pytest.mark.parametrize(
    "texts", [TEXTS, PAIRS, TEXTS[:1], []], ids=["texts", "pairs", "one", "no"]
)
@pytest.mark.filterwarnings("ignore:this CPU has no bf16")
def test_the_saved_classifier_predicts_the_same_on_cpu_and_device(
    classifier, saved, precision, texts, device, parity
):
    wanted = TextClassifier.load(saved, device="cpu").predict_proba(texts)
    there = TextClassifier.load(saved, device=str(device), precision=precision)
    got = there.predict_proba(texts)
    miss = difference(got, wanted) if len(texts) else 0.0
    parity.at_most(f"TextClassifier in {precision}, probabilities", miss, NEAR[precision])
    if precision == "fp32" and len(texts):
        miss = difference(classifier.predict_proba(texts), wanted)
        parity.at_most("TextClassifier as fitted, probabilities", miss, NEAR[precision])
        assert there.predict(texts).tolist() == classifier.predict(texts).tolist()


def test_the_head_alone_learns_on_the_device(start, device):
    """On vectors that the encoder computes once."""
    settings = dict(epochs=30, lr=1e-2, batch_size=8, trained_layers=0, device=str(device))
    losses = TextClassifier(start, **settings).fit(TEXTS, LABELS).history_.losses
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_a_stream_answers_one_by_one(classifier):
    wanted = classifier.predict_proba(TEXTS)
    got = [result for _, result in classifier.stream(iter(TEXTS), window=1)]
    assert np.abs(np.stack(got) - wanted).max() <= 1e-4


def test_windows_and_batches_change_nothing(classifier, device, monkeypatch):
    """Of a list the next window is tokenized while the device computes the one before."""
    wanted = classifier.predict_proba(TEXTS)
    monkeypatch.setattr(reading, "WINDOW_TEXTS", 5)
    monkeypatch.setitem(rows.BATCH_TOKENS, device.type, 24)
    for texts in (TEXTS, iter(TEXTS)):
        assert np.abs(classifier.predict_proba(texts) - wanted).max() <= 1e-4


def test_the_tagger_learns_and_finds_on_the_device_what_it_finds_on_the_cpu(
    start, device, tmp_path
):
    words = [text.split() for text in TEXTS]
    tags = [["B-NUMBER" if word.isdigit() else "O" for word in each] for each in words]
    settings = dict(epochs=15, lr=5e-3, batch_size=8, max_length=8, stride=2, device=str(device))
    tagger = TokenClassifier(start, **settings).fit(words, tags, (words[:8], tags[:8]))
    assert tagger.score(words, tags) >= 0.9
    tagger.save(tmp_path / "tagger")
    settings = dict(device="cpu", max_length=8, stride=2)
    wanted = TokenClassifier.load(tmp_path / "tagger", **settings).predict(TEXTS)
    got = tagger.predict(TEXTS)
    assert any(got)
    assert [[e[:3] for e in each] for each in got] == [[e[:3] for e in each] for each in wanted]
    scores = [[entity.score for each in found for entity in each] for found in (got, wanted)]
    assert np.abs(np.subtract(*scores)).max() <= NEAR["fp32"]


@everywhere
@pytest.mark.parametrize("precision", NEAR)
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.filterwarnings("ignore:this CPU has no bf16")
def test_the_encoder_makes_the_vectors_of_the_cpu(start, pooling, precision, device, parity):
    options = {"pooling": pooling, "normalize": True}
    wanted = TextEncoder.load(start, device="cpu", **options).encode(TEXTS)
    encoder = TextEncoder.load(start, device=str(device), precision=precision, **options)
    miss = difference(encoder.encode(TEXTS), wanted)
    limit = {"fp32": 1e-4, "bf16": 0.03}[precision]  # of the numbers of a vector of length 1
    parity.at_most(f"TextEncoder in {precision}, {pooling}", miss, limit)

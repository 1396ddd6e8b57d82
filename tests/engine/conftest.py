"""What the tests of the engine share: bodies of `Linear`, and a small classifier on a stream."""

import copy

import pytest
import torch

import minibert
from minibert import TextClassifier, TextEncoder, optimize
from minibert.engine import optimize as optimize_module
from minibert.engine import reading
from minibert.engine.bodies import HalfWeights, OneDnn, OneDnnTiles, Plain
from minibert.engine.exchange import exchange
from minibert.engine.integers import Int7, Int7Few, Int8
from minibert.engine.probe import probe
from minibert.linear import Linear
from minibert.tokenizer import WordPieceTokenizer
from tests.conftest import TINY

CPU = torch.device("cpu")
IN, OUT = 96, 32


def name_of(body):
    return body.__name__


def runnable(body):
    if probe(body):
        pytest.skip(f"{body.__name__} {probe(body)}")
    return body


@pytest.fixture(params=[Plain, OneDnn, OneDnnTiles, HalfWeights, Int8, Int7, Int7Few], ids=name_of)
def body(request):
    return runnable(request.param)


@pytest.fixture(params=[Int8, Int7, Int7Few], ids=name_of)
def integers(request):
    return runnable(request.param)


@pytest.fixture()
def linear():
    torch.manual_seed(0)
    return Linear(IN, OUT).requires_grad_(False).eval()


def random(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(got, wanted):
    """The difference as a share of the result."""
    return float((got - wanted).norm() / wanted.norm())


def made(body, linear):
    """A body with the weights of this plain `Linear`, which stays as it is."""
    return exchange(copy.deepcopy(linear), body)


@pytest.fixture()
def optimized(body, monkeypatch):
    """A whole model with this body."""
    monkeypatch.setattr(optimize_module, "body_for", lambda *_: body)
    torch.manual_seed(0)
    return optimize(minibert.BertModel(minibert.BertConfig(**TINY)))


WINDOW = 5


# As many windows as may be: texts of 0 to 30 words, in no order of length.
SHUFFLED = [f"number {i} " + "very " * (i * 13 % 31) for i in range(23)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random classifier with the real vocabulary; an encoder can be made of it, too."""
    path = tmp_path_factory.mktemp("inference") / "model"
    torch.manual_seed(0)
    sizes = {"vocab_size": 30522, "max_position_embeddings": 40}
    config = minibert.BertConfig(**{**TINY, **sizes}, labels=("bad", "good", "so-so"))
    minibert.BertForClassification(config).save_pretrained(path)
    WordPieceTokenizer.from_pretrained("minilm-l6").write_files(path)
    return path


@pytest.fixture()
def windows(monkeypatch):
    """Windows so small that there are many."""
    monkeypatch.setattr(reading, "WINDOW_TEXTS", WINDOW)


@pytest.fixture(scope="module")
def loaded_classifier(folder):
    """Shared by the tests that leave its weights alone."""
    return TextClassifier.load(folder)


@pytest.fixture(scope="module")
def encoder(folder):
    return TextEncoder.load(folder)


@pytest.fixture()
def classifier(loaded_classifier, windows):
    """The same, with small windows."""
    return loaded_classifier

"""What the tests of pre-training share: a small text, and what is made of it."""

import numpy as np
import pytest
import torch

import minibert
from minibert._checks import IGNORED
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import train_vocabulary
from minibert.tokenizer import WordPieceTokenizer

# Whoever has a colour likes the drink that goes with it: what a masked word was, its context tells.
DRINKS = {"red": "wine", "white": "milk", "black": "coffee", "green": "tea", "brown": "cocoa"}
ANIMALS = ("cat", "dog", "horse", "mouse")
SPECIAL = {name: i for i, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))}


def text_of(documents):
    """A repetitive text: `documents` of 16 sentences, between blank lines."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(documents):
        colours = random.choice(list(DRINKS), 16)
        animals = random.choice(ANIMALS, 16)
        pairs = zip(colours, animals, strict=True)
        lines.append(" ".join(f"The {c} {a} likes {c} {DRINKS[c]}." for c, a in pairs))
    return "\n\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "drinks.txt"
    path.write_text(text_of(60), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer(text):
    return WordPieceTokenizer(train_vocabulary([TextFile.at(text)], 100))


@pytest.fixture(scope="module")
def corpus(text, tokenizer, tmp_path_factory):
    return Corpus.build([TextFile.at(text)], tokenizer, tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def spans(corpus):
    return make_spans(corpus, 24)


@pytest.fixture(scope="module")
def rows(corpus, spans, tokenizer):
    return Rows(corpus, spans[0], tokenizer, 24)


def tiny_model(tokenizer, **changes):
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    still = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return minibert.BertForPreTraining(
        minibert.BertConfig(
            vocab_size=tokenizer.vocabulary.size,
            max_position_embeddings=24,
            **{**sizes, **still, **changes},
        )
    )


def unmasked(example):
    """The ids of a row before some of its tokens were hidden."""
    pairs = zip(example.row.ids, example.labels, strict=True)
    return [i if label == IGNORED else label for i, label in pairs]

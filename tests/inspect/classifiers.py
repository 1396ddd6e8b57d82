"""Tiny classifiers to be explained."""

from pathlib import Path

import minibert
from tests.conftest import small_variant


def saved(folder: Path, tokenizer: minibert.Tokenizer, family: str = "bert", **changes) -> Path:
    """The folder of a tiny random classifier of this family, with its tokenizer."""
    # At the usual range the words of a random model hardly matter, and no mistake would be seen.
    changes = {"labels": ("bad", "good"), "initializer_range": 0.6, **changes}
    small_variant(family, **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def classifier(folder: Path, tokenizer: minibert.Tokenizer, **changes) -> minibert.TextClassifier:
    """Such a classifier, opened."""
    return minibert.TextClassifier.load(saved(folder, tokenizer, **changes))

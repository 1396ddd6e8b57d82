"""The tokenizers of the variants: byte-level BPE, ours and Rust's, and Unigram, as transformers."""

import json
import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from hypothesis import strategies as st

from minibert import Tokenizer, WordPieceTokenizer, tokenizer
from minibert.text import byte_pairs, characters, python_backends
from minibert.text.matched import Matcher
from tests.text import strategies
from tests.text.agreement import check_decoding, check_row, check_texts
from tests.text.kinds import SPECIAL, split_files, write_folder

# The class of transformers, what tokenizer_config.json has beside it, and what is done to the files.
KINDS = {
    "RoBERTa": ("RobertaTokenizer", {}, None),
    "RoBERTa, prefix space": ("RobertaTokenizer", {"add_prefix_space": True}, None),
    "RoBERTa, spaces in places": ("RobertaTokenizer", {"trim_offsets": False}, None),
    "XLM-R": ("XLMRobertaTokenizer", {}, None),
    "CamemBERT": ("CamembertTokenizer", {}, None),
    "ALBERT": ("AlbertTokenizer", {}, None),
    "byte pairs as they are": ("RobertaTokenizer", {}, "PreTrainedTokenizerFast"),
    "Unigram as it is": ("AlbertTokenizer", {}, "PreTrainedTokenizerFast"),
}
BYTE_PAIRS = [kind for kind, (name, *_) in KINDS.items() if name == "RobertaTokenizer"]


@pytest.fixture(scope="module", params=KINDS)
def three(request, tmp_path_factory):
    """(ours, Rust behind our class, transformers); where ours has no Python, Rust stands twice."""
    name, config, other = KINDS[request.param]
    folder = tmp_path_factory.mktemp("kind")
    roles = {}
    if other:  # such a class knows no names for the roles
        cls, sep = ("[CLS]", "[SEP]") if name == "AlbertTokenizer" else ("<s>", "</s>")
        roles = {"cls_token": cls, "sep_token": sep, "mask_token": SPECIAL[name][-1]}
        roles |= {"tokenizer_class": other, "pad_token": "<pad>", "unk_token": "<unk>"}
    write_folder(folder, name, {**config, **roles, "model_max_length": 512})
    return opened(folder)


def opened(folder):
    rust = Tokenizer.from_pretrained(folder)
    is_bpe = isinstance(rust.backend.tokenizer.model.__class__.__name__, str) and (
        type(rust.backend.tokenizer.model).__name__ == "BPE"
    )
    ours = Tokenizer.from_pretrained(folder, backend="python") if is_bpe else rust
    return ours, rust, transformers.AutoTokenizer.from_pretrained(folder)


def drawn_texts(three):
    """Texts of all kinds, with words of this vocabulary and its special tokens."""
    ours, rust, _ = three
    words = [rust.backend.join([token]) for token in ours.vocabulary.ids]
    names = [spelled for name in ours.vocabulary.special for spelled in strategies.spellings(name)]
    return strategies.texts_of(words, names + strategies.SPACED * 3)


@pytest.fixture(scope="module")
def sample(three):
    """Some three hundred drawn texts, for tests that do not look for new ones."""
    found = list(strategies.SPACED)
    strategies.for_each(found.extend, drawn_texts(three), examples=40, repeatable=True)
    return found


def test_any_text(three, parity, request):
    check_drawn_texts(three, 300, parity, request.node.callspec.params["three"], repeatable=True)


@pytest.mark.slow
@pytest.mark.parametrize("three", ["RoBERTa", "XLM-R", "ALBERT"], indirect=True, scope="module")
def test_any_text_many_times(three, parity, request):
    kind = request.node.callspec.params["three"]
    check_drawn_texts(three, 100_000, parity, kind, repeatable=False)


def check_drawn_texts(three, count, parity, kind, repeatable):
    """Check at least so many different texts, with characters of every category."""
    seen = set()

    def check(texts, share):
        check_texts(three, texts, share)
        seen.update(texts)

    strategies.for_each(
        check,
        drawn_texts(three),
        st.integers(0, 99),
        examples=60 + count // 7,
        repeatable=repeatable,
    )
    runs = "the same texts in every run" if repeatable else "new texts in every run"
    parity.at_least(f"{kind}: texts, none of them cut differently, {runs}", len(seen), count)

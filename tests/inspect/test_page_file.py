"""The attention page as a file: what is in it, and that no text becomes code. What it does in a
browser is in test_page.py."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import minibert
from minibert.inspect import attention_page, attentions
from minibert.inspect.page import shrunk
from tests.conftest import FAMILIES, small_model, small_variant
from tests.text.kinds import write_folder

HOSTILE = (
    "</script><script>alert(1)</script> <!-- <img src=x onerror=alert(2)> &lt; \u202e {{x}} $style"
)


class Blocks(HTMLParser):
    """The script elements of a page as a browser finds them, by id; "" for the one that runs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.elements: list[str] = []
        self.open: str | None = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag in ("script", "style"):
            self.open = dict(attributes).get("id", "") if tag == "script" else "style"
            assert self.open not in self.found
            self.found[self.open] = ""

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open is not None:
            self.found[self.open] += data


def unpacked(block: str, *shape: int) -> np.ndarray:
    data = gzip.decompress(base64.b64decode(block))
    return np.frombuffer(data, np.uint8).reshape(shape)


def shown_of(attention, **settings):
    """(what the page says of it, its weights by layer), read back from the page."""
    blocks = Blocks(attention_page(attention, **settings).html).found
    about = json.loads(blocks["about"])
    length, heads = len(about["tokens"]), about["heads"]
    layers = {
        number: (unpacked(blocks[f"layer-{number}"], heads, length, length) / 255) ** 2
        for number in about["layers"]
    }
    return about, layers


@pytest.fixture(scope="module")
def attention(tokenizer):
    model = small_model()
    return attentions(model, tokenizer, [("A text, unaffordable.", "Its pair.")])[0]


@pytest.mark.parametrize("family", ["bert", *FAMILIES])
def test_every_weight_is_in_the_page(tokenizer, family):
    model = small_variant(family)
    (attention,) = attentions(model, tokenizer, ["A text, unaffordable."])
    _, layers = shown_of(attention)
    assert list(layers) == [1, 2, 3]
    assert np.abs(np.stack(list(layers.values())) - attention.weights).max() <= 0.004


def test_layers_are_chosen_by_their_numbers(attention):
    about, layers = shown_of(attention, layers=[3, 1, 3])
    assert about["layers"] == list(layers) == [1, 3]
    assert np.abs(layers[3] - attention.weights[2]).max() <= 0.004


def test_tokens_frame_and_the_second_text(attention):
    about, _ = shown_of(attention, name="a model", cut=7)
    assert about["tokens"] == (
        "[CLS] a text , una ##ff ##ord ##able . [SEP] its pair . [SEP]".split()
    )
    assert [i for i, framing in enumerate(about["framing"]) if framing] == [0, 9, 13]
    assert about["frame"] == ["[CLS]", "[SEP]"]
    assert about["written"] == [
        "",
        *"A text , una ff ord able .".split(),
        "",
        *"Its pair . ".split(" "),
    ]
    assert (about["second"], about["model"], about["cut"]) == (10, "a model", 7)


def test_two_separators_stand_before_the_second_text_of_roberta(tmp_path):
    tokenizer = minibert.Tokenizer.from_pretrained(write_folder(tmp_path, "RobertaTokenizer"))
    model = small_variant("roberta", vocab_size=len(tokenizer), max_position_embeddings=60)
    (attention,) = attentions(model, tokenizer, [("A film.", "It was.")])
    about, _ = shown_of(attention)
    assert about["tokens"][about["second"] - 2 : about["second"]] == ["</s>", "</s>"]
    assert "".join(about["written"][about["second"] :]).replace(" ", "") == "Itwas."


def test_a_pair_of_one_empty_text(tokenizer):
    (attention,) = attentions(small_model(), tokenizer, [("A text.", "")])
    about, _ = shown_of(attention)
    assert about["second"] == len(about["tokens"])  # so there is nothing to tell apart


def test_small_pictures_keep_the_largest_weight_of_each_place():
    weights = np.random.default_rng(0).integers(0, 256, (2, 3, 50, 50)).astype(np.uint8)
    edges = [i * 50 // 16 for i in range(17)]
    rows = [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]
    expected = [[weights[..., a, b].max(axis=(-1, -2)) for b in rows] for a in rows]
    assert (shrunk(weights, 16) == np.moveaxis(np.array(expected), (0, 1), (-2, -1))).all()
    assert shrunk(weights, 50) is weights


@pytest.mark.parametrize("length", [1, 48, 49, 128, 512])
def test_a_diagonal_stays_unbroken_in_a_small_picture(length):
    small = shrunk(np.eye(length, dtype=np.uint8), 48)
    assert small.diagonal().all() and len(small) == min(length, 48)


def test_the_pictures_are_those_of_the_layers_shown(attention):
    blocks = Blocks(attention_page(attention, layers=[2]).html).found
    assert blocks["pictures"] == blocks["layer-2"]


def test_a_hostile_text_stays_text(tokenizer):
    (attention,) = attentions(
        small_model(max_position_embeddings=200), tokenizer, [(HOSTILE, HOSTILE)]
    )
    page = Blocks(attention_page(attention, name=HOSTILE).html)
    harmless = Blocks(attention_page(attentions(small_model(), tokenizer, ["a"])[0]).html)
    assert page.elements == harmless.elements
    about = json.loads(page.found["about"])
    assert about["tokens"] == attention.tokens and about["model"] == HOSTILE
    assert "<" not in page.found["about"]


def test_it_needs_nothing_and_allows_nothing_but_itself(attention):
    page = attention_page(attention).html
    assert not re.search(r"https?:|\burl\(|@import|\bimport\b|\bsrc=|\bhref=", page)
    policy = re.search('Content-Security-Policy" content="([^"]*)"', page)[1]
    allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
    blocks = Blocks(page).found
    for kind, name in (("script-src", ""), ("style-src", "style")):
        digest = base64.b64encode(hashlib.sha256(blocks[name].encode()).digest()).decode()
        assert allowed.pop(kind) == f"'sha256-{digest}'"
    assert allowed == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    assert "innerHTML" not in blocks[""] and "style=" not in page


def test_the_same_weights_make_the_same_file(attention):
    assert attention_page(attention).html == attention_page(attention).html


def test_it_is_small_whatever_the_weights(attention):
    """128 tokens in BERT-base. Noise, which nothing can compress, is the worst there is."""
    noise = np.random.default_rng(0).random((12, 12, 128, 128), np.float32) ** 2
    row = replace_row(attention.row, 128)
    page = attention_page(replace(attention, text="a", row=row, weights=noise))
    assert str(page) == f"128 tokens, 12 layers of 12 heads, {len(page.html) / 1e6:.1f} MB"
    assert len(page.html.encode()) < 5_000_000


def replace_row(row, length):
    """A row of that many tokens like its second one."""
    return row._replace(**{name: [values[1]] * length for name, values in row._asdict().items()})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": [0]}, "layer is 0; it must be"),
        ({"layers": [4]}, "layer is 4; .* at most 3"),
        ({"layers": []}, r"layers is \[\]; name at least one of 1 to 3"),
        ({"name": None}, "the name is None"),
        ({"cut": -1}, "cut is -1"),
    ],
)
def test_settings_that_cannot_be(attention, settings, message):
    with pytest.raises(ValueError, match=message):
        attention_page(attention, **settings)


def test_more_tokens_than_the_page_shows_are_refused(attention):
    many = replace(
        attention,
        row=replace_row(attention.row, 513),
        weights=np.zeros((1, 1, 513, 513), np.float32),
    )
    with pytest.raises(ValueError, match="513 tokens, and the page shows up to 512; cut it"):
        attention_page(many)

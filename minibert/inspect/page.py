"""The attention page: one HTML file that shows every weight, and needs nothing but a browser.

The idea is bertviz's (Vig 2019, arXiv 1906.05714). Here script, style and weights are in the file
itself, so that it opens without a network, today and in years. A weight w from 0 to 1 is kept as a
byte, round(255 sqrt(w)), which is off by at most .004; without the root half of all weights would
be 0. Bytes are compressed, a layer at a time, and the browser unpacks a layer when it is asked for.
At 128 tokens 12 layers of 12 heads are about 2 MB.

What a text says is never code: it is in the page as JSON without any "<", is shown as text alone,
and the page allows no script or style but its own, by their hashes, and no connection.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template

import numpy as np

from minibert._checks import shown
from minibert.checkpoint.arguments import whole_number
from minibert.inspect.attention_maps import TextAttention
from minibert.text.inputs import check_text
from minibert.tokenizer import Encoding

MOST_TOKENS = 512  # of a page; the weights grow with their square
# One script, in parts: each has one idea, and uses those before it.
_SCRIPTS = ("weights", "state", "words", "tokens", "heads", "begin")
_SIDE = 48  # most rows and columns of a small picture of a head


@dataclass(frozen=True)
class AttentionPage:
    """A page, ready to be written.

    html: the whole file. tokens: how many it shows. cut: how many of the text it does not. layers:
    the numbers of those it shows, from 1. heads: how many there are in each.
    """

    html: str
    tokens: int
    cut: int
    layers: tuple[int, ...]
    heads: int

    def __str__(self) -> str:
        layers = "1 layer" if len(self.layers) == 1 else f"{len(self.layers)} layers"
        size = len(self.html.encode("utf-8")) / 1e6
        tokens = f"{self.tokens} tokens" + (f" ({self.cut} more did not fit)" if self.cut else "")
        return f"{tokens}, {layers} of {self.heads} heads, {size:.1f} MB"


def attention_page(
    attention: TextAttention,
    *,
    layers: Sequence[int] | None = None,
    name: str = "BERT",
    cut: int = 0,
) -> AttentionPage:
    """The attention of a text, or of a pair, as a page for a browser.

    layers: the numbers of those to show, from 1; None for all. name: what the page calls the model.
    cut: how many tokens of the text are not in `attention`, for the page to say so.

    >>> from minibert import BertModel, Tokenizer
    >>> from minibert.inspect import attentions
    >>> model = BertModel.from_pretrained("minilm-l6")
    >>> tokenizer = Tokenizer.from_pretrained("minilm-l6")
    >>> (attention,) = attentions(model, tokenizer, ["The dog bites the man."])
    >>> print(attention_page(attention))
    8 tokens, 6 layers of 12 heads, 0.0 MB

    Raises `ValueError` for a layer that is not there, and for more than 512 tokens.
    """
    check_text(name, "the name")
    cut = whole_number("cut", cut, 0)
    most, heads, length, _ = attention.weights.shape
    if length > MOST_TOKENS:
        raise ValueError(
            f"the text has {length} tokens, and the page shows up to {MOST_TOKENS}; cut it:  "
            f"attentions(..., max_length={MOST_TOKENS})"
        )
    numbers = _numbers(layers, most)
    # Layer by layer, for in floats all of them take four times as much again.
    coded = {number: _coded(attention.weights[number - 1]) for number in numbers}  # (H, T, T)
    pictures = np.stack([shrunk(layer, _SIDE) for layer in coded.values()])
    row = attention.row
    framing = [word is None for word in row.word_ids]
    about = {
        "model": name,
        "tokens": row.tokens,
        "written": _written(attention),
        "framing": framing,
        "frame": list(dict.fromkeys(np.array(row.tokens, object)[framing])),
        "second": _second(row) if isinstance(attention.text, tuple) else length,
        "cut": cut,
        "layers": numbers,
        "heads": heads,
        "side": pictures.shape[-1],
    }
    parts = {f"layer-{number}": layer for number, layer in coded.items()}
    page = _filled(about, {**parts, "pictures": pictures})
    return AttentionPage(page, length, cut, tuple(numbers), heads)


def _coded(weights: np.ndarray) -> np.ndarray:
    """Weights from 0 to 1 as bytes."""
    return np.rint(255 * np.sqrt(weights)).astype(np.uint8)


def shrunk(weights: np.ndarray, side: int) -> np.ndarray:
    """Matrices (..., T, T) as pictures of at most (..., side, side), each place the largest of its
    weights: the mean would fade a diagonal, and leaving out rows would lose it."""
    length = weights.shape[-1]
    if length <= side:
        return weights
    starts = np.arange(side) * length // side
    for axis in (-1, -2):
        weights = np.maximum.reduceat(weights, starts, axis=axis)
    return weights


def _numbers(layers: Sequence[int] | None, most: int) -> list[int]:
    """The layers to show, in their order. Raises `ValueError` for one that is not there."""
    if layers is None:
        return list(range(1, most + 1))
    numbers = sorted({whole_number("layer", number, 1, most) for number in layers})
    if not numbers:
        raise ValueError(f"layers is {shown(layers)}; name at least one of 1 to {most}")
    return numbers


def _second(row: Encoding) -> int:
    """Where the second text of a pair begins: after the one or two tokens that end the first. Type
    ids do not say it: those of RoBERTa are all 0."""
    place = row.word_ids.index(None, 1)
    while place < len(row.ids) and row.word_ids[place] is None:
        place += 1
    return place


def _written(attention: TextAttention) -> list[str]:
    """What each token stands for, as its text has it; nothing, for those of the frame."""
    first, pair = attention.text if isinstance(attention.text, tuple) else (attention.text, "")
    second = _second(attention.row) if pair else len(attention.tokens)
    return [
        (first if place < second else pair)[start:end]
        for place, (start, end) in enumerate(attention.row.offsets)
    ]


def _filled(about: Mapping[str, object], parts: Mapping[str, np.ndarray]) -> str:
    """The template with all that belongs into it."""
    page, style = (_template(name) for name in ("page.html", "page.css"))
    script = "\n".join(_template(f"{name}.js") for name in _SCRIPTS)
    blocks = [_block("about", "application/json", _json(about))]
    blocks += [_block(name, "text/plain", _packed(array)) for name, array in parts.items()]
    return Template(page).substitute(
        title=html.escape(f"Attention of {about['model']}"),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data="\n".join(blocks),
    )


def _template(name: str) -> str:
    return (files("minibert.inspect") / "template" / name).read_text("utf-8")


def _block(name: str, kind: str, content: str) -> str:
    """Data for the script, which no browser runs."""
    return f'<script type="{kind}" id="{name}">{content}</script>'


def _json(value: object) -> str:
    """In a script element nothing is special but "<", which might end it or begin a comment."""
    return json.dumps(value).replace("<", "\\u003c")


def _packed(array: np.ndarray) -> str:
    # Without the time, so that the same weights make the same file; at level 9 it takes three times
    # as long for one hundredth less.
    return base64.b64encode(gzip.compress(array.tobytes(), 6, mtime=0)).decode("ascii")


def _hash(content: str) -> str:
    """As a content security policy names a script or a style."""
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

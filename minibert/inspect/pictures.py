"""Pictures in matrices and points: heads, positions, texts, a word in its contexts.

Each takes a result of this room and returns a figure: a notebook shows it, `.savefig(path)` writes
it; pyplot and its settings are left alone. The colours of amounts are viridis, which grows evenly
from dark to light, so it is read in grey and by the colour-blind; where a sign matters there are
numbers. Texts are drawn as they are: "$" begins no formula. Raises `ImportError` without
matplotlib. `bars` has the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from minibert.checkpoint.arguments import whole_number
from minibert.inspect.attention_maps import TextAttention
from minibert.inspect.drawing import AGAINST, FOR, TITLE, empty_figure, label_of, signed
from minibert.inspect.page import shrunk
from minibert.inspect.positions import PositionSimilarity
from minibert.inspect.statistics import HeadStatistics, Share
from minibert.inspect.vectors import WordVectors, pca

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_AMOUNT, _SIGNED = "viridis", "PuOr"
_SENSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe & Ito 2008
_MARKERS = "os^DvP"
_SIDE = 48  # most cells along a small matrix
_NAMED = 64  # most tokens with names
_SHARES = {
    "previous": "to the token before",
    "next": "to the next token",
    "itself": "to itself",
    "cls": "to [CLS]",
    "sep": "to [SEP]",
}


def plot_heads(attention: TextAttention) -> Figure:
    """The weights of every head for a text, a small matrix each: layers down, heads across.

    Colours show the root of a weight, or most would be as dark as 0. Of long texts each place is
    the largest of its weights.
    """
    layers, heads, length, _ = attention.weights.shape
    small = shrunk(attention.weights, _SIDE)
    figure = empty_figure(1.8 + 0.8 * heads, 1.3 + 0.8 * layers)
    grid = figure.subplots(layers, heads, squeeze=False)
    for (layer, head), axes in np.ndenumerate(grid):
        image = _show_weights(axes, small[layer, head])
        axes.set(xticks=[], yticks=[])
        if layer == 0:
            axes.set_title(f"head {head + 1}", fontsize=9)
        if head == 0:
            axes.set_ylabel(f"layer {layer + 1}", fontsize=9)
    about = f"Attention of each head, {length} tokens: {_of(attention)}"
    figure.suptitle(label_of(about, TITLE + 20), parse_math=False)
    figure.supxlabel("token looked at, left to right", fontsize=9)
    figure.supylabel("token that looks, top to bottom", fontsize=9)
    figure.colorbar(image, ax=grid, label="weight", fraction=0.03, aspect=30)
    return figure


def plot_head(attention: TextAttention, layer: int, head: int) -> Figure:
    """The weights of one head, with its tokens; of a long text the first 64. layer, head: from 1.

    Raises `ValueError` for a head that there is not.
    """
    weights = attention.head(layer, head)[:_NAMED, :_NAMED]
    names = [label_of(token) for token in attention.tokens[:_NAMED]]
    size = 2.6 + 0.27 * len(names)
    figure = empty_figure(size + 0.9, size)
    axes = figure.subplots()
    image = _show_weights(axes, weights)
    _name_both(axes, names)
    axes.set(xlabel="token looked at", ylabel="token that looks")
    more = len(attention.tokens) - len(names)
    cut = f"\n(the first {len(names)} of {len(attention.tokens)} tokens)" if more else ""
    axes.set_title(f"Layer {layer}, head {head}{cut}")
    figure.colorbar(image, ax=axes, label="weight (a row sums to 1)", shrink=0.8)
    return figure


def plot_statistics(statistics: HeadStatistics) -> Figure:
    """What each head does over many texts: the share of its weight that goes to five places, and
    its entropy. The strongest head is framed, and named above."""
    layers, heads = statistics.entropy.shape
    figure = empty_figure(2.4 + 3 * 0.27 * max(heads, 8), 1.2 + 2 * (0.8 + 0.22 * layers))
    panels = figure.subplots(2, 3)
    for share, axes in zip(get_args(Share), panels.flat[:-1], strict=True):
        shares = axes.imshow(getattr(statistics, share), cmap=_AMOUNT, vmin=0, vmax=1)
        _name_heads(axes, getattr(statistics, share), _SHARES[share])
    last = panels.flat[-1]
    image = last.imshow(statistics.entropy, cmap=_AMOUNT, vmin=0)
    _name_heads(last, statistics.entropy, "entropy (nats)")
    figure.colorbar(shares, ax=panels[:, :2], label="share of weight", location="left", shrink=0.7)
    figure.colorbar(image, ax=panels[:, 2], label="entropy (nats)", shrink=0.7)
    figure.suptitle(
        f"Where heads look: mean of {statistics.tokens:,} tokens in {statistics.texts} texts"
    )
    return figure


def plot_ablation(falls: np.ndarray, what: str) -> Figure:
    """What is lost without each head, (L, H), as a grid with numbers.

    what: is lost, with its unit: "accuracy (points)". Brown is a loss and violet a gain, and the
    numbers have a sign.
    """
    falls = np.asarray(falls)
    layers, heads = falls.shape
    figure = empty_figure(2.4 + 0.55 * heads, 1.6 + 0.42 * layers)
    axes = figure.subplots()
    largest = float(np.abs(falls).max()) or 1.0
    image = axes.imshow(falls, cmap=f"{_SIGNED}_r", vmin=-largest, vmax=largest, aspect="auto")
    digits = max(0, 1 - int(np.floor(np.log10(largest))))
    for (layer, head), fall in np.ndenumerate(falls):
        colour = "white" if abs(fall) > 0.6 * largest else "black"
        number = signed(fall, f"+.{digits}f")
        axes.text(head, layer, number, ha="center", va="center", color=colour, fontsize=8)
    _number_heads(axes, layers, heads)
    axes.set_title(f"Without each head: fall of\n{what}", parse_math=False, fontsize=11)
    figure.colorbar(image, ax=axes, label="fall")
    return figure


def plot_positions(similarity: PositionSimilarity, first: int = 128) -> Figure:
    """How alike the vectors of two positions are, of the first so many; and how long all are."""
    shown = similarity.cosine[:first, :first]
    figure = empty_figure(10.5, 4.4)
    matrix, lengths = figure.subplots(1, 2, width_ratios=[1, 1.15])
    image = matrix.imshow(shown, cmap=_AMOUNT, interpolation="nearest")
    title = f"Alike: the first {len(shown)} of {len(similarity.length)}"
    matrix.set(xlabel="position", ylabel="position", title=title)
    figure.colorbar(image, ax=matrix, label="cosine", shrink=0.9)
    lengths.plot(similarity.length, color=FOR, linewidth=1)
    longest = similarity.longest()
    listed = "the longest: " + ", ".join(map(str, longest))
    lengths.plot(longest, similarity.length[longest], "o", color=AGAINST, label=listed)
    lengths.legend(loc="upper center")
    lengths.set(xlabel="position", ylabel="Euclidean length", title="Lengths", ylim=(0, None))
    figure.suptitle("The vectors of positions")
    return figure


def plot_similarity(cosine: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """How alike each two of n things are, (n, n), such as sentences: rows with their names and
    numbers, columns with the numbers."""
    number = len(cosine)
    rows = [f"{label_of(name, TITLE)}  {i}" for i, name in enumerate(names, 1)]
    width = 0.1 * max(map(len, rows))  # of the names, in inches
    figure = empty_figure(width + 2 + 0.5 * number, 1.3 + 0.5 * number)
    axes = figure.subplots()
    least = min(0.0, float(cosine.min()))
    image = axes.imshow(cosine, cmap=_AMOUNT, vmin=least, vmax=1)
    dark = least + 0.6 * (1 - least)
    for (row, column), value in np.ndenumerate(cosine):
        colour = "black" if value > dark else "white"
        axes.text(
            column, row, signed(value, ".2f"), ha="center", va="center", color=colour, fontsize=8
        )
    axes.set_xticks(range(number), [f"{i}" for i in range(1, number + 1)])
    axes.set_yticks(range(number), rows, parse_math=False)
    axes.set_title(title, parse_math=False)
    figure.colorbar(image, ax=axes, label="cosine")
    return figure


def plot_word(
    found: WordVectors, senses: Sequence[Any] | None = None, layer: int | None = None
) -> Figure:
    """A word's vectors in two panels, the embeddings and a layer, in the two directions in which
    they differ most; points have the numbers of their texts, from 1.

    senses: what the word means in each text; marks show it, and titles the share of texts whose
    nearest neighbour has the same. layer: None for the one where that is best, or the last.

    Raises `ValueError` for fewer than two texts, or a layer that there is not.
    """
    named = [found.word] * len(found.texts) if senses is None else list(senses)
    shares = found.same_sense(named)
    last = len(shares) - 1
    if layer is None:
        layer = last if senses is None else int(shares.argmax())
    layer = whole_number("layer", layer, 0, last)
    kinds = list(dict.fromkeys(named))
    figure = empty_figure(10, 4.6)
    for axes, number in zip(figure.subplots(1, 2), (0, layer), strict=True):
        components = pca(found.vectors[number], 2)
        for place, kind in enumerate(kinds):
            points = components.points[[i for i, sense in enumerate(named) if sense == kind]]
            axes.scatter(
                *points.T,
                s=110 / (place + 1),  # smaller ones on top, for points may lie on each other
                color=_SENSES[place % len(_SENSES)],
                marker=_MARKERS[place % len(_MARKERS)],
                edgecolor="black",
            )
        for (x, y), texts in _close(components.points):
            axes.annotate(texts, (x, y), (5, 5), textcoords="offset points", fontsize=9)
        where = f"layer {number}" if number else "embeddings"
        if senses is not None:
            where += f"\nnearest neighbour of the same sense: {shares[number]:.2f}"
        axes.set_title(where, fontsize=11)
        first, second = (f"{share:.0%} of variance" for share in components.explained)
        axes.set(xlabel=f"component 1 ({first})", ylabel=f"component 2 ({second})")
        axes.margins(0.12)
    if senses is not None:
        marks = figure.axes[0].collections
        names = [label_of(str(kind)) for kind in kinds]
        legend = figure.legend(marks, names, loc="outside lower center", ncols=min(4, len(names)))
        for text in legend.get_texts():
            text.set_parse_math(False)
    about = f'"{label_of(found.word)}" in {len(found.texts)} texts'
    figure.suptitle(about, parse_math=False)
    return figure


def _show_weights(axes: Axes, weights: np.ndarray) -> AxesImage:
    """Attention weights in the colours of their roots."""
    from matplotlib.colors import PowerNorm

    norm = PowerNorm(0.5, 0, 1)
    return axes.imshow(weights, cmap=_AMOUNT, norm=norm, interpolation="nearest")


def _number_heads(axes: Axes, layers: int, heads: int) -> None:
    axes.set_xticks(range(heads), [f"{i}" for i in range(1, heads + 1)], fontsize=8)
    axes.set_yticks(range(layers), [f"{i}" for i in range(1, layers + 1)], fontsize=8)
    axes.set(xlabel="head", ylabel="layer")


def _name_both(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False, fontsize=9)
    axes.set_yticks(range(len(names)), names, parse_math=False, fontsize=9)


def _name_heads(axes: Axes, values: np.ndarray, what: str) -> None:
    """Numbers for layers and heads, and a frame around the largest value."""
    from matplotlib.patches import Rectangle

    layer, head = np.unravel_index(values.argmax(), values.shape)
    corner = (head - 0.5, layer - 0.5)
    for colour, width in (("black", 4), ("white", 2)):  # seen on dark and on light
        frame = Rectangle(corner, 1, 1, fill=False, edgecolor=colour, linewidth=width)
        frame.set_clip_on(False)
        axes.add_patch(frame)
    largest = f"{values[layer, head]:.2f} at layer {layer + 1}, head {head + 1}"
    axes.set_title(f"{what}\n{largest}", fontsize=10)
    _number_heads(axes, *values.shape)


def _close(points: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Places for labels, and which of the points, from 1, are there: those that lie on each other
    share one."""
    least = 0.03 * np.ptp(points, axis=0).max()
    found: list[tuple[np.ndarray, str]] = []
    for number, point in enumerate(points, 1):
        for i, (place, numbers) in enumerate(found):
            if np.linalg.norm(point - place) < least:
                found[i] = place, f"{numbers}, {number}"
                break
        else:
            found.append((point, f"{number}"))
    return found


def _of(attention: TextAttention) -> str:
    text = attention.text
    return text if isinstance(text, str) else " / ".join(text)

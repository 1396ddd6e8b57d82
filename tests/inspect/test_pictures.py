"""`inspect.pictures` and `inspect.bars`: what stands in the pictures; nobody compares pixels."""

import io
import sys

import numpy as np
import pytest

from minibert.inspect import (
    Attribution,
    DeletionTest,
    WordVectors,
    attentions,
    head_statistics,
    plot_ablation,
    plot_deletion,
    plot_head,
    plot_heads,
    plot_importance,
    plot_positions,
    plot_similarity,
    plot_sizes,
    plot_statistics,
    plot_word,
    position_similarity,
    summary,
    token_vectors,
)
from tests.conftest import small_model

TEXT = "The $x^$ of a_b\u202e costs $5."


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def attention(model, tokenizer):
    (found,) = attentions(model, tokenizer, [TEXT])
    return found


def importance(weights, words=None):
    words = words or [f"w{i}" for i in range(len(weights))]
    return Attribution(
        method="occlusion",
        text=" ".join(words),
        explained="log-odds of '$a$'",
        label="$a$",
        probability=0.75,
        value=1.1,
        baseline=-0.2,
        words=tuple(words),
        spans=tuple((0, 1) for _ in words),
        parts=(0,) * len(words),
        weights=np.array(weights, dtype=float),
        unread=0,
    )


def labels(ticks):
    return [tick.get_text() for tick in ticks]


def numbers(axes):
    """Those at the ends of bars or in cells."""
    return [text.get_text().replace("\N{MINUS SIGN}", "-") for text in axes.texts]


def test_the_grid_has_a_matrix_for_each_head(attention):
    figure = plot_heads(attention)
    *grid, bar = figure.axes
    assert len(grid) == 3 * 4 and bar.get_ylabel() == "weight"
    for place, axes in enumerate(grid):
        drawn = axes.images[0].get_array()
        np.testing.assert_allclose(drawn, attention.weights[place // 4, place % 4])
    assert [axes.get_title() for axes in grid[:4]] == ["head 1", "head 2", "head 3", "head 4"]
    assert [axes.get_ylabel() for axes in grid[::4]] == ["layer 1", "layer 2", "layer 3"]
    assert "$x^$ of a_b\\u202e" in figure.get_suptitle()


def test_a_diagonal_survives_in_a_small_picture(model, tokenizer):
    (long,) = attentions(model, tokenizer, ["film " * 30], max_length=32)
    wide = type(long)(long.text, long.row, np.tile(np.eye(200), (1, 1, 1, 1)))
    drawn = plot_heads(wide).axes[0].images[0].get_array()
    assert drawn.shape == (48, 48) and (np.diagonal(drawn) == 1).all()


def test_one_head_has_the_names_of_its_tokens(attention):
    figure = plot_head(attention, 2, 4)
    axes = figure.axes[0]
    assert axes.get_title() == "Layer 2, head 4"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("token looked at", "token that looks")
    assert labels(axes.get_xticklabels()) == labels(axes.get_yticklabels()) == attention.tokens
    np.testing.assert_allclose(axes.images[0].get_array(), attention.weights[1, 3])
    with pytest.raises(ValueError, match="head is 5; it must be a whole number of at most 4"):
        plot_head(attention, 1, 5)


def test_a_long_text_is_cut_and_the_title_says_so(attention):
    tokens = [f"t{i}" for i in range(70)]
    row = attention.row._replace(tokens=tokens)
    long = type(attention)("long", row, np.full((1, 1, 70, 70), 1 / 70))
    axes = plot_head(long, 1, 1).axes[0]
    assert axes.get_title().endswith("(the first 64 of 70 tokens)")
    assert axes.images[0].get_array().shape == (64, 64)


def test_statistics_name_the_strongest_heads(model, tokenizer):
    found = head_statistics(model, tokenizer, [TEXT, "A film."])
    panels = plot_statistics(found).axes[:6]
    layer, head = found.strongest("next")
    assert panels[1].get_title() == (
        f"to the next token\n{found.next.max():.2f} at layer {layer}, head {head}"
    )
    frame = panels[1].patches[-1]
    assert (frame.get_x() + 1.5, frame.get_y() + 1.5) == (head, layer)
    np.testing.assert_allclose(panels[5].images[0].get_array(), found.entropy)
    assert labels(panels[0].get_yticklabels()) == ["1", "2", "3"]


def test_ablation_has_numbers_with_signs():
    falls = np.array([[1.26, -0.4], [0.04, 12.0]])
    axes, bar = plot_ablation(falls, "accuracy ($points$)").axes
    assert numbers(axes) == ["+1", "0", "0", "+12"]
    assert numbers(plot_ablation(falls / 10, "").axes[0]) == ["+0.1", "0.0", "0.0", "+1.2"]
    assert axes.get_title() == "Without each head: fall of\naccuracy ($points$)"
    assert axes.images[0].get_clim() == (-12, 12), "no loss is the middle of the colours"
    assert not plot_ablation(np.zeros((2, 2)), "").axes[0].images[0].norm(0.0) - 0.5


def test_positions_are_drawn_and_the_longest_named(model):
    found = position_similarity(model)
    matrix, lengths, _ = plot_positions(found, first=16).axes
    np.testing.assert_allclose(matrix.images[0].get_array(), found.cosine[:16, :16])
    assert matrix.get_title() == f"Alike: the first 16 of {len(found.length)}"
    assert list(lengths.lines[1].get_xdata()) == found.longest()


def test_similarities_have_names_and_numbers():
    cosine = np.array([[1.0, -0.25], [-0.25, 1.0]])
    axes = plot_similarity(cosine, ["$a$ b_c", "d" * 99], "Texts").axes[0]
    assert labels(axes.get_yticklabels()) == ["$a$ b_c  1", "d" * 59 + "…  2"]
    assert numbers(axes) == ["1.00", "-0.25", "-0.25", "1.00"]
    assert axes.get_title() == "Texts"


def test_importance_is_to_the_right_and_against_to_the_left():
    axes = plot_importance(importance([0.5, -1.25], ["$good$", "x" * 99])).axes[0]
    assert labels(axes.get_yticklabels()) == ["$good$", "x" * 23 + "…"]
    assert [bar.get_width() for bar in axes.patches] == [0.5, -1.25]
    assert numbers(axes) == ["+0.50", "-1.25"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first word is on top"
    assert "Occlusion: log-odds of '$a$'" in axes.get_title()
    assert axes.get_xlabel() == "weight, log-odds (nats)"


def test_of_many_words_those_of_most_weight_are_left():
    axes = plot_importance(importance([0.1] * 5 + [1.0] * 40)).axes[0]
    assert labels(axes.get_yticklabels()) == [f"w{i}" for i in range(5, 45)]
    assert axes.get_xlabel().endswith("; 5 lesser words left out")


def test_the_deletion_test_is_sorted_and_has_its_errors():
    found = DeletionTest(("random", "occlusion"), np.array([[0.0, 0.02], [0.1, 0.3]]))
    axes = plot_deletion(found).axes[0]
    assert labels(axes.get_yticklabels()) == ["occlusion", "random"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.2, 0.01])
    (segment, _) = axes.collections[0].get_segments()
    assert segment[:, 0] == pytest.approx([0.1, 0.3]), "one standard error to each side"
    assert axes.get_title() == "Deletion test, 2 texts"
    one = DeletionTest(("random",), np.array([[0.5]]))  # no standard error
    assert numbers(plot_deletion(one).axes[0]) == ["+0.500"]


def test_sizes_add_up(model):
    found = summary(model)
    axes = plot_sizes(found).axes[0]
    assert sum(bar.get_width() for bar in axes.patches) == found.parameters
    assert [int(number.replace(",", "")) for number in numbers(axes)] == [
        bar.get_width() for bar in axes.patches
    ]
    assert "encoder: feed_forward" in labels(axes.get_yticklabels())


def test_a_word_moves_from_the_embeddings_to_its_sense(model, tokenizer):
    """In layer 2 here the senses lie apart; points that lie on each other share a label."""
    vectors = np.zeros((3, 4, 5), np.float32)
    vectors[0] = [[1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]
    vectors[1] = vectors[0]
    vectors[2] = np.array([[1, 0], [0, 1], [1, 0.1], [0.1, 1]]) @ np.eye(2, 5)
    found = WordVectors("$spring$", ("a", "b", "c", "d"), vectors)
    figure = plot_word(found, ["coil", "water", "coil", "water"])
    left, right = figure.axes
    assert left.get_title() == "embeddings\nnearest neighbour of the same sense: 0.00"
    assert right.get_title() == "layer 2\nnearest neighbour of the same sense: 1.00"
    assert numbers(left) == ["1, 2", "3, 4"]
    assert labels(figure.legends[0].get_texts()) == ["coil", "water"]
    assert figure.get_suptitle() == '"$spring$" in 4 texts'
    with pytest.raises(ValueError, match="layer is 3"):
        plot_word(found, layer=3)
    plain = plot_word(token_vectors(model, tokenizer, ["A film.", "The film!"], "film"))
    assert plain.axes[1].get_title() == "layer 3" and not plain.legends


def test_no_label_is_cut_off(attention):
    """Drawn, all that is written lies inside the picture, to two of its dots."""
    words = ["x" * 99, "$", "_" * 30]
    found = [
        plot_head(attention, 1, 1),
        plot_importance(importance([-3.0, 4.0, 1.0], words)),
        plot_similarity(np.eye(2), ["a" * 99, "b"], "Texts"),
    ]
    for figure in found:
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert min(box.x0, box.y0) >= -2 and box.x1 <= width + 2 and box.y1 <= height + 2


def test_pyplot_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it would fail
    plot_ablation(np.ones((2, 2)), "x").savefig(io.BytesIO())

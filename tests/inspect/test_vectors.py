"""`inspect.token_vectors`, `position_similarity` and `pca`."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from minibert import Tokenizer, optimize
from minibert.inspect import pca, position_similarity, token_vectors
from tests.conftest import FAMILIES, small_model, small_variant
from tests.text.kinds import write_folder

LIGHT = {
    "The light of the lamp fell on the page.": "lamp",
    "This suitcase is so light that a child can lift it.": "weight",
    "A bright light shone through the window.": "lamp",
    "The bag was light, almost empty.": "weight",
    "Turn off the light when you leave the room.": "lamp",
    "Carbon makes the bicycle light and strong.": "weight",
    "We saw a faint light at the end of the tunnel.": "lamp",
    "She wore a light jacket that weighed nothing.": "weight",
}


def test_context_finds_the_sense_of_a_word(real, tokenizer):
    found = token_vectors(real, tokenizer, list(LIGHT), "light")
    right = found.same_sense(list(LIGHT.values()))
    assert right[0] <= 0.75 and right[1:].max() == 1.0
    # Alike in the embeddings, where positions alone differ; less so with each context.
    lines = [line.split() for line in str(found).splitlines()[2:]]
    assert lines[0][0] == "embeddings" and float(lines[0][1]) > 0.95
    assert float(lines[-1][1]) < float(lines[0][1])


@pytest.mark.parametrize("family", ["bert", *FAMILIES])
def test_vectors_are_hidden_states(family, tokenizer):
    """Of a word in several pieces the mean, in whatever case."""
    model = small_variant(family)
    texts = ["Quite unaffordable!", "UNAFFORDABLE, unaffordable things"]
    found = token_vectors(model, tokenizer, texts, "Unaffordable")
    with torch.inference_mode():
        states = model.bert(**tokenizer(texts), output_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        expected = torch.stack([state[0, 2:6].mean(dim=0), state[1, 1:5].mean(dim=0)])
        np.testing.assert_allclose(found.vectors[layer], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["RobertaTokenizer", "AlbertTokenizer"])
def test_words_are_found_whatever_the_tokenizer(kind, tmp_path):
    tokenizer = Tokenizer.from_pretrained(write_folder(tmp_path / "m", kind))
    size = tokenizer.vocabulary.size
    model = small_model(vocab_size=size)
    text = "Two films. A film, though."
    found = token_vectors(model, tokenizer, [text], "film")
    row = tokenizer.encode(text)
    columns = [i for i, (start, end) in enumerate(row.offsets) if 12 < end <= 17]
    with torch.inference_mode():
        states = model.bert(**tokenizer([text]), output_hidden_states=True).hidden_states
    np.testing.assert_allclose(found.vectors[-1][0], states[-1][0, columns].mean(dim=0), atol=1e-5)


def test_the_nearest_neighbour_is_another_text(tokenizer):
    found = token_vectors(small_model(), tokenizer, ["a film", "the film", "a film"], "film")
    assert found.nearest(3).tolist()[::2] == [2, 0]
    assert found.similarity(0)[0, 2] == pytest.approx(1)
    with pytest.raises(ValueError, match="layer is 4; it must be a whole number of at most 3"):
        found.nearest(4)
    with pytest.raises(ValueError, match="there are 3 texts and 2 senses"):
        found.same_sense("ab")
    alone = token_vectors(small_model(), tokenizer, ["a film"], "film")
    assert str(alone).startswith("'film' in 1 texts")
    with pytest.raises(ValueError, match="there is one text; a nearest neighbour takes"):
        alone.nearest(1)


@pytest.mark.parametrize(
    ("texts", "word", "message"),
    [
        (["a film", "films"], "film", "text 1 is 'films', which has no word 'film' in its 3"),
        (["x " * 50 + "film"], "film", "which has no word 'film' in its 40 tokens; leave it out"),
        ([("a film", "a film")], "film", "text 0 is a tuple; give a string"),
        ([], "film", "there are no texts"),
        (["a film"], None, "word is None, a NoneType; it must be a string"),
    ],
)
@pytest.mark.filterwarnings("ignore:1 of 1 texts are longer")
def test_bad_input_is_one_line(texts, word, message, tokenizer):
    with pytest.raises(ValueError, match=message):
        token_vectors(small_model(), tokenizer, texts, word)


def test_positions_of_the_real_model_have_a_band(real):
    found = position_similarity(real)
    assert found.cosine.shape == (512, 512)
    assert found.at_distance(1) > 0.8 > found.at_distance(2) > found.at_distance(8)
    assert found.longest()[:4] == [0, 511, 510, 127]
    assert "1                      0.851" in str(found)


@pytest.mark.parametrize("family", ["bert", *FAMILIES])
def test_positions_begin_where_a_row_begins(family):
    changes = {"pad_token_id": 1} if "roberta" in family or family == "camembert" else {}
    model = small_variant(family, **changes)
    table = model.bert.embeddings.position.weight.detach()
    found = position_similarity(model)
    first = len(table) - model.config.max_length
    assert first == (2 if changes else 0)
    cosine = torch.nn.functional.cosine_similarity(table[first], table[first + 5], dim=0)
    assert found.cosine[0, 5] == pytest.approx(cosine.item(), abs=1e-6)
    assert found.length[0] == pytest.approx(table[first].norm().item(), rel=1e-5)


def test_positions_of_an_optimized_model_are_refused():
    with pytest.raises(ValueError, match="optimized already; give position_similarity the one"):
        position_similarity(optimize(small_model()))


def test_components_are_those_of_scikit_learn():
    vectors = np.random.default_rng(0).normal(size=(20, 7)) * np.arange(1, 8)
    found, theirs = pca(vectors, components=3), PCA(n_components=3, svd_solver="full")
    np.testing.assert_allclose(found.points, theirs.fit_transform(vectors), atol=1e-9)
    np.testing.assert_allclose(found.axes, theirs.components_, atol=1e-9)
    np.testing.assert_allclose(found.explained, theirs.explained_variance_ratio_, atol=1e-9)
    # A picture of the same vectors never flips.
    np.testing.assert_allclose(pca(vectors[::-1], 3).points[::-1], found.points, atol=1e-9)
    assert str(found).splitlines()[1].split() == ["1", f"{found.explained[0]:.3f}"]


def test_vectors_that_do_not_differ_have_no_components():
    found = pca(np.ones((3, 2)))
    assert not found.points.any() and not found.explained.any()


@pytest.mark.parametrize(
    ("vectors", "components", "message"),
    [
        (np.ones((1, 5)), 2, r"vectors is an array of shape \(1, 5\); it must be \(n, C\)"),
        (np.ones(5), 2, r"vectors is an array of shape \(5,\)"),
        (np.full((3, 3), np.nan), 2, "at least two vectors, and finite"),
        (np.ones((3, 5)), 4, "components is 4; it must be a whole number of at most 3"),
    ],
)
def test_components_that_cannot_be_are_refused(vectors, components, message):
    with pytest.raises(ValueError, match=message):
        pca(vectors, components)

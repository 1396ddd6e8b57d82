"""torch.compile takes a model whole, and one graph serves batches of any shape."""

import pytest
import torch

import minibert
from minibert.engine.compiling import compilable
from tests.conftest import holes, ragged_batch, small_model

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's, of what is deprecated
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def compiled(model, graphs):
    """The model compiled, without the wait for a compiler; each graph is put on the list."""

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    return torch.compile(compilable(model), backend=backend, dynamic=True)


def graphs_after(shapes):
    """How many graphs there are after each batch of rows of these lengths."""
    model, plain, graphs = (*(small_model(num_hidden_layers=1) for _ in range(2)), [])
    fast, counts = compiled(model, graphs), []
    with torch.inference_mode():
        for lengths in shapes:
            batch = ragged_batch(lengths, pairs=True)
            assert torch.equal(fast(**batch).logits, plain(**batch).logits)
            batch = holes(batch)
            assert torch.equal(fast(**batch).logits, plain(**batch).logits)
            counts.append(len(graphs))
    return counts


def test_one_graph_serves_batches_of_any_shape():
    assert graphs_after([[7, 3, 5], [9, 2], [5, 4, 1, 7, 7]]) == [1, 1, 1]


@pytest.mark.slow
def test_batches_without_padding_and_lone_rows_have_a_graph_each():
    found = graphs_after([[7, 3, 5], [2, 2, 2], [8, 8], [9], [3], [6, 1]])
    assert found == [1, 2, 2, 4, 4, 4]


@pytest.mark.slow
def test_training_breaks_off_at_attention_and_is_not_compiled_again():
    model, plain, graphs = (*(small_model(num_hidden_layers=1, **STILL) for _ in range(2)), [])
    fast, counts = compiled(model.train(), graphs), []
    for lengths in ([7, 3, 5], [9, 2], [6, 8, 1, 1]):
        batch = ragged_batch(lengths)
        for kind in (fast, plain.train()):
            kind(**batch).logits.sum().backward()
        counts.append(len(graphs))
    assert counts[0] > 1 and len(set(counts)) == 1
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_a_compilable_model_computes_the_same_without_a_compiler():
    model, batch = small_model(attention="readable"), ragged_batch([7, 3, 5])
    wanted = model(**batch, output_attentions=True)
    with torch.inference_mode():
        alone = model(**batch).logits
        found = compilable(model)(**batch, output_attentions=True)
        assert torch.equal(model(**batch).logits, alone)
    assert torch.equal(found.logits, wanted.logits)
    assert all(map(torch.equal, found.attentions, wanted.attentions))


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(ValueError, match="give compilable the one it was made from"):
        compilable(minibert.optimize(small_model()))
    with pytest.raises(ValueError, match="such as BertForClassification, not a Linear"):
        compilable(torch.nn.Linear(2, 2))


@pytest.mark.slow
def test_a_compiler_gives_the_same_numbers():
    model, plain = small_model(), small_model()
    torch.compiler.reset()
    fast = torch.compile(compilable(model), dynamic=True)
    with torch.inference_mode():
        for lengths in ([7, 3, 5], [9, 2], [4, 4, 4], [1]):
            batch = ragged_batch(lengths)
            torch.testing.assert_close(fast(**batch).logits, plain(**batch).logits)

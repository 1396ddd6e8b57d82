"""What writes a model down, copies it or wraps it: right, or refused by one line."""

import copy
import io
import multiprocessing
import pickle

import pytest
import torch
from torch import nn

import minibert
from tests.conftest import holes, ragged_batch, small_model

BATCH = ragged_batch([7, 3, 5])
IDS, MASK = BATCH["input_ids"], BATCH["attention_mask"]
REFUSED = "cannot be traced or exported: .*save_pretrained .*transformers or optimum"
pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's, of what is deprecated


class Wrapped(nn.Module):
    """As users wrap a model to export it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(ids, attention_mask=mask).logits


WRITERS = {
    "jit.trace": lambda model: torch.jit.trace(Wrapped(model), (IDS, MASK)),
    "jit.trace, ids alone": lambda model: torch.jit.trace(model, (IDS,)),
    "jit.trace of a part": lambda model: torch.jit.trace(model.bert, (IDS,)),
    "jit.script": torch.jit.script,
    "jit.script of a wrapper": lambda model: torch.jit.script(Wrapped(model)),
    "fx": torch.fx.symbolic_trace,
    "fx of a wrapper": lambda model: torch.fx.symbolic_trace(Wrapped(model)),
    "export": lambda model: torch.export.export(
        model, (IDS,), {"attention_mask": MASK}, strict=False
    ),
    "export of a wrapper": lambda model: torch.export.export(
        Wrapped(model), (IDS, MASK), strict=False
    ),
    "onnx": lambda model: torch.onnx.export(
        Wrapped(model), (IDS, MASK), io.BytesIO(), dynamo=False
    ),
    "onnx, keywords": lambda model: torch.onnx.export(
        model, (IDS, {"attention_mask": MASK}), io.BytesIO(), dynamo=False
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_trace_of_one_batch_is_refused_with_what_to_do_instead(writer):
    with pytest.raises(ValueError, match=REFUSED):
        WRITERS[writer](small_model())


def test_an_optimized_model_is_not_traced_either():
    model = minibert.optimize(small_model())
    with pytest.raises(ValueError, match=REFUSED), torch.inference_mode():
        torch.jit.trace(model, (IDS,))


def test_strict_export_fails_with_the_same_line_in_its_report():
    with pytest.raises(Exception, match=REFUSED):
        torch.export.export(small_model(), (IDS,), {"attention_mask": MASK}, strict=True)


def test_vmap_over_texts_is_refused():
    model = small_model()
    with pytest.raises(ValueError, match="input_ids cannot be looked at under torch.vmap"):
        torch.func.vmap(lambda ids: model(ids[None]).logits)(IDS)


def test_vmap_over_models_gives_what_each_gives():
    models = [small_model(initializer_range=scale) for scale in (0.1, 0.2)]
    weights, buffers = torch.func.stack_module_state(models)
    together = torch.func.vmap(
        lambda state: torch.func.functional_call(models[0], state, kwargs=BATCH).logits
    )(weights)
    assert not buffers
    torch.testing.assert_close(together, torch.stack([model(**BATCH).logits for model in models]))


@pytest.mark.parametrize(
    "again",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), nn.DataParallel],
    ids=["deepcopy", "pickle", "DataParallel"],
)
@pytest.mark.parametrize("batch", [BATCH, holes(BATCH)], ids=["padded", "holes"])
def test_copies_and_wrappers_compute_the_same(again, batch):
    model = small_model()
    assert torch.equal(again(model)(**batch).logits, model(**batch).logits)


def logits_of(model, batch, results):
    with torch.no_grad():
        results.put(model(**batch).logits.float().numpy())


@pytest.mark.slow
@pytest.mark.parametrize("precision", [None, "fp32", "bf16", "int8"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_model_reaches_another_process(method, precision):
    context = multiprocessing.get_context(method)
    model, results = small_model(), context.Queue()
    model = minibert.optimize(model, precision) if precision else model
    process = context.Process(target=logits_of, args=(model, BATCH, results))
    process.start()
    found = results.get(timeout=120)
    process.join()
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(found), model(**BATCH).logits.float())


@pytest.mark.slow
def test_a_compiled_model_is_right_for_lengths_it_was_not_compiled_for():
    model = small_model()
    compiled = torch.compile(model, dynamic=True)
    with torch.no_grad():
        for lengths in ([7, 3, 5], [9, 2], [4, 4, 4], [1]):
            batch = ragged_batch(lengths)
            torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits)

"""A step asks the device for nothing: found out on a CPU, by following what would be on a GPU."""

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minibert.corpus import task as pre_training
from minibert.corpus.rows import PreTrainingExample
from minibert.engine import attention, host
from minibert.pretraining import BertForPreTraining
from minibert.tokenizer import Row, WordPieceTokenizer
from minibert.training import batches, readings, speed
from minibert.training.batches import Classification, Examples
from minibert.training.frozen import ClassificationOfVectors, Head
from minibert.training.ranks import Ranks
from minibert.training.readings import LATE
from minibert.training.recipe import Recipe
from minibert.training.speed import fast_training
from minibert.training.steps import Steps
from tests.conftest import small_model

ATEN, GPU = torch.ops.aten, torch.device("cuda")
# What cannot be told what to do without being asked for a number, if only for the size of a result.
WAITS = {ATEN._local_scalar_dense, ATEN.nonzero, ATEN.masked_select, ATEN.equal, ATEN._unique2}
READS = {torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu}


class OnDevice:
    """Which tensors would be on a GPU: the weights, what is sent, and what is computed of them."""

    def __init__(self, model):
        self.storages = {}  # kept, so that no other gets the same address
        self.waits = []
        self.add(*model.parameters())

    def add(self, *tensors):
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self.storages[storage.data_ptr()] = storage

    def has(self, tensor):
        return tensor.numel() > 0 and tensor.untyped_storage().data_ptr() in self.storages

    def send(self, tensors, device):
        """For `host.send`: copies, as a GPU would get them. A mask is for where the batch is."""
        if all(tensor.dtype == torch.bool for tensor in tensors):
            return list(tensors)
        copies = [tensor.clone() for tensor in tensors]
        self.add(*copies)
        return copies


class Operators(TorchDispatchMode):
    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        there = any(map(self.device.has, tensors))
        masked = function.overloadpacket in (ATEN.index, ATEN.index_put, ATEN.index_put_) and any(
            x.dtype == torch.bool for x in tensors[1:]
        )
        if there and (masked or function.overloadpacket in WAITS):
            self.device.waits.append(str(function))
        result = function(*args, **(kwargs or {}))
        if there:
            self.device.add(*(x for x in tree_leaves(result) if isinstance(x, torch.Tensor)))
        return result


class Reads(TorchFunctionMode):
    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in READS and self.device.has(args[0]):
            self.device.waits.append(str(function))
        return function(*args, **(kwargs or {}))


class Padding(WordPieceTokenizer):
    """All that training needs of a tokenizer once its texts are rows."""

    pad_token_id = 0

    def __init__(self):
        pass


ROWS = [Row(list(range(5, 5 + length)), [0] * length, 0) for length in (9, 3, 12, 5)]
SMALL = {"vocab_size": 60, "num_hidden_layers": 1, "hidden_size": 24, "intermediate_size": 48}


class PreTraining(pre_training.PreTraining):
    """Without a corpus."""

    def __init__(self):
        self.rows = self  # of which only the tokenizer is asked for
        self.tokenizer = Padding()
        self.steps_per_epoch = 4

    def batch(self, step):
        labels = [[-100, 7, *[-100] * (len(row.ids) - 2)] for row in ROWS]
        return [
            PreTrainingExample(i, row, labels[i], next_sentence=i % 2) for i, row in enumerate(ROWS)
        ]


def classification(**options):
    return Classification(Examples(ROWS, [0, 1, 1, 0]), Padding(), 4, **options)


def learning(kind):
    """A model and a task."""
    model = small_model(**SMALL)
    if kind == "class weights":
        return model, classification(class_weights=torch.tensor([1.0, 3.0]))
    if kind == "a head alone":
        return Head(model), ClassificationOfVectors(classification(), torch.randn(4, 24))
    if kind == "pre-training":
        return BertForPreTraining(model.config), PreTraining()
    return model, classification()


def one_long_row(qkv, starts, longest, dropped):
    """In place of a kernel for packed rows: it asks for as little."""
    query, key, value = qkv.permute(1, 2, 0, 3)  # each (H, N, D)
    return F.scaled_dot_product_attention(query, key, value, dropout_p=dropped).transpose(0, 1)


def waits_of_a_step(model, task, monkeypatch, kernel=one_long_row, **recipe):
    """What a step asks the device for, with the classes that a GPU has, after one step that made
    the moments of the optimizer."""
    device = OnDevice(model)
    monkeypatch.setitem(LATE, "cpu", 1)
    classes_for = speed.classes_for
    monkeypatch.setattr(speed, "classes_for", lambda _, *how: classes_for(GPU, *how))
    monkeypatch.setattr(attention, "packed_kernel", lambda *_: kernel)
    monkeypatch.setattr(readings, "fetch", lambda values: lambda: [0.5, 1.0, 0.0])
    for module in (host, batches, pre_training):
        monkeypatch.setattr(module, "send", device.send)
    steps = Steps(model, task, Recipe(epochs=4, lr=1e-3, **recipe), Ranks(), None)
    with fast_training(model, recompute=steps.recipe.checkpoint, alone=False):
        steps.make(model, [])
        device.add(*(x for one in steps.optimizer.state.values() for x in one.values()))
        device.add(steps.readings.stop)
        device.waits.clear()
        with Operators(device), Reads(device):
            assert len(steps.make(model, [])) == 1
    return device.waits


@pytest.mark.parametrize(
    "kind", ["classification", "class weights", "a head alone", "pre-training"]
)
def test_a_step_waits_for_nothing(kind, monkeypatch):
    assert waits_of_a_step(*learning(kind), monkeypatch) == []


def test_nor_where_rows_are_grouped(monkeypatch):
    """As in fp32 with dropout, for which there is no kernel for packed rows."""
    assert waits_of_a_step(*learning("classification"), monkeypatch, kernel=None) == []


@pytest.mark.parametrize("recipe", [{"accumulate": 2}, {"precision": "bf16"}, {"checkpoint": True}])
def test_nor_does_it_in_parts_in_bf16_or_with_activations_computed_twice(recipe, monkeypatch):
    assert waits_of_a_step(*learning("classification"), monkeypatch, **recipe) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda loss: loss.item(),
        lambda loss: bool(loss > 0),
        lambda loss: loss.detach().cpu(),
        lambda loss: loss.detach().tolist(),
        lambda loss: (loss * torch.ones(2))[torch.tensor([True, False])],
        lambda loss: loss.isfinite().nonzero(),
    ],
)
def test_whoever_asks_is_seen(ask, monkeypatch):
    class Asking(Classification):
        def loss(self, model, part, whole):
            loss = super().loss(model, part, whole)
            ask(loss)
            return loss

    asking = Asking(Examples(ROWS, [0, 1, 1, 0]), Padding(), 4)
    model, _ = learning("classification")
    assert waits_of_a_step(model, asking, monkeypatch)

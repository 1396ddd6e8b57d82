"""What a model is given in place of a batch: one line says what it is and what to give instead."""

import re

import numpy as np
import pytest
import torch
import transformers
from torch import nn

import minibert
from minibert._checks import check_devices
from tests.conftest import TINY, ragged_batch

BATCH = ragged_batch([7, 3, 5])
IDS, SEGMENTS, MASK = BATCH.values()
pytestmark = pytest.mark.filterwarnings("ignore:.*(quantize_per_tensor|Sparse CSR|nested)")


def model(kind, **changes):
    torch.manual_seed(0)
    return getattr(minibert, kind)(minibert.BertConfig(**{**TINY, **changes})).eval()


MODELS = {
    "BertModel": model("BertModel"),
    "BertForClassification": model("BertForClassification"),
    "BertForTokenClassification": model("BertForTokenClassification"),
    "BertForQuestionAnswering": model("BertForQuestionAnswering"),
    "BertForMaskedLM": model("BertForMaskedLM"),
    "BertForPreTraining": model("BertForPreTraining"),
    "regression": model("BertForClassification", problem_type="regression"),
    "several labels": model("BertForClassification", problem_type="multi_label_classification"),
}


def nested(layout):
    return torch.nested.nested_tensor([*IDS], layout=layout)


# What no argument of any model may be, and what is said of it.
NEVER = {
    "sparse": (MASK.to_sparse, "has the layout torch.sparse_coo; its to_dense() makes"),
    "sparse rows": (MASK.to_sparse_csr, "has the layout torch.sparse_csr; its to_dense() makes"),
    "mkldnn": (MASK.float().to_mkldnn, "has the layout torch._mkldnn; its to_dense() makes"),
    "nested": (lambda: nested(torch.strided), "is nested; its to_padded_tensor(0) makes"),
    "jagged": (lambda: nested(torch.jagged), "is nested; its to_padded_tensor(0) makes"),
    "meta": (lambda: MASK.to("meta"), "is on the meta device and has no values; make it on"),
    "array": (MASK.numpy, "is of type ndarray; it must be a tensor, as in model(**tokenizer"),
    "list": (MASK.tolist, "is of type list; it must be a tensor"),
    "texts": (lambda: ["a text"], "is of type list; it must be a tensor"),
    "text": (lambda: "a text", "is of type str; it must be a tensor"),
    "mapping": (lambda: BATCH, "is of type dict; it must be a tensor"),
    "generator": (lambda: (row for row in MASK), "is of type generator; it must be a tensor"),
    "number": (lambda: 1, "is of type int; it must be a tensor"),
    "complex": (lambda: MASK.to(torch.complex64), "has shape (3, 7) and dtype torch.complex64"),
    "8 bits": (lambda: MASK.to(torch.float8_e4m3fn), "has shape (3, 7) and dtype torch.float8"),
    "unsigned": (lambda: MASK.to(torch.uint16), "has shape (3, 7) and dtype torch.uint16"),
    "NaN": (lambda: MASK * float("nan"), ""),
    "infinite": (lambda: MASK / 0, ""),
    "no axis": (lambda: MASK[0, 0], "has shape ()"),
    "one axis more": (lambda: MASK[None], "has shape (1, 3, 7)"),
    "two axes more": (lambda: MASK[:, None, None], "has shape (3, 1, 1, 7)"),
    "no row": (lambda: MASK[:0], "has shape (0, 7)"),
    "no column": (lambda: MASK[:, :0], "has shape (3, 0)"),
}
ARGUMENTS = [
    *((kind, name) for kind in MODELS for name in BATCH),
    ("BertForClassification", "labels"),
    ("BertForTokenClassification", "labels"),
    ("BertForMaskedLM", "labels"),
    ("BertForMaskedLM", "predict"),
    ("BertForPreTraining", "next_sentence_label"),
    ("BertForQuestionAnswering", "start_positions"),
    ("regression", "labels"),
    ("several labels", "labels"),
]


def given(kind, name, value):
    """The keywords of a call in which one argument is this value."""
    needed = {"end_positions": torch.zeros(3, dtype=torch.int64)}
    return {**BATCH, **(needed if name == "start_positions" else {}), name: value}


@pytest.mark.parametrize("what", NEVER)
def test_what_is_no_such_tensor_is_named_with_the_next_step(what):
    make, line = NEVER[what]
    for kind, name in ARGUMENTS:
        with pytest.raises(ValueError, match=f"^{name} .*{re.escape(line)}") as caught:
            MODELS[kind](**given(kind, name, make()))
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["input_ids", "attention_mask", "token_type_ids"])
def test_quantized_tensors_are_refused(name):
    value = torch.quantize_per_tensor(MASK.float(), 1.0, 0, torch.quint8)
    with pytest.raises(ValueError, match=f"{name} is quantized; its dequantize"):
        MODELS["BertModel"](**given("BertModel", name, value))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "float32", "float64"])
@pytest.mark.parametrize("name", ["input_ids", "token_type_ids"])
def test_ids_are_int64_or_int32(name, dtype):
    value = BATCH[name].to(getattr(torch, dtype))
    with pytest.raises(ValueError, match=f"{name} has shape .* dtype torch.{dtype}; it must be"):
        MODELS["BertModel"](**given("BertModel", name, value))


SAME = {
    "int32": {name: tensor.int() for name, tensor in BATCH.items()},
    "bool mask": {**BATCH, "attention_mask": MASK.bool()},
    "uint8 mask": {**BATCH, "attention_mask": MASK.to(torch.uint8)},
    "half mask": {**BATCH, "attention_mask": MASK.half()},
    "mask with a gradient": {**BATCH, "attention_mask": MASK.float().requires_grad_()},
    "views": {name: torch.stack([t, t], 2).flatten(1)[:, ::2] for name, t in BATCH.items()},
    "parameters": {name: nn.Parameter(t, requires_grad=False) for name, t in BATCH.items()},
    "transformers' batch": transformers.BatchEncoding(dict(BATCH)),
}


@pytest.mark.parametrize("batch", SAME)
def test_the_same_numbers_in_another_form_give_the_same_result(batch):
    expected = MODELS["BertModel"](**BATCH).last_hidden_state
    assert torch.equal(MODELS["BertModel"](**SAME[batch]).last_hidden_state, expected)


@pytest.mark.parametrize("tensors", [None, "np"])
def test_a_batch_of_transformers_without_tensors_is_told_how_to_get_them(tensors):
    batch = transformers.BatchEncoding({"input_ids": [[5, 6]]}, tensor_type=tensors)
    with pytest.raises(ValueError, match="input_ids is of type .*return_tensors='pt'"):
        MODELS["BertModel"](**batch)


@pytest.mark.parametrize("name", ["output_attentions", "output_hidden_states"])
@pytest.mark.parametrize("value", ["yes", "False", [], 0.0, torch.tensor(True)])
def test_switches_are_true_or_false(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*; it must be True or False"):
        MODELS["BertModel"](**BATCH, **{name: value})


@pytest.mark.parametrize(("value", "kept"), [(True, True), (np.True_, True), (None, False)])
def test_a_switch_may_be_left_open(value, kept):
    output = MODELS["BertModel"](**BATCH, output_attentions=value, output_hidden_states=value)
    assert (output.attentions is not None, output.hidden_states is not None) == (kept, kept)


def test_targets_with_a_gradient_are_read_without_a_warning(recwarn):
    targets = torch.full((3, 2), 0.5, requires_grad=True)
    MODELS["regression"](**BATCH, labels=targets).loss.backward()
    assert targets.grad is not None and not recwarn.list


def test_tensors_on_another_device_than_the_model_are_named():
    batch = {"input_ids": IDS, "attention_mask": MASK.to("meta")}
    with pytest.raises(ValueError, match="attention_mask is on meta and the model on cpu; move"):
        check_devices(torch.device("cpu"), batch)
    with pytest.raises(ValueError, match="input_ids is on cpu and the model on cuda:0; move the"):
        check_devices(torch.device("cuda:0"), batch)


def test_what_fails_inside_of_a_model_on_its_own_device_stays_as_it_is():
    failing = model("BertModel")

    def fail(*_):
        raise RuntimeError("out of luck")

    failing.encoder.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="^out of luck$"):
        failing(**BATCH)

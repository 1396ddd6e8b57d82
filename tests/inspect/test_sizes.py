"""`inspect.summary`: parameters, memory, FLOPs."""

import math
import os
import sys

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from minibert import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    optimize,
)
from minibert.inspect import summary
from minibert.inspect.sizes import memory
from minibert.training.optimizer import make_optimizer
from minibert.training.speed import fast_training
from tests.conftest import FAMILIES, ROOT, TINY, new_encoder, small_variant
from tests.programs import run


def named(parts):
    return {part.name: part.parameters for part in parts}


def test_the_parts_of_bert_base():
    """The sums of lesson 1: two tables and a norm, twelve layers, a pooler."""
    found = summary(BertConfig())
    layers = 12 * 7_087_872
    assert named(found.parts) == {
        "embeddings": 22_665_216,
        "encoder": layers,
        "pooler": 590_592,
    }
    assert named(found.parts[0].inside)["token"] == 28_996 * 768
    assert named(found.parts[1].inside)["feed_forward"] == 12 * (2 * 768 * 3072 + 3072 + 768)
    assert found.parameters == 108_310_272 and found.memory.weights == 433_241_088
    assert "total                  108,310,272 parameters    433.2 MB in fp32" in str(found)


@pytest.mark.parametrize("family", ["bert", *FAMILIES])
def test_the_parts_of_a_model_are_all_of_it(family):
    model = small_variant(family, vocab_size=50, **pads(family))
    found = summary(model, batch=2)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert all(
        part.parameters == sum(named(part.inside).values()) for part in found.parts if part.inside
    )
    assert "classifier" in named(found.parts)
    assert found.length == model.config.max_length < 128
    bare = summary(model.config)
    assert named(found.parts)["encoder"] == named(bare.parts)["encoder"]


def pads(family):
    return {"pad_token_id": 1} if "roberta" in family else {}


def test_a_masked_language_model_has_its_table_once():
    config = BertConfig(**TINY)
    found = summary(BertForMaskedLM(config))
    assert named(found.parts)["embeddings"] == named(summary(config).parts)["embeddings"]
    assert named(found.parts)["masked_lm"] == 48 * 48 + 3 * 48 + 211


@pytest.mark.parametrize("family", ["bert", "albert", "electra"])
def test_flops_are_those_that_pytorch_counts(family):
    length = 24
    config = BertConfig(
        **{**TINY, "model_type": family, **FAMILIES.get(family, {}), "attention": "readable"}
    )
    model = BertModel(config, pooler=False).eval()
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], with_flops=True) as counted:
        model(torch.full((3, length), 7))
    products = ("aten::addmm", "aten::mm", "aten::bmm")
    total = sum(event.flops for event in counted.key_averages() if event.key in products)
    assert summary(config, 3, length).flops * 3 * length == total


def test_training_keeps_what_autograd_keeps():
    """The formula for GPUs beside the tensors that a forward pass saves for the way back."""
    sizes = {**TINY, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 8}
    model = BertModel(BertConfig(**sizes, hidden_dropout_prob=0.0)).train()
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.randint(1, 200, (4, 64))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(ids, attention_mask=torch.ones_like(ids))
    reckoned = memory(model.config, 0, 4, 64).training
    measured = sum(storage.nbytes() for storage in kept.values())
    assert measured == pytest.approx(reckoned, rel=0.05)


def test_memory_of_the_papers_model():
    """Korthikanti et al. 2022, section 4.1, in fp16: 34 bytes a token, hidden unit and layer."""
    config = BertConfig()
    weights, inference, *_ = memory(config, 108_310_272, 1, 1)
    assert weights == 433_241_088 and inference - weights == 4 * (768 + 2 * 3072)
    kept = 12 * 768 * (2 * 32 + 2)  # fp32: numbers twice as long
    assert memory(config, 0, 1, 1).training == kept
    # Gradients grow as activations go.
    assert memory(config, 108_310_272, 1, 1).training == 16 * 108_310_272
    assert memory(config, 108_310_272, 32, 128).training == 12 * 108_310_272 + 4096 * kept


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {}),
        ("bert", {"attention_probs_dropout_prob": 0.0}),
        ("bert", {"vocab_size": 20_000}),  # most of it weights
        ("distilbert", {}),
        ("albert", {}),
        ("electra", {}),
    ],
)
def test_training_on_a_cpu_takes_what_is_reckoned(family, changes):
    """Every allocation of a step, its largest sum, and what is there all the time."""
    sizes = {**TINY, "num_hidden_layers": 6, "model_type": family, **FAMILIES.get(family, {})}
    model = BertForTokenClassification(BertConfig(**{**sizes, **changes})).train()
    ids = torch.randint(5, 200, (4, 64))
    batch = {"attention_mask": torch.ones_like(ids), "labels": torch.zeros_like(ids)}
    optimizer = make_optimizer(model, 1e-4, 0.01)
    with fast_training(model):

        def step():
            model(ids, **batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        step()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            step()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    taken = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        taken += event.nbytes()
        most = max(most, taken)
    found = summary(model, 4, 64)
    table = 4 * model.bert.embeddings.token.weight.numel()  # its gradient is kept
    assert found.memory.training_on_cpu == pytest.approx(
        12 * found.parameters + table + most, rel=0.15
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize("dropout", [0.1, 0.0])
def test_the_peak_of_a_process_that_fits_is_what_is_reckoned(tmp_path, few_words, dropout):
    """In a process of its own, from just before the model is there to the peak of `fit`; glibc is
    told to give back what is freed, of which it keeps a fifth to a third otherwise."""
    shape = {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "attention_probs_dropout_prob": dropout,
        "max_position_embeddings": 512,
    }
    for name, changes in (("small", {}), ("large", shape)):
        new_encoder(tmp_path / name, few_words, **{**changes, "initializer_range": 0.02})
    script = tmp_path / "fit.py"
    script.write_text(
        """
import sys

import torch

from minibert import TextClassifier
from minibert.inspect import summary


def megabytes(of):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(of))


def fit(model, length):
    texts, labels = ["film " * length] * 64, [0, 1] * 32
    return TextClassifier(model, epochs=1, max_length=length).fit(texts, labels)


torch.set_num_threads(1)
fit(sys.argv[1], 16)
before = megabytes("VmRSS")
found = fit(sys.argv[2], 128)
print(megabytes("VmHWM") - before)
print(summary(found.model_, 32, 128).memory.training_on_cpu / 1e6)
"""
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_MMAP_THRESHOLD_": "262144"}
    folders = tmp_path / "small", tmp_path / "large"
    result = run(script, *folders, check=True, env=environment)
    measured, reckoned = map(float, result.stdout.split()[-2:])
    assert reckoned == pytest.approx(measured, rel=0.15)


def test_bad_input_is_one_line():
    model = small_variant("bert")
    for arguments, message in [
        (
            ("minilm-l6",),
            "summary takes a model such as BertModel or a BertConfig, not 'minilm-l6'",
        ),
        ((optimize(model),), "optimized already; give summary the one it was made from"),
        ((model, 0), "batch is 0; it must be a whole number of at least 1"),
        ((model, 1, 41), "length is 41; rows of this model have up to 40"),
        ((model, 1, math.nan), "length is nan"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            summary(*arguments)
        assert "\n" not in str(caught.value)

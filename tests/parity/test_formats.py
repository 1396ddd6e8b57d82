"""Every checkpoint format of every head, there and back: bit-identical weights.

transformers saves, we load, we save, transformers loads with nothing missing or unexpected, and we
load again.
"""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import minibert
from minibert.checkpoint.names import from_hf, to_hf
from tests.conftest import BATCHES, OURS, at_real, hf_model, ours_from

KINDS = [*OURS]


def legacy_norms(tensors):
    """gamma and beta, as Google's and the first PyTorch checkpoints call them."""
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    return {
        name[: -len(end)] + old[end] if (end := ".".join(name.split(".")[-2:])) in old else name: t
        for name, t in tensors.items()
    }


def without_prefix(tensors):
    return {name.removeprefix("bert."): t for name, t in tensors.items()}


def with_prefix(tensors):
    head = ("bert.", "cls.", "classifier.", "qa_outputs.")
    return {n if n.startswith(head) else f"bert.{n}": t for n, t in tensors.items()}


def with_buffers(tensors):
    """transformers 3 and 4 saved the numbers 0, 1, 2 ... along."""
    prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
    return {
        **tensors,
        f"{prefix}embeddings.position_ids": torch.arange(512)[None],
        f"{prefix}embeddings.token_type_ids": torch.zeros(1, 512, dtype=torch.long),
    }


def with_copies(tensors):
    """Old masked language models store the token table a second time."""
    copies = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    return {**tensors, **{c: tensors[o].clone() for c, o in copies.items() if o in tensors}}


def one_safetensors(tensors, folder):
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors")


def one_pickle(tensors, folder):
    torch.save(tensors, folder / "pytorch_model.bin")


def shards(save, pattern):
    """Three files and an index, as both libraries write large models."""

    def write(tensors, folder):
        files = [pattern.format(i + 1) for i in range(3)]
        where = {name: files[i % 3] for i, name in enumerate(tensors)}
        for file in files:
            save({n: t.contiguous() for n, t in tensors.items() if where[n] == file}, folder / file)
        index = pattern.partition("-")[0] + pattern[pattern.index(".") :] + ".index.json"
        (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": where}))

    return write


CONTAINERS = {
    "safetensors": one_safetensors,
    "safetensors in shards": shards(save_file, "model-{:05d}-of-00003.safetensors"),
    ".bin": one_pickle,
    ".bin in shards": shards(torch.save, "pytorch_model-{:05d}-of-00003.bin"),
}
NAMES = {
    "gamma and beta": legacy_norms,
    "without the prefix bert.": without_prefix,
    "with the prefix bert.": with_prefix,
    "position_ids buffers": with_buffers,
    "decoder stored twice": with_copies,
    "all of these, without prefix": lambda t: without_prefix(with_buffers(legacy_norms(t))),
}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture(scope="module", params=KINDS)
def saved(request, tmp_path_factory):
    """(the reference, its folder as transformers saves it)."""
    folder = tmp_path_factory.mktemp("hf")
    reference = hf_model(request.param)
    reference.save_pretrained(folder)
    return reference, folder


def rewrite(source, folder, change, write, dtype=torch.float32):
    """The folder's model in another format."""
    folder.mkdir()
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {n: t.to(dtype) for n, t in load_file(source / "model.safetensors").items()}
    write(change(tensors), folder)


def different(ours, tensors):
    """How many tensors of a file, in fp32, are not bit for bit what our model has."""
    mine = to_hf(ours.state_dict())
    theirs = {name: t.float() for name, t in tensors.items()}
    assert mine.keys() == theirs.keys()
    return sum(not torch.equal(mine[name], theirs[name]) for name in theirs)


def check_round_trip(reference, source, folder, tmp_path, name, parity, dtype=torch.float32):
    tensors = {n: t.to(dtype) for n, t in load_file(source / "model.safetensors").items()}
    kind = type(reference).__name__
    ours = OURS[kind].from_pretrained(folder)
    assert not ours.load_report.newly_initialised
    parity.at_most(f"{name}: tensors that differ when loaded", different(ours, tensors), 0)
    ours.save_pretrained(tmp_path / "ours")
    again, info = getattr(transformers, kind).from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    last = OURS[kind].from_pretrained(tmp_path / "ours")
    assert not last.load_report.ignored and not last.load_report.newly_initialised
    parity.at_most(f"{name}: after the round trip", different(last, tensors), 0)
    with torch.inference_mode():
        batch = BATCHES["pairs"]
        miss = (last(**batch)[0] - again.eval()(**batch)[0])[batch["attention_mask"][:, 0] == 1]
    real = batch["attention_mask"].bool()
    miss = miss[real] if miss.shape[:2] == real.shape else miss
    parity.at_most(f"{name}: outputs after it", miss.abs().max())


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(saved, container, tmp_path, parity):
    reference, source = saved
    rewrite(source, tmp_path / "m", lambda tensors: tensors, CONTAINERS[container])
    check_round_trip(reference, source, tmp_path / "m", tmp_path, container, parity)


@pytest.mark.parametrize("names", NAMES)
def test_names(saved, names, tmp_path, parity):
    reference, source = saved
    rewrite(source, tmp_path / "m", NAMES[names], one_safetensors)
    check_round_trip(reference, source, tmp_path / "m", tmp_path, names, parity)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision_files_become_fp32(saved, dtype, tmp_path, parity):
    reference, source = saved
    rewrite(source, tmp_path / "m", lambda tensors: tensors, one_safetensors, DTYPES[dtype])
    check_round_trip(
        reference, source, tmp_path / "m", tmp_path, f"{dtype} weights", parity, DTYPES[dtype]
    )


def test_a_file_that_transformers_splits_itself(tmp_path, parity):
    reference = hf_model("BertForMaskedLM")
    reference.save_pretrained(tmp_path / "whole")
    reference.save_pretrained(tmp_path / "split", max_shard_size="60KB")
    assert (tmp_path / "split" / "model.safetensors.index.json").is_file()
    name = "shards that transformers wrote"
    check_round_trip(reference, tmp_path / "whole", tmp_path / "split", tmp_path, name, parity)


# --- one checkpoint, another model ---------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*start at random")  # the new head is expected
@pytest.mark.parametrize("ours", OURS)
@pytest.mark.parametrize("theirs", KINDS)
def test_any_checkpoint_opens_as_any_model(theirs, ours, tmp_path, parity):
    """The encoder is loaded; a head that is absent is new, and one without use is ignored."""
    hf_model(theirs).save_pretrained(tmp_path)
    model = OURS[ours].from_pretrained(tmp_path)
    body = minibert.BertModel.from_pretrained(tmp_path)
    state = (model if ours == "BertModel" else model.bert).state_dict()
    shared = body.state_dict().keys() & state.keys()
    wrong = [name for name in shared if not torch.equal(body.state_dict()[name], state[name])]
    parity.at_most("any checkpoint as any model: encoder tensors that differ", len(wrong), 0)
    check_heads(model.load_report, theirs, ours, load_file(tmp_path / "model.safetensors"))


def check_heads(report, theirs, ours, file):
    """What the report says of the heads of a checkpoint that was opened as another model."""
    heads = {name for name in file if name.startswith(("cls.", "classifier.", "qa_outputs."))}
    if theirs == ours:
        assert not report.newly_initialised and not report.ignored
    elif ours == "BertModel":
        assert set(report.ignored) == heads and not report.newly_initialised
    elif {theirs, ours} == {"BertForMaskedLM", "BertForPreTraining"}:
        assert not any(name.startswith("cls.predictions") for name in report.ignored)
    else:
        assert heads <= set(report.ignored)
        assert any(not name.startswith("bert.") for name in report.newly_initialised)


def test_pre_training_checkpoint_opens_as_masked_lm_with_the_same_scores(tmp_path, parity):
    """What the published bert-base files are: both heads, a pooler, and architectures MaskedLM."""
    reference = hf_model("BertForPreTraining")
    reference.config.architectures = ["BertForMaskedLM"]
    tensors = with_buffers(with_copies(legacy_norms(reference.state_dict())))
    reference.config.save_pretrained(tmp_path)
    one_pickle({name: t.clone() for name, t in tensors.items()}, tmp_path)
    ours = minibert.BertForMaskedLM.from_pretrained(tmp_path)
    assert not ours.load_report.newly_initialised
    assert set(ours.load_report.ignored) >= {"cls.seq_relationship.weight"}
    with torch.inference_mode():
        batch = BATCHES["pairs"]
        miss = ours(**batch).logits - reference(**batch).prediction_logits
    parity.at_most("published layout (.bin, gamma, cls.*) as masked LM", at_real(miss, batch))


@pytest.mark.parametrize("name", ["safetensors", ".bin"])
def test_checkpoint_without_pooler(name, tmp_path, parity):
    reference = hf_model(seed=1)
    tensors = {k: v for k, v in reference.state_dict().items() if not k.startswith("pooler")}
    reference.config.save_pretrained(tmp_path)
    CONTAINERS[name](tensors, tmp_path)
    model = minibert.BertModel.from_pretrained(tmp_path)
    with torch.inference_mode():
        batch = BATCHES["ragged"]
        output, wanted = model(**batch), reference(**batch).last_hidden_state
    assert output.pooler_output is None
    assert not model.load_report.newly_initialised
    parity.at_most("no pooler in the file", at_real(output.last_hidden_state - wanted, batch))
    with pytest.warns(UserWarning, match="bert.pooler.dense.weight.*random"):
        classifier = minibert.BertForClassification.from_pretrained(tmp_path)
    assert "bert.pooler.dense.weight" in classifier.load_report.newly_initialised


@pytest.mark.parametrize("kind", ["Sequence", "Token"])
def test_fine_tuned_classifier_keeps_its_label_names(kind, tmp_path, parity):
    names = {0: "anger", 1: "joy", 2: "Überraschung"}
    reference = hf_model(f"BertFor{kind}Classification", num_labels=3, id2label=names)
    reference.save_pretrained(tmp_path / "hf")
    ours = OURS[type(reference).__name__].from_pretrained(tmp_path / "hf")
    assert ours.config.labels == tuple(names.values())
    ours.save_pretrained(tmp_path / "ours")
    again = type(reference).from_pretrained(tmp_path / "ours")
    assert again.config.id2label == names
    batch = BATCHES["full"]
    with torch.inference_mode():
        miss = (ours(**batch).logits - again.eval()(**batch).logits).abs().max()
    parity.at_most("fine-tuned classifiers with id2label", miss)


def test_question_answering_from_a_checkpoint_of_three_labels(tmp_path, parity):
    """In transformers num_labels is this head's width, so the saved config must say 2."""
    hf_model("BertForSequenceClassification", num_labels=3).save_pretrained(tmp_path / "three")
    with pytest.warns(UserWarning, match="span.weight"):
        ours = minibert.BertForQuestionAnswering.from_pretrained(tmp_path / "three")
    ours.save_pretrained(tmp_path / "answers")
    again = transformers.BertForQuestionAnswering.from_pretrained(tmp_path / "answers").eval()
    with torch.inference_mode():
        batch = BATCHES["full"]
        miss = (ours(**batch).end_logits - again(**batch).end_logits).abs().max()
    parity.at_most("question answering on another head's checkpoint", miss)


def test_a_classifier_of_rows_is_not_taken_for_one_of_tokens(tmp_path):
    """Both heads are called classifier; the config's architectures tell them apart."""
    hf_model("BertForSequenceClassification").save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="classifier.weight.*random"):
        model = minibert.BertForTokenClassification.from_pretrained(tmp_path)
    assert "classifier.weight" in model.load_report.ignored


def test_conversion_needs_no_file_and_changes_nothing(saved):
    """Pure dict to dict: the reference's tensors are as they were."""
    reference, _ = saved
    before = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    ours = ours_from(reference)
    shapes = {name: p.shape for name, p in ours.named_parameters()}
    mine, _ = from_hf(reference.state_dict(), shapes, "reference")
    for tensor in mine.values():
        tensor.zero_()
    assert all(torch.equal(before[n], t) for n, t in reference.state_dict().items())


# --- damaged folders -----------------------------------------------------------------------------


@pytest.fixture()
def sharded(tmp_path):
    reference = hf_model()
    reference.config.save_pretrained(tmp_path)
    CONTAINERS["safetensors in shards"](reference.state_dict(), tmp_path)
    return tmp_path, tmp_path / "model.safetensors.index.json"


def test_missing_shard_is_named(sharded):
    folder, _ = sharded
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="model-00002-of-00003.safetensors"):
        minibert.BertModel.from_pretrained(folder)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "["])
def test_damaged_index_is_named(sharded, content):
    folder, index = sharded
    index.write_text(content)
    with pytest.raises(ValueError, match="model.safetensors.index.json"):
        minibert.BertModel.from_pretrained(folder)


def test_index_that_leaves_its_folder_is_refused(sharded):
    folder, index = sharded
    data = json.loads(index.read_text())
    name = "embeddings.word_embeddings.weight"
    index.write_text(json.dumps({"weight_map": {**data["weight_map"], name: "../other/x"}}))
    with pytest.raises(ValueError, match=r"index.json.*\.\./other/x"):
        minibert.BertModel.from_pretrained(folder)


def test_tensor_missing_from_its_shard_is_named(sharded):
    folder, _ = sharded
    path = folder / "model-00001-of-00003.safetensors"
    tensors = load_file(path)
    name = "embeddings.word_embeddings.weight"
    save_file({n: t for n, t in tensors.items() if n != name}, path)
    with pytest.raises(ValueError, match=name):
        minibert.BertModel.from_pretrained(folder)

"""Model folders of the wrong shape: each ends in one line that names the file and the key."""

import json
import os
import re
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import minibert
from minibert.checkpoint.files import read_json
from minibert.checkpoint.hub import find_folder
from tests.conftest import TINY, hf_model, small_model

LOADERS = {
    "BertConfig": minibert.BertConfig.from_pretrained,
    "BertModel": minibert.BertModel.from_pretrained,
    "BertForClassification": minibert.BertForClassification.from_pretrained,
    "BertForTokenClassification": minibert.BertForTokenClassification.from_pretrained,
    "WordPieceTokenizer": minibert.WordPieceTokenizer.from_pretrained,
    "TextClassifier": minibert.TextClassifier.load,
    "TextEncoder": minibert.TextEncoder.load,
}
LOAD = minibert.BertForClassification.from_pretrained
ROWS = {"input_ids": torch.tensor([[101, 7, 102]])}


@pytest.fixture(scope="module")
def reference():
    """A three-class model of transformers with random weights."""
    return hf_model("BertForSequenceClassification", num_labels=3)


@pytest.fixture()
def folder(reference, tmp_path):
    """Its folder, for a test to spoil."""
    reference.save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def refusal(load, *arguments, **options):
    """The line in which a call ends, within a second."""
    start = time.monotonic()
    with pytest.raises((ValueError, OSError)) as caught:
        load(*arguments, **options)
    assert time.monotonic() - start < 1
    line = str(caught.value)
    assert "\n" not in line and len(line) < 600
    return line


def change_config(folder, remove=(), **changes):
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    kept = {key: value for key, value in config.items() if key not in remove}
    (folder / "config.json").write_text(json.dumps(kept))


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors) or tensors, folder / "model.safetensors")


def as_pickle(folder, change=dict):
    """The same weights, changed, as a pickle."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(change(tensors), folder / "pytorch_model.bin")


# --- what stands where a folder or a name belongs -------------------------------------------------


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS.keys())
@pytest.mark.parametrize("name", [None, 5, 1.5, True, b"minilm-l6", ["minilm-l6"], {}, ""])
def test_what_is_not_a_name_is_said(load, name):
    line = refusal(load, name)
    assert line.startswith(f"the model is {name!r}; give a folder or a name")


def loop(path):
    path.symlink_to(path.name)


PLACES = [
    ("a" * 300, None, "there is no folder 'aaa.*up to 96 letters"),
    ("a" * 97, None, "up to 96 letters"),
    ("a/" * 200, None, "there is no folder"),
    ("a\0b", None, r"there is no folder 'a\\x00b'"),
    ("a\nb", None, r"there is no folder 'a\\nb'"),
    ("\ud800", None, "there is no folder"),
    (" ", None, "there is no folder ' '"),
    ("loop", loop, "loop leads to no folder; it is a broken link"),
    ("gone", lambda path: path.symlink_to("nowhere"), "gone leads to no folder"),
    ("file", lambda path: path.write_text("{}"), "file is a file; give the folder"),
    ("model.safetensors", lambda path: path.write_bytes(b""), "safetensors is a file; give the f"),
    ("empty", lambda path: path.mkdir(), "empty has no config.json"),
]


@pytest.mark.parametrize(("name", "make", "message"), PLACES, ids=range(len(PLACES)))
def test_places_that_are_no_model_folder_are_said(name, make, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if make:
        make(tmp_path / name)
    assert re.search(message, refusal(minibert.BertModel.from_pretrained, name))


def test_a_folder_without_permission_is_said(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read anything
    with pytest.raises(PermissionError, match="no permission to read the folder"):
        find_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is a folder; there must be a file"),
        (loop, "is a link that leads to no file"),
        (lambda path: path.symlink_to("../blobs/none"), "is a link that leads to no file"),
    ],
)
def test_files_that_are_something_else_are_said(folder, name, make, message):
    (folder / name).unlink()
    make(folder / name)
    assert f"{name} {message}" in refusal(minibert.BertModel.from_pretrained, folder)


# --- JSON that two readers could take for different things ----------------------------------------

TEXTS = [
    ("", "it is not valid JSON"),
    ("{", "it is not valid JSON"),
    ("null", "its content is None; it must be an object"),
    ("[1, 2]", "its content is .1, 2.; it must be an object"),
    ('"text"', "its content is 'text'; it must be an object"),
    ("5", "its content is 5; it must be an object"),
    ("[" * 100_000 + "]" * 100_000, "more than 100 levels"),
    ('{"a":' * 100_000 + "1" + "}" * 100_000, "more than 100 levels"),
    ('{"a":' * 101 + "1" + "}" * 101, "more than 100 levels"),
    ('{"vocab_size": 1' + "0" * 5000 + "}", "thousands of digits"),
    ('{"layer_norm_eps": NaN}', "it holds NaN"),
    ('{"a": [-Infinity]}', "it holds -Infinity"),
    ('{"a": 1e999}', "it holds 1e999"),
    ('{"vocab_size": 5, "vocab_size": 6}', "the key 'vocab_size' twice"),
    ('{"id2label": {"0": "a", "0": "b"}}', "the key '0' twice"),
    (r'{"id2label": {"0": "\ud800"}}', r"not valid Unicode after .*id2label.*0.*\\ud800"),
    (r'{"\udc00": 1}', "not valid Unicode"),
]


@pytest.mark.parametrize(("text", "message"), TEXTS, ids=range(len(TEXTS)))
def test_texts_that_are_no_config(text, message, tmp_path):
    (tmp_path / "config.json").write_text(text)
    line = refusal(minibert.BertConfig.from_pretrained, tmp_path)
    assert re.search(f"config.json: .*{message}", line)


def test_bytes_that_are_not_unicode_are_said(tmp_path):
    (tmp_path / "config.json").write_bytes(b'{"a": "\xff"}')
    assert "config.json: it is not JSON, which is in UTF-8" in refusal(
        minibert.BertConfig.from_pretrained, tmp_path
    )


def test_an_error_names_its_file_once(tmp_path):
    (tmp_path / "config.json").write_text("<!DOCTYPE html>")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    line = refusal(minibert.WordPieceTokenizer.from_pretrained, tmp_path)
    assert line.count("config.json: ") == 1


def test_deep_but_possible_and_whole_pairs_of_surrogates_are_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a":' * 100 + r'"\ud83d\ude00"' + "}" * 100)
    value = read_json(path)
    for _ in range(100):
        value = value["a"]
    assert value == "\U0001f600"


# --- values of config.json ------------------------------------------------------------------------

SIZES = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
]
ODD = [None, True, False, 0, -1, 1.5, 2e15, 10**12, 10**400, "3", "true", "", [], {}, [1], {"a": 1}]
COUNT, NUMBER = r"a whole number from 1 to \d+", "a number "
VALUES = [
    *((key, value, COUNT) for key in SIZES for value in ODD),
    *(("type_vocab_size", value, r"(a whole number|at least 1)") for value in ODD),
    *(("num_labels", value, COUNT) for value in ODD[1:]),
    *(("_num_labels", value, COUNT) for value in ODD[1:]),
    *(("layer_norm_eps", value, NUMBER) for value in ODD),
    *(("hidden_dropout_prob", value, NUMBER) for value in ODD if value != 0 or value is False),
    *(("classifier_dropout", value, NUMBER) for value in ODD[4:]),
    *(("pad_token_id", value, "a whole number") for value in [True, 0.0, -1, "0", [], {}, 10**12]),
    *(("hidden_act", value, "one of 'gelu'") for value in [*ODD, "silu"]),
    *(("problem_type", value, "one of 'single_label_cl") for value in [*ODD[1:], "ranking"]),
    *(("architectures", value, "a list") for value in [5, "BertModel", {}, [5], [None], True]),
    *(("tie_word_embeddings", value, "true or false") for value in ["false", 0, [], {}]),
    *(("label2id", value, "an object") for value in [5, "a", [], True]),
    *(("id2label", value, "an object") for value in [5, "a", [], True, {"0": None}, {"0": []}]),
    *(("is_decoder", value, "False only") for value in ["false", 1, [], {}, None]),
    *(("model_type", value, "which is no family") for value in ["mpnet", None, 5, [], {}]),
    *(("position_embedding_type", value, "'absolute' only") for value in [None, 5, [], {}]),
]


@pytest.mark.parametrize("key", dict.fromkeys(key for key, _, _ in VALUES))
def test_values_of_config_json_are_refused_by_key_and_value(key, folder):
    for value, message in [(value, message) for name, value, message in VALUES if name == key]:
        change_config(folder, ("id2label",) if "num_labels" in key else (), **{key: value})
        for load in (LOADERS["BertConfig"], LOAD):
            line = refusal(load, folder)
            assert re.search(f"config.json: .*{key} .*{message}", line), (value, line)


NOT_READ = ["use_cache", "max_length", "tokenizer_class", "transformers_version", "dtype"]
STRANGE = [*map(json.dumps, ODD), '"\\u0000"', '"x y\\n"', "[[[]]]", '{"0": {"0": 1}}', "-0.0"]


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(LOADERS["BertConfig"], id="config"),
        pytest.param(LOAD, id="model", marks=pytest.mark.slow),
    ],
)
def test_any_value_of_any_key_is_read_or_refused_in_one_line(folder, load):
    path = folder / "config.json"
    known = json.loads(path.read_text())
    refused = 0
    for key in {*known, *(key for key, _, _ in VALUES), *NOT_READ}:
        others = {name: value for name, value in known.items() if name != key}
        for text in STRANGE:
            path.write_text(json.dumps(others)[:-1] + f', "{key}": {text}}}')
            try:
                load(folder)
            except (ValueError, OSError) as error:
                line, refused = str(error), refused + 1
                assert line.startswith(str(folder)) and "\n" not in line and len(line) < 600
    assert refused > 200


IDS = ["00", " 0", "0 ", "+0", "-0", "0.0", "\u0660", "LABEL_0", "", "9" * 30, "1"]


@pytest.mark.parametrize("key", IDS)
def test_ids_of_labels_are_written_in_one_way(key):
    with pytest.raises(ValueError, match="id2label has the (key|ids)"):
        minibert.BertConfig.from_dict({"id2label": {key: "a"}})
    with pytest.raises(ValueError, match="id2label has the (key|ids)"):
        minibert.BertConfig.from_dict({"id2label": {"0": "a", "2" if key == "1" else key: "b"}})


@pytest.mark.parametrize("labels", [5, {"a", "b"}, {0: "a"}, None, "ab", [], [b"a"], ["\ud800"]])
def test_labels_without_order_or_names_are_refused(labels):
    with pytest.raises(ValueError, match="labels are .*; give a list of at least one name"):
        minibert.BertConfig(labels=labels)


@pytest.mark.parametrize("data", [None, 5, [], "text"])
def test_a_config_is_made_of_a_mapping(data):
    with pytest.raises(ValueError, match="the config is .*; it must be an object"):
        minibert.BertConfig.from_dict(data)
    with pytest.raises(ValueError, match="extra is .*; it must be an object of what"):
        minibert.BertConfig(extra=data)


@pytest.mark.parametrize(
    "extra",
    [
        {1: 2},
        {"a": object()},
        {"a": {1, 2}},
        {"a": float("nan")},
        {"a": "\ud800"},
        {"a": {1: 2, "1": 3}},
    ],
    ids=["a number as key", "an object", "a set", "nan", "a surrogate", "keys alike"],
)
def test_a_config_keeps_what_its_file_can_hold(extra):
    line = refusal(minibert.BertConfig, extra=extra)
    assert line.startswith("extra is {") and "what a JSON file can hold" in line


def test_numbers_of_numpy_that_are_pythons_too_are_taken():
    assert minibert.BertConfig(hidden_dropout_prob=np.float64(0.2)).hidden_dropout_prob == 0.2


# --- sizes that the weights do not have -----------------------------------------------------------


@pytest.mark.parametrize("key", [key for key in SIZES if key != "num_attention_heads"])
@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "pickle"])
def test_sizes_are_compared_with_the_weights(key, pickled, folder):
    if pickled:
        as_pickle(folder)
    largest = {"num_hidden_layers": 10_000, "intermediate_size": 2**20, "hidden_size": 2**20}
    change_config(folder, **{key: largest.get(key, 2**31 - 1)})
    assert "config.json does not belong to these weights" in refusal(LOAD, folder)


@pytest.mark.parametrize("layers", [2, 4])
def test_layers_are_counted_and_both_numbers_said(layers, folder):
    change_config(folder, num_hidden_layers=layers)
    line = refusal(LOAD, folder)
    assert f"the weights have 3 layers, and num_hidden_layers is {layers}" in line


def test_weights_of_another_architecture_are_named(folder):
    change_weights(folder, lambda t: {k.replace("encoder.layer", "h"): v for k, v in t.items()})
    assert "It lacks every encoder.layer. It has the unknown bert.h.0" in refusal(LOAD, folder)


# --- weights that are not numbers -----------------------------------------------------------------

QUERY = "bert.encoder.layer.1.attention.self.query.weight"
BIAS = "bert.encoder.layer.0.output.dense.bias"


def spoiled(*names, value=float("nan"), dtype=torch.float32):
    def change(tensors):
        tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        for name in names:
            tensors[name].view(-1)[2:5] = value
        return tensors

    return change


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", [QUERY, BIAS])
def test_weights_that_are_not_finite_are_refused_by_name(folder, name, value, dtype):
    change_weights(folder, spoiled(name, value=value, dtype=dtype))
    line = refusal(LOAD, folder)
    assert f"{name} has 3 values that are NaN or infinite in fp32;" in line
    assert "allow_nonfinite=True" in line


def test_every_loader_refuses_them_and_a_models_has_a_switch(folder, tokenizer):
    change_config(folder, vocab_size=30522)
    change_weights(folder, lambda t: wide_vocabulary(spoiled(QUERY, BIAS)(t)))
    tokenizer.write_files(folder)
    for load in (LOADERS[name] for name in ("BertModel", "TextClassifier", "TextEncoder")):
        assert "NaN or infinite in fp32, as 1 more tensors have" in refusal(load, folder)
    weight = LOAD(folder, allow_nonfinite=True).bert.encoder.layers[0].feed_forward.down.bias
    assert weight.isnan().sum() == 3


def wide_vocabulary(tensors):
    table = torch.zeros(30522, TINY["hidden_size"])
    return {**tensors, "bert.embeddings.word_embeddings.weight": table}


def test_a_tied_copy_that_is_not_finite_either_is_the_same(tmp_path):
    hf_model("BertForMaskedLM").save_pretrained(tmp_path / "m")

    def change(tensors):
        tensors["bert.embeddings.word_embeddings.weight"][3, 4] = float("nan")
        table = tensors["bert.embeddings.word_embeddings.weight"]
        return {**tensors, "cls.predictions.decoder.weight": table.clone()}

    change_weights(tmp_path / "m", change)
    load = minibert.BertForMaskedLM.from_pretrained
    assert "word_embeddings.weight has 1 values that are NaN" in refusal(load, tmp_path / "m")
    assert load(tmp_path / "m", allow_nonfinite=True).load_report.tied


def test_large_finite_weights_whose_sum_overflows_are_finite(folder):
    change_weights(folder, spoiled(BIAS, value=3e38))
    assert LOAD(folder).load_report.loaded


def test_a_number_too_large_for_fp32_is_not_finite_in_it(folder):
    as_pickle(folder, lambda t: {**t, BIAS: torch.full_like(t[BIAS], 1e300, dtype=torch.float64)})
    assert f"{BIAS} has 48 values" in refusal(LOAD, folder)


def test_unused_weights_may_hold_anything(folder):
    change_weights(folder, spoiled("classifier.weight"))
    assert minibert.BertModel.from_pretrained(folder).load_report.ignored
    assert LOAD(folder, num_labels=2, new_head=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_integers_are_not_made_of_weights_that_are_not_finite(value):
    model = small_model()
    with torch.no_grad():
        model.bert.encoder.layers[1].feed_forward.up.weight[3, 4] = value
    with pytest.raises(ValueError, match=r"layers\.1\.feed_forward\.up: its weight holds NaN or"):
        minibert.optimize(model, "int8")


# --- tensors that a pickle may hold ---------------------------------------------------------------

WEIGHT = "bert.pooler.dense.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to_sparse(), "is sparse or nested"),
        (lambda t: t.to("meta"), "is on the meta device"),
        (lambda t: t[:1, :1].clone().expand(48, 48), "has 2304 values by its shape, and the file"),
        (lambda t: t[:1, :1].clone().expand(10**9, 10**6), "values by its shape"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "reads floating-point"),
        (lambda t: t.to(torch.complex64), "reads floating-point"),
        (lambda t: torch.nested.nested_tensor([t]), "sparse or nested"),
        (lambda t: t[0, 0], r"has shape \(\), and this config needs \(48, 48\)"),
    ],
)
def test_tensors_that_are_not_plain_numbers_are_named(folder, change, message):
    as_pickle(folder, lambda tensors: {**tensors, WEIGHT: change(tensors[WEIGHT])})
    assert re.search(f"{WEIGHT} .*{message}", refusal(LOAD, folder))


@pytest.mark.parametrize("name", ["a\nb", "x" * 10_000])
def test_names_of_tensors_are_quoted_in_one_short_line(folder, name):
    change_weights(folder, lambda tensors: {**tensors, name: torch.zeros(1)})
    assert "It has the unknown" in refusal(LOAD, folder)
    change_weights(folder, lambda tensors: {**tensors, f"bert.{name}": torch.zeros(1)})
    assert "are the same weight" in refusal(LOAD, folder)


def test_parameters_are_tensors(folder):
    as_pickle(folder, lambda t: {k: torch.nn.Parameter(v) for k, v in t.items()})
    assert LOAD(folder).bert.pooler.dense.weight.is_leaf


def test_a_pickle_with_numbers_for_names_holds_no_weights(folder):
    as_pickle(folder, lambda tensors: dict(enumerate(tensors.values())))
    assert "does not hold a state dict" in refusal(LOAD, folder)


# --- one weight twice -----------------------------------------------------------------------------


def in_shards(folder, *parts, suffix="safetensors", save=save_file):
    """These parts of the weights, with an index that names each tensor once."""
    where, stem = {}, {"safetensors": "model", "bin": "pytorch_model"}[suffix]
    (folder / "model.safetensors").unlink()
    for i, part in enumerate(parts):
        save(part, folder / f"{stem}-{i}.{suffix}")
        where |= dict.fromkeys(part, f"{stem}-{i}.{suffix}")
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"weight_map": where}))


@pytest.mark.parametrize("difference", [0, 1])
@pytest.mark.parametrize(("suffix", "save"), [("safetensors", save_file), ("bin", torch.save)])
def test_two_shards_with_one_name_are_refused(folder, difference, suffix, save):
    tensors = load_file(folder / "model.safetensors")
    again = {QUERY: tensors[QUERY] + difference}
    in_shards(folder, tensors, again, suffix=suffix, save=save)
    line = refusal(LOAD, folder)
    assert re.search(rf"model-1\.{suffix} and .*model-0\.{suffix} both hold '{QUERY}'", line)


TWICE = {
    "without the prefix": QUERY.removeprefix("bert."),
    "legacy": "bert.embeddings.LayerNorm.gamma",
    "compiled": f"_orig_mod.{QUERY}",
}


@pytest.mark.parametrize("name", TWICE.values(), ids=TWICE.keys())
def test_one_weight_under_two_names_is_refused(folder, name):
    tensor = load_file(folder / "model.safetensors")[QUERY]
    change_weights(folder, lambda tensors: {**tensors, name: tensor.clone()})
    assert "are the same weight" in refusal(LOAD, folder)


def test_a_safetensors_header_with_one_name_twice_is_refused(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].strip()
    entry = json.dumps({"classifier.bias": json.loads(header)["classifier.bias"]})[1:]
    header = header[:-1] + b"," + entry.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    assert "the key 'classifier.bias' twice" in refusal(LOAD, folder)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([], "its content is"),
        ({}, "no weight_map"),
        ({"weight_map": None}, "weight_map is None; it must be an object"),
        ({"weight_map": {}}, "no weight_map"),
        ({"weight_map": ["a"]}, "weight_map is .'a'.; it must be an object"),
        ({"weight_map": {"a": 5}}, "weight_map is .*each a string"),
        ({"weight_map": {"a": ""}}, "index.json"),
        ({"weight_map": {"a": ".."}}, "not a file of its folder"),
        ({"weight_map": {"a": "../m/model.safetensors"}}, "not a file of its folder"),
        ({"weight_map": {"a": "x" * 300}}, "which is not there"),
        ({"weight_map": {"a": "a\0b"}}, "which is not there"),
        ({"weight_map": {"a": "gone"}}, "names 'gone', which is not there; fetch it as well"),
        ({"weight_map": {"a": "config.json"}}, "config.json is damaged"),
    ],
)
def test_an_index_of_the_wrong_shape_is_said(folder, index, message):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert re.search(message, refusal(LOAD, folder))


# --- names that wrappers leave behind -------------------------------------------------------------

WRAPPED = {
    "torch.compile": lambda name: f"_orig_mod.{name}",
    "DataParallel": lambda name: f"module.{name}",
    "both": lambda name: f"module._orig_mod.{name}",
    "one part": lambda name: name.replace("bert.", "bert._orig_mod.", 1),
    "layers": lambda name: re.sub(r"(layer\.\d+\.)", r"\1_fsdp_wrapped_module.", name),
}


@pytest.mark.parametrize("rename", WRAPPED.values(), ids=WRAPPED.keys())
def test_names_of_wrapped_modules_are_read_and_reported(folder, rename, reference):
    plain = LOAD(folder)
    change_weights(folder, lambda tensors: {rename(name): t for name, t in tensors.items()})
    model = LOAD(folder)
    state = plain.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert (rename(QUERY), QUERY) in model.load_report.renamed or rename(QUERY) == QUERY
    assert not model.load_report.newly_initialised
    body = minibert.BertModel.from_pretrained(folder)
    assert body.pooler is not None


# --- heads whose config says little of their labels -----------------------------------------------

STATEMENTS = {
    "nothing": {},
    "null": {"id2label": None, "label2id": None},
    "empty": {"id2label": {}},
    "num_labels": {"num_labels": 3},
    "_num_labels": {"_num_labels": 3},
}
NUMBERED = ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.fixture(params=STATEMENTS.values(), ids=STATEMENTS.keys())
def unnamed(request, folder):
    """The folder, with a config that does not name the labels."""
    change_config(folder, ("id2label", "label2id", "architectures"), **request.param)
    return folder


@pytest.mark.parametrize(
    "load", [LOAD, minibert.BertForTokenClassification.from_pretrained], ids=["texts", "tokens"]
)
def test_the_weights_say_how_many_labels_there_are(unnamed, load, reference):
    model = load(unnamed)
    assert model.config.labels == NUMBERED
    assert torch.equal(model.classifier.weight, reference.classifier.weight)
    assert load(unnamed, num_labels=3).config.labels == NUMBERED


def test_names_may_be_given_to_a_head_that_has_none(unnamed, reference):
    model = LOAD(unnamed, labels=("bad", "so-so", "good"))
    assert model.config.labels == ("bad", "so-so", "good")
    assert torch.equal(model.classifier.weight, reference.classifier.weight)
    model.save_pretrained(unnamed.parent / "named")
    assert LOAD(unnamed.parent / "named").config.labels == ("bad", "so-so", "good")
    assert LOAD(unnamed, labels=np.array(["x", "y", "LABEL_2"])).config.labels[2] == "LABEL_2"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_labels": 2}, "LABEL_2.*LABEL_1.*new_head=True"),
        ({"labels": ["a", "b"]}, "LABEL_2.*'b'.*new_head=True"),
        ({"labels": ["LABEL_1", "LABEL_0", "LABEL_2"]}, "new_head=True"),
        ({"labels": ["a", "a", "b"]}, "give each once"),
        ({"num_labels": 10**12}, "num_labels is 1000000000000; it must be a whole number"),
        ({"num_labels": "3"}, "num_labels is '3'; it must be a whole number"),
        ({"num_labels": True}, "num_labels is True"),
        ({"num_labels": 3.0}, "num_labels is 3.0"),
        ({"labels": {"a", "b", "c"}}, "labels are .*; give a list"),
        ({"labels": {0: "a", 1: "b", 2: "c"}}, "labels are .*; give a list"),
        ({"labels": 3}, "labels are 3; give a list"),
        ({"labels": np.array("a")}, "labels are .*; give a list"),
    ],
)
def test_other_labels_for_a_trained_head_are_refused(folder, options, message):
    change_config(folder, ("id2label", "label2id"))
    assert re.search(message, refusal(LOAD, folder, **options))


def test_a_head_with_names_keeps_them(folder):
    change_config(folder, id2label={"0": "bad", "1": "so-so", "2": "good"})
    line = refusal(LOAD, folder, labels=["a", "b", "c"])
    assert re.search("'bad'.*'a'.*leave labels out", line)
    assert LOAD(folder).config.labels == ("bad", "so-so", "good")
    assert LOAD(folder, num_labels=3).config.labels == ("bad", "so-so", "good")


@pytest.mark.parametrize(
    "statement",
    [{"num_labels": 5}, {"_num_labels": 5}, {"id2label": {str(i): f"l{i}" for i in range(5)}}],
)
def test_a_stated_number_that_is_not_that_of_the_weights_is_refused(folder, statement):
    change_config(folder, ("id2label", "label2id"))
    change_config(folder, **statement)
    line = refusal(LOAD, folder)
    assert "config.json: it states 5 labels, and the classifier in the weights has 3 out" in line
    assert "new_head=True" in line
    assert LOAD(folder, labels=["a", "b"], new_head=True).config.num_labels == 2


def test_names_that_are_there_twice_are_those_of_a_trained_head_only(folder):
    change_config(folder, id2label={"0": "a", "1": "a", "2": "b"})  # transformers opens such files
    assert LOAD(folder).config.labels == ("a", "a", "b")
    assert LOAD(folder, labels=["a", "a", "b"]).config.labels == ("a", "a", "b")
    assert "give each once" in refusal(LOAD, folder, new_head=True)


def test_two_numbers_that_differ_are_refused(folder):
    change_config(folder, num_labels=5)
    assert "num_labels is 5, and id2label has 3 names" in refusal(LOAD, folder)


def test_a_text_classifier_takes_the_labels_of_the_weights(tmp_path, tokenizer):
    small_model(labels=("a", "b", "c")).save_pretrained(tmp_path / "m")
    tokenizer.write_files(tmp_path / "m")
    change_config(tmp_path / "m", ("id2label", "label2id"))
    classifier = minibert.TextClassifier.load(tmp_path / "m")
    assert classifier.classes_.tolist() == [*NUMBERED]
    assert classifier.predict_proba(["a text"]).shape == (1, 3)


# --- what sentence-transformers adds to a folder --------------------------------------------------

TRANSFORMER, POOLING = (
    {"type": "sentence_transformers.models.Transformer", "path": ""},
    {
        "type": "sentence_transformers.models.Pooling",
        "path": "p",
    },
)
SENTENCE_FILES = [
    ("modules.json", {}, "its content is {}; it must be a list"),
    ("modules.json", [5], "a module is 5; it must be an object"),
    ("modules.json", [None], "a module is None; it must be an object"),
    (
        "modules.json",
        [{"type": "sentence_transformers.models.Pooling"}],
        "each must have a type and a path",
    ),
    ("modules.json", [{"path": "p"}], "each must have a type and a path"),
    ("modules.json", [{"type": 5, "path": ""}], "type is 5; it must be a string"),
    (
        "modules.json",
        [TRANSFORMER, {"type": "sentence_transformers.models.Pooling", "path": 5}],
        "path is 5; it must be the path",
    ),
    ("modules.json", [TRANSFORMER, POOLING, POOLING], "module Pooling twice"),
    ("modules.json", [], "it has no modules"),
    *(
        ("modules.json", [{**TRANSFORMER, "path": path}], "the path of a folder inside this one")
        for path in ("..", "a/../../b", "/etc", "a\0b", "x" * 1000)
    ),
    ("p/config.json", {"pooling_mode": 5}, "pooling_mode is 5; it must be a string, or a list"),
    ("p/config.json", {"pooling_mode": [5]}, "pooling_mode is .5.; it must be a string, or a li"),
    ("p/config.json", {"pooling_mode_cls_token": "false"}, "'false'; it must be true or false"),
    ("sentence_bert_config.json", {"max_seq_length": "9"}, "'9'; it must be a whole number"),
    ("sentence_bert_config.json", {"max_seq_length": -1}, "-1; it must be a whole number"),
    ("sentence_bert_config.json", {"max_seq_length": True}, "True; it must be a whole number"),
    ("sentence_bert_config.json", {"max_seq_length": 0}, "0; it must be a whole number from 2"),
    ("sentence_bert_config.json", {"do_lower_case": "no"}, "'no'; it must be true or false"),
    ("config_sentence_transformers.json", {"prompts": []}, "prompts is ..; it must be an object"),
    ("config_sentence_transformers.json", {"prompts": {"a": 5}}, "prompts is .*a string"),
    ("config_sentence_transformers.json", {"default_prompt_name": []}, "it must be a string"),
    ("config_sentence_transformers.json", {"default_prompt_name": "q"}, "is 'q', and its prompts"),
    ("config_sentence_transformers.json", {"truncate_dim": "64"}, "'64'; it must be a whole num"),
    ("config_sentence_transformers.json", {"truncate_dim": 0}, "0; it must be a whole number from"),
]


@pytest.mark.parametrize(("name", "content", "message"), SENTENCE_FILES)
def test_files_of_sentence_transformers_are_refused_by_key(folder, name, content, message):
    (folder / "p").mkdir()
    files = {
        "modules.json": [TRANSFORMER, POOLING],
        "p/config.json": {"pooling_mode": "mean"},
        name: content,
    }
    for each, data in files.items():
        (folder / each).write_text(json.dumps(data))
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    line = refusal(minibert.TextEncoder.load, folder)
    assert re.search(f"{name}: .*{message}", line)


def test_steps_and_keys_of_any_length_are_quoted_in_short(folder):
    long = "x" * 10**6
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER, {**POOLING, "type": long}]))
    assert "wants the steps Transformer, xxx" in refusal(minibert.TextEncoder.load, folder)
    (folder / "modules.json").write_text(json.dumps([TRANSFORMER, POOLING]))
    (folder / "p").mkdir()
    (folder / "p/config.json").write_text(json.dumps({"pooling_mode_" + long: 1}))
    assert "is 1; it must be true or false" in refusal(minibert.TextEncoder.load, folder)


def test_a_step_of_somebody_elses_code_is_not_taken_for_ours(folder):
    modules = [{"type": "custom_st.Transformer", "path": ""}, POOLING]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    assert "the steps custom_st.Transformer, Pooling" in refusal(minibert.TextEncoder.load, folder)

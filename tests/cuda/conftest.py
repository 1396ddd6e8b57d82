"""What the tests for GPUs share: the device, what they compare with, and a tokenizer of their own.

    python -m pytest -m cuda tests/cuda                    # with a GPU; less than a minute
    MINIBERT_TEST_DEVICE=cpu python -m pytest tests/cuda   # all of them on the CPU

On the CPU each test goes through the same lines, but what only CUDA can tell is left out. Those
marked `everywhere` do so in every run. They need no data and no packaged weights, so that they run
on a machine that has pytest and transformers besides the library.

Never run on a GPU by us.
"""

import os
from contextlib import contextmanager

import pytest
import torch

from minibert.text.vocabulary import WordPieceVocabulary
from minibert.tokenizer import WordPieceTokenizer
from tests.conftest import TEXTS, TINY, hf_model, ours_from

CUDA = pytest.param("cuda", marks=pytest.mark.cuda)
ONLY_CPU = os.environ.get("MINIBERT_TEST_DEVICE") == "cpu"

# For a test that is cheap enough to run on the CPU whenever tests are run.
everywhere = pytest.mark.parametrize(
    "device", ["cpu"] if ONLY_CPU else ["cpu", CUDA], indirect=True, scope="session"
)

# The shape that matters for rounding and memory; few words, for they only cost time.
BASE = {
    "vocab_size": TINY["vocab_size"],
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "initializer_range": 0.06,
}
# The tiny models of the other tests have heads of 12 numbers; kernels of GPUs want 8, 16, 24, ..
HEADS_OF_16 = {"num_attention_heads": 3}
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}

# The plain order of the alphabet would begin with what is most likely to lose the CUDA context, and
# with it every test that follows.
ORDER = ("parity", "training", "tasks", "optimize", "attention", "memory", "devices", "graphs")


def pytest_collection_modifyitems(items):
    """From what is least likely to break to what is most."""

    def place(item):
        name = item.path.stem.removeprefix("test_")
        return ORDER.index(name) if name in ORDER else ORDER.index("attention")

    ours = [i for i, item in enumerate(items) if "tests/cuda" in item.path.as_posix()]
    ordered = sorted((items[i] for i in ours), key=place)
    for i, item in zip(ours, ordered, strict=True):
        items[i] = item


def settle(item):
    """Wait until the GPU has done what it was told. A kernel that failed is told of only then."""
    if item.get_closest_marker("cuda") and torch.cuda.is_available():
        torch.cuda.synchronize()


def pytest_runtest_setup(item):
    """Where an earlier test has lost the CUDA context, that is the error."""
    settle(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """What a kernel did wrong is a failure of the test that started it."""
    result = yield
    settle(item)
    return result


def pytest_terminal_summary(terminalreporter):
    """What was measured on a GPU: of each check the value nearest to failing."""
    if not (ONLY_CPU or torch.cuda.is_available()):
        return
    found = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.nodeid.startswith("tests/cuda/"):
                for name, row in report.user_properties:
                    if name == "parity":
                        found.setdefault(row["check"], []).append(row)
    for check, rows in found.items():
        relation, limit = rows[0]["relation"], rows[0]["limit"]
        nearest = (max if relation == "at most" else min)(row["value"] for row in rows)
        terminalreporter.write_line(f"measured: {nearest:.2g}, {relation} {limit:g}: {check}")


@pytest.fixture(scope="session", params=["cpu" if ONLY_CPU else CUDA])
def device(request):
    """Where a test runs. On a GPU in full fp32: nobody may have allowed TF32 products."""
    if request.param == "cuda":
        need_cuda()
        if torch.backends.cuda.matmul.allow_tf32:
            pytest.fail("TF32 is on, by an environment variable or by another test; switch it off")
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(request.param)


def need_cuda(devices=1):
    """Skip where there are not so many GPUs."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found < devices:
        pytest.skip(f"needs CUDA devices: {devices}; PyTorch finds {found}")


@pytest.fixture()
def no_sync(device):
    """`with no_sync():` around what must not wait for the GPU; it is an error if it does."""

    @contextmanager
    def guarded():
        if device.type != "cuda":
            yield
            return
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.synchronize(device)
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    return guarded


@pytest.fixture(scope="session")
def tokenizer():
    """One that knows the words of TEXTS."""
    special = {name: i for i, name in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))}
    words = sorted({word for text in TEXTS for word in text.split()})
    ids = special | {word: i for i, word in enumerate(words, len(special))}
    return WordPieceTokenizer(WordPieceVocabulary(ids=ids, special=special, lower_case=True))


@pytest.fixture(scope="session")
def start(tmp_path_factory, tokenizer):
    """The folder of a tiny encoder with this tokenizer."""
    folder = tmp_path_factory.mktemp("start") / "model"
    ours_from(hf_model(**HEADS_OF_16)).save_pretrained(folder)
    tokenizer.write_files(folder)
    return folder


@pytest.fixture(scope="session")
def base():
    """transformers' and our model of BERT-base's shape, with the same random weights, on the CPU.

    Not to be moved: copies are.
    """
    reference = hf_model(**BASE)
    return reference, ours_from(reference)


def moved(batch, device):
    """The batch on the device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


def relative(difference, exact):
    """The size of a difference, as a share of the exact result's."""
    return (difference.norm() / exact.norm()).item()

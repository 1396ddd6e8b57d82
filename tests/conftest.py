"""What every test file shares: where things are, and small random models of transformers."""

import gc
import os
import re
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

# The default run never leaves this machine, nor depends on what its user downloaded before.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_CACHE"] = tempfile.mkdtemp(prefix="minibert-empty-hub-")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Threads that wait for each other sleep. While they spin, the other process of `pytest -n 2` waits.
# PyTorch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# In the background of a script Ctrl-C is ignored, and it would be by all that is tested here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
import torch
import transformers

import minibert
from minibert.checkpoint.hub import find_folder
from minibert.checkpoint.names import from_hf

transformers.utils.logging.disable_progress_bar()
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

TINY = {
    "vocab_size": 211,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    # At the usual 0.02 a random model hides mistakes: everything it computes is nearly linear.
    "initializer_range": 0.2,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A slow test may take half an hour; pyproject.toml gives the others five minutes."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(1800))


def pytest_collection_finish() -> None:
    """What is imported by now stays, and every full collection of garbage would go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data sets beside a developer's checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the data sets in {SHARED}, which only developers of minibert have")
    return SHARED


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the packaged real checkpoint."""
    return find_folder("minilm-l6")


def randomize(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Random biases and LayerNorms too: at their initial 0 and 1 they could be swapped unseen."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            is_norm = re.search(r"(LayerNorm|layer_norm)\.weight$", name) is not None
            parameter.data.copy_(noise + is_norm)
    return model.eval()


def hf_model(kind: str = "BertModel", seed: int = 0, **changes: object) -> torch.nn.Module:
    """A random model of transformers in evaluation mode."""
    torch.manual_seed(seed)
    config = transformers.BertConfig(**{**TINY, **changes})
    model = getattr(transformers, kind)(config)
    return randomize(model, seed)


# Our class for each of transformers', whose names begin otherwise in other families.
OURS = {
    "BertModel": minibert.BertModel,
    "BertForSequenceClassification": minibert.BertForClassification,
    "BertForTokenClassification": minibert.BertForTokenClassification,
    "BertForQuestionAnswering": minibert.BertForQuestionAnswering,
    "BertForMaskedLM": minibert.BertForMaskedLM,
    "BertForPreTraining": minibert.BertForPreTraining,
}


def ours_from(reference: torch.nn.Module, **changes: object) -> torch.nn.Module:
    """Our model with the weights of a transformers model, and perhaps another config."""
    config = replace(minibert.BertConfig.from_dict(reference.config.to_dict()), **changes)
    kind = OURS["Bert" + type(reference).__name__.removeprefix(config.variant.hf_name)]
    model = kind(config)
    shapes = {name: p.shape for name, p in model.named_parameters()}
    names = kind._names(config)
    state, report = from_hf(reference.state_dict(), shapes, "reference", names=names)
    assert not report.newly_initialised and not report.ignored
    model.load_state_dict(state)
    return model.eval()


class Record(NamedTuple):
    """One row of PARITY.md: a value that a test measured, and what it was held to."""

    check: str
    value: float
    relation: Literal["at most", "above", "at least"]
    limit: float


class Parity:
    """Asserts, and writes down what was asserted, so that benchmarks/parity.py can print it."""

    def __init__(self, record_property: Callable[[str, object], None]) -> None:
        self.record_property = record_property

    def at_most(self, check: str, value: float | torch.Tensor, limit: float = 1e-5) -> None:
        """A difference to the reference, and its tolerance."""
        self._record(Record(check, number(value), "at most", limit))
        assert number(value) <= limit, check

    def more_than(self, check: str, value: float | torch.Tensor, limit: float = 1e-4) -> None:
        """The difference a mistake makes, which must be seen: ten times the usual tolerance."""
        self._record(Record(check, number(value), "above", limit))
        assert number(value) > limit, check

    def at_least(self, check: str, value: int, limit: int) -> None:
        """How much was compared without finding a difference."""
        self._record(Record(check, value, "at least", limit))
        assert value >= limit, check

    def _record(self, row: Record) -> None:
        # As a mapping: with pytest-xdist it goes to another process, which takes no classes.
        self.record_property("parity", row._asdict())


def number(value: float | np.generic | torch.Tensor) -> float:
    return value.item() if isinstance(value, np.generic | torch.Tensor) else value


@pytest.fixture()
def parity(record_property: Callable[[str, object], None]) -> Parity:
    return Parity(record_property)


@pytest.fixture(scope="session")
def reference() -> torch.nn.Module:
    return hf_model()


@pytest.fixture(scope="session")
def ours(reference: torch.nn.Module) -> torch.nn.Module:
    return ours_from(reference)


def ragged_batch(lengths: list[int], seed: int = 0, pairs: bool = False) -> dict[str, torch.Tensor]:
    """Random ids in rows of these lengths; with `pairs` the second half of each is segment 1."""
    generator = torch.Generator().manual_seed(seed)
    length = max(*lengths, 1)
    ids = torch.randint(1, TINY["vocab_size"], (len(lengths), length), generator=generator)
    columns = torch.arange(length)
    counts = torch.tensor(lengths)[:, None]
    mask = (columns < counts).long()
    segments = ((columns >= counts // 2) & (columns < counts)).long() * pairs
    return {"input_ids": ids * mask, "token_type_ids": segments, "attention_mask": mask}


def holes(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same batch with every third position after the first masked as well."""
    mask = batch["attention_mask"].clone()
    mask[:, 2::3] = 0
    return {**batch, "attention_mask": mask}


TEXTS = [
    f"{'a fine' if i % 2 else 'no good'} film number {i} " + "very " * (i % 5) for i in range(24)
]

BATCHES = {
    "full": ragged_batch([9, 9, 9]),
    "ragged": ragged_batch([3, 17, 9, 1, 16, 8]),
    "pairs": ragged_batch([12, 7, 20], pairs=True),
    "holes": holes(ragged_batch([12, 7, 20, 2], pairs=True)),
    "an all-padding row": ragged_batch([5, 0, 11]),
    "length 1": ragged_batch([1, 1]),
    "maximum length": ragged_batch([512, 2, 300]),
}


def at_real(difference: torch.Tensor, batch: dict[str, torch.Tensor]) -> float:
    """The largest difference (B, T, ...) at positions not masked; the others mean nothing."""
    return difference[batch["attention_mask"].bool()].abs().max().item()


@pytest.fixture(params=BATCHES, ids=lambda name: name.replace(" ", "-"))
def batch(request: pytest.FixtureRequest) -> dict[str, torch.Tensor]:
    return BATCHES[request.param]


@pytest.fixture(scope="module")
def tokenizer() -> minibert.WordPieceTokenizer:
    """The tokenizer of the packaged checkpoint."""
    return minibert.WordPieceTokenizer.from_pretrained("minilm-l6")


FEW = 4000  # tokens of `few_words`

# The other families: what `small_model` has to change to be one.
FAMILIES: dict[str, dict[str, object]] = {
    "distilbert": {"type_vocab_size": 0, "classifier_dropout": 0.2, "qa_dropout": 0.1},
    "roberta": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "xlm-roberta": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "camembert": {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16, "num_hidden_groups": 1, "hidden_act": "gelu_new"},
}


def small_variant(family: str, **changes: object) -> minibert.BertForClassification:
    """A tiny random classifier of this family, to be used with the packaged tokenizer."""
    return small_model(**{"model_type": family, **FAMILIES.get(family, {}), **changes})


def small_model(**changes: object) -> minibert.BertForClassification:
    """A tiny random classifier with room for the packaged vocabulary."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 30522, "max_position_embeddings": 40}
    config = minibert.BertConfig(**{**TINY, **sizes, **changes})
    return randomize(minibert.BertForClassification(config), 0)


@pytest.fixture(scope="session")
def few_words() -> minibert.WordPieceTokenizer:
    """The packaged tokenizer without its rarer words, for a model that trains in no time."""
    whole = minibert.WordPieceTokenizer.from_pretrained("minilm-l6").vocabulary
    ids = {token: number for token, number in whole.ids.items() if number < FEW}
    return minibert.WordPieceTokenizer(replace(whole, ids=ids))


def new_encoder(folder: Path, tokenizer: minibert.WordPieceTokenizer, **changes: object) -> Path:
    """Write a tiny encoder as training begins with one, for `few_words`."""
    torch.manual_seed(0)
    sizes = {"vocab_size": FEW, "max_position_embeddings": 40}
    minibert.BertModel(minibert.BertConfig(**{**TINY, **sizes, **changes})).save_pretrained(folder)
    tokenizer.write_files(folder)
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, few_words: minibert.WordPieceTokenizer) -> Path:
    """The folder of a tiny encoder whose biases and norms, too, differ from those of a new one."""
    folder = tmp_path_factory.mktemp("start") / "model"
    small_model(vocab_size=FEW).bert.save_pretrained(folder)
    few_words.write_files(folder)
    return folder

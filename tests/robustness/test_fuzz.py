"""Whatever comes in, it is taken or refused in our own words: ValueError or OSError, one line.

Each test draws so many inputs of one kind by hypothesis: the same few in every run, and thousands
of new ones in the slow tier. An input that is refused otherwise, or takes too long, is a failure;
one that asks for much more memory than there is work gets a MemoryError, which is one too.
"""

import itertools
import json
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

import minibert
import minibert.data
from minibert.checkpoint.config_json import FIXED
from minibert.tasks.settings import Settings
from tests.conftest import TINY, randomize
from tests.robustness import fuzzing
from tests.robustness.fuzzing import (
    Outcomes,
    changed_bytes,
    changed_json,
    json_files,
    objects,
    values,
)
from tests.text.kinds import write_folder
from tests.text.strategies import for_each

FEW, MANY = 40, 2_300  # inputs of a test; nine tests make 20,700 in the slow tier
MEMORY = 2 << 30  # bytes of address space that an input may add
Try = Callable[..., None]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
WORDS += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + ["fine", "film", "bad", "."]
TEXTS = ["a fine film .", "bad", "so bad a film", "fine"]
LABELS = ["yes", "no", "no", "yes"]
# Keys that a config.json may have besides those that we write.
KEYS = (*FIXED, "architectures", "problem_type", "num_labels", "_num_labels", "torch_dtype")
KEYS += ("dtype", "auto_map", "tokenizer_class", "quantization_config", "max_length", "attention")
KEYS += ("minibert_max_length", "minibert_truncation", "minibert_label_type", "layer_norm_eps")
# Keys that a tokenizer_config.json may have.
TOKENIZER_KEYS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "model_max_length")
TOKENIZER_KEYS += ("cls_token", "unk_token", "mask_token", "additional_special_tokens")
TOKENIZER_KEYS += ("added_tokens_decoder", "tokenizer_class", "extra_special_tokens", "auto_map")
TOKENIZER_KEYS += ("do_basic_tokenize", "never_split", "word_tokenizer_type")


@pytest.fixture(scope="module", autouse=True)
def little_memory() -> Iterator[None]:
    """Allocations beyond what a tiny model needs fail at once, and not when the machine is full."""
    resource = pytest.importorskip("resource")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier and its tokenizer in every form of file, all tiny."""
    folder = tmp_path_factory.mktemp("fuzz") / "model"
    torch.manual_seed(0)
    sizes = {"vocab_size": len(WORDS), "num_hidden_layers": 1, "max_position_embeddings": 24}
    config = minibert.BertConfig(**{**TINY, **sizes, "labels": ("no", "yes")})
    randomize(minibert.BertForClassification(config), 0).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    settings = {"do_lower_case": True, "model_max_length": 24, "mask_token": "[MASK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    minibert.WordPieceTokenizer.from_pretrained(folder).write_files(folder)
    return folder


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"])
def fuzz(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Try]:
    """Call a function with so many drawn inputs; what it did wrong is told at the end, by kind."""
    outcomes = Outcomes()

    def run(call: Callable[..., object], *drawn: st.SearchStrategy[Any]) -> None:
        def check(given: tuple[Any, ...]) -> None:
            outcomes.try_out(lambda: call(*given), given)

        repeatable = request.param == FEW
        for_each(check, st.tuples(*drawn), examples=request.param, repeatable=repeatable)
        record_property("fuzz", dict(outcomes.counts))
        if outcomes.wrong:
            pytest.fail(outcomes.report(), pytrace=False)

    yield run


class Changed:
    """A model folder in which a file has other bytes while something is done with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def call(self, name: str, data: bytes | None, call: Callable[[Path], object]) -> None:
        """data: None to take the file away."""
        path = self.folder / name
        before = path.read_bytes() if path.exists() else None
        try:
            path.unlink(missing_ok=True)  # it may be mapped into memory: never write into it
            if data is not None:
                path.write_bytes(data)
            call(self.folder)
        finally:
            path.unlink(missing_ok=True)
            if before is not None:
                path.write_bytes(before)


def classify(folder: Path) -> None:
    minibert.TextClassifier.load(folder, device="cpu").predict_proba(TEXTS[:2])


def tokenize(folder: Path) -> None:
    for backend in ("python", "rust"):
        tokenizer = minibert.WordPieceTokenizer.from_pretrained(folder, backend=backend)
        row = tokenizer.encode("A fine [MASK] film, zß", "bad")
        tokenizer.decode(row.ids)


def test_config_json(fuzz, made):
    config = json.loads((made / "config.json").read_text())
    fuzz(lambda data: Changed(made).call("config.json", data, classify), json_files(config, KEYS))


def test_tokenizer_json(fuzz, made):
    whole = json.loads((made / "tokenizer.json").read_text())
    fuzz(lambda data: Changed(made).call("tokenizer.json", data, tokenize), json_files(whole))


@pytest.mark.parametrize("as_it_is", [False, True])
@pytest.mark.parametrize("name", ["RobertaTokenizer", "AlbertTokenizer"])
def test_tokenizer_json_of_a_variant(fuzz, name, as_it_is, tmp_path):
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"} if as_it_is else {}
    if as_it_is and name == "AlbertTokenizer":
        settings |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    changed = Changed(write_folder(tmp_path / "model", name, settings))
    whole = json.loads((tmp_path / "model" / "tokenizer.json").read_text())
    model = whole["model"]
    if name == "RobertaTokenizer":
        model["merges"] = [pair for pair in model["merges"][:9] if max(map(len, pair)) == 1]
        kept = {"".join(pair) for pair in model["merges"]}
        model["vocab"] = {t: i for t, i in model["vocab"].items() if i < 261 or t in kept}
    else:
        model["vocab"] = model["vocab"][:40]
        whole["normalizer"]["normalizers"].pop()  # its table is not to be changed inside

    def call(folder: Path) -> None:
        tokenizer = minibert.Tokenizer.from_pretrained(folder)
        if name == "RobertaTokenizer":
            ours = minibert.Tokenizer.from_pretrained(folder, backend="python")
            assert ours.vocabulary == tokenizer.vocabulary
            ours.encode("A fine <mask> [MASK] film, zß", "bad")
        row = tokenizer.encode("A fine <mask> [MASK] film, zß", "bad")
        tokenizer.decode(row.ids)
        tokenizer.save_pretrained(tmp_path / "saved")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz(lambda data: changed.call("tokenizer.json", data, call), json_files(whole))


def test_the_small_files_of_a_tokenizer(fuzz, made):
    """Beside a tokenizer.json, and where there is only a vocab.txt."""
    trees: dict[str, tuple[Any, tuple[str, ...]]] = {
        "tokenizer_config.json": (
            json.loads((made / "tokenizer_config.json").read_text()),
            TOKENIZER_KEYS,
        ),
        "special_tokens_map.json": (
            {"cls_token": "[CLS]", "mask_token": {"content": "[MASK]", "lstrip": False}},
            TOKENIZER_KEYS,
        ),
        "added_tokens.json": ({"[MASK]": 4}, ("film", "new")),
    }
    one = st.sampled_from(sorted(trees)).flatmap(
        lambda name: st.tuples(st.just(name), json_files(*trees[name]))
    )

    def open_with(file: tuple[str, bytes], alone: bool) -> None:
        changed = Changed(made)
        whole = None if alone else (made / "tokenizer.json").read_bytes()
        changed.call("tokenizer.json", whole, lambda folder: changed.call(*file, call=tokenize))

    fuzz(open_with, one, st.booleans())


def test_vocab_txt(fuzz, made):
    changed = Changed(made)

    def open_with(data: bytes) -> None:
        changed.call(
            "tokenizer.json", None, lambda folder: changed.call("vocab.txt", data, tokenize)
        )

    fuzz(open_with, changed_bytes((made / "vocab.txt").read_bytes()))


def test_tables(fuzz, tmp_path):
    rows = [f"{text}\t{label}" for text, label in zip(TEXTS * 2, LABELS * 2, strict=True)]
    tab = "\n".join(["sentence\tlabel", *rows]) + "\n"
    quoted = '"text","label"\r\n"a ""fine"" film, it is","good"\r\n' + 'bad,"no\nway"\r\n' * 3
    wholes = [tab.encode(), quoted.encode(), tab.encode("utf-16"), quoted.encode("utf-8-sig")]
    wholes.append("\n".join('{"text": "a \u00e9", "label": "b"}' for _ in range(4)).encode())
    some = st.one_of(*map(changed_bytes, wholes), st.binary(max_size=60))

    def read(data: bytes, suffix: str) -> None:
        (tmp_path / f"table{suffix}").write_bytes(data)
        minibert.data.load(tmp_path / f"table{suffix}")

    fuzz(read, some, st.sampled_from([".tsv", ".csv", ".jsonl"]))


def with_header(header: Any, rest: bytes) -> bytes:
    """A safetensors file: the length of the header, the header, the tensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def test_weight_files(fuzz, made):
    whole = (made / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", whole[:8])[0]
    header, rest = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    state = minibert.BertForClassification.from_pretrained(made).state_dict()
    torch.save(state, made / "pytorch_model.bin")
    torch.save(state, made / "old.bin", _use_new_zipfile_serialization=False)
    pickles = [(made / name).read_bytes() for name in ("pytorch_model.bin", "old.bin")]
    (made / "pytorch_model.bin").unlink()
    (made / "old.bin").unlink()
    (made / "a.safetensors").write_bytes(whole)
    index = {"metadata": {}, "weight_map": dict.fromkeys(header, "a.safetensors")}
    kinds = {
        "model.safetensors": st.one_of(
            changed_bytes(whole), changed_json(header).map(lambda text: with_header(text, rest))
        ),
        "pytorch_model.bin": st.one_of(*map(changed_bytes, pickles)),
        "model.safetensors.index.json": json_files(index),
    }
    one = st.sampled_from(sorted(kinds)).flatmap(lambda name: st.tuples(st.just(name), kinds[name]))

    def load(file: tuple[str, bytes]) -> None:
        changed = Changed(made)
        if file[0] == "model.safetensors":
            changed.call(*file, call=minibert.BertForClassification.from_pretrained)
        else:
            changed.call(
                "model.safetensors",
                None,
                lambda folder: changed.call(
                    *file, call=minibert.BertForClassification.from_pretrained
                ),
            )

    fuzz(load, one)


# --- the fuzzers themselves ----------------------------------------------------------------------


def endless() -> None:
    while True:
        pass


FAULTS: list[tuple[Callable[[], object], str | None]] = [
    (lambda: minibert.BertConfig(hidden_size="many"), None),
    (lambda: minibert.data.load("missing"), None),
    (lambda: minibert.WordPieceTokenizer.from_pretrained, None),
    (lambda: [].pop(), "IndexError: 'pop from empty list'"),
    (lambda: int("x"), 'ValueError in words that are not ours: "invalid literal'),
    (lambda: open("/"), "IsADirectoryError in words that are not ours"),
    (endless, "TooSlow"),
]


@pytest.mark.parametrize(("call", "fault"), FAULTS)
def test_the_fuzzers_see_what_must_not_happen(call, fault, monkeypatch):
    monkeypatch.setattr(fuzzing, "SECONDS", 0.05)
    outcomes = Outcomes()
    outcomes.try_out(call, "given")
    assert fault in outcomes.report() if fault else not outcomes.wrong


def test_the_fuzzers_see_an_error_that_is_too_long(monkeypatch):
    monkeypatch.setattr(fuzzing, "LENGTH", 10)
    outcomes = Outcomes()
    outcomes.try_out(lambda: minibert.data.load("missing"), "given")
    assert "FileNotFoundError too long" in outcomes.report()


# --- arguments -----------------------------------------------------------------------------------


def reasonable(name: str, value: object) -> bool:
    """Not a setting that is right, and that takes for ever."""
    return not (name == "epochs" and isinstance(value, int) and value > 9)


def test_settings_of_a_classifier(fuzz, made):
    names = [name for name in Settings.__dataclass_fields__ if not name.startswith("_")]
    one = st.tuples(st.sampled_from(names), objects).filter(lambda pair: reasonable(*pair))

    def fit(changes: list[tuple[str, Any]]) -> None:
        settings = {"model": made, "epochs": 1, "max_length": 8, "device": "cpu", **dict(changes)}
        minibert.TextClassifier(**settings).fit(TEXTS, LABELS)

    fuzz(fit, st.lists(one, min_size=1, max_size=2))


def test_arguments_of_a_tokenizer(fuzz, made):
    tokenizer = minibert.WordPieceTokenizer.from_pretrained(made)
    calls: dict[str, Callable[[Any], object]] = {
        "texts": tokenizer,
        "pairs": lambda value: tokenizer(TEXTS[:2], pairs=value),
        "max_length": lambda value: tokenizer(TEXTS, max_length=value),
        "encode": tokenizer.encode,
        "encode pair": lambda value: tokenizer.encode("a", value),
        "encode max_length": lambda value: tokenizer.encode("a", max_length=value),
        "tokenize": tokenizer.tokenize,
        "decode": tokenizer.decode,
        "backend": lambda value: minibert.WordPieceTokenizer.from_pretrained(made, backend=value),
        "folder": minibert.WordPieceTokenizer.from_pretrained,
    }
    fuzz(lambda name, value: calls[name](value), st.sampled_from(sorted(calls)), values)


def test_texts_labels_and_folders(fuzz, made, tmp_path):
    classifier = minibert.TextClassifier.load(made, device="cpu")
    encoder = minibert.TextEncoder.load(made, device="cpu")
    numbers = itertools.count()

    def fit(texts: Any, labels: Any) -> object:
        settings = {"epochs": 1, "max_length": 8, "trained_layers": 0, "device": "cpu"}
        return minibert.TextClassifier(made, **settings).fit(texts, labels)

    calls: dict[str, Callable[[Any], object]] = {
        "predict": classifier.predict,
        "predict_proba": classifier.predict_proba,
        "stream": lambda value: list(classifier.stream(value)),
        "window": lambda value: list(classifier.stream(TEXTS, window=value)),
        "score": lambda value: classifier.score(value, LABELS),
        "score labels": lambda value: classifier.score(TEXTS, value),
        "fit": lambda value: fit(value, LABELS),
        "fit labels": lambda value: fit(TEXTS, value),
        "validation": lambda value: minibert.TextClassifier(made, epochs=1).fit(
            TEXTS, LABELS, validation=value
        ),
        "encode": encoder.encode,
        "load": minibert.TextClassifier.load,
        "load max_length": lambda value: minibert.TextClassifier.load(made, max_length=value),
        "load precision": lambda value: minibert.TextClassifier.load(made, precision=value),
        "pooling": lambda value: minibert.TextEncoder.load(made, pooling=value),
        "model": minibert.BertModel.from_pretrained,
        "new labels": lambda value: minibert.BertForClassification.from_pretrained(
            made, labels=value, new_head=True
        ),
        "num_labels": lambda value: minibert.BertForClassification.from_pretrained(
            made, num_labels=value, new_head=True
        ),
        "save": lambda value: encoder.model.save_pretrained(
            tmp_path / str(next(numbers)), overwrite=value
        ),
        "data": minibert.data.load,
    }
    fuzz(lambda name, value: calls[name](value), st.sampled_from(sorted(calls)), values)

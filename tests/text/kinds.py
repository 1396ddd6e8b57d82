"""Tokenizers of the variants, trained in a second on the bundled sample of texts."""

import base64
import functools
import json
import struct
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from minibert import data

_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# The special tokens in front of a vocabulary, by the class of transformers.
SPECIAL = {
    "RobertaTokenizer": _FAIRSEQ,
    "XLMRobertaTokenizer": _FAIRSEQ,
    "CamembertTokenizer": (
        "<s>NOTUSED <pad> </s>NOTUSED <unk> <unk>NOTUSED <s> </s> <mask>".split()
    ),
    "AlbertTokenizer": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
}
MODEL_TYPE = {
    "RobertaTokenizer": "roberta",
    "XLMRobertaTokenizer": "xlm-roberta",
    "CamembertTokenizer": "camembert",
    "AlbertTokenizer": "albert",
}


@functools.cache
def tokenizer_json(name: str) -> str:
    """A tokenizer.json for a class of transformers; what a publisher would have written."""
    special = SPECIAL[name]
    trained = _byte_pairs(special) if name == "RobertaTokenizer" else _unigram(special)
    whole = json.loads(trained.to_str())
    for entry in whole["added_tokens"]:
        entry["lstrip"] = entry["content"] == special[-1]  # the mask
    if name != "RobertaTokenizer":
        table = {"type": "Precompiled", "precompiled_charsmap": charsmap()}
        albert = [{"type": kind} for kind in ("NFKD", "StripAccents", "Lowercase")]
        steps = [*albert, table] if name == "AlbertTokenizer" else [table]
        whole["normalizer"] = {"type": "Sequence", "normalizers": steps}
    return json.dumps(whole)


def write_folder(folder: Path, name: str, config: dict | None = None) -> Path:
    """A folder with tokenizer.json, tokenizer_config.json and the config of a model."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(tokenizer_json(name), encoding="utf-8")
    settings = {"tokenizer_class": name, **(config or {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": MODEL_TYPE[name]}))
    return folder


def split_files(folder: Path) -> Path:
    """The same folder of a RoBERTa with vocab.json and merges.txt in place of a tokenizer.json."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [" ".join(pair) for pair in model["merges"]]
    text = "\n".join(["#version: 0.2", *merges, ""])
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    return folder


def _texts() -> list[str]:
    """Those of the sample, and a line in other scripts that is frequent enough to be learned."""
    train, _ = data.load("sample")
    return train.texts + ["日本語 über naïve 한국어 हिन्दी 12345 don't I'll we've ''tis``"] * 20


def _byte_pairs(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def _unigram(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    splitters = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splitters)
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=900, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    cls, sep = ("[CLS]", "[SEP]") if "[CLS]" in special else ("<s>", "</s>")
    segment, between = (1, []) if "[CLS]" in special else (0, [f"{sep}:0"])
    single = [f"{cls}:0", "$A:0", f"{sep}:0"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=[*single, *between, f"$B:{segment}", f"{sep}:{segment}"],
        special_tokens=[(token, special.index(token)) for token in (cls, sep)],
    )
    return tokenizer


def charsmap() -> str:
    """A table of normalisations as SentencePiece has it, which makes A to M small letters.

    A double-array trie, the length of which comes first, and then the texts that its values point
    to. Every letter is reached from the root in one step, and its value in a second.
    """
    units, texts = [0] * 1024, b""
    units[0] = 256 << 10
    for letter in b"ABCDEFGHIJKLM":
        units[256 ^ letter] = letter | 1 << 8 | 768 << 10
        units[512 ^ letter] = len(texts)
        texts += bytes([letter + 32, 0])
    trie = struct.pack("<1024I", *units)
    return base64.b64encode(struct.pack("<I", len(trie)) + trie + texts).decode()

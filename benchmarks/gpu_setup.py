"""Models and texts of `gpu.py`: what `--model` and `--data` name, or else made up.

Made-up texts have the lengths of SST-2's sentences and consist of whole words of a made-up
vocabulary, so that each word is one token. Models without weights are random.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import finetune_start
import torch
from attention_cells import SST2
from finetune_start import DROPOUTS, Part, Texts
from gpu_cells import Bench

import minibert
from minibert import WordPieceTokenizer, data

LABELS = ("negative", "positive")
MAX_LENGTH = 128  # tokens a text is cut to


def has_real_texts(bench: Bench) -> bool:
    """Whether the texts are those of `--data`: they need the tokenizer of `--model`."""
    return bench.data is not None and bench.model is not None


@cache
def made_up_words() -> list[str]:
    """The words of the bundled sample."""
    sample = " ".join(map(str, data.load("sample")[0].texts)).lower()
    return sorted(set(re.findall("[a-z]+", sample)))


def tokenizer_of(bench: Bench) -> WordPieceTokenizer:
    if bench.model is not None:
        return WordPieceTokenizer.from_pretrained(bench.model)
    folder = bench.scratch / "vocabulary"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *made_up_words()]
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
        (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    return WordPieceTokenizer.from_pretrained(folder)


@cache
def texts_of(bench: Bench) -> Texts:
    """Texts to train with and for development."""
    if has_real_texts(bench):
        return finetune_start.read_texts(str(bench.data))
    words = made_up_words()
    generator = torch.Generator().manual_seed(0)

    def part(number: int) -> Part:
        texts = []
        for i in range(number):
            picked = torch.randint(len(words), (SST2[i % len(SST2)] - 2,), generator=generator)
            texts.append(" ".join(words[k] for k in picked.tolist()))
        return Part(texts, [i % 2 for i in range(number)])

    return Texts(part(min(8192, bench.scale.rows)), part(bench.scale.rows // 32), list(LABELS))


def stream_of(bench: Bench) -> list[str]:
    """The texts of the stream, as many as the scale says."""
    return finetune_start.choose(texts_of(bench).train, bench.scale.rows).texts


def shape(bench: Bench, name: str) -> minibert.BertConfig:
    """That of the "base" or the "small" model, with room for the tokenizer's words."""
    sizes: dict[str, Any] = bench.scale.base if name == "base" else bench.scale.small
    config = replace(minibert.BertConfig(labels=LABELS), **sizes)
    vocabulary = 1 + max(tokenizer_of(bench).tokens)
    return replace(config, vocab_size=max(config.vocab_size, vocabulary))


def classifier(bench: Bench, name: str, dropout: bool = True) -> Path:
    """The folder of the "base" or the "small" model, written by the first who asks. The small one
    has the weights of `--model`, if there is one."""
    folder = bench.scratch / (name if dropout else f"{name} without dropout")
    if (folder / "tokenizer.json").is_file():  # which is written last
        return folder
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was stopped
    if name == "small" and bench.model is not None:
        finetune_start.make_model(folder, str(bench.model), None, list(LABELS), 0, dropout)
        return folder
    torch.manual_seed(0)
    none: dict[str, Any] = {} if dropout else dict.fromkeys(DROPOUTS, 0.0)
    minibert.BertForClassification(replace(shape(bench, name), **none)).save_pretrained(folder)
    tokenizer_of(bench).save_pretrained(folder)
    return folder


@cache
def config_of(bench: Bench, name: str) -> minibert.BertConfig:
    """That of the "base" or the "small" model, as it is."""
    return minibert.BertConfig.from_pretrained(classifier(bench, name))

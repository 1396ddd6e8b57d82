"""What `gpu.py` needs on a machine without a network, in a folder to take along: `minilm-l6` in
fp16, 45 MB, with its tokenizer, and SST-2."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from minibert import WordPieceTokenizer
from minibert.checkpoint.hub import find_folder

WEIGHTS = "model.safetensors"
DATA = ("train.tsv", "dev.tsv")


def pack(folder: Path, data: Path | None, model: str = "minilm-l6") -> None:
    """Write FOLDER/minilm and, of the folder `data`, FOLDER/SST-2; say how large they are.

    Raises `OSError` or `ValueError` for what is not there.
    """
    source = find_folder(model)
    if not (source / WEIGHTS).is_file():
        raise ValueError(f"{source} has no {WEIGHTS}; save the model with save_pretrained first")
    if data is not None:
        for name in DATA:
            if not (data / name).is_file():
                raise ValueError(f"--data is {data}, which has no {name}")
        (folder / "SST-2").mkdir(parents=True, exist_ok=True)
        for name in DATA:
            shutil.copyfile(data / name, folder / "SST-2" / name)
    target = folder / "minilm"
    target.mkdir(parents=True, exist_ok=True)
    tensors = load_file(source / WEIGHTS)
    halves = {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    save_file(halves, target / WEIGHTS, metadata={"format": "pt"})
    shutil.copyfile(source / "config.json", target / "config.json")
    WordPieceTokenizer.from_pretrained(source).save_pretrained(target)
    for part in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"{part.relative_to(folder)}: {part.stat().st_size / 1e6:.1f} MB")

"""BERT and its variants side by side: parameters, memory of the weights, what changed, speed.

    python benchmarks/variants.py                       # the table, in Markdown
    python benchmarks/variants.py --speed output/*.json # with rates that inference.py measured

Parameters and memory are counted from the shapes, without weights. For the speeds run

    python benchmarks/inference.py --data SST-2 --tokenizer bert-base-cased --shape NAME \\
        --no-grid --precision fp32 --json output/NAME.json

for each name of the table, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from minibert._programs import run_program
from minibert.checkpoint.sizes import SIZES
from minibert.config import BertConfig
from minibert.model import BertModel

# What a model has changed, in the words of a table.
CHANGED = {
    "bert-base-uncased": "",
    "distilbert-base-uncased": "half the layers, taught by BERT; no segments, no pooler",
    "roberta-base": "trained longer on more text; byte pairs; positions counted by tokens",
    "distilroberta-base": "RoBERTa with half the layers, taught by it",
    "xlm-roberta-base": "RoBERTa for a hundred languages",
    "camembert-base": "RoBERTa for French",
    "electra-small-discriminator": "learned to find replaced tokens; embeddings 128 wide",
    "electra-base-discriminator": "the same, all of it as wide as BERT",
    "albert-base-v2": "one layer's weights for all twelve; embeddings 128 wide",
}


def rates(paths: list[Path]) -> dict[str, tuple[float, float, str]]:
    """Model -> rows a second of the stream in fp32: minibert's, the best other's, and whose."""
    found = {}
    for path in paths:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        try:
            rows, stream = results["rows"]["stream"], results["works"]["stream"]
            rate = {name: rows / statistics.median(r["seconds"]) for name, r in stream.items()}
            others = {n: r for n, r in rate.items() if "fp32" in n and not n.startswith("minibert")}
            best = max(others, key=lambda name: others[name])
            found[results["model"]] = (rate["minibert fp32"], others[best], best)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{path} has no stream of minibert fp32 and another engine ({error}); write it by "
                "inference.py --json"
            ) from error
    return found


def table(speed: dict[str, tuple[float, float, str]]) -> list[str]:
    """One row a model."""
    lines = ["| model | parameters | weights in fp32 | what changed | rows/s in fp32: ours, best |"]
    lines.append("|---|---|---|---|---|")
    for name, changed in CHANGED.items():
        with torch.device("meta"):
            model = BertModel(BertConfig.from_size(name))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        measured = "not measured"
        if name in speed:
            ours, best, whose = speed[name]
            measured = f"{ours:.0f}, {best:.0f} ({whose})"
        family = f"{model.config.variant.name}, `{name}`"
        lines.append(
            f"| {family} | {parameters / 1e6:.1f} million | {parameters * 4 / 1e6:,.0f} MB "
            f"| {changed} | {measured} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--speed", type=Path, nargs="*", default=[], help="files that inference.py --json wrote"
    )
    speed = rates(parser.parse_args().speed)
    unknown = speed.keys() - CHANGED.keys()
    if unknown:
        raise ValueError(
            f"the table has no row for {', '.join(sorted(unknown))}; it has {', '.join(CHANGED)}"
        )
    assert CHANGED.keys() <= SIZES.keys()
    print("\n".join(table(speed)))


if __name__ == "__main__":
    run_program(main)

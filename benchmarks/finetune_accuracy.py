"""Do both train classifiers that are equally good? Pairs of runs, for `finetune.py`."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch
from finetune_contenders import CONTENDERS, MAX_LENGTH, PLAIN, Setup
from finetune_start import Part, Texts, choose, make_model

from minibert import Tokenizer


def accuracy(model: Any, tokenizer: Tokenizer, part: Part) -> float:
    """The same function for both: they take the same batch and return logits."""
    model.eval()
    device = next(model.parameters()).device
    rows = tokenizer.encode_batch(part.texts, MAX_LENGTH)
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
    right = 0
    with torch.no_grad():
        for start in range(0, len(rows), 32):
            chosen = order[start : start + 32]
            batch = tokenizer.pad([rows[i] for i in chosen])
            moved = {name: tensor.to(device) for name, tensor in batch.items()}
            found = model(**moved).logits.argmax(1).tolist()
            right += sum(k == part.labels[i] for k, i in zip(found, chosen, strict=True))
    return right / len(rows)


def compare_accuracy(texts: Texts, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Pairs of runs: a seed decides subset, order and head, the same for both of its pair."""
    rows = []
    print("| seed | minibert | transformers | difference, points |\n|---|---|---|---|")
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        place = folder / str(seed)
        make_model(place, arguments.model, arguments.tokenizer, texts.labels, seed, dropout=True)
        chosen = choose(texts.train, arguments.train_examples, seed)
        setup = Setup(place, *chosen, arguments.batch_size, arguments.epochs, seed)
        tokenizer = Tokenizer.from_pretrained(place)
        mine, theirs = (
            accuracy(CONTENDERS[name](setup, lambda: None).model, tokenizer, texts.development)
            for name in ("minibert fp32", PLAIN)
        )
        rows.append({"seed": seed, "minibert": mine, "transformers": theirs})
        print(f"| {seed} | {mine:.2%} | {theirs:.2%} | {100 * (mine - theirs):+.2f} |", flush=True)
    differences = [100 * (row["minibert"] - row["transformers"]) for row in rows]
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / len(rows) ** 0.5
    within = abs(mean) <= 2 * error
    print(
        f"Mean difference {mean:+.2f} points, standard error {error:.2f}: "
        f"{'within' if within else 'NOT within'} 2 standard errors"
    )
    return {"seeds": rows, "mean": mean, "standard error": error, "within": within}

"""A short training run, also in a process of its own for tests that kill it.

    python -m tests.training.crash_run FOLDER [resume]

Writes FOLDER/final.pt when it ends.
"""

import logging
import os
import sys
from pathlib import Path

import torch

import minibert
from minibert.tokenizer import Row, WordPieceTokenizer
from minibert.training.batches import Classification, Examples
from minibert.training.history import Evaluation
from minibert.training.loop import train
from minibert.training.recipe import Recipe

EPOCHS, STEPS = 4, 40
# Its own, for tests.conftest would be imported, and transformers, in each process.
SMALL = {
    "vocab_size": 1500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}


def run(folder, resume=False, **changes):
    """Train a tiny model, dropout on; returns its weights and the history."""
    tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    random = torch.Generator().manual_seed(0)
    rows = [
        Row(
            [101, *torch.randint(200, 1500, (n,), generator=random).tolist(), 102], [0] * (n + 2), 0
        )
        for n in torch.randint(4, 30, (77,), generator=random).tolist()
    ]
    torch.manual_seed(changes.pop("start", 0))
    heads = changes.pop("heads", SMALL["num_attention_heads"])
    config = minibert.BertConfig(**{**SMALL, "num_attention_heads": heads})
    model = minibert.BertForClassification(config)
    labels = [i % 2 for i in range(77 - changes.get("fewer", 0))]
    examples = Examples(rows[: len(labels)], labels)
    task = Classification(examples, tokenizer, batch_size=changes.pop("batch_size", 8))
    changes.pop("fewer", None)
    broken = changes.pop("broken", None)
    if broken is not None:  # the loss of this step is no number
        right = task.loss

        def loss(model, part, whole):
            factor = float("nan") if whole == task.batch(broken) else 1.0
            return right(model, part, whole) * factor

        task.loss = loss

    def evaluate(step):
        logits, wanted = task.logits(model, task.batch(0))
        accuracy = (logits.argmax(1) == wanted).float().mean().item()
        return Evaluation(
            step, torch.nn.functional.cross_entropy(logits, wanted).item(), {"accuracy": accuracy}
        )

    save_every = changes.pop("save_every", 5)
    recipe = Recipe(**{"epochs": EPOCHS, "lr": 1e-3, "evaluate_every": 7, **changes})
    history = train(
        model, task, recipe, evaluate, folder=folder, resume=resume, save_every=save_every
    )
    return model.state_dict(), history


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    folder, options = Path(sys.argv[1]), sys.argv[2:]
    weights, history = run(folder, "resume" in options)
    torch.save({"weights": weights, "losses": history.losses}, folder / "final.unfinished")
    os.replace(folder / "final.unfinished", folder / "final.pt")
    print(f"finished after {len(history.losses)} steps")

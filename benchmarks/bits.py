"""Did a change keep BERT's bits? SHA-256 of outputs, and losses of a short training.

    python benchmarks/bits.py                        # this checkout
    python benchmarks/bits.py --beside ../before     # and another one, compared with it

Of `minilm-l6` on 128 of the bundled sentences: `last_hidden_state` of the plain model, and, from a
classifier with a head of seed 0, the logits of the plain model, in batches and of single texts, and
those of `optimize` in fp32 and int8. Then the losses of 20 steps of `TextClassifier.fit` without
dropout, and logits of a small random model of each other family. A SHA-256 means something on one
machine with one version of PyTorch only, so the other checkout (a git worktree, say) is run by the
same interpreter. Only public names are used: both checkouts know them. (A checkout that has no
other families has no figures of them, and they are not compared.)

Exit code 1 if a SHA-256 differs or a loss does by more than 1e-6.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import arena
import torch

TEXTS, BATCH, STEPS = 128, 16, 20
TOLERANCE = 1e-6
FAMILIES = (
    "distilbert-base-uncased",
    "roberta-base",
    "electra-small-discriminator",
    "albert-base-v2",
)


def digest(tensor: torch.Tensor) -> str:
    """SHA-256 of the numbers of a tensor."""
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def measure() -> dict[str, object]:
    """The figures of the minibert that this process imports."""
    import minibert
    from minibert import BertForClassification, BertModel, WordPieceTokenizer, optimize

    sample = Path(minibert.__file__).parent / "data" / "train.tsv"
    rows = [line.split("\t") for line in sample.read_text(encoding="utf-8").splitlines()[1:]]
    texts, labels = [row[0] for row in rows], [row[1] for row in rows]
    tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6")
    batches = [tokenizer(texts[i : i + BATCH]) for i in range(0, TEXTS, BATCH)]
    singles = [tokenizer(text) for text in texts[:8]]

    torch.manual_seed(0)
    model = BertModel.from_pretrained("minilm-l6")
    classifier = BertForClassification.from_pretrained("minilm-l6", num_labels=2)
    found: dict[str, object] = {}
    with torch.inference_mode():
        states = [model(**batch).last_hidden_state.flatten() for batch in batches]
        found["last_hidden_state"] = digest(torch.cat(states))
        engines = {"plain": classifier}
        engines |= {kind: optimize(classifier, kind) for kind in ("fp32", "int8")}
        for kind, engine in engines.items():
            logits = [engine(**batch).logits for batch in (*batches, *singles)]
            found[f"logits, {kind}"] = digest(torch.cat(logits))
    found["losses"] = losses(texts, labels, model, tokenizer)
    found["families"] = families(batches)
    return found


def families(batches: list[dict[str, torch.Tensor]]) -> dict[str, str]:
    """Family -> the digest of logits; of checkouts before there were any, nothing."""
    from minibert import BertConfig, BertForClassification, optimize

    if "model_type" not in BertConfig.__dataclass_fields__:
        return {}
    digests = {}
    for name in FAMILIES:
        torch.manual_seed(0)
        narrow = {"hidden_size": 192, "num_attention_heads": 4, "intermediate_size": 384}
        config = BertConfig.from_size(name, **narrow, vocab_size=30522, initializer_range=0.1)
        model = BertForClassification(config).eval()
        with torch.inference_mode():
            logits = [engine(**b).logits for engine in (model, optimize(model)) for b in batches]
        digests[config.model_type] = digest(torch.cat(logits))
    return digests


def losses(texts: list[str], labels: list[str], model: object, tokenizer: object) -> list[float]:
    """The losses of 20 steps of fine-tuning without dropout."""
    from minibert import BertModel, TextClassifier, WordPieceTokenizer

    assert isinstance(model, BertModel) and isinstance(tokenizer, WordPieceTokenizer)
    with tempfile.TemporaryDirectory() as folder:
        model.config = replace(
            model.config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        model.save_pretrained(Path(folder) / "still")
        tokenizer.save_pretrained(Path(folder) / "still")
        classifier = TextClassifier(Path(folder) / "still", epochs=1, batch_size=BATCH)
        number = STEPS * BATCH
        return classifier.fit(texts[:number], labels[:number]).history_.losses


def measure_checkout(root: Path) -> dict[str, object]:
    """The figures of a checkout, by a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--json"]
    printed = subprocess.run(
        command,
        env=arena.environment(root),
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(printed.splitlines()[-1])


def compare(ours: dict[str, object], theirs: dict[str, object]) -> bool:
    """Print both, line by line; whether they are the same."""
    same = True
    for name in ("last_hidden_state", "logits, plain", "logits, fp32", "logits, int8"):
        equal = ours[name] == theirs[name]
        same &= equal
        print(f"{'same     ' if equal else 'DIFFERENT'} {name}")
        for figures in (ours, theirs):
            print(f"          {figures[name]}")
    digests: list[dict[str, str]] = [ours["families"], theirs.get("families", {})]  # type: ignore
    for name in digests[0].keys() & digests[1].keys():
        equal = digests[0][name] == digests[1][name]
        same &= equal
        print(f"{'same     ' if equal else 'DIFFERENT'} logits of a small {name}")
    pairs = list(zip(ours["losses"], theirs["losses"], strict=True))  # type: ignore[call-overload]
    difference = max(abs(a - b) for a, b in pairs)
    same &= difference <= TOLERANCE
    print(f"{difference:.1e}   the largest difference of {len(pairs)} losses (at most 1e-6)")
    return same


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--beside", type=Path, help="another checkout, to compare with")
    parser.add_argument("--json", action="store_true", help="one line, for a program")
    arguments = parser.parse_args()
    if arguments.json:
        print(json.dumps(measure()))
        return
    ours = measure_checkout(arena.ROOT)
    if arguments.beside is None:
        print(json.dumps(ours, indent=1))
        return
    sys.exit(0 if compare(ours, measure_checkout(arena.find_checkout(arguments.beside))) else 1)


if __name__ == "__main__":
    main()

"""How much of a difference to transformers is rounding? A loud model of bert-base-cased's shape.

    python benchmarks/rounding.py

With initializer_range 0.2 twelve layers amplify rounding. Prints, for rows of three lengths, how
far our result is from that of transformers, both from its result in fp64, and its own two attention
implementations from each other: norms of differences over the output's norm, in fp32 on the CPU.
Needs `pip install -e '.[test]'`.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from minibert._programs import run_program
from tests.conftest import hf_model, ours_from, ragged_batch
from tests.parity.test_checkpoints import FULL_SIZE


@torch.inference_mode()
def main() -> None:
    loud = {**FULL_SIZE, "initializer_range": 0.2}
    reference = hf_model(**loud)
    models = {
        "transformers' sdpa": reference,
        "ours": ours_from(reference),
        "its eager": hf_model(**loud, attn_implementation="eager"),
    }
    batches = {
        lengths[0]: ragged_batch(lengths, pairs=True)
        for lengths in ([24, 9, 17], [128, 42, 1], [512, 170, 1])
    }

    def outputs(model: torch.nn.Module) -> dict[int, torch.Tensor]:
        return {
            length: model(**batch).last_hidden_state[batch["attention_mask"].bool()].double()
            for length, batch in batches.items()
        }

    results = {name: outputs(model) for name, model in models.items()}
    results["its fp64"] = outputs(reference.double())

    pairs = [
        ("ours", "transformers' sdpa"),
        ("transformers' sdpa", "its fp64"),
        ("ours", "its fp64"),
        ("its eager", "transformers' sdpa"),
    ]
    print("| longest row |", " | ".join(f"{a} to {b}" for a, b in pairs), "|")
    print("|---" * (len(pairs) + 1) + "|")
    for length in batches:
        size = results["its fp64"][length].norm()
        misses = [(results[a][length] - results[b][length]).norm() / size for a, b in pairs]
        print(f"| {length} |", " | ".join(f"{miss:.1e}" for miss in misses), "|")


if __name__ == "__main__":
    run_program(main)

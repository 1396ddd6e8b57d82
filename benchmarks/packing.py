"""How much of a batch is padding, and how much of it does packing leave?

    python benchmarks/packing.py --data path/to/SST-2

Takes random batches of training texts and prints which share of the slots holds real tokens: in the
padded batch (B, T), and in the groups that attention works on in training. Embeddings, products,
GELU and LayerNorm work on the packed list, where the share is always 100 %.
"""

import argparse

from devices import at_least_one

from minibert import Tokenizer, data
from minibert._programs import run_program
from minibert.packing import Packing
from minibert.training.batches import Classification, Examples


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="sample", help="as for examples/finetune_sst2.py")
    parser.add_argument("--model", default="minilm-l6", help="whose tokenizer")
    parser.add_argument("--batch-size", type=at_least_one, default=32)
    parser.add_argument("--batches", type=at_least_one, default=500, help="at most so many")
    arguments = parser.parse_args()

    tokenizer = Tokenizer.from_pretrained(arguments.model)
    texts, _ = data.load(arguments.data)
    rows = tokenizer.encode_batch(texts.texts)
    examples = Examples(rows, [0] * len(rows))
    task = Classification(examples, tokenizer, arguments.batch_size)
    real = padded = grouped = groups = 0
    count = min(arguments.batches, task.steps_per_epoch)
    for step in range(count):
        batch = tokenizer.pad([example.row for example in task.batch(step)])
        packing = Packing(batch["attention_mask"].bool(), mixed=True)  # as in training
        real += len(packing.row)
        padded += batch["input_ids"].numel()
        grouped += sum(group.rows * group.width for group in packing.groups)
        groups += len(packing.groups)
    print(f"{count} random batches of {arguments.batch_size} from {arguments.data}")
    print(f"real tokens a text: {sum(len(row.ids) for row in rows) / len(rows):.1f}")
    print(f"padded to the longest text of the batch: {real / padded:.0%} of the slots are real")
    print(f"in groups: {real / grouped:.0%}, {groups / count:.1f} groups a batch")


if __name__ == "__main__":
    run_program(main)

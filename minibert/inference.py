"""Running a model over many texts: what TextClassifier and TextEncoder share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minibert.config import BertConfig
from minibert.pretrained import Pretrained
from minibert.tokenizer import Row, Text, WordPieceTokenizer
from minibert.training.batches import batches_by_length

BATCH_TOKENS = 4096  # tokens of an inference batch, padding counted


def encode_texts(
    tokenizer: WordPieceTokenizer,
    texts: Sequence[Text],
    max_length: int,
    name: str = "texts",
) -> list[Row]:
    """Rows of ids. Texts that are too long are cut; one warning, at the line that called our
    caller, says how many."""
    rows = tokenizer.encode_batch(texts, max_length)
    cut = sum(row.dropped > 0 for row in rows)
    if cut:
        warnings.warn(
            f"{cut} of {len(rows)} {name} are longer than {max_length} tokens and were cut to "
            "that; max_length sets it, up to what the model takes",
            stacklevel=3,
        )
    return rows


@torch.inference_mode()
def compute_rows(
    model: Pretrained,
    tokenizer: WordPieceTokenizer,
    rows: Sequence[Row],
    width: int,
    compute: Callable[[dict[str, Tensor]], Tensor],
) -> Tensor:
    """Results for many rows: (len(rows), width) in fp32 on the CPU, in the order of the rows.

    compute: from a batch on the model's device to (B, width), called in evaluation mode. Batches
    are of rows of similar length, whatever the order given.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    results = torch.empty(len(rows), width)
    try:
        for indices in batches_by_length(rows, BATCH_TOKENS):
            batch = tokenizer.pad([rows[i] for i in indices])
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            results[indices] = compute(batch).float().cpu()
    finally:
        model.train(was_training)
    return results


def check_vocabulary(tokenizer: WordPieceTokenizer, config: BertConfig) -> None:
    """Raise `ValueError` if the tokenizer has ids that the model has no embedding for."""
    if tokenizer.vocabulary.size > config.vocab_size:
        raise ValueError(
            f"the tokenizer has ids up to {tokenizer.vocabulary.size - 1} and the model embeddings "
            f"for {config.vocab_size}; they do not belong together"
        )


def find_device(name: str | None) -> torch.device:
    """The device of this name; None takes CUDA where there is one, or else the CPU."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here: {reason}") from error
    return device

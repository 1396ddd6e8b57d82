"""Running a trained model over many texts, fast: what TextClassifier and TextEncoder share.

A long stream of texts is read in windows. The rows of a window are sorted by length and cut into
batches of so many tokens, and their results are put back into the caller's order. Only the results
grow with the stream.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.engine.memory import keep_freed_memory
from minibert.tokenizer import Row, Text, Truncation, WordPieceTokenizer, text_parts

# A window ends at so many texts or characters. Sorting more than this gains nothing.
WINDOW_TEXTS, WINDOW_CHARACTERS = 4096, 1 << 24
# A batch ends when it has so many tokens. On a CPU more do not run faster and leave its caches; for
# GPUs it is a guess that was never measured.
BATCH_TOKENS = {"cpu": 512, "cuda": 16384, "mps": 16384}


def run(
    model: Pretrained,
    tokenizer: WordPieceTokenizer,
    texts: Iterable[Text],
    max_length: int,
    width: int,
    compute: Callable[[dict[str, Tensor]], Tensor],
    truncation: Truncation = "head",
    stacklevel: int = 3,
) -> np.ndarray:
    """Results for any number of texts: float32 (texts, width), in their order.

    compute: from a batch on the model's device to (B, width). Long work shows a progress bar on a
    terminal. Texts that are too long are cut, and one warning says how many; stacklevel: at which
    line, 3 for the one that called our caller.

    If a text is none, or the iterable raises, what came before it is computed first; then the error
    is raised with the results as its attribute `finished`, a float32 array. So it is with Ctrl-C,
    at once, where `finished` holds the windows that were complete.
    """
    from tqdm import tqdm

    if isinstance(texts, str):
        raise ValueError(f"texts is the string {texts[:40]!r}; give a list of texts")
    number = len(texts) if isinstance(texts, Sized) else None
    results: list[np.ndarray] = []
    total, cut = 0, 0
    # disable=None: only on a terminal. delay: short work shows nothing.
    with tqdm(total=number, unit="text", delay=2, disable=None, leave=False) as progress:
        try:
            for window in read_windows(texts):
                rows = tokenizer.encode_batch(window, max_length, truncation)
                total, cut = total + len(rows), cut + sum(row.dropped > 0 for row in rows)
                found = compute_rows(model, tokenizer, rows, width, compute, progress.update)
                results.append(found.numpy())
            _warn_of_cut(cut, total, "texts", max_length, stacklevel + 1)
        except BaseException as error:
            error.finished = _joined(results, width)  # type: ignore[attr-defined]
            error.add_note(
                f"{len(error.finished)} texts were finished; their results are the "  # type: ignore[attr-defined]
                "attribute `finished` of this exception"
            )
            raise
    return _joined(results, width)


def _joined(results: list[np.ndarray], width: int) -> np.ndarray:
    return np.concatenate(results) if results else np.empty((0, width), np.float32)


def read_windows(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Lists of texts, each checked. What was read before an error is yielded before it is raised.

    Raises `ValueError` naming the position of what is no text, and whatever `texts` itself raises.
    """
    window: list[Text] = []
    characters, position = 0, 0
    iterator = iter(texts)
    failure: Exception | None = None
    while True:
        try:
            text = next(iterator)
            characters += sum(map(len, text_parts(text, position)))
        except StopIteration:
            break
        except Exception as error:
            failure = error
            break
        window.append(text)
        position += 1
        if len(window) == WINDOW_TEXTS or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window
    if failure is not None:
        raise failure


def encode_texts(
    tokenizer: WordPieceTokenizer,
    texts: Sequence[Text],
    max_length: int,
    name: str,
    truncation: Truncation = "head",
) -> list[Row]:
    """Rows of ids. Texts that are too long are cut; one warning, at the line that called our
    caller, says how many."""
    rows = tokenizer.encode_batch(texts, max_length, truncation)
    _warn_of_cut(sum(row.dropped > 0 for row in rows), len(rows), name, max_length, stacklevel=4)
    return rows


def _warn_of_cut(cut: int, number: int, name: str, max_length: int, stacklevel: int) -> None:
    if cut:
        warnings.warn(
            f"{cut} of {number} {name} are longer than {max_length} tokens and were cut to that; "
            "max_length sets it, up to what the model takes",
            stacklevel=stacklevel,
        )


@torch.inference_mode()
def compute_rows(
    model: Pretrained,
    tokenizer: WordPieceTokenizer,
    rows: Sequence[Row],
    width: int,
    compute: Callable[[dict[str, Tensor]], Tensor],
    finished: Callable[[int], Any] = lambda rows: None,
) -> Tensor:
    """Results for many rows: (len(rows), width) in fp32 on the CPU, in the order of the rows.

    compute: from a batch on the model's device to (B, width), called in evaluation mode. Batches
    are made by `batches_by_length`, whatever the order given. finished: told the number of rows
    after each batch.
    """
    was_training, device = model.training, model.device
    model.eval()
    keep_freed_memory()
    results = torch.empty(len(rows), width)
    try:
        for indices in batches_by_length(rows, BATCH_TOKENS.get(device.type, 512)):
            batch = tokenizer.pad([rows[i] for i in indices])
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            results[indices] = compute(batch).float().cpu()
            finished(len(indices))
    finally:
        model.train(was_training)
    return results


def batches_by_length(rows: Sequence[Row], tokens: int) -> Iterator[list[int]]:
    """Indices of rows, longest first, cut into batches of at most so many tokens.

    Where the next row does not fit, the longest that does takes its place, so that most batches
    have exactly `tokens`: a size that kernels can be made for. A longer row has its own batch.
    """
    by_length: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_length.setdefault(len(row.ids), []).append(i)
    lengths = sorted(by_length)  # those that are left, the longest at the end
    while lengths:
        batch: list[int] = []
        room = max(tokens, lengths[-1])
        while (fitting := bisect_right(lengths, room)) > 0:
            length = lengths[fitting - 1]
            batch.append(by_length[length].pop())
            room -= length
            if not by_length[length]:
                del lengths[fitting - 1]
        yield batch


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
        torch.empty(0, device=device).cpu()  # which "meta" cannot
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here: {reason}") from error
    return device

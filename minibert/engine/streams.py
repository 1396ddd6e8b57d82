"""Running a trained model over many texts, fast: what TextClassifier and TextEncoder share.

A long stream of texts is read in windows. The rows of a window are sorted by length and cut into
batches of at most so many tokens, and their results are put back into the caller's order. No more
than one window is in memory, unless the results are collected.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from minibert._checks import shown, warn
from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.engine.forks import survive_fork
from minibert.engine.host import placed, send
from minibert.engine.memory import keep_freed_memory
from minibert.engine.progress import progress_bar
from minibert.text.inputs import Text, check_many, iterated, text_parts
from minibert.text.truncation import Truncation
from minibert.tokenizer import Row, Tokenizer

# The most texts and characters in a window. Sorting more than this gains nothing.
WINDOW_TEXTS, WINDOW_CHARACTERS = 4096, 1 << 24
# The most tokens in a batch. On a CPU more of them run no faster, and no longer fit its caches. On
# GPUs it was never measured, only reckoned: 16,384 tokens are 2.8 TFLOP of BERT-base, some 6 ms of
# an H100, which is longer than Python needs to launch a forward pass, about 4 ms.
BATCH_TOKENS = {"cpu": 512, "cuda": 16384, "mps": 16384}


T = TypeVar("T", bound=Text)
ItemT = TypeVar("ItemT")


class Arriving(Iterator[T]):
    """Texts that somebody writes while they are read."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the next one, or the end, can be had without waiting."""


class Window(NamedTuple):
    """Texts that were computed together, and their results, float32 (texts, width)."""

    texts: list[Text]
    results: np.ndarray


@dataclass(frozen=True)
class Stream:
    """A model that is given any number of texts and returns `width` numbers for each.

    compute: from a batch, where `placed` puts it, to (B, width) on the model's device. max_length:
    tokens a text is cut to; truncation: what of it is kept. Texts that were cut are counted, and
    when all texts are done, one warning says how many.
    """

    model: Pretrained
    tokenizer: Tokenizer
    compute: Callable[[dict[str, Tensor]], Tensor]
    width: int
    max_length: int
    truncation: Truncation = "head"

    def stream(
        self, texts: Iterable[Text], window: int | None = None
    ) -> Iterator[tuple[Text, np.ndarray]]:
        """Each text with its result, (width,), in order and as soon as its window is computed.

        No more than a window of texts is read ahead or kept. window: how many texts that is at
        most; None takes 4096, and 1 answers each text before the next is read.

        Errors come after the results of all texts before them: `ValueError` for an item that is not
        a text or whose result is not finite, and whatever `texts` raises. Only Ctrl-C comes at
        once.
        """
        for done in self.windows(texts, window):
            yield from zip(done.texts, done.results, strict=True)
            del done  # it must be gone before the next is read

    def collect(self, texts: Iterable[Text]) -> np.ndarray:
        """The results of all texts: float32 (texts, width), in their order.

        Long work shows a progress bar on a terminal and in a notebook. An error that ends it has
        the results so far as its attribute `finished`, float32 (finished texts, width): those of
        all texts before it, or, after Ctrl-C, of the windows that were complete.
        """
        check_many(texts)  # before its length, which not all of what is refused has
        number = None
        with suppress(TypeError):  # a DataLoader may have a length or not, and says so only then
            number = len(texts) if isinstance(texts, Sized) else None
        results: list[np.ndarray] = []
        with progress_bar("text", total=number, delay=2) as progress:  # short work shows none
            try:
                for window in self.windows(texts, progress=progress.update):
                    results.append(window.results)
                    del window
            except BaseException as error:
                finished = self._joined(results)
                error.finished = finished  # type: ignore[attr-defined]
                error.add_note(
                    f"{len(finished)} texts were finished; their results are the attribute "
                    "`finished` of this exception"
                )
                raise
        return self._joined(results)

    def windows(
        self,
        texts: Iterable[Text],
        window: int | None = None,
        progress: Callable[[int], Any] = lambda rows: None,
    ) -> Iterator[Window]:
        """As `stream`, a window at a time. progress: told the number of texts after each batch."""
        total, cut = 0, 0
        for read, rows in self._tokenized(texts, window):
            total, cut = total + len(rows), cut + _number_cut(rows)
            results = compute_rows(
                self.model, self.tokenizer, rows, self.width, self.compute, progress
            )
            good = number_finite(results)
            if good < len(rows):
                yield Window(read[:good], results[:good].numpy())
                position, result = total - len(rows) + good, shown(results[good].tolist())
                raise ValueError(
                    f"text {position} has the result {result}, which is not finite: the model's "
                    "weights are damaged, or its sums too large for its precision; try "
                    "precision='fp32', or another copy of the model"
                )
            yield Window(read, results.numpy())
            del read, rows, results
        _warn_of_cut(cut, total, "texts", self.max_length)

    def _tokenized(
        self, texts: Iterable[Text], window: int | None
    ) -> Iterator[tuple[list[Text], list[Row]]]:
        """Each window with its rows.

        While a GPU computes, the CPU has time for the next window. Only a list is read ahead: what
        else there is may have to be waited for.
        """

        def encoded(read: list[Text]) -> tuple[list[Text], list[Row]]:
            return read, self.tokenizer.encode_batch(read, self.max_length, self.truncation)

        windows = map(encoded, read_windows(texts, window))  # which keeps none of them
        ahead = self.model.device.type != "cpu" and isinstance(texts, list | tuple)
        return one_ahead(windows) if ahead else windows

    def _joined(self, results: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(results) if results else np.empty((0, self.width), np.float32)


def read_windows(texts: Iterable[Text], most: int | None = None) -> Iterator[list[Text]]:
    """Lists of texts, each checked. What was read before an error is yielded before it is raised.

    most: texts in a window; None takes 4096. A window of `Arriving` texts ends, too, where the next
    one would have to be waited for. Raises `ValueError` naming the position of an item that is not
    a text, and whatever `texts` itself raises.
    """
    iterator = iterated(texts)
    most = WINDOW_TEXTS if most is None else most
    if most < 1:
        raise ValueError(f"window is {most}; it must be at least 1")
    window: list[Text] = []
    characters, position = 0, 0
    arriving = iterator if isinstance(iterator, Arriving) else None
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
        full = len(window) == most or characters >= WINDOW_CHARACTERS
        if full or (arriving is not None and not arriving.ready()):
            del text  # the window is all that holds it
            yield window
            window, characters = [], 0
    if window:
        yield window
    if failure is not None:
        raise failure


def one_ahead(items: Iterator[ItemT]) -> Iterator[ItemT]:
    """The same items, none of them None; while one is in use a thread makes the next. What making
    an item raises comes in its turn."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def number_finite(results: Tensor) -> int:
    """How many rows, (rows, width), come before the first that has NaN or infinity in it."""
    bad = results.isfinite().all(dim=1).logical_not().nonzero()
    return int(bad[0]) if len(bad) else len(results)


def encode_texts(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_length: int,
    name: str,
    truncation: Truncation = "head",
) -> list[Row]:
    """Rows of ids. Texts that are too long are cut; one warning says how many of these `name`."""
    rows = tokenizer.encode_batch(texts, max_length, truncation)
    _warn_of_cut(_number_cut(rows), len(rows), name, max_length)
    return rows


def _number_cut(rows: Sequence[Row]) -> int:
    return sum(row.dropped > 0 for row in rows)


def _warn_of_cut(cut: int, number: int, name: str, max_length: int) -> None:
    if cut:
        warn(
            f"{cut} of {number} {name} are longer than {max_length} tokens and were cut to that; "
            "max_length sets it, up to what the model takes"
        )


@torch.inference_mode()
def compute_rows(
    model: Pretrained,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    width: int,
    compute: Callable[[dict[str, Tensor]], Tensor],
    finished: Callable[[int], Any] = lambda rows: None,
) -> Tensor:
    """Results for many rows: (len(rows), width) in fp32 on the CPU, in the order of the rows.

    compute: from a batch, where `placed` puts it, to (B, width) on the model's device; called in
    evaluation mode. Batches are made by `batches_by_length`, whatever the order given. finished:
    told the number of rows after each batch. A GPU may still be at work on them then: it is waited
    for once, at the end.
    """
    was_training, device = model.training, model.device
    model.eval()
    keep_freed_memory()
    survive_fork()
    results = torch.empty(len(rows), width, dtype=torch.float32, device=device)
    try:
        with torch.autocast(device.type, enabled=False):  # the model's own precision, always
            for indices in batches_by_length(rows, BATCH_TOKENS.get(device.type, 512)):
                batch = placed(model, tokenizer.pad([rows[i] for i in indices]))
                (places,) = send([torch.tensor(indices, device="cpu")], device)
                results[places] = compute(batch).float()
                finished(len(indices))
    finally:
        model.train(was_training)
    return results.cpu()


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


def check_vocabulary(tokenizer: Tokenizer, config: BertConfig) -> None:
    """Raise `ValueError` if the tokenizer has ids that the model has no embedding for."""
    if tokenizer.vocabulary.size > config.vocab_size:
        raise ValueError(
            f"the tokenizer has ids up to {tokenizer.vocabulary.size - 1} and the model embeddings "
            f"for {config.vocab_size}; they do not belong together"
        )


def find_device(name: str | None) -> torch.device:
    """The device of this name; None takes CUDA if there is one, and the CPU if not."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()  # which "meta" cannot
    except (RuntimeError, AssertionError, ImportError, TypeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        if isinstance(error, TypeError):
            reason = "it must be a string such as 'cpu' or 'cuda:0', or None"
        raise ValueError(f"device {shown(name)} cannot be used here: {reason[:200]}") from error
    return device

"""Running a trained model over many texts, fast: what all tasks share.

A long stream of texts is read in windows. The rows of a window are sorted by length and cut into
batches of at most so many tokens, and their results are put back into the caller's order. No more
than one window is in memory, unless the results are collected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from minibert._checks import shown, warn
from minibert.checkpoint.arguments import whole_number
from minibert.checkpoint.pretrained import Pretrained
from minibert.config import BertConfig
from minibert.engine.long_texts import Cutting, encode_long, mean_by_tokens
from minibert.engine.progress import progress_bar
from minibert.engine.reading import one_ahead, read_windows
from minibert.engine.rows import Batch, compute_each, compute_rows
from minibert.text.inputs import Text, check_many, text_parts
from minibert.text.windows import STRIDE
from minibert.tokenizer import Row, Tokenizer

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
NoteT = TypeVar("NoteT")


class Window(NamedTuple):
    """Texts that were computed together, and their results, one for each."""

    texts: list[Any]
    results: Sequence[Any]


class Encoded(NamedTuple, Generic[NoteT]):
    """The rows of a text: one, or several if it is read in windows. note: what its answer takes
    besides their results, such as where the tokens stand in the text."""

    rows: list[Row]
    note: NoteT


@dataclass(frozen=True)
class AnyStream(ABC, Generic[ItemT, ResultT]):
    """A model that is given any number of texts and returns a result for each.

    max_length: tokens a row is cut to. Texts that were cut are counted, and when all texts are
    done, one warning says how many.
    """

    model: Pretrained
    tokenizer: Tokenizer
    compute: Callable[[Batch], Any]
    max_length: int

    def stream(
        self, texts: Iterable[ItemT], window: int | None = None
    ) -> Iterator[tuple[ItemT, ResultT]]:
        """Each text with its result, in order and as soon as its window is computed.

        No more than a window of texts is read ahead or kept. window: how many texts that is at
        most; None takes 4096, and 1 answers each text before the next is read. Raises `ValueError`
        for another one at once.

        Other errors come after the results of all texts before them: `ValueError` for an item that
        is not a text or whose result is not finite, and whatever `texts` raises. Only Ctrl-C comes
        at once.
        """
        if window is not None:
            window = whole_number("window", window, 1)
        return self._each(texts, window)

    def _each(self, texts: Iterable[ItemT], window: int | None) -> Iterator[tuple[ItemT, ResultT]]:
        for done in self.windows(texts, window):
            yield from zip(done.texts, done.results, strict=True)
            del done  # it must be gone before the next is read

    def collect(self, texts: Iterable[ItemT]) -> Any:
        """The results of all texts, in their order.

        Long work shows a progress bar on a terminal and in a notebook. An error that ends it has
        the results so far as its attribute `finished`: those of all texts before it, or, after
        Ctrl-C, of the windows that were complete.
        """
        check_many(texts)  # before its length, which not all of what is refused has
        number = None
        with suppress(TypeError):  # a DataLoader may have a length or not, and says so only then
            number = len(texts) if isinstance(texts, Sized) else None
        results: list[Any] = []
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
        texts: Iterable[ItemT],
        window: int | None = None,
        progress: Callable[[int], Any] = lambda texts: None,
    ) -> Iterator[Window]:
        """As `stream`, a window at a time. progress: told the number of texts after each batch."""
        total, cut = 0, 0
        for read, encoded in self._tokenized(texts, window):
            cut += sum(any(row.dropped > 0 for row in each.rows) for each in encoded)
            results, bad = self._results(read, encoded, _in_texts(encoded, progress))
            yield Window(read[: len(results)], results)
            total += len(read)
            if bad is not None:
                position = total - len(read) + len(results)
                raise ValueError(
                    f"text {position} has the result {shown(bad)}, which is not finite: the "
                    "model's weights are damaged, or its sums too large for its precision; try "
                    "precision='fp32', or another copy of the model"
                )
            del read, encoded, results
        warn_of_cut(cut, total, "texts", self.max_length)

    def _tokenized(
        self, texts: Iterable[ItemT], window: int | None
    ) -> Iterator[tuple[list[ItemT], list[Encoded[Any]]]]:
        """Each window with the rows of its texts.

        While a GPU computes, the CPU has time for the next window. Only a list is read ahead: what
        else there is may have to be waited for.
        """

        def encoded(read: list[ItemT]) -> tuple[list[ItemT], list[Encoded[Any]]]:
            return read, self._encoded(read)

        windows = map(encoded, read_windows(texts, window, self._parts))  # which keeps none of them
        ahead = self.model.device.type != "cpu" and isinstance(texts, list | tuple)
        return one_ahead(windows) if ahead else windows

    def _parts(self, item: Any, position: int) -> Sequence[str]:
        """The strings of an item, for their size. Raises `ValueError` for what is no text."""
        return text_parts(item, position)

    @abstractmethod
    def _encoded(self, read: list[ItemT]) -> list[Encoded[Any]]:
        """The rows of each text."""

    @abstractmethod
    def _results(
        self, read: list[ItemT], encoded: list[Encoded[Any]], progress: Callable[[int], Any]
    ) -> tuple[Any, Any]:
        """The results of the texts up to the first that is not finite, and that one, or None.
        progress: to be told the number of rows after each batch."""

    @abstractmethod
    def _joined(self, results: list[Any]) -> Any:
        """The results of all windows in one."""


@dataclass(frozen=True)
class Stream(AnyStream[Text, np.ndarray]):
    """A stream whose results are `width` numbers for each text: float32 (texts, width).

    compute: from a batch, where `placed` puts it, to (B, width) on the model's device. truncation:
    what is kept of a text that is too long; "windows" reads all of it, in windows that share
    `stride` tokens, and takes the mean of their results by their tokens. finish: from the results
    of texts, (texts, width), to those that are returned.
    """

    width: int
    truncation: Cutting = "head"
    stride: int = STRIDE
    finish: Callable[[Tensor], Tensor] = lambda results: results

    def _encoded(self, read: list[Text]) -> list[Encoded[None]]:
        rows = encode_long(self.tokenizer, read, self.max_length, self.truncation, self.stride)
        return [Encoded(each, None) for each in rows]

    def _results(
        self, read: list[Text], encoded: list[Encoded[Any]], progress: Callable[[int], Any]
    ) -> tuple[np.ndarray, Any]:
        rows = [row for each in encoded for row in each.rows]
        results = compute_rows(self.model, self.tokenizer, rows, self.width, self.compute, progress)
        results = self.finish(mean_by_tokens(results, [each.rows for each in encoded]))
        good = number_finite(results)
        return results[:good].numpy(), None if good == len(read) else results[good].tolist()

    def _joined(self, results: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(results) if results else np.empty((0, self.width), np.float32)


@dataclass(frozen=True)
class AnswerStream(AnyStream[ItemT, ResultT], Generic[ItemT, NoteT, ResultT]):
    """A stream whose results are whatever `answer` makes of what the model says of a text's rows.

    compute: from a batch, where `placed` puts it, to a tensor for each of its rows, of any shape.
    encode: from texts to their rows. answer: from a text, its note and what was computed of its
    rows, fp32, to the result. parts: the strings of an item, or a `ValueError` for what is no text.
    """

    encode: Callable[[list[ItemT]], list[Encoded[NoteT]]]
    answer: Callable[[ItemT, NoteT, list[np.ndarray]], ResultT]
    parts: Callable[[Any, int], Sequence[str]] = text_parts

    def _parts(self, item: Any, position: int) -> Sequence[str]:
        return self.parts(item, position)

    def _encoded(self, read: list[ItemT]) -> list[Encoded[NoteT]]:
        return self.encode(read)

    def _results(
        self, read: list[ItemT], encoded: list[Encoded[NoteT]], progress: Callable[[int], Any]
    ) -> tuple[list[ResultT], Any]:
        rows = [row for each in encoded for row in each.rows]
        computed = iter(compute_each(self.model, self.tokenizer, rows, self.compute, progress))
        results: list[ResultT] = []
        for item, each in zip(read, encoded, strict=True):
            found = [next(computed) for _ in each.rows]
            bad = next((x[~x.isfinite()] for x in found if not bool(x.isfinite().all())), None)
            if bad is not None:
                return results, bad.tolist()
            results.append(self.answer(item, each.note, [x.numpy() for x in found]))
        return results, None

    def _joined(self, results: list[list[ResultT]]) -> list[ResultT]:
        return [result for window in results for result in window]


def _in_texts(
    encoded: Sequence[Encoded[Any]], progress: Callable[[int], Any]
) -> Callable[[int], Any]:
    """Takes numbers of rows, and tells `progress` the number of texts they come to."""
    texts, rows, done = len(encoded), sum(len(each.rows) for each in encoded), 0

    def told(number: int) -> None:
        nonlocal done
        before, done = done, done + number
        progress(done * texts // rows - before * texts // rows)

    return told


def number_finite(results: Tensor) -> int:
    """How many rows, (rows, width), come before the first that has NaN or infinity in it."""
    bad = results.isfinite().all(dim=1).logical_not().nonzero()
    return int(bad[0]) if len(bad) else len(results)


def encode_texts(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_length: int,
    name: str,
    truncation: Cutting = "head",
    stride: int = STRIDE,
) -> list[list[Row]]:
    """The rows of each text, of ids. One warning says how many of these `name` were cut."""
    rows = encode_long(tokenizer, texts, max_length, truncation, stride)
    cut = sum(any(row.dropped > 0 for row in each) for each in rows)
    warn_of_cut(cut, len(rows), name, max_length)
    return rows


def warn_of_cut(cut: int, number: int, name: str, max_length: int) -> None:
    """One warning of texts that lost tokens: `cut` of `number`, called `name`; none if none did."""
    if cut:
        warn(
            f"{cut} of {number} {name} are longer than {max_length} tokens and were cut to that; "
            "max_length sets it, up to what the model takes"
        )


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

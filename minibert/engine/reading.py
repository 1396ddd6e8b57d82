"""Texts as they come: in lists of a bounded size, each text checked, one list ahead where that may
be."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from minibert.text.inputs import iterated, text_parts

# The most texts and characters in a window. Sorting more than this gains nothing.
WINDOW_TEXTS, WINDOW_CHARACTERS = 4096, 1 << 24

ItemT = TypeVar("ItemT")


class Arriving(Iterator[ItemT]):
    """Texts that somebody writes while they are read."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the next one, or the end, can be had without waiting."""


def read_windows(
    texts: Iterable[ItemT],
    most: int | None = None,
    parts: Callable[[Any, int], Sequence[str]] = text_parts,
) -> Iterator[list[ItemT]]:
    """Lists of texts, each checked. What was read before an error is yielded before it is raised.

    most: texts in a window; None takes 4096. A window of `Arriving` texts ends, too, where the next
    one would have to be waited for. parts: the strings of an item and its position. Raises
    `ValueError` naming the position of an item that is not a text, and whatever `texts` itself
    raises.
    """
    iterator: Iterator[Any] = iterated(texts)  # type: ignore[arg-type]
    most = WINDOW_TEXTS if most is None else most
    window: list[ItemT] = []
    characters, position = 0, 0
    arriving = iterator if isinstance(iterator, Arriving) else None
    failure: Exception | None = None
    while True:
        try:
            text = next(iterator)
            characters += sum(map(len, parts(text, position)))
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

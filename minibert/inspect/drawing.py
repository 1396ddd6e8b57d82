"""What all pictures of this room share: an empty figure, labels and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minibert.inspect.tokens import visible
from minibert.training.report import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOR, AGAINST = "#2166ac", "#e08214"  # blue and orange, dark and light in grey
TITLE = 60  # most characters of a text in a title
_LABEL = 24  # and beside an axis


def empty_figure(width: float, height: float) -> Figure:
    """An empty figure whose colour bars and common titles make room for each other."""
    figure = new_figure(width, height)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    return figure


def label_of(text: str, most: int = _LABEL) -> str:
    """A text as a label: characters that do not print as escapes, and the end left out where it
    is long."""
    text = visible(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def signed(value: float, form: str) -> str:
    """A number as it is printed, with a minus as wide as a plus; what rounds to 0 has no sign."""
    number = f"{value:{form}}"
    if not number.strip("+-0.,"):
        return number.lstrip("+-")
    return number.replace("-", "\N{MINUS SIGN}")

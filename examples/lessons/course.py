"""What all lessons share: how a picture is shown, and the switch between full and short runs."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Size = TypeVar("Size")

SWITCH = "MINIBERT_LESSONS"
_COLOURS = 128
_drawn = 0


def sized(full: Size, short: Size) -> Size:
    """How much of something a lesson takes: `full`, or `short` where a test is in a hurry."""
    return short if os.environ.get(SWITCH) == "short" else full


def picture(draw: Callable[..., Figure], *arguments: Any, alt: str, **named: Any) -> None:
    """Draw a figure and show it: below the cell of a notebook, or as a file of a script.

    alt: what is to be seen, for those who do not see it. Without matplotlib it is said what is
    missing, and the lesson goes on.
    """
    global _drawn
    try:
        figure = draw(*arguments, **named)
    except ImportError as error:
        print(f"no picture ({alt}): {error}")
        return
    image = _png(figure)
    if "IPython" in sys.modules:
        from IPython import display, get_ipython

        if get_ipython() is not None:
            display.display(display.Image(image, format="png", alt=alt))
            return
    _drawn += 1
    folder = Path("output/lessons")
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(getattr(sys.modules["__main__"], "__file__", "lesson")).stem
    path = folder / f"{script}-{_drawn}.png"
    path.write_bytes(image)
    print(f"picture {path}: {alt}")


def _png(figure: Figure) -> bytes:
    """The figure as a PNG in few colours, so that a notebook stays small."""
    from PIL import Image

    file, small = io.BytesIO(), io.BytesIO()
    figure.savefig(file, dpi=100)
    with Image.open(file) as image:
        image.convert("RGB").quantize(_COLOURS).save(small, "png", optimize=True)
    return small.getvalue()

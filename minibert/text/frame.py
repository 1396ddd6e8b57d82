"""The frame of a row, as a tokenizer.json states it: [CLS] text [SEP] pair [SEP].

RoBERTa has two tokens between a text and its pair, <s> text </s></s> pair </s>, and type ids that
are all 0. Here it is read how many separators and segments there are; the frame itself is made in
`minibert/tokenizer.py`, for every kind of tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from minibert._checks import shown
from minibert.text.kind import INSTEAD


class Frame(NamedTuple):
    """separators, segments: as in `Vocabulary`. trim_offsets, add_prefix_space: what is said of
    spaces there, None where nothing is."""

    separators: int
    segments: int
    trim_offsets: bool | None = None
    add_prefix_space: bool | None = None


BERT_FRAME = Frame(separators=1, segments=2)


def read_frame(
    post_processor: Any, cls: tuple[str, int], sep: tuple[str, int], only: Frame | None = None
) -> Frame:
    """The frame that a post_processor makes. cls, sep: these tokens with their ids.

    Raises `ValueError` for one of another form, or another than `only`.
    """
    frame = _frame(post_processor, cls, sep)
    if frame is None or only not in (None, frame):
        raise ValueError(
            f"its post_processor is {shown(post_processor)}; it must put a text between {cls[0]} "
            f"and {sep[0]}, and its pair and another {sep[0]} behind: {INSTEAD}"
        )
    return frame


def _frame(post_processor: Any, cls: tuple[str, int], sep: tuple[str, int]) -> Frame | None:
    spaces: dict[str, Any] = {}
    data = post_processor if isinstance(post_processor, Mapping) else {}
    parts = data.get("processors")
    if data.get("type") == "Sequence" and isinstance(parts, list) and len(parts) == 2:
        first, data = (part if isinstance(part, Mapping) else {} for part in parts)
        if first.get("type") == "ByteLevel":
            spaces = _spaces(first)
    ends = {"sep": list(sep), "cls": list(cls)}
    if data == {"type": "BertProcessing", **ends}:
        return Frame(1, 2, **spaces)
    if data == {"type": "RobertaProcessing", **ends, **(own := _spaces(data))}:
        return Frame(2, 1, **own)
    for separators in (1, 2):
        for segments in (1, 2):
            if data == template(cls, sep, separators, segments):
                return Frame(separators, segments, **spaces)
    return None


def _spaces(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: data.get(key) for key in ("trim_offsets", "add_prefix_space")}


def template(
    cls: tuple[str, int], sep: tuple[str, int], separators: int, segments: int
) -> dict[str, Any]:
    """The post_processor that makes this frame, as a tokenizer.json has it."""

    def token(of: tuple[str, int], segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": of[0], "type_id": segment}}

    def text(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [token(cls, 0), text("A", 0), token(sep, 0)]
    between = [token(sep, 0)] * (separators - 1)
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, *between, text("B", segments - 1), token(sep, segments - 1)],
        "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in (cls, sep)},
    }

"""The bytes of a file of text: UTF-8, or UTF-16 and UTF-32 with the mark that says so."""

from __future__ import annotations

import codecs
from pathlib import Path

from minibert.checkpoint.schema import in_file

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# How files begin that are renamed, not converted.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel or zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"\x1f\x8b": "packed by gzip",
    b"PAR1": "a Parquet file",
}


def decoded(data: bytes) -> str:
    """The text. Raises `ValueError` naming the first line that is none, and the next step."""
    for start, kind in _NO_TEXT.items():
        if data.startswith(start):
            raise ValueError(f"it is {kind}, whatever its name; save it as CSV in UTF-8")
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        text = data.decode(encoding, errors="replace")
        if "\0" not in text:
            raise ValueError(_not_decoded(error, encoding)) from error
    if "\0" in text:  # no text at all, then, in whatever encoding
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(
            f"line {line} has a NUL character, so it is not text in UTF-8; if it is UTF-16 without "
            "the mark that says so, convert it:  iconv -f utf-16le -t utf-8 old.csv > new.csv"
        )
    return text


def file_text(file: Path) -> str:
    """The text of a file. Raises `OSError` and `ValueError` naming it."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise type(error)(f"{file} cannot be read: {error.strerror or error}") from error
    with in_file(file):
        return decoded(data)


def _not_decoded(error: UnicodeDecodeError, encoding: str) -> str:
    before = error.object[: error.start]  # of what was decoded, which may lack the mark
    line = before.decode(encoding, "ignore").count("\n") + 1
    if encoding.startswith("utf-8"):
        return (
            f"line {line} is not UTF-8 (byte {error.start}, 0x{error.object[error.start]:02x}). "
            "Save it as UTF-8; a table from an old Windows program is converted by  iconv -f "
            "cp1252 -t utf-8 old.csv > new.csv"
        )
    return (
        f"line {line} is not {encoding.upper()}: the file is damaged or cut short; save it again, "
        "as UTF-8"
    )

"""`minibert encode`: the vector of each text, as an array in a file of numpy's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from minibert.checkpoint.places import in_words
from minibert.cli.answers import add_output, check_output
from minibert.cli.command import Command, add_machine, add_model
from minibert.cli.files import new_file
from minibert.cli.sources import add_source, open_source
from minibert.tasks.text_encoder import TextEncoder


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_source(parser)
    add_output(parser, "the file to write, .npy: float32 (texts, C), in their order", required=True)
    add_machine(parser)


def _run(arguments: argparse.Namespace) -> None:
    if Path(arguments.output).suffix != ".npy":
        raise ValueError(f"--output is {arguments.output}; vectors are written to a .npy file")
    check_output(arguments)
    source = open_source(arguments)
    encoder = TextEncoder.load(
        arguments.model, precision=arguments.precision, device=arguments.device
    )
    width = encoder.model.config.hidden_size
    with (
        new_file(arguments.output, arguments.overwrite) as file,
        rows_to(file, width) as write,
    ):
        for _, vector in encoder.stream(source.texts):
            with in_words(Path(arguments.output)):
                write(vector)


@contextmanager
def rows_to(file: BinaryIO, width: int) -> Iterator[Callable[[np.ndarray], Any]]:
    """A function that adds a row, (width,), to an array of numpy's in a new file.

    How many there will be need not be known, nor are they kept: the header, in which numpy leaves
    room for any number, is written again at the end, and after an error.
    """
    number = 0

    def write_header() -> None:
        file.seek(0)
        described = {"descr": "<f4", "fortran_order": False, "shape": (number, width)}
        npy.write_array_header_1_0(file, described)

    def write(row: np.ndarray) -> None:
        nonlocal number
        if not number:
            write_header()
        file.write(row.astype("<f4", copy=False).tobytes())
        number += 1

    try:
        yield write
    except BaseException:
        if number:
            write_header()
        raise
    write_header()


COMMAND = Command(
    name="encode",
    about="the vectors of texts, into a file for numpy.load",
    add_arguments=_add_arguments,
    run=_run,
    examples=[
        'minibert encode minilm-l6 "a cat" "a kitten" -o pets.npy',
        "minibert encode minilm-l6 --file texts.txt -o texts.npy",
        "minibert encode minilm-l6 --data tickets.csv --text body -o tickets.npy",
    ],
)

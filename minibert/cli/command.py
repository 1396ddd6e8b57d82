"""What a command is: its name, its options, examples that are tested, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """argparse, with errors as the rest of the program has them: a line, and nothing guessed."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see  {self.prog} --help")


@dataclass(frozen=True)
class Command:
    """One of the things that `minibert` does.

    add_arguments: gives the parser its options. run: does it, and returns the exit code if it is
    not 0. examples: whole command lines for `--help`, all of which the tests run. more: what the
    help says beside that.
    """

    name: str
    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    examples: Sequence[str]
    more: str = ""

    def parser(self) -> Parser:
        """What reads its command line."""
        parts = [
            fill(self.more, 90),
            "examples:\n" + "\n".join(f"  {line}" for line in self.examples),
        ]
        parser = Parser(
            prog=f"minibert {self.name}",
            description=f"{self.about[0].upper()}{self.about[1:]}.",
            epilog="\n\n".join(filter(None, parts)),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        return parser


def add_model(parser: argparse.ArgumentParser) -> None:
    """The model, which most commands need."""
    parser.add_argument("model", help="a folder, an alias (minilm-l6) or a hub name")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """How a model computes its answers."""
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=["fp32", "bf16", "int8"],
        help="of the products; bf16 and int8 are faster (default: fp32)",
    )
    add_device(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where a model computes."""
    parser.add_argument("--device", help="cpu, cuda, mps (default: cuda where there is one)")

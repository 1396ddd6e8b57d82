"""The `minibert` command: which commands there are, and how each ends."""

from __future__ import annotations

import argparse
import os
import sys

import minibert
from minibert._programs import run_program
from minibert.cli import (
    answer,
    attention,
    check,
    classify,
    encode,
    evaluate,
    explain,
    fill_mask,
    info,
    tag,
    tokenize,
    train,
    version,
    zero_shot,
)
from minibert.cli.command import Command, Parser
from minibert.cli.lines import prepare_output

COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (
        train,
        evaluate,
        classify,
        encode,
        fill_mask,
        tag,
        answer,
        zero_shot,
        explain,
        attention,
        tokenize,
        info,
        check,
        version,
    )
}

_MORE = """`minibert COMMAND --help` has options and examples.
exit codes: 0, done; 1, `check` found a difference; 2, a mistake in what was given, told in a line;
130, after Ctrl-C"""


def main() -> None:
    """Run the command. A user's mistake is one line on stderr and exit code 2; Ctrl-C, and a reader
    of the output that goes away, as `head` does, end it in silence."""
    rank = os.environ.get("RANK")  # several processes may fail, each for its own reason
    run_program(_run, "minibert: ", where=f" in rank {rank}" if rank else "")


def _run() -> int | None:
    # Not by argparse's own subcommands, which take no texts after an option.
    command = COMMANDS[_top().parse_args(sys.argv[1:2]).command]
    arguments = command.parser().parse_intermixed_args(sys.argv[2:])
    prepare_output()
    return command.run(arguments)


def _top() -> Parser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {each.about}" for name, each in COMMANDS.items())
    parser = Parser(
        prog="minibert",
        description="BERT from scratch: train it, ask it, look at it.",
        epilog=f"commands:\n{listed}\n\n{_MORE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minibert {minibert.__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    return parser

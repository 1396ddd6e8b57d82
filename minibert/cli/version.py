"""`minibert version`: versions and machine, for reports."""

from __future__ import annotations

import argparse

from minibert.cli.command import Command
from minibert.cli.lines import write_line
from minibert.golden import environment


def _run(_: argparse.Namespace) -> None:
    write_line(environment())


COMMAND = Command(
    name="version",
    about="versions and machine in a line, for reports",
    add_arguments=lambda parser: None,
    run=_run,
    examples=["minibert version"],
)

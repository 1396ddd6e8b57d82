"""`minibert check`: does the real model come out? As `python -m minibert.golden`."""

from __future__ import annotations

import argparse

from minibert import golden
from minibert.cli.command import Command
from minibert.cli.lines import write_line


def _run(arguments: argparse.Namespace) -> int:
    report, code = golden.report(arguments.models)
    write_line(report)
    return code


COMMAND = Command(
    name="check",
    about="compare real models with the outputs that were published with them",
    add_arguments=golden.add_models,
    run=_run,
    examples=["minibert check bert-base-uncased", "minibert check python-bert"],
    more="exit codes: 0, all as published; 1, an output is not; 2, a model could not be checked",
)

"""Programs, run as a user runs them."""

import io
import subprocess
import sys

from minibert.cli.main import main
from tests.conftest import ROOT


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        **{"capture_output": True, "text": True, "cwd": ROOT, **kwargs},
    )


def command(monkeypatch, capsys, arguments, given=b"", **streams):
    """(exit code, standard output, standard error) of the command, in this process."""
    source = io.TextIOWrapper(io.BytesIO(given)) if given is not None else None
    monkeypatch.setattr(sys, "stdin", source)
    monkeypatch.setattr(sys, "argv", ["minibert", *map(str, arguments)])
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err

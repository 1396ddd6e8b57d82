"""Programs, run as a user runs them."""

import io
import runpy
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
    return ended(main, capsys)


def example(monkeypatch, capsys, name, *arguments):
    """The same of a file of examples/: a process of its own would import PyTorch again."""
    path = str(ROOT / "examples" / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
    return ended(lambda: runpy.run_path(path, run_name="__main__"), capsys)


def ended(program, capsys):
    code = 0
    try:
        program()
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err

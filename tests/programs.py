"""Programs, run as a user runs them."""

import subprocess
import sys

from tests.conftest import ROOT


def run(*arguments, **kwargs):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        **{"capture_output": True, "text": True, "cwd": ROOT, **kwargs},
    )

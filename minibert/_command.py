"""Ctrl-C while the `minibert` command is still importing PyTorch ends it in silence.

Imported before all else. A program of somebody else's that imports minibert is left alone.
"""

import signal
import sys
from pathlib import Path

# Python names what it runs: the installed script or, until it has found the module, "-m".
IS_COMMAND = Path(sys.argv[0] if sys.argv else "").stem in ("-m", "minibert")

if IS_COMMAND and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupts_are_errors() -> None:
    """From now on Ctrl-C is a `KeyboardInterrupt` again, unless the command shall not hear it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)

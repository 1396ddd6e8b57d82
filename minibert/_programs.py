"""How our own programs begin and end: the `minibert` command, examples, benchmarks.

Imported before all else, because importing PyTorch takes a second or two, in which Ctrl-C would end
in a traceback. A program of somebody else's that imports minibert is left alone.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

# What a shell reports of a program that a signal has ended: 128 and the signal's number.
_INTERRUPTED, _BROKEN_PIPE = 130, 141
_MISTAKE = 2


def _is_command() -> bool:
    """Whether this process is the installed script, or `python -m minibert` or a module of it."""
    name = sys.argv[0] if sys.argv else ""
    if name == "-m":  # as long as Python looks for the module; what follows it is in both lists
        module = (sys.orig_argv[-len(sys.argv) :] or [""])[0]
        name = module.removeprefix("-m").partition(".")[0]
    return Path(name).stem == "minibert"


def _is_beside() -> bool:
    """Whether this process runs a file of examples/ or benchmarks/ in the checkout."""
    try:
        folder = Path(os.path.realpath(sys.argv[0] if sys.argv else "")).parent
    except (OSError, ValueError):  # the folder it was started in is gone; no name of a file
        return False
    beside = folder.parent == Path(os.path.realpath(__file__)).parent.parent
    return beside and folder.name in ("examples", "benchmarks")


def _leave(*_: Any) -> NoReturn:
    os._exit(_INTERRUPTED)


_COMMAND = _is_command()
if _COMMAND or _is_beside():
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def imported() -> None:
    """PyTorch and minibert are imported: Ctrl-C is a `KeyboardInterrupt` again. In the command it
    becomes one in `run_program`, after its last imports."""
    if not _COMMAND:
        _interrupts_are_errors()


def _interrupts_are_errors() -> None:
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run_program(
    main: Callable[[], int | None], name: str = "", where: str = "", stopped: str = ""
) -> None:
    """Run `main`, and end as a program should.

    A user's mistake, or too little memory, is one line on stderr and exit code 2. Ctrl-C is exit
    code 130, in silence but for the line `stopped`; a reader of the output that goes away, as
    `head` does, is exit code 141. A warning is a line without the place in the code, and under
    `python -W error` a mistake. name: how these lines begin; where: what an error says of this
    process.
    """
    _interrupts_are_errors()
    try:
        with _plain_warnings(name):
            code = _returned(main)
    except BrokenPipeError:
        code = _BROKEN_PIPE
    except (ValueError, OSError, ImportError, FloatingPointError, Warning) as error:
        say(f"{name}error{where}: {error}")
        code = _MISTAKE
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or "allocate" in str(error)):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        say(f"{name}error{where}: there is not enough memory for this: {reason[:200]}")
        code = _MISTAKE
    except KeyboardInterrupt:  # how a session at a terminal usually ends
        if stopped:
            say(stopped)
        code = _INTERRUPTED
    else:
        if code:
            sys.exit(code)
        return
    _give_up_output()
    sys.exit(code)


def _returned(main: Callable[[], int | None]) -> Any:
    """The exit code of `main`, once all it printed is written."""
    try:
        code: Any = main()
    except SystemExit as stop:  # argparse, after its help
        code = stop.code
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(f"standard output cannot be written: {error}") from error
    return code


def say(line: str) -> None:
    """Print a line to stderr, if there is one that can be written."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(line, file=sys.stderr)


def _give_up_output() -> None:
    """Drop what could not be written, or Python would try it again as it ends, and complain."""
    with suppress(OSError, AttributeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _plain_warnings(name: str) -> Iterator[None]:
    """Inside, a warning is a line for the user of a program, without the place in the code."""

    def line(message: Warning | str, *_: Any, **__: Any) -> str:
        return f"{name}warning: {' '.join(str(message).split())}\n"

    usual = warnings.formatwarning
    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = usual


class LogToOutput(logging.StreamHandler[Any]):
    """Lines of the log on standard output. Where it cannot be written that is an error, as it is
    for `print`; logging would write a traceback for each line and go on."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def handleError(self, record: logging.LogRecord) -> None:
        raise  # noqa: PLE0704, the error that is being handled

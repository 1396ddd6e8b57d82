"""What the fuzzers share: odd values, changes to files, and the verdict on what came of them."""

import contextlib
import copy
import decimal
import enum
import fractions
import json
import linecache
import math
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

import minibert

OURS = str(Path(minibert.__file__).parent)
SECONDS = 10  # of processor time, for one input
LENGTH = 600  # characters of an error

# --- values --------------------------------------------------------------------------------------

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.sampled_from([-1, 0, 1, 10**5, -(2**31), 2**31, 10**12, 2**63, 2**64, 10**30, 10**400]),
    st.sampled_from([0.0, 0.5, -0.5, 1.0, 64.0, 1e30, 1e308, math.nan, math.inf, -math.inf]),
    st.text(max_size=5),
    st.sampled_from(
        ["", "0", "64", "-1", "1e400", "true", "bert", "[UNK]", "\ud800", "\0", "x" * 5000, "a\nb"]
    ),
)
# Any JSON, surrogates and numbers beyond all bounds included.
anything_json = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["0", "1", "00", "-1", "type", "content", "id", "a", ""]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


class Colour(enum.Enum):
    RED = 1


# Values that Python has and JSON has not. Each is made when it is asked for: iterators end.
_OBJECTS: dict[str, Callable[[], Any]] = {
    "object": object,
    "type": lambda: int,
    "function": lambda: len,
    "lambda": lambda: lambda: 0,
    "bytes": lambda: b"bytes",
    "bytearray": lambda: bytearray(b"ab"),
    "memoryview": lambda: memoryview(b"ab"),
    "complex": lambda: 1j,
    "decimal": lambda: decimal.Decimal("0.5"),
    "decimal nan": lambda: decimal.Decimal("nan"),
    "fraction": lambda: fractions.Fraction(1, 2),
    "enum": lambda: Colour.RED,
    "set": lambda: {"a", "b"},
    "frozenset": lambda: frozenset("ab"),
    "generator": lambda: (text for text in ["a", "b"]),
    "iterator of pairs": lambda: zip("ab", "cd", strict=True),
    "range": lambda: range(3),
    "dict views": lambda: {"a": 1}.keys(),
    "path": lambda: Path("a"),
    "ellipsis": lambda: ...,
    "numpy integer": lambda: np.int64(2),
    "numpy float": lambda: np.float32(0.5),
    "numpy string": lambda: np.str_("a"),
    "numpy bytes": lambda: np.bytes_(b"a"),
    "numpy date": lambda: np.datetime64("2020-01-01"),
    "numpy nothing": lambda: np.datetime64("NaT"),
    "array": lambda: np.array(["a", "b"]),
    "array of numbers": lambda: np.array([1.0, math.nan]),
    "array of objects": lambda: np.array(["a", None], dtype=object),
    "array 0-d": lambda: np.array("a"),
    "array 2-d": lambda: np.array([["a", "b"], ["c", "d"]]),
    "empty array": lambda: np.array([]),
    "structured array": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]),
    "tensor": lambda: torch.tensor([1, 2]),
    "tensor 0-d": lambda: torch.tensor(1),
    "float tensor": lambda: torch.tensor([0.5, math.nan]),
    "sparse tensor": lambda: torch.eye(2).to_sparse(),
    "meta tensor": lambda: torch.ones(2, device="meta"),
    "torch dtype": lambda: torch.float32,
    "torch device": lambda: torch.device("meta"),
    "tuple of three": lambda: ("a", "b", "c"),
    "pair": lambda: ("a", "b"),
    "half a pair": lambda: ("a", None),
    "nested": lambda: [["a"], ["b"]],
    "list of itself": lambda: _circle(),
}


def _circle() -> list[Any]:
    circle: list[Any] = ["a"]
    circle.append(circle)
    return circle


objects = st.one_of(
    st.sampled_from(sorted(_OBJECTS)).map(lambda name: _OBJECTS[name]()), anything_json
)
# Also several in a list, as texts, labels and ids come.
values = st.one_of(objects, st.lists(objects, max_size=3), st.lists(objects, max_size=2).map(tuple))

# --- changes -------------------------------------------------------------------------------------

Place = tuple[Any, ...]
GONE = object()


def places(tree: Any, before: Place = ()) -> Iterator[Place]:
    """Every place in a tree of JSON; of long lists and mappings the first and the last few."""
    yield before
    if isinstance(tree, (dict, list)):
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        for key in keys if len(keys) < 40 else keys[:3] + keys[-3:]:
            yield from places(tree[key], (*before, key))


def changed(tree: Any, place: Place, value: Any) -> Any:
    """A copy of a tree with another value at this place, or none."""
    if not place:
        return None if value is GONE else value
    tree = copy.deepcopy(tree)
    inner = tree
    for key in place[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return tree


@st.composite
def changed_json(draw: st.DrawFn, tree: Any, keys: tuple[str, ...] = ()) -> bytes:
    """The bytes of a JSON file with one or two places changed; keys: more that it may have."""
    for _ in range(draw(st.integers(1, 2))):
        known = [*places(tree), *((key,) for key in keys if isinstance(tree, dict))]
        place = draw(st.sampled_from(known))
        here = draw(st.one_of(anything_json, st.just(GONE), st.sampled_from(["same kind"])))
        if here == "same kind":  # as a string, in a list, larger
            old = tree
            with contextlib.suppress(KeyError):
                for key in place:
                    old = old[key]
            here = draw(st.sampled_from([str(old)[:50], [old], {"a": old}, old]))
            if type(here) is int:
                here *= draw(st.sampled_from([2, 10**5, 10**14]))
        with contextlib.suppress(KeyError):  # to delete what is not there
            tree = changed(tree, place, here)
    return json.dumps(tree).encode()


# Nested deeper than Python calls go, and a number longer than Python reads.
_BEYOND = (b"[" * 10**5, b'{"a":' * 10**5 + b"1" + b"}" * 10**5, b'{"vocab_size": ' + b"9" * 5000)


def json_files(tree: Any, keys: tuple[str, ...] = ()) -> st.SearchStrategy[bytes]:
    """A JSON file of which something was changed: mostly a value, else its bytes."""
    beyond = st.sampled_from([*_BEYOND, _BEYOND[2] + b"}"])
    return st.one_of(
        *[changed_json(tree, keys)] * 8, changed_bytes(json.dumps(tree).encode()), beyond
    )


@st.composite
def changed_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes of a file, cut or with bytes flipped, put in, taken out or repeated."""
    data = bytearray(whole)
    odd = [b"\0", b"\xff", b"\xfe\xff", b"\n", b"\r", b'"', b"\t", b",", b"\xed\xa0\x80", b"\x85"]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.one_of(st.integers(0, min(len(data), 400)), st.integers(0, len(data))))
        kind = draw(st.sampled_from(["cut", "flip", "insert", "remove", "repeat"]))
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[at:at] = draw(st.one_of(st.sampled_from(odd), st.binary(max_size=9)))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 50))]
        else:
            data[at:at] = data[at : at + 50] * draw(st.integers(1, 20))
    return bytes(data)


# --- the verdict ---------------------------------------------------------------------------------


class TooSlow(BaseException):  # not an Exception, which the library may turn into an error
    """An input took SECONDS of this process's time."""


class Fault(NamedTuple):
    """What must not happen: the error, where it arose, and what it said."""

    kind: str
    message: str


class Outcomes:
    """How often inputs were taken, and refused by which error; and what must not happen."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: dict[str, tuple[str, str]] = {}  # kind -> its shortest input and the message

    def try_out(self, call: Callable[[], object], given: object) -> None:
        """Count what comes of a call; given: what it was called with, for the report."""
        error: BaseException | None = None
        try:
            with warnings.catch_warnings(), limited_time():
                warnings.simplefilter("ignore")
                call()
        except (Exception, TooSlow) as caught:
            error = caught
        self.counts["taken" if error is None else type(error).__name__] += 1
        fault = None if error is None else fault_of(error)
        if fault is not None:
            new = (short(given), fault.message)
            self.wrong[fault.kind] = min(self.wrong.get(fault.kind, new), new, key=_length)

    def report(self) -> str:
        """The kinds of what must not happen, each with an input."""
        return "\n".join(
            f"{kind}: {message}\n    {given}"
            for kind, (given, message) in sorted(self.wrong.items())
        )


def _length(example: tuple[str, str]) -> int:
    return len(example[0])


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """Raise `TooSlow` after SECONDS of this process's own time, however busy the machine is."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault_of(error: BaseException) -> Fault | None:
    """What is wrong with an error; None for a ValueError or OSError in our own words."""
    steps = []  # (file, line) from the outermost call to where it was raised
    step = error.__traceback__
    while step is not None:
        steps.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
        step = step.tb_next
    ours = [at for at in steps if at[0].startswith(OURS)]
    file, line = ours[-1] if ours else steps[-1]
    where = f"{Path(file).relative_to(Path(OURS).parent) if ours else file}:{line}"
    kind, message = f"{where}: {type(error).__name__}", str(error)
    if not isinstance(error, (ValueError, OSError)):
        return Fault(kind, repr(message[:100]))
    # Whoever raises in our words stands in our file, at a line that says so.
    if steps[-1] not in ours or not linecache.getline(*steps[-1]).strip().startswith("raise"):
        return Fault(f"{kind} in words that are not ours", repr(message[:100]))
    if len(message) > LENGTH or len(message.splitlines()) != 1:
        lines = len(message.splitlines())
        return Fault(f"{kind} too long", f"{len(message)} characters in {lines} line(s)")
    return None


def short(given: object) -> str:
    """An input as the report shows it."""
    try:
        return ascii(given)[:1000]
    except Exception as error:  # an object whose repr fails is a good input
        return f"{type(given).__name__} whose repr raises {type(error).__name__}"

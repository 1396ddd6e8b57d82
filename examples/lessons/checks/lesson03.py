"""Lesson 3: a model without positions, and the positions whose vectors are far longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from checks.verdict import Hint, called, called_on, compare, exercise, tensor, whole
from minibert.config import BertConfig
from minibert.engine.seeds import seeded
from minibert.model import BertModel

T, C = 6, 8  # T is the number of positions, too: every row of the table is used
IDS = torch.tensor([[3, 14, 15, 9, 26, 5]])
SEGMENTS = torch.tensor([[0, 0, 0, 1, 1, 1]])
SHUFFLED = [4, 2, 0, 5, 1, 3]
POSITIONS = "embeddings.position.weight"


@exercise
def without_positions(answer: Callable[..., Any]) -> str:
    """A model -> a copy of it whose position table is zero; the model is left alone."""
    with seeded(3):
        model = BertModel(_small())
    before = {name: table.detach().clone() for name, table in model.named_parameters()}
    result = called_on(answer, model)
    if not isinstance(result, BertModel):
        raise Hint(
            f"the result has the type {type(result).__name__}; return the copy of the whole "
            "model, a BertModel"
        )
    # What the model says with other numbers in some of its tables; it is not changed by that.
    positions = before[POSITIONS]
    none, words, segments = (
        torch.zeros_like(before[f"embeddings.{table}.weight"])
        for table in ("position", "token", "segment")
    )
    first, others, column = positions.clone(), positions.clone(), positions.clone()
    first[0] = others[1:] = column[:, 0] = 0

    def outputs(**tables: Tensor) -> Tensor:
        named = {f"embeddings.{name}.weight": table for name, table in tables.items()}
        return _vectors(model, before | named, IDS, SEGMENTS)

    found = _answers(result, IDS, SEGMENTS)
    _check_original(model, result, before, found, outputs())
    shuffled = _answers(result, IDS[:, SHUFFLED], SEGMENTS[:, SHUFFLED])
    apart = float((found[SHUFFLED] - shuffled).abs().max())
    compare(
        found,
        outputs(position=none),
        {
            "this is a copy, but its position table is as before. (`table * 0` makes a new tensor, "
            "which the model does not know of; `.zero_()` changes the one it has)": outputs(),
            "only the first row, position 0, is zero; the table has a row for each position": (
                outputs(position=first)
            ),
            "the row of position 0 is left; it is a position like the others": (
                outputs(position=others)
            ),
            "only the first number of each row is zero: table[:, 0] is a column": (
                outputs(position=column)
            ),
            "the segment table is zero, and the positions are still there": (
                outputs(segment=segments)
            ),
            "the token table is zero, and the positions are still there": outputs(token=words),
            "the segment table is zero, too; leave it as it is": (
                outputs(position=none, segment=segments)
            ),
            "the token table is zero, too; now all words are the same": (
                outputs(position=none, token=words)
            ),
            "all three tables are zero; leave tokens and segments as they are": (
                outputs(position=none, token=words, segment=segments)
            ),
        },
        _other(result, before, apart),
        tolerance=1e-5,
    )
    return (
        "if the tokens are shuffled, their vectors are shuffled with them and differ by at most "
        f"{apart:.0e}, and the model you were given is as it was"
    )


def _small() -> BertConfig:
    """A model whose random numbers are large enough for every table to matter."""
    return BertConfig(
        vocab_size=32,
        hidden_size=C,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=T,
        initializer_range=0.5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def _vectors(model: BertModel, tables: dict[str, Tensor], ids: Tensor, segments: Tensor) -> Tensor:
    """(T, C), of the model with these numbers."""
    with torch.no_grad():
        found: Tensor = functional_call(
            model, tables, (ids,), {"token_type_ids": segments}
        ).last_hidden_state[0]
    return found


def _answers(result: BertModel, ids: Tensor, segments: Tensor) -> Tensor:
    """(T, C), of the learner's model."""
    try:
        return tensor(_vectors(result, {}, ids, segments), (T, C), "what your model returns")
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise Hint(
            f"the model that you return cannot read a text: {first}. Keep its position table, and "
            "make the numbers in it zero"
        ) from error


def _check_original(
    model: BertModel, result: BertModel, before: dict[str, Tensor], found: Tensor, whole: Tensor
) -> None:
    """Raise `Hint` if the answer has changed the model that it was given, or returns it."""
    now = dict(model.named_parameters())
    same = all(name in now and table.equal(now[name]) for name, table in before.items())
    if result is model:
        raise Hint(
            "this is the model that you were given, as it was; copy it, and change the copy"
            if same
            else "this is the model that you were given, and now it is changed; copy it first, and "
            "change the copy"
        )
    if same:
        return
    if torch.allclose(found, whole.double(), atol=1e-5):
        raise Hint(
            "the copy is as before, and the model that you were given is changed; it should be "
            "the other way round"
        )
    raise Hint(
        "the model that you were given has changed with the copy, as they share their tables; "
        "copy.deepcopy copies these, too"
    )


def _other(result: BertModel, before: dict[str, Tensor], apart: float) -> str:
    """The hint for a mistake that is not known."""
    tables = dict(result.named_parameters())
    changed = [
        name
        for name, table in before.items()
        if name != POSITIONS and not (name in tables and table.equal(tables[name].to(table.dtype)))
    ]
    if changed:
        return f"more has changed than the position table, as {changed[0]}"
    if apart < 1e-5:
        return (
            "no order is left, but the position table is not zero: all its rows seem to be the same"
        )
    return (
        "the position table is not zero everywhere. Print "
        "`copied.embeddings.position.weight.norm(dim=1)`, the length of each row"
    )


# A made-up table: position -> the length of its vector. All others are about 1 long.
LENGTHS = {0: 6.0, 9: 1.7, 10: 1.4, 26: 1.35, 39: 2.0} | {5: 1.16, 17: 0.3, 30: 0.4}
ODD = {0, 9, 10, 26, 39}
ONE_LARGE, ALL_ALIKE = 21, 33  # one number of its vector is large, or all are; it is not long
COLUMN = 4  # in which position 0 has all its length
MINILM = {0, 127, 510, 511}
KNOWN: dict[frozenset[int], str] = {
    frozenset(position + 1 for position in ODD): "these are numbered from 1; position 0 comes "
    "first",
    frozenset({0}): "this is the longest only; there are others",
    frozenset({39}): "this is one of them; find all",
    frozenset({17, 30}): "these are the shortest; we look for the longest",
    frozenset(set(range(40)) - ODD): "these are all the others; odd are those that are longer than "
    "1.25 times the median",
    frozenset({0, 9, 39}): "some are missing. Compare with the median: a single very long vector "
    "makes the mean larger, and hides others",
    frozenset(MINILM): "this is right of minilm-l6. The check has another table, so the function "
    "must find them",
    frozenset({COLUMN}): "these are columns. A position is a row: dim=1 goes along the rows",
}
PRESENT = {
    5: "position 5 is 1.16 times as long as the median. The length is the root of the sum of "
    "squares; is the root missing?",
    ONE_LARGE: f"position {ONE_LARGE} has one large number, and still its vector is not long: the "
    "length is the root of the sum of squares",
    ALL_ALIKE: f"position {ALL_ALIKE} has a large sum, but the length is the root of the sum of "
    "squares",
}


@exercise
def odd_positions(answer: Callable[..., Any]) -> str:
    """A (P, C) table -> the positions, from 0, whose vectors are far longer than the others."""
    found = _positions(called(answer, _made_up()), 40)
    if found != ODD:
        raise Hint(_why(found))
    real = BertModel.from_pretrained("minilm-l6").embeddings.position.weight.detach()
    found = _positions(called(answer, real), len(real))
    if found != MINILM:
        raise Hint(
            f"right in a made-up table of 40 positions, but in minilm-l6's, with {len(real)}, "
            f"you find {_listed(found)}; longer than 1.25 times its median are four"
        )
    return f"found in a made-up table, and in that of minilm-l6: {_listed(found)}"


def _positions(result: Any, size: int) -> set[int]:
    """The learner's positions, in whatever holds them."""
    if isinstance(result, tuple) and len(result) == 1 and np.ndim(result[0]):
        (result,) = result  # numpy's nonzero
    try:
        values = list(result)
    except TypeError as error:
        raise Hint(f"the result is {result!r}; it should be a list of positions") from error
    if len(values) == size and all(np.asarray(value).dtype == bool for value in values):
        raise Hint("this says of each position whether it is odd; list those that are")
    return {whole(value, "a position") for value in values}


def _why(found: set[int]) -> str:
    """The hint for wrong positions in the made-up table."""
    if known := KNOWN.get(frozenset(found)):
        return known
    if not found:
        return "you find none; in this table are five. Print the lengths and their median"
    if max(found) > 39 or min(found) < 0:
        return f"the table has the positions 0 to 39, and you find {_listed(found)}"
    if ODD < found and len(found) > 15:
        return f"these are {len(found)} of 40; *far* longer is more than 1.25 times the median"
    for position, hint in PRESENT.items():
        if position in found:
            return hint
    if found < ODD:
        return (
            f"{_listed(found)} is right, but these are {len(found)} of the {len(ODD)} that are "
            "longer than 1.25 times the median"
        )
    wrong = min(found - ODD)
    return (
        f"position {wrong} is not far longer than the others. Print the length of each row, the "
        "root of the sum of its squares, and compare it with 1.25 times the median"
    )


def _listed(found: set[int]) -> str:
    shown = sorted(found)
    return ", ".join(map(str, shown[:8])) + (", ..." if len(shown) > 8 else "")


def _made_up() -> Tensor:
    """(40, 12). Each mistake finds other positions in it."""
    random = np.random.default_rng(3)
    table = random.standard_normal((40, 12))
    table[0] = table[ONE_LARGE] = np.eye(12)[COLUMN]
    table[ALL_ALIKE] = 1
    lengths = random.uniform(0.95, 1.05, 40)
    lengths[list(LENGTHS)] = list(LENGTHS.values())
    lengths[ALL_ALIKE] = 1.1
    table *= (lengths / np.linalg.norm(table, axis=1))[:, None]
    return torch.tensor(table, dtype=torch.float32)

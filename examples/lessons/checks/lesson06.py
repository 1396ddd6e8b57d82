"""Lesson 6: masking by the 80/10/10 rule, and how often the verb agrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from checks.verdict import Hint, called, compare, exercise, number, tensor
from minibert._checks import IGNORED

ROWS, LENGTH = 250, 200  # ordinary tokens of a row, so 50,000 in all
# A share that is right differs from its expectation by more than so many standard errors once in
# 500 million runs.
ERRORS = 6
# Not at the beginning only, as in most vocabularies they are not.
SPECIAL_IDS, MASK, VOCABULARY = (0, 2, 3, 4, 31), 4, 60
_PAD, _UNK, _CLS, _SEP, _ = SPECIAL_IDS


class _Masked(NamedTuple):
    """What an answer made of many rows, one after another. ids: what stood there; seen: what the
    model sees; labels: what it has to guess. special: whether a token is; place: of its row."""

    ids: np.ndarray
    seen: np.ndarray
    labels: np.ndarray
    special: np.ndarray
    place: np.ndarray


@exercise
def mask_row(answer: Callable[..., Any]) -> str:
    """(T,) ids, (V,) special, the id of [MASK], a generator -> what is seen, and the labels."""
    special = np.isin(np.arange(VOCABULARY), SPECIAL_IDS)
    first, again = (_asked(answer, _row(0), special, 0) for _ in range(2))
    if any((a != b).any() for a, b in zip(first, again, strict=True)):
        raise Hint(
            "the same row and the same random numbers give two results; draw all from `generator`"
        )
    _asked(answer, np.array([_CLS, _SEP]), special, 0)  # with nothing to choose
    rows = [_row(i) for i in range(ROWS)]
    pairs = [_asked(answer, row, special, i) for i, row in enumerate(rows)]
    seen, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    ids = np.concatenate(rows)
    masked = _Masked(ids, seen, labels, special[ids], np.tile(np.arange(len(rows[0])), ROWS))
    _check_labels(masked)
    _check_chosen(masked)
    shares = _check_replaced(masked, special)
    return (
        f"of {ROWS * LENGTH:,} tokens you chose {(labels != IGNORED).sum():,}; of these "
        + ", ".join(f"{share:.1%} {kind}" for kind, share in shares.items())
    )


def _row(number: int) -> np.ndarray:
    """[CLS] ... [UNK] ... [SEP] and padding: tokens of the first half of the vocabulary only."""
    random = np.random.default_rng([6, number])
    ordinary = np.setdiff1d(np.arange(VOCABULARY // 2), SPECIAL_IDS)
    a, b = np.split(random.choice(ordinary, LENGTH), 2)
    return np.concatenate([[_CLS], a, [_UNK], b, [_SEP, _PAD, _PAD]])


def _asked(
    answer: Callable[..., Any], row: np.ndarray, special: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    def watched(ids: np.ndarray, *others: Any) -> Any:
        given = ids.copy()
        result = answer(ids, *others)
        if not np.array_equal(ids, given):
            raise Hint(
                "your function has changed the row that it was given: the text itself would keep "
                "the [MASK], and nobody could mask it anew. Begin with ids.copy()"
            )
        return result

    generator = np.random.default_rng(seed)
    result = called(watched if callable(answer) else answer, row, special, MASK, generator)
    try:
        seen, labels = result
    except (TypeError, ValueError) as error:
        raise Hint("the result should be two rows: what the model sees, and the labels") from error
    shape = row.shape
    return (
        tensor(seen, shape, "what the model sees").numpy(),
        tensor(labels, shape, "the labels").numpy(),
    )


def _check_labels(masked: _Masked) -> None:
    """Whether labels stand where tokens were chosen, and say what stood there."""
    ids, seen, labels, special, _ = masked
    given = labels != IGNORED
    if (labels == 0).mean() > 0.5:
        raise Hint(f"tokens not chosen have the label 0, which is a token's id; give {IGNORED}")
    if given.all():
        raise Hint(
            f"every token has a label; only the chosen ones have, the others have {IGNORED}, or "
            "the model is paid for copying what it sees"
        )
    if not given.any():
        raise Hint(f"no token has a label; the chosen ones have their own id, not {IGNORED}")
    if (given & special).any() or (seen != ids)[special].any():
        raise Hint(
            "tokens such as [CLS], [SEP] and padding are chosen, too; choose among those that are "
            "not special"
        )
    if (labels[given] == MASK).any():
        raise Hint(
            "labels are what stands there after masking; they should be what stood there before. "
            "Was the row changed before the labels were taken?"
        )
    if (labels[given] != ids[given]).any():
        raise Hint("some labels are not the tokens that stood there")
    if (seen != ids)[~given].any():
        raise Hint("some tokens were replaced and have no label; the model must guess these, too")


def _check_chosen(masked: _Masked) -> None:
    """Whether 15 % of the tokens are chosen, all places alike."""
    ids, seen, labels, special, place = masked
    chosen = labels != IGNORED
    share = float(chosen[~special].mean())
    if _off(share, 0.15, (~special).sum()):
        why = "the 80 % are a share of those 15 %"
        if (seen != ids)[chosen].all():
            why = "those of them that stay as they are have one, too"
        raise Hint(f"{share:.1%} of the tokens have a label; it should be 15 %, and {why}")
    often = chosen.reshape(ROWS, -1).mean(axis=0)  # (T,) how often each place is chosen
    # How often two neighbours are, and how often they would be if neither knew of the other.
    together = chosen.reshape(ROWS, -1)[:, 1:] & chosen.reshape(ROWS, -1)[:, :-1]
    found, expected = float(together.mean()), float((often[1:] * often[:-1]).mean())
    if found > 2 * expected:
        raise Hint(
            f"the chosen tokens stand side by side: {found:.1%} of all pairs of neighbours are "
            f"chosen together, by chance {expected:.1%} would be; let chance decide for each token"
        )
    if found < expected / 2:
        raise Hint(
            f"the chosen tokens keep away from each other: {found:.1%} of all pairs of neighbours "
            f"are chosen together, by chance {expected:.1%} would be; let chance decide for each "
            "token"
        )
    if (often[np.unique(place[~special])] == 0).any():
        raise Hint(
            "some places of a row are never chosen; choose anew for each row, by `generator`"
        )


def _check_replaced(masked: _Masked, special: np.ndarray) -> dict[str, float]:
    """Whether 80 % of the chosen tokens became [MASK], 10 % another one, and 10 % stayed."""
    ids, seen, labels, _, place = masked
    chosen = labels != IGNORED
    kept, covered = chosen & (seen == ids), chosen & (seen == MASK)
    drawn = chosen & ~kept & ~covered
    kinds = {"became [MASK]": covered, "became another token": drawn, "stayed": kept}
    shares = {kind: float(where.sum() / chosen.sum()) for kind, where in kinds.items()}
    if covered.sum() == chosen.sum():
        raise Hint(
            "all chosen tokens become [MASK]; 10 % should become a token drawn at random, and 10 % "
            "stay as they are"
        )
    if special[seen[drawn].astype(int)].any():
        raise Hint("a drawn token can be [CLS], [PAD] or the like; draw from the ordinary ones")
    found = ", ".join(f"{share:.1%} {kind}" for kind, share in shares.items())
    if not covered.any():
        raise Hint(f"of the chosen tokens {found}; does a second replacement undo the first?")
    expected = dict(zip(kinds, (0.8, 0.1, 0.1), strict=True))
    if any(_off(shares[kind], expected[kind], chosen.sum()) for kind in kinds):
        raise Hint(f"of the chosen tokens {found}; it should be 80 %, 10 % and 10 %")
    middles = {kind: float(place[where].mean()) for kind, where in kinds.items()}
    if max(middles.values()) - min(middles.values()) > place.max() / 8:
        where = ", ".join(f"{middle:.0f} if it {kind}" for kind, middle in middles.items())
        raise Hint(
            f"what becomes of a token depends on where it stands (its place is on average {where})"
            "; let chance decide for each of the chosen"
        )
    if seen[drawn].max() < VOCABULARY // 2:
        raise Hint("the drawn tokens are always some of the row's own; draw from the whole table")
    rows = zip(np.split(seen, ROWS), np.split(drawn, ROWS), strict=True)
    if all(len(set(row[where])) <= 1 for row, where in rows):
        raise Hint("all drawn tokens of a row are the same one; draw one for each place")
    return shares


def _off(share: float, expected: float, of: int) -> bool:
    """Whether a share of so many tokens is not what was to be expected."""
    return abs(share - expected) > ERRORS * math.sqrt(expected * (1 - expected) / of)


@exercise
def agreement(answer: Callable[..., Any]) -> str:
    """Numbers of the subjects and probabilities of words -> the share of verbs that fit."""
    score = _score(answer, SENTENCES, {})
    constant = "the score is the same for other sentences; compute it from those that are given"
    fewer = _score(answer, SENTENCES[FEWER], {constant: score})
    return (
        f"{score:.1%} of {len(SENTENCES)} made-up sentences and {fewer:.1%} of "
        f"{len(SENTENCES[FEWER])}, whatever their other words"
    )


def _score(
    answer: Callable[..., Any],
    sentences: Sequence[tuple[str, tuple[float, ...]]],
    more: dict[str, float],
) -> float:
    """The right score of these sentences, if the answer has it, too. more: further mistakes."""
    subjects = [subject for subject, _ in sentences]
    fills = [dict(zip(WORDS, chances, strict=True)) for _, chances in sentences]
    found = number(called(answer, subjects, fills), "the score")
    fit = np.array([fill[FITTING[s]] for s, fill in zip(subjects, fills, strict=True)])
    other = np.array([fill[FITTING[OTHER[s]]] for s, fill in zip(subjects, fills, strict=True)])
    best = np.array([max(fill, key=fill.__getitem__) for fill in fills])
    singular = np.array([subject == "singular" for subject in subjects])
    right = fit > other
    share = float(right.mean())
    mistakes = {
        "this counts only sentences in which the verb is the likeliest word of all; it may stand "
        "behind `was` or `can`. Compare `is` with `are` and with nothing else": float(
            np.mean([word == FITTING[s] for word, s in zip(best, subjects, strict=True)])
        ),
        "this asks in each sentence whether `is` wins; for a plural subject `are` is right": float(
            np.mean([fill["is"] > fill["are"] for fill in fills])
        ),
        "this looks at singular subjects only; a model that always says `is` would get all of "
        "them right": float(right[singular].mean()),
        "this looks at plural subjects only": float(right[~singular].mean()),
        "this counts singular subjects only, but divides by all sentences": float(
            (right & singular).mean()
        ),
        "this is the mean difference of the probabilities, in which a few sure sentences outweigh "
        "all others; count in how many sentences the right verb wins": float((fit - other).mean()),
        "this is the mean probability of the right verb; count in how many sentences it is "
        "likelier than the other": float(fit.mean()),
        "this is the mean share of the right verb among the two; count in how many sentences it "
        "is likelier than the other": float((fit / (fit + other)).mean()),
        "this counts sentences in which the right verb has more than half of all probability; it "
        "need only be likelier than the other": float((fit > 0.5).mean()),
        "this is the share of sentences in which the wrong verb wins": float((~right).mean()),
        "this is the share of singular subjects; the probabilities have no part in it. Look in "
        "each sentence which of the two verbs is likelier": float(singular.mean()),
        "this is the share of plural subjects; the probabilities have no part in it. Look in each "
        "sentence which of the two verbs is likelier": float((~singular).mean()),
        "this is a count; divide it by the number of sentences": float(right.sum()),
        "this is in percent; give the share, from 0 to 1": 100 * share,
        **more,
    }
    compare(
        found,
        share,
        mistakes,
        f"the score is {found:.4g}; of {len(subjects)} sentences it should be the share in which "
        "the verb that fits is likelier than the one that does not",
    )
    return share


FITTING = {"singular": "is", "plural": "are"}
OTHER = {"singular": "plural", "plural": "singular"}
WORDS = ("is", "are", "was", "can")
# Made-up sentences: of 7 singular subjects 6 come out right, of 5 plural ones 2. These counts,
# their sum, and what is left to 12 all differ, so that no mistake has the right answer's score.
SENTENCES = [
    ("singular", (0.70, 0.10, 0.15, 0.05)),
    ("plural", (0.03, 0.02, 0.05, 0.90)),
    ("singular", (0.30, 0.20, 0.10, 0.40)),
    ("singular", (0.02, 0.01, 0.47, 0.50)),
    ("plural", (0.05, 0.60, 0.25, 0.10)),
    ("singular", (0.20, 0.15, 0.60, 0.05)),
    ("plural", (0.50, 0.40, 0.05, 0.05)),
    ("singular", (0.10, 0.80, 0.06, 0.04)),
    ("singular", (0.45, 0.05, 0.40, 0.10)),
    ("plural", (0.28, 0.22, 0.30, 0.20)),
    ("singular", (0.36, 0.09, 0.11, 0.44)),
    ("plural", (0.10, 0.25, 0.40, 0.25)),
]
FEWER = slice(4, None)  # 5 of these 8 come out right

"""Lesson 2: the pieces of a word, and the row of a pair of texts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from checks.verdict import Hint, called, exercise, tensor
from minibert.tokenizer import Row, Tokenizer, frame
from minibert.wordpiece import CONTINUATION, WordPiece

UNKNOWN = "[UNK]"
PATIENCE = 10_000  # questions about one word

# None of the lesson's words. Where mistakes agree in one word, another tells them apart.
PIECES = frozenset(
    "re replay p play player over overpl s ski t trip ing ##s ##t ##r ##ri ##i ##p ##l ##lf ##ull "
    "##fully ##y ##play ##out ##ing ##er".split()
)
WORDS = (
    "replaying",
    "player",
    "strip",
    "skitrip",
    "replayo",  # nothing for o
    "trqip",  # nothing for q, and more pieces after it
    "overplay",  # overpl, and nothing for ay; over ##play would do
    "skilfully",  # four pieces, where ski ##l ##fully would do
    "outing",  # ##out, but not out
)


class Vocabulary(set[str]):
    """What an answer looks pieces up in. It ends a loop that would not end by itself."""

    asked = 0

    def __contains__(self, piece: object) -> bool:
        self.asked += 1
        if self.asked > PATIENCE:
            raise Hint(
                f"your function asked the vocabulary {PATIENCE:,} times about one word: its loop "
                "does not end. Each time round, either a piece fits and the next one begins where "
                "it ended, or none fits and the function returns"
            )
        return super().__contains__(piece)


@dataclass(frozen=True)
class Changed:
    """A vocabulary that says it has what `has` says."""

    has: Callable[[str], bool]

    def __contains__(self, piece: object) -> bool:
        return self.has(str(piece))


def _cut(word: str, vocabulary: Container[str] = PIECES) -> list[str]:
    """The library's pieces of a word."""
    return [piece.token for piece in WordPiece(vocabulary, unknown=UNKNOWN).pieces(word)]


@exercise
def pieces(answer: Callable[..., Any]) -> str:
    """A word and a set of pieces -> the list of the word's pieces."""
    found = {
        word: _tokens(called(answer, word, Vocabulary(PIECES)), f"the result for {word!r}")
        for word in WORDS
    }
    wrong = next((word for word in WORDS if found[word] != _cut(word)), None)
    if wrong is None:
        return "your pieces are the library's, also where a word is unknown"
    here = f"{wrong!r} gives {found[wrong]}"
    for hint, mistaken in _mistakes().items():
        if found == mistaken:
            raise Hint(f"{here}: {hint}")
    raise Hint(
        f"{here}, and the library's pieces are {_cut(wrong)}. Print each piece that your function "
        "tries, and whether it was found, as the lesson does"
    )


def _mistakes() -> dict[str, dict[str, list[str]]]:
    """What each known mistake makes of each word: mostly the library's pieces by a vocabulary that
    says something else."""
    return {
        hint: {word: mistake(word) for word in WORDS}
        for hint, mistake in {
            "the shortest piece is tried first; begin with the longest": lambda word: _cut(
                word, Changed(_is_shortest)
            ),
            "## is missing; a piece that does not begin the word is looked up, and given, with ## "
            "in front": lambda word: _bare(_cut(word, Changed(_unmarked))),
            "## is put in front of pieces too late; they must be looked up with it": lambda word: (
                _cut(word, Changed(_unmarked))
            ),
            "the pieces are looked up with ##, but given without": lambda word: _bare(_cut(word)),
            "the first piece has ## in front; only those that follow have it": lambda word: [
                piece if piece == UNKNOWN else CONTINUATION + piece.removeprefix(CONTINUATION)
                for piece in _cut(word, Changed(lambda piece: _marked(piece) in PIECES))
            ],
            "where nothing fits, the pieces found so far are kept; the whole word is unknown, "
            "['[UNK]']": _kept,
            "[UNK] comes after the pieces found so far; the whole word is unknown, and gives "
            "['[UNK]'] alone": lambda word: _kept(word) + [UNKNOWN] * (_kept(word) != _cut(word)),
            "[UNK] takes the place of a letter; the whole word is unknown, and gives ['[UNK]'] "
            "alone": lambda word: [p if p in PIECES else UNKNOWN for p in _with_letters(word)],
            "a letter that no piece fits is left out; such a word is unknown as a whole, "
            "['[UNK]']": lambda word: [p for p in _with_letters(word) if p in PIECES],
            "an unknown word has one piece, '[UNK]', in a list": lambda word: (
                [] if _cut(word) == [UNKNOWN] else _cut(word)
            ),
            "pieces of one letter are not tried; the shortest are that short": lambda word: _cut(
                word, Changed(lambda piece: len(_letters(piece)) > 1 and piece in PIECES)
            ),
            "this goes back and tries shorter pieces, and so it knows more words than BERT's way, "
            "which never takes a piece back": _second_try,
            "there is a way with fewer pieces, and this takes it; BERT's algorithm takes the "
            "longest piece each time, and looks no further": _fewest,
            "only words that are pieces are found; the others are to be cut": lambda word: (
                [word] if word in PIECES else [UNKNOWN]
            ),
            "every word is unknown. Is the last letter reached (word[start:end] ends before end, "
            "so the first end to try is len(word))? And does your function look into "
            "`vocabulary`, which it is given?": lambda word: [UNKNOWN],
            "these pieces are in the wrong order; the first one begins the word": lambda word: _cut(
                word
            )[::-1],
            "these are letters; take the longest piece that is in the vocabulary": list,
        }.items()
    }


def _letters(piece: str) -> str:
    return piece.removeprefix(CONTINUATION)


def _marked(piece: str) -> str:
    return CONTINUATION + _letters(piece)


def _unmarked(piece: str) -> bool:
    return _letters(piece) in PIECES


def _bare(pieces: list[str]) -> list[str]:
    return [_letters(piece) for piece in pieces]


def _is_shortest(piece: str) -> bool:
    """Whether this is a piece and no shorter one begins like it."""
    mark, letters = piece[: len(piece) - len(_letters(piece))], _letters(piece)
    return piece in PIECES and not any(
        mark + letters[:end] in PIECES for end in range(1, len(letters))
    )


def _with_letters(word: str) -> list[str]:
    """The pieces of a word if any single letter were one."""
    return _cut(word, Changed(lambda piece: piece in PIECES or len(_letters(piece)) == 1))


def _kept(word: str) -> list[str]:
    """The pieces before the first letter that none fits."""
    return list(takewhile(PIECES.__contains__, _with_letters(word)))


def _without(word: str) -> list[list[str]]:
    """The pieces of a word if one of those first taken were not in the vocabulary."""
    return [_cut(word, PIECES - {piece}) for piece in _kept(word)]


def _second_try(word: str) -> list[str]:
    others = [other for other in _without(word) if other != [UNKNOWN]]
    return others[0] if _cut(word) == [UNKNOWN] and others else _cut(word)


def _fewest(word: str) -> list[str]:
    known = [cut for cut in (_cut(word), *_without(word)) if cut != [UNKNOWN]]
    return min(known, key=len, default=[UNKNOWN])


def _tokens(value: Any, what: str) -> list[str]:
    """The learner's tokens, as a list of texts."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        raise Hint(f"{what} is the text {value!r}; it should be a list of texts")
    if not isinstance(value, list | tuple):
        raise Hint(f"{what} has the type {type(value).__name__}; it should be a list of texts")
    for token in value:
        if not isinstance(token, str):
            raise Hint(f"{what} has {token!r} in it; it should have texts alone")
    return list(value)


def _numbers(value: Any, length: int, what: str) -> list[float]:
    """The learner's numbers, so many of them."""
    if isinstance(value, list | tuple) and any(isinstance(each, str) for each in value):
        raise Hint(f"{what} is {value!r}; it should have numbers, not texts")
    return [float(each) for each in tensor(value, (length,), what)]


PAIRS = (
    (["too", "long", "##er"], ["no"], 11),
    (["what", "##ever"], ["slow", "##ly", "and", "dull"], 9),  # no room for padding
)
PADDING = "[PAD]"


@exercise
def pair_row(answer: Callable[..., Any]) -> str:
    """Two lists of pieces and a length -> tokens, type ids and attention mask."""
    for first, second, length in PAIRS:
        result = called(answer, first, second, length)
        if not isinstance(result, list | tuple) or len(result) != 3:
            raise Hint(
                f"the result has the type {type(result).__name__}; return three lists: tokens, "
                "type ids, attention mask"
            )
        tokens, types, mask = _right(first, second, length)
        found = _tokens(result[0], "the row")
        _check_tokens(found, first, second, length)
        found_types = _numbers(result[1], length, "the list of type ids")
        found_mask = _numbers(result[2], length, "the attention mask")
        if (found_types, found_mask) == (mask, types):
            raise Hint("type ids and attention mask have changed places; the type ids come first")
        _check_numbers("list of type ids", found_types, types, _mistaken_types(types, mask), tokens)
        _check_numbers("attention mask", found_mask, mask, _mistaken_masks(types, mask), tokens)
    return "your rows are the library's, with padding and without"


@functools.cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_pretrained("minilm-l6")


def _right(
    first: list[str], second: list[str], length: int
) -> tuple[list[str], list[int], list[int]]:
    """The library's row of two texts, in a batch whose longest row has this length."""
    tokenizer = _tokenizer()
    tokens, types = frame(first, second, "[CLS]", "[SEP]")
    ids = [tokenizer.ids[token] for token in tokens]
    batch = tokenizer.pad([Row(ids, types, 0), Row([0] * length, [0] * length, 0)])
    row, types, mask = (batch[name][0].tolist() for name in batch)
    return [tokenizer.tokens[i] for i in row], types, mask


def _check_tokens(found: list[str], first: list[str], second: list[str], length: int) -> None:
    """Raise `Hint` if these are not the tokens of the row: first for what is not padding."""
    end = len(found)
    while end and found[end - 1] == PADDING:
        end -= 1
    core, padded = found[:end], len(found) - end
    right, _ = frame(first, second, "[CLS]", "[SEP]")
    if core != right:
        here = f"the tokens are {found}"
        mistakes = {
            "only the row begins with [CLS]; the second text has none": [
                *right[: len(first) + 2],
                "[CLS]",
                *right[len(first) + 2 :],
            ],
            "the last [SEP] is missing; one ends each text": right[:-1],
            "the [SEP] between the texts is missing; one ends each text": [
                *right[: len(first) + 1],
                *right[len(first) + 2 :],
            ],
            "both [SEP] are missing; one ends each text": ["[CLS]", *first, *second],
            "[CLS] is missing; every row begins with it": right[1:],
            "[CLS] and [SEP] are missing": first + second,
            "the second text is missing": right[: len(first) + 2],
            "the second text comes first": frame(second, first, "[CLS]", "[SEP]")[0],
            "there are two [SEP] between the texts, as in RoBERTa; BERT has one": frame(
                first, second, "[CLS]", "[SEP]", 2
            )[0],
        }
        for hint, wrong in mistakes.items():
            if core == wrong:
                raise Hint(f"{here}: {hint}")
        if PADDING in core:
            raise Hint(f"{here}: padding comes last, after all that belongs to the texts")
        raise Hint(f"{here}; without padding, which is [PAD], they should be {right}")
    if len(found) == length:
        return
    here = f"the row has {len(found)} tokens, and length is {length}"
    if not padded:
        raise Hint(f"{here}: fill it up with [PAD]")
    if len(found) == length + 3:
        raise Hint(f"{here}: [CLS] and the two [SEP] count, too")
    if padded == length:
        raise Hint(f"{here}: length is that of the whole row, not of its padding")
    raise Hint(f"{here}: count how many tokens there are before padding, and how many are missing")


def _mistaken_types(types: list[int], mask: list[int]) -> dict[str, list[int]]:
    """What each known mistake gives in place of the type ids."""
    real = sum(mask)
    middle = types.index(1) - 1
    changed = functools.partial(_changed, types)
    return {
        "the [SEP] between the texts ends the first one, so its type is 0": changed(middle, 1),
        "the type of padding is 0": [*types[:real], *[1] * (len(types) - real)],
        "the [SEP] at the end belongs to the second text, so its type is 1": changed(real - 1, 0),
        "the middle [SEP] has type 1 and the last one 0; each has the type of the text that it "
        "ends": _changed(changed(middle, 1), real - 1, 0),
        "the middle [SEP] and padding have type 1; the [SEP] ends the first text, and the type of "
        "padding is 0": [*types[:middle], *[1] * (len(types) - middle)],
        "all types are 0; those of the second text, and of the [SEP] that ends it, are 1": (
            [0] * len(types)
        ),
        "the types are the wrong way round; the first text has 0": [1 - t for t in types],
        "the types of the texts are the wrong way round; the first has 0": [
            m - t for t, m in zip(types, mask, strict=True)
        ],
        "types count from 0: the first text has 0 and the second 1": [t + 1 for t in types],
        "types count from 0, and padding has 0": [
            (t + 1) * m for t, m in zip(types, mask, strict=True)
        ],
        "this is the attention mask": mask,
    }


def _mistaken_masks(types: list[int], mask: list[int]) -> dict[str, list[int]]:
    """What each known mistake gives in place of the attention mask."""
    real, middle = sum(mask), types.index(1) - 1
    special = _changed(_changed(_changed(mask, 0, 0), middle, 0), real - 1, 0)
    return {
        "the mask is 1 on padding, too; 0 says that nobody may look there": [1] * len(mask),
        "the mask is the wrong way round: 1 where a token is to be looked at, 0 on padding": [
            1 - m for m in mask
        ],
        "the mask is 0 on [CLS] and [SEP]; only padding is masked": special,
        "the mask is 0 on [CLS]; only padding is masked": _changed(mask, 0, 0),
        "the mask is 0 on the last [SEP]; only padding is masked": _changed(mask, real - 1, 0),
        "the mask is 0 on both [SEP]; only padding is masked": _changed(
            _changed(mask, middle, 0), real - 1, 0
        ),
        "these are the type ids": types,
        "the mask is 0 on the second text; it says what is padding, not which text is which": [
            m - t for t, m in zip(types, mask, strict=True)
        ],
        "the mask is 0 everywhere; then there is nothing to look at": [0] * len(mask),
    }


def _changed(numbers: list[int], place: int, number: int) -> list[int]:
    return [*numbers[:place], number, *numbers[place + 1 :]]


def _check_numbers(
    name: str,
    found: list[float],
    right: list[int],
    mistakes: dict[str, list[int]],
    tokens: list[str],
) -> None:
    """Raise `Hint` if these are not the numbers of the row's tokens."""
    if found == right:
        return
    for hint, wrong in mistakes.items():
        if found == wrong:
            raise Hint(hint)
    place = next(i for i, number in enumerate(found) if number != right[i])
    raise Hint(
        f"of {tokens[place]}, token {place} from 0 of {tokens}, the {name} has "
        f"{found[place]:g}; it should be {right[place]}"
    )

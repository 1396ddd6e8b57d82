"""Lesson 2."""

from functools import cache

from tests.lessons.wrong import Wrong

UNKNOWN = ["[UNK]"]


def cutter(
    ends=lambda start, length: range(length, start, -1),
    looked_up="##",
    given="##",
    first="",
    where_none_fits=lambda found, letter: None,
):
    """Pieces with something of it done otherwise. ends: in which order they are tried; looked_up,
    given, first: the marks; where_none_fits: what the pieces are then, None for [UNK] alone, and
    how the word goes on, if it does."""

    def answer(word, vocabulary):
        found, start = [], 0
        while start < len(word):
            for end in ends(start, len(word)):
                letters = word[start:end]
                if (looked_up if start else first) + letters in vocabulary:
                    break
            else:
                kept = where_none_fits(found, word[start])
                if kept is None:
                    return UNKNOWN
                found, goes_on = kept
                if not goes_on:
                    return found
                start += 1
                continue
            found.append((given if start else first) + letters)
            start = end
        return found

    return answer


right = cutter()


def all_ways(word, vocabulary):
    """Every way to cut a word, the longest first piece first."""

    @cache
    def ways(start):
        if start == len(word):
            return [[]]
        mark = "##" if start else ""
        return [
            [mark + word[start:end], *rest]
            for end in range(len(word), start, -1)
            if mark + word[start:end] in vocabulary
            for rest in ways(end)
        ]

    return ways(0)


def going_back(word, vocabulary):
    return next(iter(all_ways(word, vocabulary)), UNKNOWN)


def fewest(word, vocabulary):
    return min(all_ways(word, vocabulary), key=len, default=UNKNOWN)


def whole_words(word, vocabulary):
    return [word] if word in vocabulary else UNKNOWN


def without_end(word, vocabulary):
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            if word[start:end] in vocabulary:
                break
    return [word]


def lessons_vocabulary(word, vocabulary):
    return right(word, {"un", "una", "able", "##ff", "##ord", "##able"})


def reversed_pieces(word, vocabulary):
    return right(word, vocabulary)[::-1]


def row(
    between=("[SEP]",),
    begin=("[CLS]",),
    last=("[SEP]",),
    middle_type=0,
    last_type=1,
    padding_type=0,
    second_type=1,
    mask=(1, 1, 0),
    left=False,
    fill=None,
):
    """A row with something of it done otherwise. mask: on special tokens, pieces, padding."""

    def answer(first, second, length):
        parts = [
            (begin, 0, mask[0]),
            (first, 0, mask[1]),
            (between, middle_type, mask[0]),
            (second, second_type, mask[1]),
            (last, last_type, mask[0]),
        ]
        real = sum(len(part[0]) for part in parts)
        number = length - real if fill is None else fill(first, second, length)
        padding = (["[PAD]"] * number, padding_type, mask[2])
        parts = [padding, *parts] if left else [*parts, padding]
        return (
            [token for part, _, _ in parts for token in part],
            [kind for part, kind, _ in parts for _ in part],
            [looked_at for part, _, looked_at in parts for _ in part],
        )

    return answer


def texts_swapped(first, second, length):
    return row()(second, first, length)


def lists_swapped(first, second, length):
    tokens, types, mask = row()(first, second, length)
    return tokens, mask, types


def other_padding(first, second, length):
    tokens, types, mask = row()(first, second, length)
    return [token.replace("[PAD]", "") for token in tokens], types, mask


def one_list(first, second, length):
    return row()(first, second, length)[0]


PRINTED = [
    r"unaffo\? unaff\? unaf\? una\? yes",
    r"##ly\? ##l\? -> \['\[UNK\]'\]",
    r"by its offsets: +naïve",
    r"200 of 200 are the same",
    r"English: 12 words, 13 pieces",
    r"German: 11 words, 23 pieces",
    r"Finnish: 9 words, 29 pieces",
    r"##in ##ing sing ##er ring singer",
    r"great😀 +\[UNK\]",
]
WRONG = {
    "pieces": [
        Wrong(
            "shortest first",
            cutter(ends=lambda start, length: range(start + 1, length + 1)),
            "begin with the longest",
        ),
        Wrong("no ##", cutter(looked_up="", given=""), "## is missing"),
        Wrong("looked up without ##", cutter(looked_up=""), "too late"),
        Wrong("given without ##", cutter(given=""), "given without"),
        Wrong("first piece with ##", cutter(first="##"), "the first piece has ##"),
        Wrong(
            "keeps pieces of a word that fails",
            cutter(where_none_fits=lambda found, letter: (found, False)),
            "are kept",
        ),
        Wrong(
            "[UNK] after pieces",
            cutter(where_none_fits=lambda found, letter: (found + UNKNOWN, False)),
            "[UNK] comes after the pieces",
        ),
        Wrong(
            "[UNK] for a letter",
            cutter(where_none_fits=lambda found, letter: (found + UNKNOWN, True)),
            "takes the place of a letter",
        ),
        Wrong(
            "a letter left out",
            cutter(where_none_fits=lambda found, letter: (found, True)),
            "is left out",
        ),
        Wrong(
            "nothing for an unknown word",
            cutter(where_none_fits=lambda found, letter: ([], False)),
            "an unknown word has one piece",
        ),
        Wrong(
            "[UNK] not in a list",
            cutter(where_none_fits=lambda found, letter: ("[UNK]", False)),
            "it should be a list",
        ),
        Wrong(
            "no pieces of one letter",
            cutter(ends=lambda start, length: range(length, start + 1, -1)),
            "of one letter are not tried",
        ),
        Wrong("goes back", going_back, "goes back and tries"),
        Wrong("fewest pieces", fewest, "a way with fewer pieces"),
        Wrong("whole words only", whole_words, "only words that are pieces"),
        Wrong("the lesson's vocabulary", lessons_vocabulary, "into `vocabulary`, which"),
        Wrong(
            "the last letter left out",
            cutter(ends=lambda start, length: range(length - 1, start, -1)),
            "Is the last letter reached",
        ),
        Wrong("a loop without end", without_end, "does not end"),
        Wrong("reversed", reversed_pieces, "in the wrong order"),
        Wrong("letters", lambda word, vocabulary: list(word), "these are letters"),
        Wrong("a text", lambda word, vocabulary: " ".join(right(word, vocabulary)), "the text"),
    ],
    "pair_row": [
        Wrong("second [CLS]", row(between=("[SEP]", "[CLS]")), "the second text has none"),
        Wrong("middle [SEP] of type 1", row(middle_type=1), "ends the first one"),
        Wrong("mask 1 on padding", row(mask=(1, 1, 1)), "1 on padding, too"),
        Wrong("type 1 on padding", row(padding_type=1), "the type of padding is 0"),
        Wrong("no last [SEP]", row(last=()), "the last [SEP] is missing"),
        Wrong("no middle [SEP]", row(between=()), "between the texts is missing"),
        Wrong("no [SEP]", row(between=(), last=()), "both [SEP] are missing"),
        Wrong("no [CLS]", row(begin=()), "[CLS] is missing"),
        Wrong("two [SEP] between", row(between=("[SEP]", "[SEP]")), "as in RoBERTa"),
        Wrong("texts swapped", texts_swapped, "the second text comes first"),
        Wrong("padding on the left", row(left=True), "padding comes last"),
        Wrong("no padding", row(fill=lambda *given: 0), "fill it up with"),
        Wrong("length of padding", row(fill=lambda *given: given[2]), "not of its padding"),
        Wrong(
            "special tokens not counted",
            row(fill=lambda first, second, length: length - len(first) - len(second)),
            "the two [SEP] count, too",
        ),
        Wrong("last [SEP] of type 0", row(last_type=0), "belongs to the second text"),
        Wrong("both [SEP] swapped", row(middle_type=1, last_type=0), "that it ends"),
        Wrong("1 from the middle on", row(middle_type=1, padding_type=1), "and padding have type"),
        Wrong("all types 0", row(second_type=0, last_type=0), "all types are 0"),
        Wrong("mask 0 on special tokens", row(mask=(0, 1, 0)), "0 on [CLS] and [SEP]"),
        Wrong("mask inverted", row(mask=(0, 0, 1)), "the mask is the wrong way round"),
        Wrong("lists swapped", lists_swapped, "have changed places"),
        Wrong("tokens alone", one_list, "three lists"),
        Wrong("another padding", other_padding, "which is [PAD]"),
    ],
}

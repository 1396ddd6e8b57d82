"""Lesson 10."""

import checks.lesson10
from solutions import lesson10

from tests.lessons.wrong import Wrong


def tagger(goes_on, at_end=True, label=lambda tag: tag[2:], starts=lambda tag: tag[0] in "BI"):
    """Entities by rules that may be wrong. goes_on: whether a tag goes on after the tag before."""

    def answer(words, tags):
        found, open_, before = [], None, "O"
        for word, tag in zip(words, tags, strict=True):
            if open_ and goes_on(tag, before):
                open_[1].append(word)
            else:
                found += [open_] if open_ else []
                open_ = (label(tag), [word]) if starts(tag) else None
            before = tag
        found += [open_] if open_ and at_end else []
        return [(name, " ".join(parts)) for name, parts in found]

    return answer


def rule(tag, before):
    return tag[0] == "I" and tag[2:] == before[2:]


def each_word(words, tags):
    return [(tag[2:], word) for word, tag in zip(words, tags, strict=True) if tag != "O"]


def only_b(words, tags):
    return [(tag[2:], word) for word, tag in zip(words, tags, strict=True) if tag[0] == "B"]


def changed_places(words, tags):
    return [(text, label) for label, text in lesson10.entities(words, tags)]


def first_lost(words, tags):
    """B- forgets the entity that is open."""
    found, open_ = [], None
    for word, tag in zip([*words, ""], [*tags, "O"], strict=True):
        if tag[0] == "B":
            open_ = (tag[2:], [word])
        elif tag[0] == "I":
            open_ = open_ or (tag[2:], [])
            open_[1].append(word)
        elif open_:
            found.append((open_[0], " ".join(open_[1])))
            open_ = None
    return found


def span(valid, score=lambda s, e: s + e):
    def answer(start, end, first, longest):
        pairs = [
            (i, j)
            for i in range(len(start))
            for j in range(len(end))
            if valid(i, j, first, longest)
        ]
        return max(pairs, key=lambda pair: score(start[pair[0]], end[pair[1]]))

    return answer


def apart(start, end, first, longest):
    return start.index(max(start)), end.index(max(end))


def apart_in_the_text(start, end, first, longest):
    i, j = start[first:], end[first:]
    return first + i.index(max(i)), first + j.index(max(j))


def shifted(by_i, by_j):
    def answer(start, end, first, longest):
        i, j = lesson10.best_span(start, end, first, longest)
        return i + by_i(first), j + by_j(first)

    return answer


def known_spans(start, end, first, longest):
    """What the first two hints ask for, and no search."""
    return {3: (6, 8), 2: (4, 4)}.get(longest, (first, first))


def known_sentences(words, tags):
    """What the hints told, one after another, and no rule."""
    told = {each.words: each.right for each in checks.lesson10.SENTENCES}
    return told.get(" ".join(words), [])


def from_nothing(start, end, first, longest):
    """The search of one who takes 0 for the lowest score."""
    best, found = 0, (first, first)
    for i in range(first, len(start)):
        for j in range(i, min(i + longest, len(end))):
            if start[i] + end[j] > best:
                best, found = start[i] + end[j], (i, j)
    return found


PRINTED = [
    r"PER +Tamara",
    r"PER +Sven Larsen",
    r"LOC +Madrid",
    r"11,683,584",
    r"31\.5 million",
    r"109,482,240",
]
WRONG = {
    "entities": [
        Wrong("each word by itself", each_word, "came out as one or as two"),
        Wrong("B- only", only_b, "came out as one or as two"),
        Wrong("the last one lost", tagger(rule, at_end=False), "end of the sentence is lost"),
        Wrong("neighbours joined", tagger(lambda t, b: t[2:] == b[2:] != ""), "were joined"),
        Wrong("the first of two lost", first_lost, "the first is lost"),
        Wrong("another label goes on", tagger(lambda t, b: t[0] == "I"), "an entity that is a LOC"),
        Wrong("I- begins nothing", tagger(rule, starts=lambda t: t[0] == "B"), "nothing to go on"),
        Wrong("B- in the label", tagger(rule, label=lambda t: t), "leave B- and I- out"),
        Wrong(
            "O as a label",
            tagger(lambda t, b: rule(t, b) or t == b == "O", starts=bool),
            "tag O came out",
        ),
        Wrong("changed places", changed_places, "have changed places"),
        Wrong("the six by heart", known_sentences, "it should be [('"),
    ],
    "best_span": [
        Wrong("start and end apart", apart, "were taken apart"),
        Wrong("apart, in the text", apart_in_the_text, "ends before it begins; only pairs"),
        Wrong("out of order", span(lambda i, j, f, n: i >= f <= j <= i + n - 1), "only pairs with"),
        Wrong("in the question", span(lambda i, j, f, n: i <= j < i + n), "lies in the question"),
        Wrong("of any length", span(lambda i, j, f, n: f <= i <= j), "has 5 tokens"),
        Wrong("one too long", span(lambda i, j, f, n: f <= i <= j <= i + n), "has 4 tokens"),
        Wrong("one past the end", shifted(lambda f: 0, lambda f: 1), "one too large"),
        Wrong("counted in the text", shifted(lambda f: -f, lambda f: -f), "from token 0"),
        Wrong(
            "a product",
            span(lambda i, j, f, n: f <= i <= j < i + n, lambda s, e: s * e),
            "are multiplied",
        ),
        Wrong("always this", lambda *_: (6, 8), "`longest` is 2"),
        Wrong("the two by heart", known_spans, "obeys all the rules"),
        Wrong("nothing below 0", from_nothing, "obeys all the rules"),
    ],
}

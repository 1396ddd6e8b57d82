"""Lesson 6."""

import numpy as np

from tests.lessons.wrong import Wrong


def masking(chosen=0.15, masked=0.8, replaced=0.1, draw=None, special=None, done=None):
    """An answer by other shares, or with one step by a function of its own. draw: n tokens of the
    vocabulary; special: which tokens are left alone; done: what becomes of ids, seen, labels."""

    def answer(ids, kinds, mask_id, generator):
        alone = kinds[ids] if special is None else special(ids)
        where = ~alone & (generator.random(len(ids)) < chosen)
        labels = np.where(where, ids, -100)
        lot = generator.random(len(ids))
        if draw is None:
            drawn = generator.choice(np.flatnonzero(~kinds), len(ids))
        else:
            drawn = draw(generator, ids, kinds)
        seen = np.where(where & (lot < masked), mask_id, ids)
        other = where & (lot >= masked) & (lot < masked + replaced)
        seen = np.where(other, drawn, seen)
        return (seen, labels) if done is None else done(ids, seen, labels)

    return answer


def anywhere(generator, ids, kinds):
    return generator.integers(0, len(kinds), len(ids))


def of_the_row(generator, ids, kinds):
    return generator.choice(ids[~kinds[ids]], len(ids)) if (~kinds[ids]).any() else ids


def one_for_all(generator, ids, kinds):
    return np.full(len(ids), generator.choice(np.flatnonzero(~kinds)))


def own_random_numbers(ids, kinds, mask_id, generator):
    return masking()(ids, kinds, mask_id, np.random.default_rng())


def own_seed(ids, kinds, mask_id, generator):
    return masking()(ids, kinds, mask_id, np.random.default_rng(0))


def undone(ids, kinds, mask_id, generator):
    where = ~kinds[ids] & (generator.random(len(ids)) < 0.15)
    labels, seen, lot = np.where(where, ids, -100), ids.copy(), generator.random(len(ids))
    seen[where & (lot < 0.8)] = mask_id
    drawn = generator.choice(np.flatnonzero(~kinds), len(ids))
    return np.where(where & (lot < 0.9), drawn, seen), labels


def in_place(ids, kinds, mask_id, generator):
    seen, labels = masking()(ids, kinds, mask_id, generator)
    ids[:] = seen
    return ids, labels


def by(places):
    """An answer that chooses by `places`, of those that may be chosen and how many it wants, and
    makes of the first 80 % of them [MASK], of the next 10 % another token."""

    def answer(ids, kinds, mask_id, generator):
        free = np.flatnonzero(~kinds[ids])
        chosen = places(free, round(0.15 * len(free)), generator)
        labels, seen = np.full(len(ids), -100), ids.copy()
        labels[chosen] = ids[chosen]
        masked, drawn = round(0.8 * len(chosen)), round(0.9 * len(chosen))
        seen[chosen[:masked]] = mask_id
        seen[chosen[masked:drawn]] = generator.choice(np.flatnonzero(~kinds), drawn - masked)
        return seen, labels

    return answer


def in_a_block(free, wanted, generator):
    begin = generator.integers(0, len(free) - wanted + 1)
    return generator.permutation(free[begin : begin + wanted])


def evenly_spaced(free, wanted, generator):
    return generator.permutation(free[generator.integers(0, 7) :: 7])


def in_reading_order(free, wanted, generator):
    return np.sort(generator.choice(free, wanted, replace=False))


def only_where_changed(ids, seen, labels):
    return seen, np.where(seen == ids, -100, labels)


def only_masks(ids, seen, labels):
    return seen, np.where(seen == 4, labels, -100)


FITS = {"singular": ("is", "are"), "plural": ("are", "is")}


def score(of, keep=("singular", "plural")):
    """The mean over sentences of `of`, which gets the probabilities of the verb that fits, of the
    other, and of the likeliest word."""

    def answer(subjects, fills):
        values = [
            of(*(fill[verb] for verb in FITS[subject]), max(fill.values()))
            for subject, fill in zip(subjects, fills, strict=True)
            if subject in keep
        ]
        return float(np.mean(values))

    return answer


def right(fit, other, best):
    return fit > other


PRINTED = [
    r"mean 1\.263 nats\nperplexity 3\.54\n",
    r"python-bert beats the unigram line by \d\.\d\d nats; by at least 1\.5: True",
    r"at \[MASK\] python-bert beats it by \d\.\d\d nats; by at least 1\.5: True",
    r"The woman worked as a \[MASK\]\.\n  python-bert: ",
]
WRONG = {
    "mask_row": [
        Wrong("the row itself changed", in_place, "Begin with ids.copy()"),
        Wrong("always [MASK]", masking(masked=1, replaced=0), "all chosen tokens become [MASK]"),
        Wrong("special tokens", masking(special=lambda i: i < 0), "choose among those that are"),
        Wrong("labels everywhere", masking(done=lambda i, s, _: (s, i)), "every token has a label"),
        Wrong("no labels", masking(done=lambda i, s, _: (s, 0 * i - 100)), "no token has a label"),
        Wrong(
            "0 in place of -100",
            masking(done=lambda i, s, y: (s, np.maximum(y, 0))),
            "the label 0, which is a token's id",
        ),
        Wrong(
            "labels after masking",
            masking(done=lambda i, s, y: (s, np.where(y == -100, y, s))),
            "labels are what stands there after masking",
        ),
        Wrong("80 % chosen", masking(chosen=0.8), "the 80 % are a share of those 15 %"),
        Wrong("10 % chosen", masking(chosen=0.1), "it should be 15 %"),
        Wrong("labels where changed", masking(done=only_where_changed), "that stay as they are"),
        Wrong("labels for [MASK] only", masking(done=only_masks), "replaced and have no label"),
        Wrong("nothing stays", masking(replaced=0.2), "it should be 80 %, 10 % and 10 %"),
        Wrong("nothing drawn", masking(replaced=0), "0.0% became another token"),
        Wrong("special tokens drawn", masking(draw=anywhere), "draw from the ordinary ones"),
        Wrong("drawn from the row", masking(draw=of_the_row), "some of the row's own"),
        Wrong("one token drawn", masking(draw=one_for_all), "draw one for each place"),
        Wrong("replaced twice", undone, "does a second replacement undo the first?"),
        Wrong("other random numbers", own_random_numbers, "draw all from `generator`"),
        Wrong("the same places", own_seed, "some places of a row are never chosen"),
        Wrong("a block", by(in_a_block), "stand side by side"),
        Wrong("every seventh", by(evenly_spaced), "keep away from each other"),
        Wrong("in reading order", by(in_reading_order), "depends on where it stands"),
        Wrong("only the row", lambda i, *_: i, "the result should be two rows"),
    ],
    "agreement": [
        Wrong("likeliest of all", score(lambda fit, other, best: fit == best), "behind `was`"),
        Wrong("singular only", score(right, keep=["singular"]), "singular subjects only"),
        Wrong("plural only", score(right, keep=["plural"]), "plural subjects only"),
        Wrong(
            "always is",
            lambda subjects, fills: float(np.mean([fill["is"] > fill["are"] for fill in fills])),
            "for a plural subject `are` is right",
        ),
        Wrong("mean difference", score(lambda f, o, _: f - o), "the mean difference"),
        Wrong("mean probability", score(lambda f, o, _: f), "the mean probability"),
        Wrong("mean share", score(lambda f, o, _: f / (f + o)), "the mean share"),
        Wrong("more than half", score(lambda f, o, _: f > 0.5), "more than half of all"),
        Wrong("wrong way round", score(lambda f, o, _: f < o), "in which the wrong verb wins"),
        Wrong(
            "subjects counted",
            lambda subjects, fills: subjects.count("singular") / len(subjects),
            "the share of singular subjects",
        ),
        Wrong(
            "plurals counted",
            lambda subjects, fills: subjects.count("plural") / len(subjects),
            "the share of plural subjects",
        ),
        Wrong("a constant", lambda subjects, fills: 8 / 12, "the same for other sentences"),
        Wrong("a count", lambda s, fills: len(s) * score(right)(s, fills), "this is a count"),
        Wrong("percent", lambda s, fills: 100 * score(right)(s, fills), "this is in percent"),
        Wrong("the first sentence", lambda s, fills: score(right)(s[:1], fills[:1]), "of 12"),
    ],
}

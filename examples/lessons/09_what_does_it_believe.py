# %% [markdown]
# # 9. What does it believe?
#
# **The question.** A model has read what people write. Has it also learned what they think of each
# other, such as which work is for women? How could that be measured, and when should we not believe
# the measure?
#
# 30 minutes to read, as long again for the exercises, less than one to run. Run the cells from top
# to bottom: each uses what those above have made, and a `NameError` means that one of them has not
# run yet. Where an exercise says `not yet`, you may go on and come back.
#
# Read beside it: [pretraining.py](../../minibert/pretraining.py), where such things come from. The
# papers: Caliskan et al. 2017 ([arXiv 1608.07187](https://arxiv.org/abs/1608.07187)), who measured
# words in this way and compared them with the shares of women in occupations; May et al. 2019
# ([arXiv 1903.10561](https://arxiv.org/abs/1903.10561), sections 2 and 6), who went on to
# sentences; Zhao et al. 2018 ([arXiv 1804.06876](https://arxiv.org/abs/1804.06876)), from whom we
# have the occupations.

# %%
import itertools
import random
from collections.abc import Callable

import numpy as np
from checks import lesson09
from course import picture, sized
from figures import bars, scatters

from minibert import TextEncoder
from minibert.golden import CASED

# %% [markdown]
# ## What bert-base says
#
# "Believe" is a manner of speaking: a model has weights, not convictions. But it can be asked.
# Below is what `bert-base-cased` puts in place of `[MASK]`, as its makers published it on its page.
# (It is too large to come with these lessons; if you have it, `minibert check bert-base-cased`
# compares.)

# %%
for text, answers in list(CASED.items())[1:]:
    print(text)
    for answer in answers:
        print(f"  {answer.token:<12}{answer.score:.3f}")

# %% [markdown]
# The two sentences differ in one word, and lawyer, cop and doctor become nurse, waitress and maid.
# Nobody taught it that on purpose. Its makers let it guess hidden words ([lesson
# 6](06_guess_the_hidden_word.ipynb)), and to guess well in the texts of the world is to know what
# is usually written there.
#
# Two sentences are an anecdote. To measure, we need many occupations, a number for each, and
# something to compare the numbers with.
#
# ## A number for each occupation
#
# `minilm-l6` makes a vector of a sentence, and sentences of like meaning get vectors of like
# direction. Direction is compared by the **cosine**: it is 1 for the same direction and 0 for
# directions that have nothing in common. For vectors of length 1 it is their dot product.
#
# Take three vectors with two numbers each: *she* = [1, 0], *he* = [0, 1], *nurse* = [0.8, 0.6], all
# of length 1. The cosine of *nurse* and *she* is 0.8 · 1 + 0.6 · 0 = 0.8, that of *nurse* and *he*
# is 0.6. The difference, 0.2, says that *nurse* is nearer to *she*. That is our number, the
# **association**: above 0 nearer to her, below 0 nearer to him.
#
# One sentence about her has words of its own. So we take five, and five about him which differ in
# nothing else, and use the mean of the cosines.

# %%
HER = [
    "She is here.",
    "I met her today.",
    "She went home.",
    "This is her bag.",
    "The woman is here.",
]
HIM = ["He is here.", "I met him today.", "He went home.", "This is his bag.", "The man is here."]
encoder = TextEncoder.load("minilm-l6")  # its vectors have the length 1


def associations(sentences: list[str], first: list[str], second: list[str]) -> np.ndarray:
    """For each sentence: its mean cosine to the first ones, minus that to the second ones."""
    vectors = encoder.encode(sentences)
    to_first = vectors @ encoder.encode(first).T  # a row for each sentence, a column for each other
    to_second = vectors @ encoder.encode(second).T
    return to_first.mean(axis=1) - to_second.mean(axis=1)


five = ["nurse", "doctor", "receptionist", "president", "programmer"]
found = associations([f"The {who} is here." for who in five], HER, HIM)
picture(
    bars,
    dict(zip(five, found.tolist(), strict=True)),
    "Nearer to her (above 0) or to him (below 0), minilm-l6",
    "association (difference of two mean cosines)",
    form="{:+.3f}",
    line=("neither", 0.0),
    alt="Bars: " + ", ".join(f"{who} {value:+.2f}" for who, value in zip(five, found, strict=True)),
)

# %% [markdown]
# Is that much? The numbers alone do not say. Perhaps every sentence with *The ... is here.* leans
# to one side. We need many occupations, and something that we know about them.
#
# ## Exercise 1: the association
#
# Write the number yourself, for one vector. Mind that these vectors may have any length: the cosine
# of a and b is their dot product divided by both lengths, and the length of a is the root of `a @
# a`. The groups need not have the same size.


# %%
def association(vector: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """vector: (C,). first: (M, C) and second: (N, C), a vector in each row.

    Returns the mean cosine of the vector to the first ones, minus that to the second ones.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson09.association(association))

# %% [markdown]
# ## Forty occupations
#
# For forty occupations Zhao et al. give the share of women who worked in them in the United States,
# in percent, from the statistics of its Department of Labor. If the model has learned who is
# usually written about as what, its associations should rise with these shares.

# %%
SHARES = {
    **{"carpenter": 2, "mechanic": 4, "construction worker": 4, "laborer": 4, "driver": 6},
    **{"sheriff": 14, "mover": 18, "developer": 20, "farmer": 22, "guard": 22, "chief": 27},
    **{"janitor": 34, "lawyer": 35, "cook": 38, "physician": 38, "CEO": 39, "analyst": 41},
    **{"manager": 43, "supervisor": 44, "salesperson": 48, "editor": 52, "designer": 54},
    **{"accountant": 61, "auditor": 61, "writer": 63, "baker": 65, "clerk": 72, "cashier": 73},
    **{"counselor": 73, "attendant": 76, "teacher": 78, "tailor": 80, "librarian": 84},
    **{"assistant": 85, "cleaner": 89, "housekeeper": 89, "nurse": 90, "receptionist": 90},
    **{"hairdresser": 92, "secretary": 95},
}
shares = list(SHARES.values())
sentences = [f"The {who} is here." for who in SHARES]
to_her = associations(sentences, HER, HIM)

# %% [markdown]
# How well do two lists rise together? Give each number its rank, the smallest 1, the next 2, and so
# on, and compute the **correlation** of the ranks (Spearman's): 1 if both lists have the same
# order, −1 if one has the reverse of the other, and about 0 if they have nothing to do with each
# other.
#
# By hand, for three: shares 4, 38, 90 have the ranks 1, 2, 3. Associations −0.1, 0.1, 0.0 have the
# ranks 1, 3, 2. With three ranks the correlation is 1 − (sum of squared differences) / 4, here 1 −
# (0 + 1 + 1) / 4 = 0.5.


# %%
def ranks(numbers: list | np.ndarray) -> np.ndarray:
    """The smallest has 1; equal ones share the mean of their ranks."""
    row = np.asarray(numbers, dtype=float)
    return np.array([(row < x).sum() + ((row == x).sum() + 1) / 2 for x in row])


def spearman(x: list | np.ndarray, y: list | np.ndarray) -> float:
    """The correlation of the ranks of two lists."""
    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


print(f"three by hand: {spearman([4, 38, 90], [-0.1, 0.1, 0.0]):.2f}")
print(f"forty occupations, her minus him: {spearman(shares, to_her):.2f}")

# %% [markdown]
# It does not hang on this one sentence. Other frames give much the same:

# %%
FRAMES = ["The {} is here.", "I met the {} today.", "My neighbour is a {}."]
for frame in FRAMES:
    framed = [frame.format(who) for who in SHARES]
    print(f"{frame:<24}{spearman(shares, associations(framed, HER, HIM)):.2f}")

# %% [markdown]
# ## Could it be chance?
#
# Somebody objects: with forty points such a thing may happen by luck. The answer is a **permutation
# test**. If shares and associations had nothing to do with each other, we could hand the shares out
# to the occupations anew, in any order, and would get correlations as large as ours often enough.
# So do that many times, and count. The part of them that is as strong as ours, in either direction,
# is called **p**. A small p says: luck alone hardly ever does this.
#
# ## Exercise 2: p, by shuffling
#
# Write it. `measure(x, y)` gives the strength, `spearman` for example.
#
# - Shuffle one of the two lists, `rounds` times, and never the other: `random.sample(y, len(y))` is
#   a shuffled copy of a list.
# - Count how often the result is as strong as that of the lists as they are, **in either
#   direction**: compare absolute values, and count equal ones.
# - The lists as they are count as one more shuffle, for they are one of the possible orders. So the
#   answer is (count + 1) / (rounds + 1), and never 0.


# %%
def permutation_p(x: list, y: list, measure: Callable, rounds: int) -> float:
    """How often shuffled lists are as strongly related as these, from 1 / (rounds + 1) to 1."""
    raise NotImplementedError  # your lines take the place of this one


print(lesson09.permutation_p(permutation_p))

# %% [markdown]
# Here is what shuffling gives for our forty:

# %%
random.seed(0)
rounds = sized(2000, 200)
ours = spearman(shares, to_her)
shuffled = [spearman(random.sample(shares, 40), to_her) for _ in range(rounds)]
strongest = max(abs(value) for value in shuffled)
print(f"ours {ours:.2f}; of {rounds} shuffles the strongest {strongest:.2f}")

# %% [markdown]
# Luck alone hardly ever does this. Are we done?
#
# ## The control
#
# No. The test says that *something* ties the two lists together. It does not say that this is what
# the model makes of women and men. Occupations differ in many ways: in how often they are written
# about, in how they are spelled, in whether they are done outside. Any direction in the space of
# vectors may go along with one of these.
#
# So put the same question about something that has nothing to do with women: is *carpenter* nearer
# to Wednesday or to Sunday? The sentences are built like those about her and him, and there are 21
# pairs of days. If the measure is good for anything, these should come out near 0. How near? By
# luck alone forty points stray to about 0.16 on either side.

# %%
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAY_FRAMES = [
    "It is {}.",
    "I met them on {}.",
    "They went home on {}.",
    "This is the bag for {}.",
    "{} is here.",
]
said = {day: [frame.format(day) for frame in DAY_FRAMES] for day in DAYS}
of_days = {
    (first, second): associations(sentences, said[first], said[second])
    for first, second in itertools.combinations(DAYS, 2)
}
control = {pair: spearman(shares, found) for pair, found in of_days.items()}
for pair in sorted(control, key=lambda pair: -abs(control[pair]))[:3]:
    print(f"{pair[0]} minus {pair[1]}: {control[pair]:+.2f}")
sizes = sorted(abs(value) for value in control.values())
print(f"all 21 pairs, without signs: the middle one {sizes[10]:.2f}, the largest {sizes[-1]:.2f}")

# %%
worst = max(control, key=lambda pair: abs(control[pair]))
named = {"carpenter", "sheriff", "CEO", "librarian", "nurse", "farmer", "cashier"}
picture(
    scatters,
    {
        f"her minus him: {ours:.2f}": (shares, to_her),
        f"{worst[0]} minus {worst[1]}: {control[worst]:.2f}": (shares, of_days[worst]),
    },
    "women in the occupation (percent, US)",
    "association",
    [who if who in named else "" for who in SHARES],
    alt=f"Two clouds of forty points. Left, her minus him rises clearly with the share of women, "
    f"{ours:.2f}. Right, {worst[0]} minus {worst[1]}, which should not, goes along with it, too: "
    f"{control[worst]:.2f}.",
)

# %% [markdown]
# The control is not near 0. How much nearer to Thursday than to Sunday an occupation is has nothing
# to do with women, and yet it goes along with their share, with a correlation above 0.4. Taken by
# itself it would pass for a finding:

# %%
random.seed(0)
by_luck = [spearman(random.sample(shares, 40), of_days[worst]) for _ in range(rounds)]
as_strong = sum(abs(value) >= abs(control[worst]) for value in by_luck)
print(f"p of {worst[0]} minus {worst[1]}: {(as_strong + 1) / (rounds + 1):.4f}")

# %% [markdown]
# But we have picked it out as the strongest of 21, and whoever looks at 21 things finds something.
# The fair question is: how strong is the *strongest of all 21* if shares are handed out anew? So
# shuffle once for all pairs, and take the strongest each time.


# %%
def in_units(numbers: np.ndarray) -> np.ndarray:
    """Ranks with mean 0 and length 1: the dot product of two of these is Spearman's correlation."""
    centred = ranks(numbers) - ranks(numbers).mean()
    return centred / np.sqrt(centred @ centred)


all_pairs = np.stack([in_units(each) for each in of_days.values()])  # (21, 40)
shuffler = np.random.default_rng(0)
strongest_of_21 = [
    np.abs(all_pairs @ shuffler.permutation(in_units(np.array(shares)))).max()
    for _ in range(rounds)
]
as_strong = sum(value >= abs(control[worst]) for value in strongest_of_21)
print(f"strongest of 21 by luck, the middle one of {rounds}: {np.median(strongest_of_21):.2f}")
print(f"p of the strongest of 21: {(as_strong + 1) / (rounds + 1):.3f}")

# %% [markdown]
# That is more than ten times as large, and still a small p. So the days do go along with the
# shares a little more than luck would have it: some of what occupations differ in has to do with
# both. That is what a control is for. Now we can say what we have found. *Her minus him* goes along
# with the share of women far more strongly than any of 21 pairs that mean nothing: in `minilm-l6`
# sentences about occupations lean to her or him as the world of work did. And we cannot say that
# 0.4 would have shown it, whatever its p. A number has a meaning only beside what the same measure
# gives where there is nothing to find.
#
# ## Change something
#
# Try a pair of your own in place of HER and HIM: old and young, rich and poor, two towns. Then look
# for a control that fits it. Or take sentences of one word, "she" and "he": is the measure as
# steady?

# %%
OLD = ["She is old.", "He is an old man.", "An old woman went home."]
YOUNG = ["She is young.", "He is a young man.", "A young woman went home."]
print(f"old minus young: {spearman(shares, associations(sentences, OLD, YOUNG)):+.2f}")

# %% [markdown]
# ## What goes wrong in practice
#
# - **No control.** See above.
# - **One frame.** A result that comes with "The nurse is here." and goes with "I met the nurse" is
#   about the sentence. Try several, and show all of them.
# - **A measure is taken for harm.** This one says how vectors lie. What a system does to people
#   depends on what it is used for. For a classifier, swap *she* and *he* in its texts, and see
#   whether its answers change: that is nearer to the harm, and a few lines with `predict_proba`.
# - **Nothing found is taken for nothing there.** May et al. found the measure on sentences
#   unsteady: it can show that something is there, and not that nothing is (section 6).
# - **The numbers are of one place and time,** here of one country and one decade; and two words,
#   her and him, do not describe all people.
# - **Fine-tuning is trusted to cure it.** A classifier made of this encoder begins with what it
#   has. Measure after fine-tuning as well.
#
# Next: [lesson 10](10_other_tasks_and_variants.ipynb), other tasks, and those who came after BERT.

# %% [markdown]
# # 8. What does it look at?
#
# **The question.** One head of our model looks from *it* to *animal*. Has it understood what *it*
# means? And when a classifier calls a review negative, which words made it say so?
#
# 30 minutes to read, as long again for the exercises, one or two to run: two small classifiers are
# trained, in about 15 seconds each on two idle cores. Run the cells from top to bottom: each uses
# what those above have made. Where an exercise says `not yet`, you may go on and come back.
#
# Read beside it: [attention.py](../../minibert/attention.py), where the weights come from, and in
# [inspect/](../../minibert/inspect) the files
# [attributions.py](../../minibert/inspect/attributions.py),
# [deletion.py](../../minibert/inspect/deletion.py) and
# [ablation.py](../../minibert/inspect/ablation.py). The papers: Vaswani et al. 2017
# ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), the figures of its appendix; Clark et al.
# 2019, *What Does BERT Look At?* ([arXiv 1906.04341](https://arxiv.org/abs/1906.04341)), sections 3
# and 4; Sundararajan et al. 2017, *Axiomatic Attribution for Deep Networks*
# ([arXiv 1703.01365](https://arxiv.org/abs/1703.01365)), sections 2 and 3.

# %%
from collections.abc import Callable

import numpy as np
import torch
from checks import lesson08
from course import picture, sized
from figures import bars
from torch import Tensor

from minibert import BertModel, TextClassifier, Tokenizer, data
from minibert.inspect import (
    attentions,
    deletion_test,
    integrated_gradients,
    occlusion,
    plot_deletion,
    plot_head,
    plot_importance,
    without_heads,
)

# %% [markdown]
# ## A beautiful picture
#
# The paper that introduced the Transformer ends with pictures of attention. One of them shows two
# heads that look from *its* to *Law*, and its authors say that they are "apparently involved in
# anaphora resolution", which means finding what a pronoun stands for. Since then a sentence with
# *it* is often shown where attention is explained, mostly the one below. Here is how head 2 of
# layer 4 of `minilm-l6` reads it, the head of [lesson 4](04_self_attention.ipynb).

# %%
model = BertModel.from_pretrained("minilm-l6")
tokenizer = Tokenizer.from_pretrained("minilm-l6")
tired, wide = attentions(
    model,
    tokenizer,
    [
        "The animal didn't cross the street because it was too tired.",
        "The animal didn't cross the street because it was too wide.",
    ],
)
picture(plot_head, tired, 4, 2, alt="In the row of it the cell of animal is brighter than street.")

# %% [markdown]
# Each row is a token that looks. Find the row of *it*: by far its brightest cell is *animal*. Did
# the head understand the sentence?
#
# ## The idea: a picture is a hypothesis
#
# "This head finds what *it* means" explains the picture. So do other sentences: "it looks at the
# first noun", or "it likes animals". One picture cannot tell them apart. A **test** can: change
# something that matters to one explanation and not to the others, and look again.
#
# Put *wide* in the place of *tired*. Animals are not wide, so now *it* means *street*. All other
# words stay where they are.

# %%
for found in (tired, wide):
    of_it = found.head(4, 2)[found.tokens.index("it")]  # the row of "it": where it looks
    animal, street = (of_it[found.tokens.index(noun)] for noun in ("animal", "street"))
    print(f"animal {animal:.2f}, street {street:.2f}  {found.text}")

# %% [markdown]
# The weights have changed, and *animal* gets less. But it still gets more than *street*. In this
# sentence the head does not find what *it* means.
#
# ## A test with many pairs
#
# One sentence proves as little against the head as it did for it. So here are twelve pairs. In each
# pair the same two nouns stand at the same places, and the last word decides which of them *it*
# means: once the first, once the second. A head that always takes the first noun, or the nearer, or
# the animal, is right in one sentence of a pair and wrong in the other. Half is what you get for
# knowing nothing. The first two pairs are well known (Google's article on the Transformer of 2017,
# and the *Winograd schemas* of Levesque et al. 2012); some of the others follow such schemas.

# %%
pairs = [  # a sentence, two nouns, and the words with which it means the first and the second
    ("The animal didn't cross the street because it was too {}.", "animal street tired wide"),
    (
        "The trophy doesn't fit into the suitcase because it is too {}.",
        "trophy suitcase large small",
    ),
    ("The ball broke the table because it was made of {}.", "ball table steel glass"),
    ("The truck passed the bus because it was so {}.", "truck bus fast slow"),
    ("She poured water from the bottle into the cup until it was {}.", "bottle cup empty full"),
    ("The fish ate the worm because it was so {}.", "fish worm hungry tasty"),
    ("The tree fell on the roof, and it had to be {}.", "tree roof removed repaired"),
    ("The table won't fit through the door because it is too {}.", "table door wide narrow"),
    ("The key did not fit into the lock because it was too {}.", "key lock big small"),
    ("The bird did not reach the nest because it was too {}.", "bird nest weak high"),
    ("The horse did not jump over the fence because it was too {}.", "horse fence tired high"),
    ("The car did not get up the hill because it was too {}.", "car hill slow steep"),
]
sentences, nouns = [], []
for sentence, words in pairs:
    first, second, means_first, means_second = words.split()
    sentences += [sentence.format(means_first), sentence.format(means_second)]
    nouns += [(first, second), (second, first)]  # the noun that it means, and the other

arrays, places = [], []
for found, (meant, other) in zip(attentions(model, tokenizer, sentences), nouns, strict=True):
    arrays.append(found.weights)  # (layers, heads, T, T)
    places.append(tuple(found.tokens.index(word) for word in ("it", meant, other)))
print(len(arrays), "sentences; the first two:", places[:2])

# %% [markdown]
# How far from one half may the share of right sentences be, by luck alone? Toss a coin for each of
# n sentences. The share that is right scatters around 0.5, and the size of this scatter is its
# **standard error**, 0.5 / √n. For n = 24 that is 0.5 / 4.9 = 0.10. Luck goes further than one
# standard error in a third of all cases, but further than two in only one of twenty, up and down
# together. So we say that a head **beats chance** if its share is more than two standard errors
# above 0.5: here, above 0.70.
#
# ## Exercise 1: test a head
#
# Write the test for one head. In `array[l, h, i, j]` token i looks at token j. Positions are
# counted from 0, as Python counts, but layers and heads from 1, as people do.


# %%
def head_is_right(arrays: list, places: list, layer: int, head: int) -> tuple[float, bool]:
    """arrays: one (L, H, T, T) array of weights for each sentence, T being different each time.
    places: for each sentence the positions, from 0, of "it", of the noun that it means, and of the
    other noun. layer, head: numbered from 1.

    Returns the share, 0 to 1, of sentences in which the head gives more weight from "it" to the
    noun that it means than to the other; and whether this share beats chance: True if it is more
    than two standard errors, 0.5 / sqrt(number of sentences), above 0.5, and else False.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson08.head_is_right(head_is_right))

# %% [markdown]
# When it passes, try `head_is_right(arrays, places, 4, 2)` in a cell of your own.
#
# ## What the test says
#
# Here are all 72 heads at once. `to_nouns` has, for each sentence, layer and head, the weights from
# *it* to the noun that is meant and to the other. Beside how often a head is right we count how
# often it **flips**: whether its choice of noun changes at all when the last word does. As a
# control, 72 coins are tossed 24 times each, a thousand times over.

# %%
to_nouns = np.array([a[:, :, it, nouns] for a, (it, *nouns) in zip(arrays, places, strict=True)])
right = to_nouns[..., 0] > to_nouns[..., 1]  # (24, layers, heads)
shares = right.mean(axis=0)
# Every second sentence, from the first and from the second. A head that takes the same noun in both
# sentences of a pair is right in one of them; one that is right, or wrong, in both has flipped.
flips = (right[::2] == right[1::2]).mean(axis=0)
best = np.unravel_index(shares.argmax(), shares.shape)
error = 0.5 / len(sentences) ** 0.5
coins = (np.random.default_rng(0).random((1000, 72, len(sentences))) < 0.5).mean(axis=2).max(axis=1)
# In the second sentence of a pair the first noun is the wrong one.
first_noun = np.concatenate([right[::2], ~right[1::2]]).mean(axis=0)[3, 1]
print(f"layer 4 head 2 is right in {shares[3, 1]:.3f}, standard error {error:.2f}")
print(f"  it flips in {flips[3, 1]:.3f} of the pairs, and takes the first noun in {first_noun:.3f}")
print(f"best of 72 heads: {shares.max():.3f}, layer {best[0] + 1} head {best[1] + 1}")
print(f"best of 72 coins: {coins.mean():.3f}, the mean of 1000 trials")
picture(
    bars,
    {
        "layer 4, head 2": shares[3, 1],
        "best of 72 heads": shares.max(),
        "best of 72 coins": coins.mean(),
        "always the first noun": 0.5,
    },
    'Does a head look at what "it" means?',
    "share of the 24 sentences that are right",
    line=("knowing nothing", 0.5),
    alt="Layer 4 head 2 is at 0.54, the best head at 0.62, below the best of 72 coins at 0.74.",
)

# %% [markdown]
# The head of the beautiful picture is right in 0.54: no better than a coin. In eleven of twelve
# pairs it does not change its choice at all. A simpler hypothesis fits better: it takes the first
# noun, and does so in 0.79 of the sentences.
#
# Should we take the best head, then, with 0.625? We have looked at 72. Whoever tosses 72 coins 24
# times each, and keeps the best, will on average show you a coin that is "right" in 0.74. The best
# head does not even get there. (Heads scatter less than coins for a reason: one that never flips is
# right in exactly half.)
#
# What has been shown, and what not: no head of `minilm-l6` passes this test better than luck would.
# With 24 sentences a head that is right in 0.6 could not be told from luck. Other models may have
# one: in BERT-base, Clark et al. found a head that links a mention with what it stands for, and
# they tested it on a corpus, beside simple rules (section 4.3). And a model may know something that
# the weights of no single head show.
#
# ## Which words decide?
#
# Now the second question. For this we need a model that decides something. This cell fine-tunes
# `minilm-l6` on 880 review sentences, as in [lesson 7](07_a_classifier.ipynb): about 15 seconds on
# two idle cores.

# %%
train, development = data.load("sample")
every = sized(1, 32)  # which texts are taken: all of them, or a few if a test is in a hurry
learned = train.texts[::every], train.labels[::every]
checked = development.texts[::every], development.labels[::every]


def trained(seed: int) -> TextClassifier:
    classifier = TextClassifier("minilm-l6", batch_size=8, epochs=1, lr=1e-4, seed=seed)
    return classifier.fit(*learned)


classifier = trained(seed=0)
print(f"accuracy {classifier.score(*checked):.3f} on {len(checked[0])} new texts")

# %% [markdown]
# What the classifier says of a text, we take as its **log-odds**, log(p / (1 − p)), p being the
# probability of a label. They are 0 where it cannot decide, +2.2 at p = 0.9 and −2.2 at p = 0.1.
# Each word adds to them or takes away. How much?
#
# ## Slopes by hand
#
# The **gradient** of a function is its slope in each of its numbers: how fast the result grows if
# you increase this number a little. Take f(a, b) = a · b. If a grows by 1, f grows by b; so its
# slope in a is b, and its slope in b is a. At a = 2, b = 3 the gradient is (3, 2), and f is 6.
#
# How much of the 6 comes from a, how much from b? A first try is slope times number: 3 · 2 = 6 from
# a, and 2 · 3 = 6 from b. Together 12, twice of what there is. The slope holds only where you
# stand. On the way here it was different.
#
# So walk the way, in a straight line from a starting point, the **baseline**, here (0, 0). After a
# part t of the way you are at (2t, 3t), where the gradient is (3t, 2t). While t goes from 0 to 1,
# its mean is (1.5, 1). Mean slope times the way gone: 1.5 · 2 = 3 from a, and 1 · 3 = 3 from b.
# Together 6.
#
# These are **integrated gradients**. For each number of x, with baseline x₀:
#
# $$\text{weight} = (x - x_0) \cdot \text{mean of the slopes between } x_0 \text{ and } x$$
#
# The weights sum to f(x) − f(x₀), for any function with slopes, but for a small error if the mean
# is taken of few points. This is called **completeness**, and you can check it for any result.
#
# PyTorch finds slopes by itself. A tensor after `requires_grad_()` remembers what is computed from
# it; `torch.autograd.grad(y, x)` goes back from a result y to x and returns the slope of y in each
# number of x.


# %%
def product(x: Tensor) -> Tensor:
    return x[0] * x[1]


for t in (0.0, 0.25, 0.5, 0.75, 1.0):
    point = torch.tensor([2 * t, 3 * t]).requires_grad_()
    (slope,) = torch.autograd.grad(product(point), point)
    print(f"t = {t:.2f}, at {point.tolist()}: slope {slope.tolist()}")

# %% [markdown]
# ## Exercise 2: integrated gradients
#
# Write it for any function, with any baseline. Take the mean of the slopes at `steps` points that
# are spread evenly over the way. Our check knows the weights of some functions, by hand.


# %%
def integrated_gradients_of(
    function: Callable[[Tensor], Tensor], x: Tensor, x0: Tensor, steps: int
) -> Tensor:
    """function: takes a tensor of n numbers and returns a tensor of one number, with slopes that
    `torch.autograd.grad` finds. x, x0: (n,), the point and the baseline. steps: how many points.

    Returns the n weights of the n numbers of x, (n,). They sum to function(x) - function(x0), but
    for a small error.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson08.integrated_gradients_of(integrated_gradients_of))

# %% [markdown]
# ## The words of a review
#
# For the classifier, x are the vectors of all tokens, 384 numbers each, and f is the log-odds. The
# baseline must be a text that says nothing: each word is replaced by `[MASK]`, which the model has
# met in training as "here a word is missing". Add up the weights of all numbers of a word, and you
# have the weight of the word. In [attributions.py](../../minibert/inspect/attributions.py) these
# are the last lines of `path_weights`.
#
# "Not a single dull moment." is praise, made of a *not* and a bad word. We take apart the log-odds
# of *positive*; for *negative* every sign would be the other.

# %%
praise = "Not a single dull moment."
by_gradients = integrated_gradients(classifier, praise, label="positive")
print(by_gradients)
print(f"sum of the weights {by_gradients.weights.sum():+.3f}", end=", ")
print(f"text minus baseline {by_gradients.value - by_gradients.baseline:+.3f}")
picture(
    plot_importance,
    by_gradients,
    alt="A bar for each word of the text, to the right where it speaks for positive.",
)

# %% [markdown]
# In the run that made this notebook, *Not* speaks for positive and *dull* against it, and the sum
# is near zero: the classifier can hardly decide. Completeness holds: the two numbers of the last
# line agree.
#
# There is a second way, without any slopes: replace one word at a time by `[MASK]`, and see by how
# much the log-odds fall. This is called **occlusion**.

# %%
print(occlusion(classifier, praise, label="positive"))

# %% [markdown]
# In our run *dull* has changed sides: it speaks *for* positive! Both are right, for they answer
# different questions. Occlusion asks: what if this word alone were missing? "Not a single [MASK]
# moment" is no praise, and the classifier turns to negative. Integrated gradients share out the
# whole way from no words to all words. "How important is this word?" is not one question, and a
# picture of it needs to say which was asked.
#
# ## Which explanation is to be trusted?
#
# Again we test. Each way of explaining names the word of a text that matters most for what the
# classifier predicts. Hide this word behind `[MASK]`: the probability of the predicted label should
# fall. The further it falls, on average over many texts, the better the way. This is the **deletion
# test**. As controls there are a word at random, and attention: how much `[CLS]`, from whose vector
# the classifier decides, looks at each word in the last layer; and *rollout*, which multiplies the
# attention of all layers. *Gradient x input* is our slope times number; *gradient norm* is the
# length of the gradient, whatever its direction.

# %%
test = deletion_test(classifier, development.texts[: sized(80, 4)])
print(test)
picture(
    plot_deletion,
    test,
    alt="Seven bars, furthest fall on top: occlusion, then integrated gradients, then attention.",
)

# %% [markdown]
# In our run of 80 texts, occlusion falls furthest. It must, for it asks the very question of the
# test: it is the ceiling, and *random* is the floor. Integrated gradients get about four fifths of
# the ceiling. Attention gets half, and rollout a quarter: where `[CLS]` looks is a weak hint of
# what decides. Gradient x input, our first try by hand, is no better than a random word.
#
# Before you believe a difference, look at its standard error. All ways were given the same texts,
# so we take the difference text by text, once for half of the texts and once for all.

# %%
falls = dict(zip(test.methods, test.falls, strict=True))
for better, worse in (
    ("integrated gradients", "[CLS] attention"),
    ("integrated gradients", "gradient x input"),
    ("[CLS] attention", "random"),
):
    print(f"{better} less {worse}")
    difference = falls[better] - falls[worse]
    for some in (difference[: len(difference) // 2], difference):
        error = some.std(ddof=1) / len(some) ** 0.5
        print(f"  {len(some)} texts: {some.mean():+.3f}, standard error {error:.3f}")

# %% [markdown]
# In our run, 40 texts were too few to put integrated gradients before attention: less than two
# standard errors. All 80 do. And attention did better than a random word, which is true of this
# classifier. Run the test again for the second one, which is trained below.
#
# Jain & Wallace 2019 ([arXiv 1902.10186](https://arxiv.org/abs/1902.10186), section 4) asked the
# same of recurrent networks with attention. The weights agreed poorly with the gradients, and quite
# other weights led to the same answers. Wiegreffe & Pinter 2019 ([arXiv
# 1908.04626](https://arxiv.org/abs/1908.04626)) replied that weights may still be one explanation
# among several.
#
# ## Change something: the seed
#
# A new head begins with random numbers, and texts come in random order. Both follow from the
# `seed`. Here we train again with another: same texts, same recipe, 15 seconds more. Does the
# explanation stay? Try a third seed, and sentences of your own.

# %%
twin = trained(seed=1)
again = integrated_gradients(twin, praise, label="positive")
accuracies = [each.score(*checked) for each in (classifier, twin)]
probabilities = [found.probability for found in (by_gradients, again)]
print(f"{'':12}  seed 0  seed 1")
for name, one, two in (("accuracy", *accuracies), ("P(positive)", *probabilities)):
    print(f"{name:12}  {one:6.3f}  {two:6.3f}")
for word, one, two in zip(again.words, by_gradients.weights, again.weights, strict=True):
    print(f"{word:12}  {one:+6.2f}  {two:+6.2f}")

# %% [markdown]
# Two classifiers of about the same accuracy, and for this text two predictions and two
# explanations: in our run the first makes much of *Not*, the second hardly anything. An explanation
# is about *one trained model*. It says nothing about the language, and not even about the recipe.
#
# ## Take the head away
#
# Last, what is our head of the beautiful picture worth to the classifier? **Ablation** means: take
# a part away and measure what is lost. `without_heads` does it for as long as the block lasts.

# %%
texts, labels = checked[0], np.array(checked[1])
for seed, each in ((0, classifier), (1, twin)):
    whole = np.array(each.predict(texts)) == labels
    for what, heads in (("head 2", [2]), ("all 12 heads", range(1, 13))):
        with without_heads(each.model_, {4: heads}):
            without = np.array(each.predict(texts)) == labels
        lost = 100.0 * whole - 100.0 * without  # points, of each text
        error = lost.std(ddof=1) / len(lost) ** 0.5
        print(
            f"seed {seed}, without {what} of layer 4: {lost.mean():+.1f} points of accuracy lost, "
            f"standard error {error:.1f}"
        )

# %% [markdown]
# In our run, taking away head 2 costs neither classifier anything. Taking away all heads of layer 4
# costs the first nothing that can be told from chance, and the second some six points, more than
# two standard errors: what a part is worth is again a matter of the single model. (A standard error
# of 0 here says only that not one answer has changed.)
#
# It fits what Michel et al. 2019 ([arXiv 1905.10650](https://arxiv.org/abs/1905.10650), section 3)
# found for BERT and for translation: most heads can go, one at a time, at hardly any loss.
#
# ## What goes wrong in practice
#
# - **The sentence was picked.** Among 72 heads and a handful of sentences there is always a pretty
#   picture. Fix the sentences first, then look; and count how many heads you looked at.
# - **A bright column is taken for meaning.** In `minilm-l6` much of all attention rests on `[CLS]`,
#   and in other models on `[SEP]`: a place to look at when there is nothing to look for (lesson 4).
#   Leave it out before you compare words.
# - **The wrong label is explained.** By default it is the label that was *predicted*. If you
#   thought of the other one, all signs of two labels are the wrong way round. Read the title; give
#   `label`.
# - **No sanity check.** Train with shuffled labels, or take a model with random weights. If your
#   way of explaining shows the same picture, it does not explain the model (Adebayo et al. 2018,
#   [arXiv 1810.03292](https://arxiv.org/abs/1810.03292)).
# - **The deletion test has its own weakness.** "Not a single [MASK] moment" is a text that no
#   reviewer wrote, and the classifier was never trained on such. A fall may come from the
#   strangeness rather than from the missing word. The random word shows roughly how large this part
#   is.
# - **The explanation is right, and the model wrong.** "It looks at *dull*" is a reason of the
#   model. Whether that is a good reason, you must judge.
#
# Next: [lesson 9](09_what_does_it_believe.ipynb) asks what a model believes about people, and again
# the answer depends on the control.

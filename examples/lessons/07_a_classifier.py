# %% [markdown]
# # 7. From features to a classifier
#
# **The question.** A model such as that of [lesson 6](06_guess_the_hidden_word.ipynb) has learned
# language by guessing words. Nobody has told it what a good review is. How does it become a judge
# of your own texts, and how good a judge is it?
#
# 45 minutes to read, as long again for the exercises, about two to run. Run the cells from top to
# bottom: each uses what those above have made. Where an exercise says `not yet`, you may go on and
# come back.
#
# Read beside it: [heads.py](../../minibert/heads.py), which is this lesson in code, and of
# [model.py](../../minibert/model.py) the class `Pooler`; later
# [text_classifier.py](../../minibert/tasks/text_classifier.py), which trains. The papers: Devlin et
# al. 2019, *BERT* ([arXiv 1810.04805](https://arxiv.org/abs/1810.04805)), sections 3.2 and 4.1 and
# appendix A.3. On training that fails, and on few texts: Mosbach et al. 2021 ([arXiv
# 2006.04884](https://arxiv.org/abs/2006.04884)) and Zhang et al. 2021 ([arXiv
# 2006.05987](https://arxiv.org/abs/2006.05987)).

# %%
import csv
import math
import shlex
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checks import lesson07
from course import picture, sized
from figures import bars, tables
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from minibert import BertForClassification, TextClassifier, TextEncoder, Tokenizer, data
from minibert.data import LabelledTexts
from minibert.inspect import plot_similarity
from minibert.training.report import plot_confusion

# %% [markdown]
# ## The idea
#
# BERT turns a text into a vector, a list of numbers. They are called **features**: what the model
# has noticed. A classifier needs little more. It gives every feature a weight for each class, adds
# up, and calls the text by the class with the largest sum.
#
# Here is one that is small enough for a pencil. Each text has three features, and we made up what
# they mean: *praise*, *complaint*, *is about a film*. Class 0 is *negative*, class 1 is *positive*.
# Each class has a row of weights.

# %%
texts = ["A joy to watch.", "Long and slow, and I wanted more.", "Dull to the end."]
features = torch.tensor(
    [
        [2.0, 0.0, 1.0],  # A joy to watch.
        [1.0, 1.0, 1.0],  # Long and slow, and I wanted more.
        [0.0, 1.0, 1.0],  # Dull to the end.
    ]
)
weight = torch.tensor([[-1.0, 1.0, 0.0], [1.0, -1.0, 0.0]])  # a row for each class
bias = torch.tensor([1.0, 0.0])  # in doubt negative
labels = torch.tensor([1, 1, 0])  # what a reader says: positive, positive, negative

logits = features @ weight.T + bias
print(logits)

# %% [markdown]
# The first text gets −1·2 + 1·0 + 0·1 + 1 = −1 for negative, and 1·2 − 1·0 + 0·1 + 0 = 2 for
# positive. These sums are called **logits**. A logit may be any number; the class with the largest
# one is chosen. `@` and `.T` are those of [lesson 4](04_self_attention.ipynb): `.T` makes a column
# of each row, so the logits have a row for each text and a column for each class.
#
# **Softmax** makes probabilities of a row of logits: e to the power of each, divided by their sum.
#
# $$\frac{e^{2}}{e^{-1} + e^{2}} = \frac{7.389}{0.368 + 7.389} = 0.953$$
#
# So the first text is positive with a probability of 0.953, and negative with 0.047.

# %%
probabilities = logits.softmax(dim=1)  # along each row
print(probabilities)

# %% [markdown]
# ## How wrong is it? Cross-entropy
#
# To train a classifier we need one number that says how wrong it is, its **loss**. It is computed
# from the probability that the model gives to the *right* class, and from nothing else:
#
# $$\text{loss} = -\ln p$$
#
# ln is the natural logarithm: ln x is the power to which e must be raised to give x. It is 0 at 1
# and falls without end towards 0. So a model that gives the right class a probability of 1 loses
# nothing, 0.953 costs 0.049, and 0.5 costs ln 2 = 0.693. The second text is a puzzle for our
# classifier. It says positive with 0.269 only, and pays 1.313. A probability of 0.001 would cost
# 6.908: who is sure and wrong pays most.
#
# The loss of several texts is the mean of theirs. Its name is **cross-entropy**, and with the
# natural logarithm its unit is the *nat*.

# %%
for i in range(len(texts)):
    right_one = probabilities[i, labels[i]]  # row i, and the column of its label
    print(f"{right_one:.3f} costs {-right_one.log():.3f}  {texts[i]}")
losses = [-math.log(probabilities[i, labels[i]]) for i in range(len(texts))]
print(f"mean {sum(losses) / len(losses):.4f} nats")

# %%
picture(
    tables,
    {
        "features": features,
        "1. logits": logits,
        "2. softmax": probabilities,
        "3. loss": torch.tensor(losses)[:, None],
    },
    ["joy", "slow", "dull"],
    ["negative", "positive"],
    alt="Four tables, from features to the loss: 0.0486, 1.31 and 0.0486 for the three texts.",
)

# %% [markdown]
# ## The same without the probability
#
# Computers have trouble with that formula. e to the power of 1000 is more than any `float` can
# hold, and a very small probability is rounded to 0, of which there is no logarithm.

# %%
large = torch.tensor([1000.0, 0.0])  # and say that class 1 is right
print(large.exp(), "and", -large.softmax(dim=0).log()[1])

# %% [markdown]
# `inf` is infinity: no model can learn from such a loss. Two steps of algebra help. The logarithm
# of a quotient is a difference, so with z for the logits of one text, and *right* for its class,
#
# $$-\ln \frac{e^{z_{right}}}{e^{z_0} + e^{z_1}} = \ln (e^{z_0} + e^{z_1}) - z_{right}$$
#
# And if the same number is subtracted from all logits of a text, its loss does not change. So we
# subtract the largest, and all powers of e are at most 1.

# %%
lowered = large - large.max()  # 0 and -1000
print(lowered.exp().sum().log() - lowered[1])

# %% [markdown]
# ## Exercise 1: cross-entropy by hand
#
# Write it as a function, for any number of texts and classes. Go through the texts; `logits[i]` is
# the row of text i. Subtract its largest number, take the logarithm of the sum of the powers of e,
# subtract the number of the right class; and return the mean. The check tries small logits first,
# then large ones of several sizes. For the three texts above your function gives what the cell
# printed. Everything you need stands above: `max`, `exp`, `sum`, `log`, `labels[i]`. PyTorch has
# this loss ready-made; that is not the answer, for here you write it.


# %%
def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor | float:
    """logits: (B, L), a row for each text. labels: (B,) the right class of each, from 0.

    Returns one number, the mean loss in nats.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson07.cross_entropy(cross_entropy))

# %% [markdown]
# ## The library does the same
#
# `BertForClassification` in [heads.py](../../minibert/heads.py) is a BERT with such a linear layer
# on top. Here a text has 384 features, and nobody has given them names. They come from the vector
# of `[CLS]`, the mark at the beginning of every text, which takes in the whole text by attention.
# Between the two stands the **pooler**: one more linear layer, then tanh, a function that squeezes
# each number to between −1 and 1.
#
# We put a new linear layer on `minilm-l6`. Its weights are random, drawn by a seed; the pooler is
# the model's own. This model has done more than guess words. It is small because it has learned to
# imitate a larger model, which is called **distillation**. Then it was trained on pairs of texts
# that belong together, such as a question and its answer.

# %%
torch.manual_seed(7)
model = BertForClassification.from_pretrained("minilm-l6", labels=["negative", "positive"]).eval()
tokenizer = Tokenizer.from_pretrained("minilm-l6")
batch = tokenizer(texts)
with torch.no_grad():  # we only look, and train nothing
    output = model(**batch, labels=labels)
    pooled = model.bert(**batch).pooler_output
print("features", tuple(pooled.shape), "weight", tuple(model.classifier.weight.shape))
by_hand = pooled @ model.classifier.weight.T + model.classifier.bias
print("the same logits:", torch.allclose(by_hand, output.logits, atol=1e-5))
print(f"loss {output.loss:.3f}, and ln 2 is {math.log(2):.3f}")
for part in ("pooler", "classifier"):  # classifier: the linear layer
    numbers = [tensor.numel() for name, tensor in model.named_parameters() if part in name]
    print(f"{part}: {sum(numbers):,} weights")

# %% [markdown]
# A new linear layer says 0.5 of everything, or nearly, and pays about ln 2. It has yet to learn.
# **Training** takes a few texts, a *batch*, computes the loss, and changes every weight a little in
# the direction in which the loss falls. How far is the *learning rate*, `lr`. That is a *step*;
# once through all texts is an *epoch*.
#
# Which weights? There are two ways:
#
# - **Frozen layers.** Embeddings and layers stay as they are, and only what stands on them is
#   trained. The library counts the pooler to the head, so both learn: its 147,840 weights, and the
#   770 of the linear layer. That takes seconds, for the vector of each `[CLS]` is computed once.
# - **Fine-tuning.** Everything is trained, BERT too. That is what the paper does (section 3.2).
#
# ## What the features know
#
# Before we train, let us look at what is there. Here are vectors of four sentences, as `minilm-l6`
# makes them without any head, the mean over the tokens. Their **cosine** is 1 if two point in the
# same direction, 0 if they have nothing in common, and −1 if they are opposite.

# %%
sentences = [
    "The film was a joy.",
    "The film was not a joy at all.",
    "A delightful movie, I loved every minute.",
    "The soup was cold.",
]
encoder = TextEncoder.load("minilm-l6")
vectors = encoder.encode(sentences)  # each of length 1, so that a dot product is the cosine
before = vectors @ vectors.T
picture(
    plot_similarity,
    before,
    sentences,
    "Before fine-tuning",
    alt="Sentence 1 is at 0.80 to its opposite, sentence 2, and at 0.62 to sentence 3, which "
    "agrees with it.",
)
print(f"joy and not a joy {before[0, 1]:.2f}, joy and delightful {before[0, 2]:.2f}")

# %% [markdown]
# *A joy* is nearer to *not a joy at all* than to *a delightful movie*. This model was trained to
# give texts similar vectors if they belong together, and *joy* and *not a joy* are about the same
# thing. A judge of reviews needs it the other way round. Does a head find what it needs in such
# features?
#
# ## The data, and what there is to beat
#
# The library comes with review sentences written for it, in the manner of those on IMDB: 880 to
# learn from, and 200 to measure with, the *development* texts. We train on none of these, and
# choose nothing by them.

# %%
train, development = data.load("sample")
train, development = train.take(range(sized(880, 32))), development.take(range(sized(200, 16)))
truth = np.array(development.labels)
print(len(train), "to learn from:", dict(Counter(train.labels)))
print(len(development), "to measure with:", dict(Counter(development.labels)))
commonest, _ = Counter(development.labels).most_common(1)[0]
right = {"majority": truth == commonest}  # True for each text on which this answer is right
print(f"majority baseline: {right['majority'].mean():.0%}, by always saying {commonest}")

# %% [markdown]
# Always count first. Where nine of ten texts are positive, 90 % is no achievement. Here it is half
# and half, and whoever says the same of every text gets 50 %.
#
# ## Frozen layers
#
# `trained_layers=0` trains the pooler and the linear layer, and none of the layers below. The
# library warns of what looks wrong. Warnings are left out of these pages, so our function prints
# them.


# %%
def trained(texts: LabelledTexts, **settings: Any) -> TextClassifier:
    """A classifier that has learned from these texts."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        classifier = TextClassifier("minilm-l6", **settings).fit(texts.texts, texts.labels)
    for each in told:
        print("warning:", each.message)
    return classifier


frozen = trained(train, trained_layers=0, lr=1e-3, epochs=5)
right["frozen, pooler"] = frozen.predict(development.texts) == truth
print(f"new texts {right['frozen, pooler'].mean():.1%}")

# %% [markdown]
# ## Change something
#
# Is that all that training can do? To try things, we take 200 of the 880 texts away and measure on
# these. The development texts stay out of it. Guess what 20 epochs make of the two numbers. Then
# set `epochs` to 20 and run the cell again; it begins anew.

# %%
epochs = 5
learn, tried = train.take(range(sized(680, 16))), train.take(range(sized(680, 16), len(train)))
trial = trained(learn, trained_layers=0, lr=1e-3, epochs=epochs)
some = learn.take(range(sized(200, 16)))
print(f"texts it has learned from {trial.score(some.texts, some.labels):.1%}")
print(f"texts to try things on    {trial.score(tried.texts, tried.labels):.1%}")

# %% [markdown]
# Here 20 epochs brought the first number from about 77 % to 89 %, and the second from about 75 % to
# 73.5 %. The head comes to fit its own texts better, and new ones no better. The *gap* grows, from
# 2 or 3 points to 15, and that is called **overfitting**. Did it get worse at new texts? Three of
# 200 are too few to say so: more below, under *How sure is an accuracy?* (Set `epochs` back to 5.)
#
# Are the features poor, or do we take the wrong ones? `minilm-l6` was made to say what a text means
# by the *mean* of its tokens' vectors, and not by `[CLS]`. Let us change this and nothing else: the
# same linear layer with softmax, once on the vectors of `[CLS]` without the pooler, once on the
# means. With scikit-learn it is a few lines; there it is called **logistic regression**.

# %%
readers = {"[CLS]": TextEncoder.load("minilm-l6", pooling="cls"), "mean": encoder}
for name, reader in readers.items():
    linear = LogisticRegression(C=10, max_iter=2000)  # C: how large its weights may become
    linear.fit(reader.encode(train.texts), train.labels)
    right[f"frozen, {name}"] = linear.predict(reader.encode(development.texts)) == truth
    print(f"{name}: new texts {right[f'frozen, {name}'].mean():.1%}")

# %% [markdown]
# ## Fine-tuning
#
# Now everything is trained, with a learning rate a twentieth of that before. With large steps
# training often fails to get going: all texts get one answer. Mosbach et al. looked into such
# failures. BERT has not forgotten what it knew, they say, and the texts are not too few: the
# changes that training computes for the weights become too small to learn by. For BERT the paper
# tried 5e-5, 3e-5 and 2e-5 (appendix A.3), that is 0.00005 and less; above 1e-4 the library warns.

# %%
tuned = trained(
    train,
    lr=5e-5,
    epochs=sized(3, 1),
    batch_size=16,
    trained_layers=sized(None, 1),  # None: all
)
right["fine-tuned"] = tuned.predict(development.texts) == truth
print(f"new texts {right['fine-tuned'].mean():.1%}")

# %% [markdown]
# ## How sure is an accuracy?
#
# Other 200 texts would have given another number. How far does it stray by chance? Write 1 for each
# text that is right and 0 for each that is wrong. The accuracy is their mean. Take the distance of
# each from the mean, square it, and take the mean of the squares; divide by the number of texts,
# and take the root. That is the **standard error**. In about 95 of 100 cases a mean is within two
# standard errors of the truth.


# %%
def standard_error(right: np.ndarray) -> float:
    """right: True or False for each text."""
    ones = right.astype(float)  # 1.0 for True, 0.0 for False
    return (((ones - ones.mean()) ** 2).mean() / len(ones)) ** 0.5


for name, each in right.items():
    print(f"{name:<14} {each.mean():.1%}, standard error {standard_error(each):.1%}")
picture(
    bars,
    {name: 100 * each.mean() for name, each in right.items()},
    f"{len(development)} new texts",
    "% right, with one standard error",
    form="{:.1f}",
    errors=[100 * standard_error(each) for each in right.values()],
    alt="Five bars: the majority 50 %, frozen with the pooler 68.5 %, with [CLS] 69 %, with the "
    "mean 77 %, fine-tuned 86 %. Black lines show one standard error, 2.5 to 3.5 points.",
)

# %% [markdown]
# About 2.5 points at 86 %, and more nearer to 50 %. So 86 % means: between 81 and 91. Whoever
# reports 86.5 % after some change, and calls it better, has measured nothing. On these 200 texts we
# claim nothing of differences below 5 points; exercise 2 has a sharper rule.
#
# Now the four sentences again, by the features that the linear layer reads, after the pooler.
# Remember that the pooler has learned from the reviews in both models; frozen were the layers below
# it, in the first.


# %%
def cosines(bert: Any) -> np.ndarray:
    """How alike the sentences are to a head on top of this BERT, (4, 4)."""
    vectors = TextEncoder(bert, tokenizer, pooling="pooler").encode(sentences)
    return vectors @ vectors.T


for name, each in {"frozen layers, trained pooler": frozen, "fine-tuned": tuned}.items():
    after = cosines(each.model_.bert)
    print(f"{name}: joy and not a joy {after[0, 1]:.2f}, joy and delightful {after[0, 2]:.2f}")
picture(
    plot_similarity,
    after,
    sentences,
    "After fine-tuning",
    alt="Sentences 1 and 3 are at 0.99 to each other, sentences 2 and 4 at 0.81; each of the first "
    "pair is at -0.7 or less to each of the second.",
)

# %% [markdown]
# A pooler that has learned brings *a joy* near to *a delightful movie*, but it leaves *not a joy*
# close by. The fine-tuned model has parted them: *a joy* is with *a delightful movie*, and *not a
# joy* with the cold soup. In these four sentences, what they are about counts little any more.
#
# ## What kind of mistakes?
#
# The **confusion matrix** counts texts by what they are, in rows, and by what they were called, in
# columns. Right are those on the diagonal.

# %%
report = tuned.evaluate(development.texts, development.labels)
picture(
    plot_confusion,
    report,
    alt="A table of two by two. Of 100 negative texts 88 are called negative and 12 positive; of "
    "100 positive texts 84 are called positive and 16 negative.",
)
for each in report.classes:
    print(f"{each.label}: precision {each.precision:.1%}, recall {each.recall:.1%}")

# %% [markdown]
# *Precision* of negative: of the texts called negative, how many are. *Recall*: of those that are
# negative, how many were called so. Work them out from the matrix and compare.
#
# ## Exercise 2: is A better than B?
#
# Two classifiers have read the same texts. Is A better than B, or can we not tell?
#
# The rule: for each text take A's result minus B's, with 1 for right and 0 for wrong. That gives 1,
# 0 or −1. The mean of these numbers is the difference of the two accuracies. Compute the standard
# error of this mean, as above, from the distances of these numbers from their mean. Claim only if
# the mean is *more than two* of its standard errors away from 0.
#
# An example with four texts: A is right on the first three, B on the first and the last. The
# differences are 0, 1, 1 and −1, and their mean is 0.25. The distances from it are −0.25, 0.75,
# 0.75 and −1.25; the mean of their squares is 0.6875, divided by four it is 0.172, and the root is
# 0.415. The mean is 0.6 standard errors away from 0: we cannot tell.
#
# The check uses made-up results, other numbers of texts among them. numpy cannot subtract True from
# True: make numbers of them first, as above, `.astype(float)`.
#
# This compares two trained models, not two methods: what another seed would change is not in this
# standard error. A well-known relative is **McNemar's test**.


# %%
def better(right_a: np.ndarray, right_b: np.ndarray) -> str:
    """right_a, right_b: True or False for each text, the same texts in the same order.

    Returns "A", "B" or "cannot tell".
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson07.better(better))

# %% [markdown]
# Then ask your function about ours: `better(right["fine-tuned"], right["frozen, mean"])`. Texts on
# which both are right, or both wrong, say nothing of which is better. What counts is these, and
# McNemar's test looks at nothing else:

# %%
for name in ("frozen, [CLS]", "frozen, mean"):
    only_tuned = (right["fine-tuned"] & ~right[name]).sum()
    only_frozen = (right[name] & ~right["fine-tuned"]).sum()
    print(f"only fine-tuned is right {only_tuned}, only {name} {only_frozen}")

# %% [markdown]
# Against the means the difference is about 3 of its standard errors. So on such texts, and with
# this seed, fine-tuning is better.
#
# ## Fifty texts
#
# What if you have labelled fifty texts, and no more? Try three epochs, as with 880.

# %%
few = train.take(range(sized(50, 8)))
print("to learn from:", dict(Counter(few.labels)))
poor = trained(few, epochs=sized(3, 1), seed=1)
print("it says:      ", dict(Counter(poor.predict(development.texts).tolist())))
print(f"right: {poor.score(development.texts, development.labels):.1%}")

# %% [markdown]
# It says the same of every text, or nearly: the class that was a little more frequent. How to see
# it: count what it predicts, and hold the accuracy against the majority baseline. The library does
# so too: it warns of too few steps, and of a model that says the same of everything.
#
# The cure is more steps. Fifty texts in batches of 32 are two steps an epoch, six in all: the head
# has hardly moved. If you leave `epochs` out, the library makes at least 100 steps. Zhang et al.
# found the like: the usual number of epochs is too small when there are few texts, and longer
# training helps. But both papers study some 1,000 texts and more, not fifty.
#
# Here are more steps, with smaller batches, and two **seeds**. A seed decides the random numbers
# that the head begins with, and in what order the texts come.

# %%
for seed in range(sized(2, 1)):
    one = trained(few, batch_size=8, epochs=sized(15, 1), seed=seed)
    said = Counter(one.predict(development.texts).tolist())
    accuracy = one.score(development.texts, development.labels)
    print(f"seed {seed}: {accuracy:.1%}, says positive of {said['positive']} of {len(development)}")

# %% [markdown]
# The same model, the same fifty texts, and yet about 68 % and 58 %. In a notebook the library also
# prints the loss of each epoch: it falls to about 0.04, so both know their fifty texts by heart,
# and differ on the others. So one run says little of a method. And fifty texts are few: with 880 it
# was 86 %. Train with three seeds or more, and report the mean and how far they lie apart. And do
# not take the luckiest seed by the development texts: its luck will not last.
#
# ## Predictions
#
# Back to the model that has learned from all texts. Each answer is a label and a score, the
# probability of that label.

# %%
reviews = [
    "I watched this film twice in one week, and it only got better.",
    "Not a single dull moment.",
    "The acting is superb, but the story falls apart long before the end.",
    "I rented it because of the cast. The first half hour is charming, the rest is noise, and the "
    "ending is an insult to whoever stayed awake.",
    "Two hours of my life that nobody will give me back.",
    "If you have trouble sleeping, I can recommend it.",
]
for text, scores in tuned.stream(reviews):
    print(f"{tuned.classes_[scores.argmax()]} {scores.max():.2f}  {text}")

# %% [markdown]
# Here four of six are right. The first three are; the third says *superb* and yet is negative. The
# fourth is a clear error: *an insult to whoever stayed awake* is the verdict, and the model says
# positive, with about 0.7. So a score of 0.7 is no promise. Of the last two it is right about one
# and wrong about the other, both near 0.5, which says: I do not know. They need knowledge of the
# world, and have no word in them that is bad in itself.
#
# ## Your own model on the command line
#
# `save` writes a folder that is all you need: weights, tokens, labels. transformers opens it, too.
# And we write the development texts as a table, as you would have your own: a column `text`, a
# column `label`.

# %%
folder = Path("output/lessons/reviews")
folder.parent.mkdir(parents=True, exist_ok=True)
tuned.save(folder, overwrite=True)
with open("output/lessons/later.csv", "w", encoding="utf-8", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["text", "label"])
    rows.writerows(zip(development.texts, development.labels, strict=True))
print(*sorted(path.name for path in folder.iterdir()))


# %%
def minibert(line: str) -> None:
    """Run a line of the terminal, and print it with its answer."""
    words = [sys.executable, "-m", "minibert", *shlex.split(line)]
    answer = subprocess.run(words, capture_output=True, encoding="utf-8")
    print(f"$ minibert {line}\n{answer.stdout}{answer.stderr if answer.returncode else ''}")


minibert('classify output/lessons/reviews "A joy from start to finish" "Far too long"')
if sized(True, False):
    minibert("evaluate output/lessons/reviews output/lessons/later.csv")

# %% [markdown]
# The lines after `$` are what you paste into a terminal (without the `$`), in the folder in which
# this lesson ran: for a notebook that is `examples/lessons`. A file of texts, one a line, goes in
# with `--file texts.txt`, and `-o answers.csv` writes a table. And this trains on a table of your
# own:
#
#     minibert train mine.csv --text body --label category --output output/mine
#
# ## What goes wrong in practice
#
# - **The same texts on both sides.** A text that was learned is known; if it, or its double, is
#   among those you measure with, the accuracy is too good. `minibert train` warns of texts that are
#   the same to the letter. Near doubles, such as a review with one word changed, you must look for.
# - **Choosing by the texts you measure with.** Whoever tries twenty settings and reports the best
#   has picked the luckiest. Choose on some texts and report on others, which you look at once.
# - **Classes of unequal size.** With 95 % positive texts, 95 % is what saying *positive* earns.
#   Look at the recall of each class, or at balanced accuracy, their mean. In training,
#   `class_weight="balanced"` makes a rare class count more.
# - **Texts that are cut.** By default the library reads the first 128 tokens of a text, and most
#   BERTs cannot read more than 512 at once. The verdict of a long review often comes at its end.
#   `max_length` sets the limit; `truncation="head+tail"` keeps both ends, and `"windows"` reads
#   everything.
#
# Next: [lesson 8](08_what_does_it_look_at.ipynb) asks which words made the classifier say so.

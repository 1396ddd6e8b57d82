# %% [markdown]
# # 6. Guess the hidden word: pre-training
#
# **The question.** To teach a model which reviews are kind, somebody has to read reviews and write
# down which are. Nobody could do that for the billions of words from which BERT learned English.
# Who told it what is right?
#
# 40 minutes to read, as long again for the exercises, one to run. Run the cells from top to bottom:
# each uses what those above have made, and a `NameError` means that one of them has not run yet.
#
# Read beside it: [pretraining.py](../../minibert/pretraining.py) and
# [masking.py](../../minibert/corpus/masking.py). The paper: Devlin et al. 2019, *BERT* ([arXiv
# 1810.04805](https://arxiv.org/abs/1810.04805)), sections 3.1, A.1, A.2 and C.2. What was found
# later: Liu et al. 2019, *RoBERTa* ([arXiv 1907.11692](https://arxiv.org/abs/1907.11692)), sections
# 4.1 and 4.2.

# %%
import json
import math
from collections import Counter
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from checks import lesson06
from course import picture, sized
from figures import bars, curves

from minibert import BertForMaskedLM, FillMask, Tokenizer
from minibert.checkpoint.hub import find_folder
from minibert.corpus.masking import TokenKinds, mask_tokens
from minibert.training.history import Evaluation

# %% [markdown]
# ## The idea
#
# Cover a word with your thumb: "This method should ▢ the result." What stands there? You look at
# both sides. *Should* wants a verb, and with *the result* something is done: perhaps *return*. Lift
# your thumb, and the text says whether you were right.
#
# So every text is an exercise book with the answers printed in it. The right answers, which are
# called **labels**, cost nothing. And whoever wants to guess well has much to learn: which words
# are frequent, which follow each other, that *should* wants a verb, what a text is about. To let a
# model do nothing but this for a long time is called **pre-training**. What it learns on the way
# serves other tasks; [lesson 7](07_a_classifier.ipynb) begins there.
#
# The token in place of a hidden one is `[MASK]`, and a model that guesses what it hides is a
# **masked language model**. GPT learns from text alone, too, but it guesses the next word and never
# looks at what comes after.
#
# `python-bert` is a small one that comes with this library: some 700,000 weights, where BERT has a
# hundred million. It has read nothing but the documentation of Python. What does it put under the
# thumb?

# %%
fill = FillMask.load("python-bert")
(guesses,) = fill.predict(["This method should [MASK] the result."], top_k=6)[0]
chances = {guess.token: guess.score for guess in guesses}
picture(
    bars,
    chances,
    "This method should [MASK] the result.",
    "probability",
    alt=f"Bars. The likeliest words are {'  '.join(chances)}.",
)

# %% [markdown]
# ## How good is a guess?
#
# A model does not name one word. It gives each token of its vocabulary a probability, and these sum
# to 1. Let p be the probability that it gave to the word that stood there. The **loss** is −ln p.
# The logarithm ln is the reverse of "e to the power of": e to the power of ln p is p.
#
# - Sure and right, p = 1: the loss is 0.
# - As unsure as before a coin, p = .5: −ln .5 = .69.
# - Surprised, p = .01: 4.61. With p = 0 it would be infinite.
#
# A loss in natural logarithms is measured in **nats**. Over many guesses we take the mean. Raise e
# to the power of it, and you have the **perplexity**: among how many equally likely words the model
# hesitates.
#
# ### By hand: a guesser that cannot read
#
# Take the text "the cat sees the dog the dog sees the cat". It has ten words: *the* four times, and
# *cat*, *sees* and *dog* twice each. Somebody knows this count and nothing else. Wherever the thumb
# is, he says: *the* .4, each of the others .2. This is called a **unigram** model: it looks at one
# word at a time, and so at no neighbours.
#
# In a new text, "the cat", both words are hidden, one after the other. His loss is −ln .4 = .916,
# then −ln .2 = 1.609; the mean is 1.263, and e to the power of that is 3.54. He hesitates among
# three words and a half.

# %%
count = Counter("the cat sees the dog the dog sees the cat".split())
losses = [-math.log(count[word] / count.total()) for word in ("the", "cat")]
mean = sum(losses) / 2
print(f"losses {losses[0]:.3f} and {losses[1]:.3f}, mean {mean:.3f} nats")
print(f"perplexity {math.exp(mean):.2f}")

# %% [markdown]
# The loss of the unigram model is the line to beat. A model with a higher one has not even learned
# which words are frequent. A model that is below the line where a word is hidden must have used the
# rest of the row, for nothing else is left to know.
#
# ## What is hidden, and what takes its place
#
# BERT does not hide one word at a time; that would be slow. It chooses 15 % of the tokens of a row.
# Of those chosen
#
# - 80 % become `[MASK]`;
# - 10 % become a token drawn at random;
# - 10 % stay as they are.
#
# All of them have to be guessed. Why not `[MASK]` every time? In the texts of later tasks there is
# no `[MASK]`. A model that worked at such places only would have no reason to make something of the
# others. But since any word may be a wrong one, or be asked for, it has to keep a vector of the
# context for every word. So the paper argues (section A.1), though its own trial of other shares
# found that they matter little to a model that is trained further for a task (section C.2).
#
# `mask_tokens` in [masking.py](../../minibert/corpus/masking.py) does it. It knows from
# `TokenKinds` which tokens are special, as `[CLS]` and `[SEP]` are: they are never chosen and never
# drawn. Where nothing is to be guessed the label is −100, which is no token's number, and the loss
# passes over it.

# %%
tokenizer = Tokenizer.from_pretrained("python-bert")
kinds = TokenKinds.of(tokenizer)
sentence = (
    "The arguments of a call are evaluated from left to right, and the value of the last one is "
    "returned to the function that made the call."
)
ids = tokenizer(sentence)["input_ids"][0].numpy()
masked = mask_tokens(ids, kinds, np.random.default_rng(101))
chosen = masked.labels != -100
for stood, seen in zip(ids[chosen], masked.ids[chosen], strict=True):
    print(f"there stood {tokenizer.tokens[stood]}, the model sees {tokenizer.tokens[seen]}")
print(f"the other {(~chosen).sum()} tokens are as they were, and have the label -100")

# %% [markdown]
# BERT's makers masked each text ten times beforehand and then used these rows again and again (Liu
# et al., section 4.1). The library masks a row anew each time it is read: *dynamic masking*. It
# costs nothing, and the model meets the same row with other gaps.
#
# ## Exercise 1: mask a row
#
# Write it as a function of one row. Everything random has to come from `generator`:
# `generator.random()` gives one number from 0 to 1, `generator.random(5)` five;
# `generator.choice(array)` draws one number of an array. Some numpy that helps: `ids.copy()` is a
# copy, with which you can do what you like; `np.full(len(ids), -100)` is a row of −100;
# `special[ids]` is True where the row has a special token; and `np.flatnonzero(~special)` has the
# ids that may be drawn, for `~` turns True and False round. You may choose exactly 15 % of a row,
# or let each token be chosen with a probability of .15; a loop over the row will do. Chance alone
# decides which are chosen, and what becomes of each. A token that is drawn may happen to be the old
# one, and where a row has special tokens alone there is nothing to choose. The check counts over
# 250 rows.


# %%
def mask_row(
    ids: np.ndarray, special: np.ndarray, mask_id: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """ids: (T,) the tokens of a row. special: (V,) for each id of the vocabulary, whether it is
    neither chosen nor drawn: special[ids] tells it of the row's tokens.

    Returns what the model sees, (T,), and the labels, (T,), -100 where nothing is to be guessed.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson06.mask_row(mask_row))

# %% [markdown]
# ## Train one yourself
#
# The text comes with Python: its language reference, of which `help("calls")` shows a part, and
# what stands in its own modules for `help` to show. These are some 170,000 words; BERT read 3.3
# billion (section 3.1).
#
# The library cuts the text into rows of at most 32 tokens. Of 20 paragraphs one is **held out**: no
# model here learns from it, and all are tested on it. (Paragraphs of a single sentence are all
# learned from, as they may stand elsewhere, too.) Why this matters you will see below.
#
# Another version of Python has a somewhat different text. Then other paragraphs are held out, and
# `python-bert` may have read some of them, so that its figures look better than they are. The last
# line tells whether yours is the text that it was made from.

# %%
from minibert.corpus.python_text import write_python_documentation
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, count_tokens
from minibert.corpus.text import TextFile

folder = Path("output/lessons/06")
folder.mkdir(parents=True, exist_ok=True)
write_python_documentation(folder / "python.txt")
corpus = Corpus.build([TextFile.at(folder / "python.txt")], tokenizer, folder)
print(f"{corpus.number_of_documents:,} paragraphs, {len(corpus.tokens):,} tokens")

training, held_out = (
    Rows(corpus, spans, tokenizer, max_length=32) for spans in make_spans(corpus, max_length=32)
)
test = HeldOut(held_out)
print(f"{len(training.spans):,} rows to learn from")
print(f"{len(held_out.spans)} held out, with {len(test.targets)} tokens to guess")

size = tokenizer.vocabulary.size
counts = count_tokens(corpus, training.spans, size)
unigram = test.unigram(counts)
lines = (find_folder("python-bert") / "log.jsonl").read_text("utf-8").splitlines()
baseline, *log = map(json.loads, lines)
same = math.isclose(unigram.loss, baseline["unigram"]["loss"], abs_tol=1e-6)
print("the text that python-bert was made from:", same)

# %% [markdown]
# Now the model. It begins with random weights and takes 300 steps. In each it sees 64 rows with
# gaps and computes the loss of its guesses, and every weight is moved a little to where the loss
# would have been smaller: by about `lr`, the learning rate, which rises over the first tenth of the
# steps (`warmup`) and then falls to 0. [Lesson 7](07_a_classifier.ipynb) has more of this.
#
# The test is taken every 30 steps. In a notebook the cell says how it goes: *development* is the
# text held out. Run the cell again, and it begins anew.
#
# `PreTraining` adds a second task, **next sentence prediction**: a row is a pair of texts, and in
# half of the pairs the second did not follow the first. BERT was trained to tell which. Its makers
# found it useful (section 5.1); Liu et al. trained without it and lost nothing (section 4.2). The
# figures below are of the hidden words alone.

# %%
from minibert import BertConfig
from minibert.corpus.task import PreTraining
from minibert.pretraining import BertForPreTraining
from minibert.training.loop import train
from minibert.training.recipe import Recipe

steps = sized(300, 4)
torch.manual_seed(0)
shape = BertConfig.from_pretrained("python-bert")  # its shape, and none of its weights
shape = replace(shape, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)  # as it learned
own = BertForPreTraining(shape)
own.save_pretrained(folder / "before", overwrite=True)
history = train(
    own,
    PreTraining(training, steps, batch_size=64),
    Recipe(epochs=1, lr=2e-3, warmup=0.1, evaluate_every=sized(30, 4)),
    lambda step: test.evaluate(own, step),
)
own.save_pretrained(folder / "after", overwrite=True)
first, last = history.losses[0], history.losses[-1]
print(f"loss of a step, both tasks together: {first:.2f} at first, {last:.2f} at last")

# %% [markdown]
# A step's loss is that of the hidden words and of the second task together; at first, when all is
# chance, ln 2000 = 7.60 and ln 2 = 0.69.
#
# `python-bert` was made in the same way, by [python_bert.py](../python_bert.py), with more steps.
# What it had come to on the way stands in its log. Both curves, with the line to beat:

# %%
yours = history.evaluations
picture(
    curves,
    {
        "python-bert": ([each["step"] for each in log], [each["loss"] for each in log]),
        f"your {steps} steps": ([each.step for each in yours], [each.loss for each in yours]),
    },
    "Hidden words of the text held out",
    "step",
    "loss (nats)",
    level=("unigram", unigram.loss),
    alt=f"Two curves fall from {log[0]['loss']:.1f} nats: yours to {yours[-1].loss:.2f}, near the "
    f"unigram line at {unigram.loss:.2f}, that of python-bert far below it, to "
    f"{log[-1]['loss']:.2f}.",
)

# %% [markdown]
# Before the first step the model gives all tokens of the vocabulary about the same probability, and
# its loss is about ln of their number. It falls fast to near the line, for how frequent each token
# is can be learned without looking at the text at all. All else is in the row, and to learn it
# takes longer.
#
# Here is where all have come to. `python-bert` is loaded anew and tested at the same places. *Right
# at once* is the share of places for which the likeliest token is the right one. The test is small,
# and its losses are sure to about a tenth of a nat.

# %%
model = BertForMaskedLM.from_pretrained("python-bert")
results = {
    "all tokens alike": Evaluation(0, math.log(size), {"accuracy": 1 / size}),
    "unigram": unigram,
    f"your {steps} steps": yours[-1],
    "python-bert": test.evaluate(model, log[-1]["step"]),
}
print(f"{'':<18}loss (nats)  perplexity  right at once")
for name, found in results.items():
    print(f"{name:<18}{found.loss:11.2f}{math.exp(found.loss):12.0f}{found.accuracy:15.1%}")
gain = unigram.loss - results["python-bert"].loss
print(f"python-bert beats the unigram line by {gain:.2f} nats; by at least 1.5: {gain >= 1.5}")

# %% [markdown]
# A token of this vocabulary is often a piece of a word, only chosen places count, and both sides
# are in view. So such figures cannot be compared with GPT's, or with another tokenizer's.
#
# Your model is below the line. Has it used the neighbours? Not all of these places are gaps: of the
# chosen tokens 10 % stay as they are, and there the answer stands in its place. So we take the test
# apart by what the model sees there.


# %%
def seeing(what: str) -> HeldOut:
    """The test with those of its places alone in which this stands."""
    part = copy(test)
    part.examples = []
    for example in test.examples:
        seen, labels = np.array(example.row.ids), np.array(example.labels)
        mask, same = seen == kinds.mask, seen == labels
        here = {"[MASK]": mask, "the same token": same, "another token": ~mask & ~same}[what]
        part.examples.append(replace(example, labels=np.where(here, labels, -100).tolist()))
    labels = np.concatenate([example.labels for example in part.examples])
    part.targets = labels[labels != -100]
    return part


print(f"{'':<16}places  unigram  your {steps} steps  python-bert")
for what in ("[MASK]", "the same token", "another token"):
    part = seeing(what)
    line, of_yours, of_bert = (
        each.loss for each in (part.unigram(counts), part.evaluate(own, 0), part.evaluate(model, 0))
    )
    share = len(part.targets) / len(test.targets)
    print(f"{what:<16}{share:6.1%}{line:9.2f}{of_yours:16.2f}{of_bert:13.2f}")
    if what == "[MASK]":
        gain = line - of_bert
print(f"at [MASK] python-bert beats it by {gain:.2f} nats; by at least 1.5: {gain >= 1.5}")

# %% [markdown]
# At `[MASK]` your model is no better than the unigram. It got below the line by the few places
# where the answer is to be seen: it has begun to copy, and for that it needs no neighbour. A mean
# over different things can fall for a reason you did not think of. Take it apart before you say
# what a model has learned.
#
# `python-bert` copies far better. But it is far below the line at `[MASK]`, too, and that it can
# only have from the rest of the row. It is below it even where another token stands: it does not
# believe all it sees. (The last two lines are of some 60 and 80 places, and less sure.)
#
# Why must the test be new to the model? Here is how `python-bert` does in gaps of the text that it
# has read.

# %%
read = HeldOut(training).evaluate(model, log[-1]["step"])
times = 64 * log[-1]["step"] / len(training.spans)
print(f"python-bert took each row {times:.0f} times")
print(f"text that it learned from: {read.loss:.2f} nats")
print(f"text that is new to it:    {results['python-bert'].loss:.2f} nats")

# %% [markdown]
# Where it has read, it guesses better. Tested there, we would have taken memory for knowledge.
# BERT, too, read its words some 40 times (section A.2), but there were 3.3 billion of them.
#
# ## What it puts there
#
# The same sentences for three models: before the first step, after your steps, and `python-bert`.

# %%
models = {
    "before": FillMask(BertForMaskedLM.from_pretrained(folder / "before"), tokenizer),
    f"{steps} steps": FillMask(BertForMaskedLM.from_pretrained(folder / "after"), tokenizer),
    "python-bert": fill,
}
for text in [
    "The arguments [MASK] evaluated from left to right.",
    "This method should [MASK] the result.",
    "The name of [MASK] class is a string.",
    "The capital of France is [MASK].",
]:
    print(text)
    for name, each in models.items():
        (guesses,) = each.predict([text], top_k=4)[0]
        print(f"  {name:<12}" + "  ".join(f"{guess.token} {guess.score:.3f}" for guess in guesses))

# %% [markdown]
# Before the first step all is chance. After 300 steps your model says about the same everywhere,
# *the* above all: it has learned how frequent words are, and at a gap little else, as the table
# said. `python-bert` looks at the sentence.
#
# ## Change something
#
# Put *argument* in place of *arguments*, and see what becomes of *are*. Then put nonsense in place
# of *evaluated first*, with *arguments* in front. Which word does `python-bert` go by? Try
# sentences of your own: what does it do with words that no manual has?

# %%
text = "The arguments [MASK] evaluated first."
(guesses,) = fill.predict([text])[0]
print(text, "  ".join(f"{guess.token} {guess.score:.3f}" for guess in guesses))

# %% [markdown]
# ## Has it learned grammar?
#
# Single sentences prove little; one can always find some that fit. So let us ask one question in
# many sentences: does the verb agree with its subject? "The argument *is*", "the arguments *are*".
#
# Twenty nouns, each in the singular and in the plural. The model is right where it finds the verb
# that fits likelier than the one that does not. A coin is right in half of the sentences, and so is
# a model that always prefers *is*.
#
# ## Exercise 2: the agreement score
#
# Write the score. For each sentence you get the number of its subject, and what probability the
# model gave to some words, *is* and *are* among them.


# %%
def agreement(subjects: list[str], fills: list[dict[str, float]]) -> float:
    """subjects: "singular" or "plural", for each sentence. fills: for each, word -> probability.

    Returns the share of sentences, from 0 to 1, in which the verb that fits is the likelier one.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson06.agreement(agreement))

# %% [markdown]
# Now the sentences: "The argument `[MASK]` evaluated first." Next to its subject the verb is easy.
# Whoever knows which word follows which gets it right, without any grammar. So we put words between
# the two, of three kinds:
#
# - "The argument *of the class* `[MASK]` evaluated first.", "The arguments *of the class* ...";
# - a noun of the same number: "The argument *of the object*", "The arguments *of the objects*";
# - a noun of the other number: "The argument *of the objects*", "The arguments *of the object*".
#
# A model that looks only at the word in front is right in half of the first kind, in all of the
# second, and in none of the third. The second kind is there for comparison: as many words stand
# between, so what differs in the third is the number of the noun alone.

# %%
NOUNS = (
    "argument attribute block exception expression function item key keyword method module name "
    "element operator parameter statement string type value variable"
).split()
ENDS = ["evaluated first.", "not required.", "defined in the module."]
BETWEEN = {  # singular, plural
    "nothing": ("", ""),
    "of the class": (" of the class", " of the class"),
    "a noun of the same number": (" of the object", " of the objects"),
    "a noun of the other number": (" of the objects", " of the object"),
}


def agreeing(fill: FillMask, between: tuple[str, str]) -> np.ndarray:
    """(2, 20) in the singular and the plural of each noun: the share of its sentences in which the
    verb that fits is likelier."""
    right = []
    for ending, words, verb in zip(("", "s"), between, ("is", "are"), strict=True):
        texts = [f"The {noun}{ending}{words} [MASK] {end}" for noun in NOUNS for end in ENDS]
        likelier = fill.predict(texts, top_k=1, targets=["is", "are"])
        right.append([blank[0].token == verb for (blank,) in likelier])
    return np.reshape(right, (2, len(NOUNS), len(ENDS))).mean(axis=2)


scores = {
    f"{name}: {kind}": agreeing(models[name], words)
    for name in ("python-bert", f"{steps} steps")
    for kind, words in BETWEEN.items()
}
means = {name: float(score.mean()) for name, score in scores.items()}
picture(
    bars,
    means,
    "Does the verb agree across these words?",
    "share of 120 sentences, with one standard error over the nouns",
    errors=[score.mean(axis=0).std(ddof=1) / len(NOUNS) ** 0.5 for score in scores.values()],
    line=("a coin", 0.5),
    alt="Bars. " + "; ".join(f"{name}, {mean:.2f}" for name, mean in means.items()) + ".",
)
for kind in ("of the class", "a noun of the other number"):
    singular, plural = scores[f"python-bert: {kind}"].mean(axis=1)
    print(f"{kind}: singular subjects {singular:.2f}, plural subjects {plural:.2f}")

# %% [markdown]
# Your own model prefers the same verb everywhere, and is right in half of the sentences.
#
# `python-bert` is right in nearly all sentences with nothing between, and with a noun of the same
# number. Had we stopped there, we would have praised its grammar. But with *of the class* it is
# right in about half, and with a noun of the other number almost never. That is just what we said
# of a model that looks only at the word in front. It has learned which words are plurals, and
# nobody told it. But it does not ask whose verb it is, and only sentences made for the purpose
# could show it.
#
# That a verb follows the noun that is near, not the one it belongs to, is called **attraction**.
# People make this error, too, though seldom, and mostly where the near noun is a plural: "the key
# to the cabinets *are* on the table" (Bock & Miller 1991, *Broken agreement*). The bar is the mean
# of both halves, which are printed: `python-bert` errs in both. The published BERT, which is 150
# times as large and has read 19,000 times as much, resists it well (Goldberg 2019, [arXiv
# 1901.05287](https://arxiv.org/abs/1901.05287)).
#
# ## What it does not know
#
# It has read the manuals of one language. Of the world it knows nothing: to *the capital of France*
# it had no answer above, and whatever men and women work as, it has never read of it. A model
# learns a fact as it learns all else, from a gap that cannot be filled without it.

# %%
PUBLISHED = {  # of bert-base-cased, on its model card
    "The man worked as a [MASK].": "lawyer 0.048  waiter 0.037  cop 0.036",
    "The woman worked as a [MASK].": "nurse 0.169  waitress 0.150  maid 0.056",
}
for text, published in PUBLISHED.items():
    (guesses,) = fill.predict([text], top_k=3)[0]
    ours = "  ".join(f"{guess.token} {guess.score:.3f}" for guess in guesses)
    print(text)
    print("  python-bert:         ", ours)
    print("  bert-base, published:", published)

# %% [markdown]
# BERT's guesses are what its texts say, and they say it of men and women. Nobody wrote these labels
# down, and nobody looked them through. [Lesson 9](09_what_does_it_believe.ipynb) measures that.
#
# ## What goes wrong in practice
#
# - **Padding counts.** Short rows of a batch are filled up, and a weight of 0 is to keep what is
#   filled up out of the loss. If the mean is taken first and weighted afterwards, it is too late:
#   so it is in the PyTorch code of *Dive into Deep Learning*, section 15.10. Give such places the
#   label −100, or weight first and divide by the sum of the weights.
# - **0 for "nothing to guess".** It is the id of `[PAD]`. The model is then taught to answer
#   `[PAD]` almost everywhere. The loss becomes splendid, and nothing was learned.
# - **`[MASK]` where it never is.** The texts of later tasks have none. And two gaps in a text are
#   guessed each on its own: "a `[MASK]` of `[MASK]`" may get two words that do not go together.
# - **15 % of a short row is nothing.** Of six tokens it is .9, and `int(0.9)` is 0. A batch without
#   a label has the loss 0 / 0, which is NaN. The library always chooses one token at least.
# - **Tested on what it has read.** See above. Hold out whole documents, not single rows, for the
#   sentences of a document resemble each other. Our own test is an easy one in this way: its
#   paragraphs are new to the model, but there are others like them in the manual.
#
# Next: [lesson 7](07_a_classifier.ipynb) makes a judge of reviews out of a model that has learned
# to guess.

# %% [markdown]
# # 6. Guess the hidden word: pre-training
#
# **The question.** To teach a model which reviews are kind, somebody has to read reviews and write
# down which are. Nobody could do that for the billions of words from which BERT learned English.
# Who told it what is right?
#
# 25 minutes to read, one to run. Run the cells from top to bottom: each uses what those above have
# made, and a `NameError` means that one of them has not run yet.
#
# Read beside it: [pretraining.py](../../minibert/pretraining.py) and
# [masking.py](../../minibert/corpus/masking.py). The paper: Devlin et al. 2019, *BERT*
# ([arXiv 1810.04805](https://arxiv.org/abs/1810.04805)), sections 3.1, A.1 and A.2. What was found
# later: Liu et al. 2019, *RoBERTa* ([arXiv 1907.11692](https://arxiv.org/abs/1907.11692)), sections
# 4.1 and 4.2.

# %%
import json
import math
from collections import Counter
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
# Cover a word with your thumb: "The arguments ▢ evaluated from left to right." What stands there?
# You look at both sides. *Arguments* are many, and *evaluated* tells that something is done with
# them: it could be *are*. Lift your thumb, and the text says whether you were right.
#
# So every text is an exercise book with the answers printed in it. The right answers, which are
# called **labels**, cost nothing. And whoever wants to guess well has much to learn: which words
# are frequent, which follow each other, that *arguments* take *are*, what a text is about. To let a
# model do nothing but this for a long time is called **pre-training**. What it learns on the way
# serves other tasks; [lesson 7](07_a_classifier.ipynb) begins there.
#
# The token in place of a hidden one is `[MASK]`, and a model that guesses what it hides is a
# **masked language model**. GPT learns from text alone, too, but it guesses the next word and never
# looks at what comes after.
#
# `python-bert` is a small one that comes with this library: 692,690 weights, and BERT has a hundred
# million. It has read one book, the manual of the Python language. What does it put under the
# thumb?

# %%
fill = FillMask.load("python-bert")
(guesses,) = fill.predict(["The arguments [MASK] evaluated from left to right."], top_k=6)[0]
chances = {guess.token: guess.score for guess in guesses}
picture(
    bars,
    chances,
    "The arguments [MASK] evaluated from left to right.",
    "probability",
    alt=f"Bars. The likeliest words are {', '.join(chances)}, the first by far.",
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
# A loss in natural logarithms is measured in **nats**. Over many guesses take the mean, and e to the
# power of it says the same in other words: the **perplexity**, among how many equally likely words
# the model hesitates.
#
# ### By hand: a guesser that cannot read
#
# Take the text "the cat sees the dog the dog sees the cat". It has ten words: *the* four times, and
# *cat*, *sees* and *dog* twice each. Somebody knows this count and nothing else. Wherever the thumb
# is, he says: *the* .4, each of the others .2. This is called a **unigram** model: it looks at one
# word at a time, and so at no neighbours.
#
# Of a new text "the cat" both words are hidden, one after the other. His loss is −ln .4 = .916 and
# −ln .2 = 1.609, in the mean 1.263; and e to the power of 1.263 is 3.54. He hesitates among three
# words and a half.

# %%
count = Counter("the cat sees the dog the dog sees the cat".split())
losses = [-math.log(count[word] / count.total()) for word in ("the", "cat")]
mean = sum(losses) / 2
print(f"losses {losses[0]:.3f} and {losses[1]:.3f}, mean {mean:.3f} nats")
print(f"perplexity {math.exp(mean):.2f}")

# %% [markdown]
# The unigram model is the line to beat. A model above it has not even learned which words are
# frequent. A model below it must have looked at the neighbours, for nothing else is left to know.
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
# context for every word (section A.1).
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
masked = mask_tokens(ids, kinds, np.random.default_rng(22))
print(f"{'stood there':<14}{'the model sees':<16}to be guessed")
for stood, seen, label in zip(ids, masked.ids, masked.labels, strict=True):
    if label != -100:
        print(f"{tokenizer.tokens[stood]:<14}{tokenizer.tokens[seen]:<16}yes")
print(f"and {(masked.labels == -100).sum()} tokens as they were, with the label -100")

# %% [markdown]
# BERT's makers masked each text ten times beforehand and then used these rows again and again
# (Liu et al., section 4.1). The library masks a row anew each time it is read: *dynamic masking*.
# It costs nothing, and the model meets the same row with other gaps.
#
# ## Exercise 1: mask a row
#
# Write it as a function of one row. Everything random has to come from `generator`:
# `generator.random(5)` gives five numbers from 0 to 1, `generator.choice(array, 5)` draws five of an
# array. It does not matter whether you choose exactly 15 % of a row, or let each token be chosen
# with a probability of .15. Our check counts over 250 rows.


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
# The text comes with Python: the prose of its language reference, of which `help("calls")` shows a
# part. BERT read 3.3 billion words (section 3.1); this is one 80,000th of that.
#
# The library cuts the text into rows of at most 32 tokens. One section in 20 is **held out**: no
# model here learns from it, and all are tested on it. Why that matters you will see below.
#
# Another version of Python has a somewhat different text, and then other sections are held out,
# some of which `python-bert` may have read. The last line tells.

# %%
from minibert.corpus.python_reference import write_python_reference
from minibert.corpus.rows import Rows
from minibert.corpus.spans import make_spans
from minibert.corpus.store import Corpus
from minibert.corpus.task import HeldOut, count_tokens
from minibert.corpus.text import TextFile

folder = Path("output/lessons/06")
folder.mkdir(parents=True, exist_ok=True)
write_python_reference(folder / "python.txt")
corpus = Corpus.build([TextFile.at(folder / "python.txt")], tokenizer, folder)
print(f"{corpus.number_of_documents} sections, {len(corpus.tokens):,} tokens")

training, held_out = (
    Rows(corpus, spans, tokenizer, max_length=32) for spans in make_spans(corpus, max_length=32)
)
test = HeldOut(held_out)
print(f"{len(training.spans)} rows to learn from")
print(f"{len(held_out.spans)} held out, with {len(test.targets)} tokens to guess")

size = tokenizer.vocabulary.size
unigram = test.unigram(count_tokens(corpus, training.spans, size))
log = [json.loads(line) for line in (find_folder("python-bert") / "log.jsonl").open()]
same = math.isclose(unigram.loss, log[0]["unigram"]["loss"], abs_tol=1e-6)
print("the text that python-bert was made from:", same)

# %% [markdown]
# Now the model. It begins with random weights and takes 300 steps. In each it sees 64 rows with
# gaps, computes the loss of its guesses, and every weight is moved a little to where the loss would
# have been smaller. [Lesson 7](07_a_classifier.ipynb) has more of this.
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

steps = sized(300, 8)
config = replace(
    BertConfig.from_pretrained("python-bert"),
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
torch.manual_seed(0)
own = BertForPreTraining(config)
own.save_pretrained(folder / "before", overwrite=True)
history = train(
    own,
    PreTraining(training, steps, batch_size=64),
    Recipe(epochs=1, lr=2e-3, warmup=0.1, evaluate_every=steps // 8),
    lambda step: test.evaluate(own, step),
)
own.save_pretrained(folder / "after", overwrite=True)
print(f"{steps} steps")

# %% [markdown]
# `python-bert` was made in the same way, by [python_bert.py](../python_bert.py), with 2,500 steps.
# What it had come to on the way stands in its log. Both curves, with the line to beat:

# %%
finished = [line for line in log if "step" in line]
picture(
    curves,
    {
        "python-bert": ([e["step"] for e in finished], [e["loss"] for e in finished]),
        f"your {steps} steps": (
            [e.step for e in history.evaluations],
            [e.loss for e in history.evaluations],
        ),
    },
    "Hidden words of the text held out",
    "step",
    "loss (nats)",
    level=("unigram", unigram.loss),
    alt="Two curves fall from 7.6 nats. Both pass the unigram line near 6, yours by a little; "
    "that of python-bert falls on to less than 4.6.",
)

# %% [markdown]
# Before the first step the model gives all tokens of the vocabulary about the same probability, and
# its loss is about ln of their number. It falls fast to the line: how frequent each word is can be
# learned by the last bias alone. Then it gets slower, for from there on the neighbours have to
# help.
#
# Here is where all have come to. `python-bert` is loaded anew and tested on the same gaps. Its last
# weights were rounded to 16 bits, so the third digit may differ from the log's.

# %%
model = BertForMaskedLM.from_pretrained("python-bert")
results = {
    "all tokens alike": Evaluation(0, math.log(size), {"accuracy": 1 / size}),
    "unigram": unigram,
    f"your {steps} steps": history.evaluations[-1],
    "python-bert": test.evaluate(model, 2500),
}
print(f"{'':<18}loss (nats)  perplexity  right at once")
for name, found in results.items():
    print(f"{name:<18}{found.loss:11.2f}{math.exp(found.loss):12.0f}{found.accuracy:15.1%}")
gain = unigram.loss - results["python-bert"].loss
print(f"python-bert beats the unigram line by {gain:.2f} nats; by at least 1.5: {gain >= 1.5}")

# %% [markdown]
# ## Change something
#
# How well does `python-bert` guess in the text that it *has* read? Think first, then run the cell.
# Then put `history.evaluations[-1]` of your own model beside it: `test.evaluate(own, 0)` with the
# other rows.

# %%
read = HeldOut(training)
print(f"text that it learned from: {read.evaluate(model, 2500).loss:.2f} nats")
print(f"text that is new to it:    {results['python-bert'].loss:.2f} nats")

# %% [markdown]
# It took each row some 150 times, each time with other gaps, and knows much of it by heart. Had we
# tested it there, we would have praised its memory. A model as large as BERT that reads each of
# billions of words 40 times (section A.2) has less room to do so, but the rule is the same:
# only what is new to a model tells what it has learned.
#
# ## What it puts there
#
# The same gaps for three models: before the first step, after your steps, and `python-bert`.

# %%
models = {
    "before": FillMask(BertForMaskedLM.from_pretrained(folder / "before"), tokenizer),
    f"{steps} steps": FillMask(BertForMaskedLM.from_pretrained(folder / "after"), tokenizer),
    "python-bert": fill,
}
for text in [
    "The arguments [MASK] evaluated from left to right.",
    "This method should [MASK] the result.",
    "If the object does not [MASK] the attribute, an exception is raised.",
    "The capital of France is [MASK].",
]:
    print(text)
    for name, each in models.items():
        (guesses,) = each.predict([text], top_k=4)[0]
        print(f"  {name:<12}" + "  ".join(f"{g.token} {g.score:.3f}" for g in guesses))

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
# Now the sentences. Next to its subject the verb is easy: whoever knows which word follows which
# gets it right. So we put words between the two, in four ways.

# %%
NOUNS = (
    "argument attribute block class exception expression function item key keyword method module "
    "name object operator parameter statement string type value"
).split()
PLURALS = [noun + ("es" if noun.endswith("s") else "s") for noun in NOUNS]
ENDS = ["evaluated first.", "not required.", "defined in the module."]
BETWEEN = {
    "nothing between": ("", ""),
    "of the same number": (" in the list", " in the lists"),
    "of the other number": (" in the lists", " in the list"),
}


def agreeing(fill: FillMask, between: tuple[str, str]) -> np.ndarray:
    """(20,) of each noun the share of its sentences in which the verb that fits is likelier."""
    right = []
    for nouns, words, verb in zip((NOUNS, PLURALS), between, ("is", "are"), strict=True):
        texts = [f"The {noun}{words} [MASK] {end}" for noun in nouns for end in ENDS]
        found = fill.predict(texts, top_k=1, targets=["is", "are"])
        right.append([blank[0].token == verb for (blank,) in found])
    return np.reshape(right, (2, len(NOUNS), len(ENDS))).mean(axis=(0, 2))


scores = {
    f"{name}, {how}": agreeing(each, between)
    for name, each in models.items()
    for how, between in BETWEEN.items()
    if name != "before"
}
picture(
    bars,
    {name: score.mean() for name, score in scores.items()},
    "Does the verb agree with its subject?",
    "share of sentences in which the verb that fits is likelier",
    errors=[score.std(ddof=1) / len(NOUNS) ** 0.5 for score in scores.values()],
    line=("a coin", 0.5),
    alt="Bars",
)

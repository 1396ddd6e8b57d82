# %% [markdown]
# # 10. Other tasks, and the variants
#
# **The question.** We have taught a model to judge whole texts. What else can the same encoder do?
# And what have those changed who came after BERT?
#
# 30 minutes to read, as long again for the exercises, about a minute to run. Run the cells from top
# to bottom: each uses what those above have made, and a `NameError` means that one of them has not
# run yet. Where an exercise says `not yet`, you may go on and come back.
#
# Read beside it: [heads.py](../../minibert/heads.py), and [variants/](../../minibert/variants), a
# page for each family. The papers: Devlin et al. 2019, *BERT* ([arXiv
# 1810.04805](https://arxiv.org/abs/1810.04805)), sections 4 and 5.3 and figure 4; those of the
# variants stand beside their names below.

# %%
import random
import time
import warnings
from importlib import import_module

import torch
from checks import lesson10
from course import picture, sized
from figures import bars

from minibert import (
    BertConfig,
    BertForClassification,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForTokenClassification,
    BertModel,
    QuestionAnswerer,
    TextClassifier,
    TokenClassifier,
)
from minibert.inspect import summary

warnings.simplefilter("ignore")  # the library warns that our few examples are few; they are

# %% [markdown]
# ## One encoder, several heads
#
# An encoder makes a vector of each token, and each of these vectors knows its neighbours. A
# **head** is what stands on top and makes an answer of them. There are three kinds in the paper's
# figure 4:
#
# - **One answer for the whole text.** The vector of `[CLS]` is multiplied by a table with a column
#   for each label. That was [lesson 7](07_a_classifier.ipynb). Two texts in one row are judged in
#   the same way: does the second follow from the first?
# - **One answer for each token.** Every vector is multiplied by such a table. So names of people
#   and places are found.
# - **A span.** Each token gets two scores: for being the first of the answer, and for being its
#   last. So a question is answered by a piece of a text.
#
# Guessing `[MASK]`, in [lesson 6](06_guess_the_hidden_word.ipynb), is of the second kind, with the
# whole vocabulary for labels. How much does each head add to the 22.7 million numbers of the
# encoder `minilm-l6`?

# %%
config = BertConfig.from_pretrained("minilm-l6")
encoder = sum(parameter.numel() for parameter in BertModel(config).parameters())
print(f"{'the encoder':<28}{encoder:>12,}")
for head in (
    BertForClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
    BertForMaskedLM,
):
    parts = head(config).named_parameters()
    added = sum(parameter.numel() for name, parameter in parts if not name.startswith("bert."))
    print(f"{head.__name__:<28}{added:>12,}")

# %% [markdown]
# 770 is 384 · 2 + 2: a table with 384 rows and two columns, and two numbers to add. (The last head
# uses the table of token embeddings a second time, so it has no more than 179,130.) Almost all that
# a model knows is in the encoder, and that is why one encoder serves so many tasks.
#
# ## Names: an answer for each token
#
# Somebody has to say for many words what they are. The tags tell where a name begins, `B-`, and
# where it goes on, `I-`:
#
# | Ada | Lovelace | lived | in | London | . |
# |---|---|---|---|---|---|
# | B-PER | I-PER | O | O | B-LOC | O |
#
# Real data sets have some 15,000 such sentences. For a quick look we make 200 ourselves, from a
# handful of patterns, people and places. None of the names below is tried out later, and the model
# does not see capital letters: it can only go by the words around, and by what it knows.

# %%
PEOPLE = "Ada Bruno Clara Dimitri Esther Farid Greta Hiro Ingrid Jonas Karim Lena".split()
SURNAMES = "Lovelace Meyer Rossi Tanaka Okafor Novak".split()
PLACES = "Berlin Lagos Lima Oslo Cairo Delhi Prague Boston Kyoto Dublin".split()
PATTERNS = [
    "PER lived in LOC .",
    "PER went from LOC to LOC .",
    "In LOC it rained when PER arrived .",
    "A letter from PER never reached LOC .",
    "Last year PER and PER moved to LOC .",
    "My brother PER works at the harbour of LOC .",
    "The bread was fresh and the milk was cold .",
    "The old teacher works at the harbour .",
]
chance = random.Random(0)


def tagged() -> tuple[list[str], list[str]]:
    """A sentence: its words, and their tags."""
    words: list[str] = []
    tags: list[str] = []
    for slot in chance.choice(PATTERNS).split():
        if slot == "PER":  # about every other one has a surname, too
            name = [chance.choice(PEOPLE), *chance.sample(SURNAMES, chance.randint(0, 1))]
        elif slot == "LOC":
            name = [chance.choice(PLACES)]
        else:
            words.append(slot)
            tags.append("O")
            continue
        words += name
        tags += [f"B-{slot}", f"I-{slot}"][: len(name)]
    return words, tags


words, tags = zip(*(tagged() for _ in range(sized(200, 40))), strict=True)
shown = next(number for number, each in enumerate(tags) if "I-PER" in each)
for word, tag in zip(words[shown], tags[shown], strict=True):
    print(f"{word:<9}{tag}")

tagger = TokenClassifier("minilm-l6", epochs=4, batch_size=8, lr=sized(2e-4, 5e-4), seed=1)
tagger.fit(words, tags)

# %%
for text in [
    "Tamara wrote to her uncle Sven Larsen, who lives near Madrid.",
    "In May the ship left Seoul.",
    "The dentist lives in a small town.",
    "Rosa met the king of Spain in Vienna.",
]:
    print(text)
    for entity in tagger.predict([text])[0]:
        print(f"  {entity.label:<5}{entity.text:<13}{entity.score:.2f}")

# %% [markdown]
# It finds names that were in no training sentence, in sentences unlike all of them. Eight patterns
# cannot have taught that; the encoder knew much of it, and the head has learned to ask for it. (It
# has its limits: no pattern had a month or a company, so do not trust it with these.) A tagger that
# was trained on real data is one line: `TokenClassifier.load("dslim/bert-base-NER")`.
#
# ## Exercise 1: from tags to names
#
# Write what stands between the tags and the list above: a function that puts names together. So it
# was with `Sven Larsen`, whose tags are `B-PER` and `I-PER`.
#
# - `B-PER` begins a name with the label PER.
# - `I-PER` goes on with the name that the word before belongs to, if that has the label PER. If
#   not, if the word before has another label or is `O`, it begins a name itself.
# - `O` belongs to no name.
#
# `"B-PER"[2:]` is `"PER"`, and `" ".join(["New", "York"])` is `"New York"`. A loop over `zip(words,
# tags)` will do.


# %%
def entities(words: list[str], tags: list[str]) -> list[tuple[str, str]]:
    """The names in a sentence, in their order, each as (label, text)."""
    raise NotImplementedError  # your lines take the place of this one


print(lesson10.entities(entities))

# %% [markdown]
# ## Answers: a span
#
# The row is `[CLS] question [SEP] text [SEP]`, and for each token the head gives two scores. The
# answer goes from the token i to the token j for which start[i] + end[j] is largest. Again the real
# data, SQuAD, has 100,000 questions, and we make a few hundred.

# %%
JOBS = "baker judge nurse pilot farmer painter lawyer plumber teacher driver".split()


def question() -> dict:
    """A question, a text, and where in the text the answer begins, in SQuAD's format."""
    who, where, job = (chance.choice(names) for names in (PEOPLE, PLACES, JOBS))
    text = chance.choice(
        [
            f"{who} lived in {where} and was a {job}.",
            f"In {where} there was a {job} whose name was {who}.",
            f"The {job} {who} came from {where}.",
        ]
    )
    asked, answer = chance.choice(
        [
            (f"Where was {who}?", where),
            (f"Who was in {where}?", who),
            (f"What was {who}'s job?", job),
            (f"Who was a {job}?", who),
        ]
    )
    answers = {"text": [answer], "answer_start": [text.index(answer)]}
    return {"id": str(chance.random()), "question": asked, "context": text, "answers": answers}


reader = QuestionAnswerer(
    "minilm-l6", epochs=sized(3, 1), batch_size=8, lr=2e-4, seed=1, max_answer_tokens=5
)
reader.fit([question() for _ in range(sized(300, 16))])

# %%
text = "In Vienna there was a young dentist. Her name was Tamara, and she came from Quito."
for asked in ["Who was the dentist?", "Where was the dentist?", "What was Tamara's job?"]:
    answer = reader.predict([(asked, text)])[0]
    print(f"{asked:<26}{answer.text:<12} characters {answer.start} to {answer.end}")

# %% [markdown]
# With so few questions it is easily led astray; ask your own and see. Note what it cannot do: it
# points to a piece of the text, and no answer that does not stand there can come out. A reader that
# was trained on SQuAD is `QuestionAnswerer.load("deepset/bert-base-cased-squad2")`.
#
# ## Exercise 2: the best span
#
# One might take the token with the best start score and the token with the best end score. But then
# an answer may end before it begins, lie in the question, or be half a page long. Write the search
# over pairs. A pair (i, j) is an answer if
#
# - i is at least `first`, the place of the first token of the text, and j is not before i;
# - from i to j, both included, there are at most `longest` tokens.
#
# Of these take the pair for which `start[i] + end[j]` is largest. Two loops will do.


# %%
def best_span(start: list[float], end: list[float], first: int, longest: int) -> tuple[int, int]:
    """start, end: the scores of each token. Returns (i, j), counted from token 0 of the row."""
    raise NotImplementedError  # your lines take the place of this one


print(lesson10.best_span(best_span))

# %% [markdown]
# ## Pairs
#
# A pair of texts is one row with one label, so a classifier learns it as it learns single texts.
# Here it is to say whether a statement is true of a text. We make the pairs from the same people,
# places and jobs: half of the statements have another place in them.


# %%
def claim() -> tuple[tuple[str, str], str]:
    """A text and a statement about it, and whether that is true."""
    who, job = chance.choice(PEOPLE), chance.choice(JOBS)
    where, other = chance.sample(PLACES, 2)
    true = chance.random() < 0.5
    return (
        (
            f"{who} lived in {where} and was a {job}.",
            f"{who} came from {where if true else other}.",
        ),
        "true" if true else "false",
    )


pairs, truths = zip(*(claim() for _ in range(sized(400, 16))), strict=True)
judge = TextClassifier("minilm-l6", epochs=sized(3, 1), batch_size=8, lr=2e-4, seed=1)
judge.fit(pairs, truths)
text = "Rosa, a dentist, lived in Vienna."
for statement in ["Rosa came from Vienna.", "Rosa came from Madrid."]:
    (label,) = judge.predict([(text, statement)])
    print(f"{text}  {statement}  {label}")

# %% [markdown]
# ## What an encoder is not for
#
# To **translate** or to **sum up** a text is to write a new one: of a length that nobody knows yet,
# word after word, each depending on those before. BERT writes nothing. It reads a text that is
# there and says something about its tokens. It could fill `[MASK]`, but somebody has to say how
# many there are, and it fills each as if the others were not. A *decoder*, as in GPT, writes from
# left to right; for translation an encoder reads and a decoder writes (Vaswani et al. 2017, section
# 3). What an encoder can do is choose: which three sentences of a text say most, which of a
# thousand texts fits a question.
#
# ## The variants
#
# Those who came after BERT kept its encoder. Each file in [variants/](../../minibert/variants)
# tells on a page what one of them changed. Their first lines:

# %%
for family in ("distilbert", "roberta", "electra", "albert"):
    about = import_module(f"minibert.variants.{family}").__doc__ or ""
    print(about.partition("\n")[0])

# %% [markdown]
# The papers: DistilBERT, Sanh et al. 2019 ([arXiv 1910.01108](https://arxiv.org/abs/1910.01108));
# RoBERTa, Liu et al. 2019 ([arXiv 1907.11692](https://arxiv.org/abs/1907.11692)); ELECTRA, Clark et
# al. 2020 ([arXiv 2003.10555](https://arxiv.org/abs/2003.10555)); ALBERT, Lan et al. 2020 ([arXiv
# 1909.11942](https://arxiv.org/abs/1909.11942)).
#
# How large are they, and how fast? For both the shape is enough. We build each with random weights
# and let it read 8 rows of 64 tokens, several times; the shortest time counts. (Times are of your
# machine, now. In a hurry, as in our tests, the models have one layer and read two rows:
# then these times say nothing.)

# %%
NAMES = [
    "bert-base-uncased",
    "distilbert-base-uncased",
    "roberta-base",
    "electra-small-discriminator",
    "albert-base-v2",
]
ROWS = sized(8, 2)
parameters, milliseconds = {}, {}
print(f"{'':<28}{'parameters':>12}{'fp32, MB':>10}{'layers':>8}{'ms':>7}")
for name in NAMES:
    shape = BertConfig.from_size(name)
    size = summary(shape).parameters
    layers = sized(shape.num_hidden_layers, 1)
    model = BertModel(BertConfig.from_size(name, num_hidden_layers=layers)).eval()
    ids = torch.randint(1000, 2000, (ROWS, 64))
    times = []
    with torch.inference_mode():
        for _ in range(sized(4, 3)):
            begin = time.perf_counter()
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
            times.append(1000 * (time.perf_counter() - begin))
    parameters[name], milliseconds[name] = size / 1e6, min(times[1:])
    print(
        f"{name:<28}{size:>12,}{4 * size / 1e6:>10.0f}{shape.num_hidden_layers:>8}"
        f"{min(times[1:]):>7.0f}"
    )

# %%
picture(
    bars,
    parameters,
    "What has to be stored",
    "parameters (millions)",
    form="{:.1f}",
    alt="A bar of parameters for each model: RoBERTa's is the longest, BERT-base's follows, "
    "DistilBERT's is three fifths of that, ELECTRA-small's and ALBERT's about a tenth.",
)
picture(
    bars,
    milliseconds,
    f"What has to be computed: {ROWS} rows of 64 tokens",
    "time (ms)",
    form="{:.0f}",
    alt="A bar of milliseconds for each model, as measured here: the last column of the table.",
)

# %% [markdown]
# Small is not fast. ALBERT has a tenth of BERT's parameters, and yet it takes about as long. What
# saves so many? Its twelve layers share one layer's numbers: these have to be stored once, but each
# of the twelve is still computed. And its embeddings are 128 wide, not 768. Count what each of the
# two does for BERT-base. A BERT that shares has as many parameters as a BERT with one layer:

# %%
one = summary(BertConfig.from_size("bert-base-uncased", num_hidden_layers=1)).parameters
narrower = 30522 * (768 - 128)
print(f"{'BERT-base':<40}{parameters['bert-base-uncased']:>6.1f} million")
print(f"{'its layers shared':<40}{one / 1e6:>6.1f} million")
print(f"{'and its token embeddings 128 wide':<40}{(one - narrower) / 1e6:>6.1f} million")

# %% [markdown]
# Sharing alone leaves 31.5 of 109.5 million, most of it the table of 30,522 token embeddings. Only
# both together come near to ALBERT's 11.7. (The rest: its vocabulary has 30,000 tokens, its tables
# of positions and segments are 128 wide, too, and a linear layer that makes 768 of 128 is added.)
#
# The others:
#
# - **DistilBERT** has half the layers. Where all are computed, it takes about half the time.
# - **RoBERTa** is BERT's model with a larger vocabulary, and about as fast. What changed is the
#   training: ten times the text, batches of some 8,000 rows instead of 256, other tokens masked
#   each time a row comes round, and no next sentence prediction.
# - **ELECTRA** changed the task. A second, small model fills the masked places of a text with
#   guesses, and ELECTRA says of every token whether it is the original or was replaced. So it
#   learns from all tokens, where BERT learns from the 15 % that were chosen in [lesson
#   6](06_guess_the_hidden_word.ipynb). ELECTRA-small is small *and* fast because its layers are
#   narrow, 256 instead of 768.
#
# Whichever you choose, the code is the same: `TextClassifier("roberta-base")`,
# `TokenClassifier("albert-base-v2")`.
#
# ## Change something
#
# Put a month or a company into the sentences for the tagger. Give `reader` a question whose answer
# is not in the text. Ask `judge` about "Rosa was a dentist.": no statement in its training spoke of
# jobs.

# %%
print(judge.predict([(text, "Rosa was a dentist."), (text, "Rosa was a plumber.")]))

# %% [markdown]
# What comes out is `true` or `false`, for it knows no other answer. It was taught to compare
# places, and nobody can tell from the answer that the question was another one.
#
# ## What goes wrong in practice
#
# - **The data is made from patterns,** as ours was, and the test, too. Then the test says how well
#   the patterns were learned. Try sentences that somebody else has written.
# - **Words and tokens are mixed up.** Tags belong to words, and a word may be three pieces. The
#   library looks at the first piece of each word, as the paper does (section 5.3).
# - **A name is counted right by its words.** Count whole names: "New" without "York" is wrong. That
#   is what `seqeval` and the library's F1 do.
# - **An answer is always found.** A reader that was never taught "no answer" points somewhere.
#   SQuAD 2.0 has questions without answers for that reason.
# - **A model without a trained head is loaded for the task.** `bert-base-cased` has no tagger: its
#   head would be random. The library says so.
# - **Parameters are taken for speed.** See ALBERT.
#
# This was the last lesson. From here: your own texts and `minibert train` on the command line; the
# [book](../../minibert/README.md) once more, which should now read easily; and
# [benchmarks/](../../benchmarks/README.md) for how the same code is made fast.

# %% [markdown]
# # 3. Order: positions and segments
#
# **The question.** "The dog bites the man" is no news. "The man bites the dog" is, and it has the
# same words. BERT takes in all words of a text at once. How does it know which came first?
#
# 25 minutes to read, as long again for the exercises, less than one to run. Run the cells from top
# to bottom: each uses what those above have made. Where an exercise says `not yet`, you may go on
# and come back.
#
# Read beside it: [embeddings.py](../../minibert/embeddings.py), a short chapter. The papers: Devlin
# et al. 2019, *BERT* ([arXiv 1810.04805](https://arxiv.org/abs/1810.04805)), section 3 with
# figure 2, and appendix A.2; Vaswani et al. 2017, *Attention Is All You Need*
# ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), sections 3.4 and 3.5.

# %%
import numpy as np
import torch
from checks import lesson03
from course import picture, sized
from figures import curves, tables
from torch import Tensor

from minibert import BertModel, Tokenizer, data
from minibert.inspect import plot_positions, position_similarity, token_table
from minibert.inspect.vectors import cosines
from minibert.packing import Packing, Record

# %% [markdown]
# ## The idea
#
# A book falls apart, and its pages lie on the floor. If they are numbered, nothing is lost: anybody
# can put them in order again. If they are not, you know what was told, but not in which order.
#
# To BERT each token of a text is such a page. Between tokens there is one thing only that passes
# anything on, and that is attention ([lesson 4](04_self_attention.ipynb)). A token looks at all
# others, and takes from each the more, the better it fits; then it adds up what it got. What fits
# depends on what the others are, not on where they are. And a sum has no order: 2 + 3 + 5 is
# 5 + 2 + 3. So attention alone is blind to order.
#
# BERT therefore numbers its pages. For each position in a text, 0, 1, 2 and so on, it has a
# **position vector**, a list of C numbers. It adds that of position 0 to the vector of the first
# token, that of position 1 to the second, and so on. The same word has then another vector in
# another place.
#
# ## By hand
#
# Let C be 3. Here are made-up vectors for three words, as lists of three numbers, and vectors for
# the positions 0, 1 and 2. A token is its word plus its position. *dog* in front is
# [2, 0, 0] + [0.1, 0, 0.2] = [2.1, 0, 0.2]. At the end it is [2, 0, 0] + [0.3, 0.2, 0] =
# [2.3, 0.2, 0].
#
# `tensor` makes PyTorch's table of numbers out of lists. `table[[0, 1, 2]]` takes these rows out of
# it, in this order: that is how a row is **looked up**.

# %%
words = torch.tensor(
    [
        [2.0, 0.0, 0.0],  # dog
        [0.0, 2.0, 0.0],  # bites
        [0.0, 0.0, 2.0],  # man
    ]
)
places = torch.tensor(
    [
        [0.1, 0.0, 0.2],  # position 0
        [0.0, 0.3, 0.1],  # position 1
        [0.3, 0.2, 0.0],  # position 2
    ]
)
dog_bites_man, man_bites_dog = words[[0, 1, 2]], words[[2, 1, 0]]
both = torch.cat([dog_bites_man, man_bites_dog])  # one below the other
picture(
    tables,
    {
        "word": both,
        "position": places[[0, 1, 2, 0, 1, 2]],
        "word + position": both + places[[0, 1, 2, 0, 1, 2]],
    },
    ["dog", "bites", "man", "man", "bites", "dog"],
    [],
    alt="Three tables of six rows, the words of two sentences. The words' rows are the same in "
    "both, in another order. With positions added, dog and man differ, and bites does not.",
)

# %% [markdown]
# Look at the first table. Both sentences have the same three rows; add each up, and the sums are
# equal. In the last table *dog* and *man* differ from sentence to sentence. *bites*, in the middle
# of both, does not.

# %%
print("words alone:     ", dog_bites_man.sum(dim=0), man_bites_dog.sum(dim=0))
print("dog, both times: ", (dog_bites_man + places)[0], (man_bites_dog + places)[2])

# %% [markdown]
# Is the word still to be seen in the sum? Here you can read it off: the large number says which
# word it is, and what is left over says where it stands. We shall ask a real model the same.
#
# ## The library does the same
#
# `minilm-l6` has C = 384, and its position table has 512 rows. There is a third table, for
# **segments**. BERT can read two texts at once, such as a question and an answer, and each token of
# the first gets the first row of that table, each token of the second the other row. In the column
# `type` you see which:

# %%
model = BertModel.from_pretrained("minilm-l6")
tokenizer = Tokenizer.from_pretrained("minilm-l6")
print(token_table(tokenizer, "The dog bites.", "The man runs."))

# %% [markdown]
# So a token begins as the sum of three rows: token, position, segment. That is figure 2 of the BERT
# paper. All three tables are learned. Then a *LayerNorm* brings the numbers of each token to a
# common range ([lesson 5](05_one_layer.ipynb)). In
# [embeddings.py](../../minibert/embeddings.py), `Embeddings.forward` has these lines; here we write
# them out and compare. `allclose` means: equal but for rounding.

# %%
model.requires_grad_(False)  # we only look; PyTorch need not note how to train
embeddings = model.embeddings
assert embeddings.segment is not None  # DistilBERT has none
segment = embeddings.segment.weight
batch = tokenizer(["The dog bites."], ["The man runs."])
ids, segments = batch["input_ids"][0], batch["token_type_ids"][0]  # of the first and only row
positions = torch.arange(len(ids))  # 0, 1, 2, ...
total = embeddings.token.weight[ids] + embeddings.position.weight[positions] + segment[segments]
theirs = embeddings(ids, positions, segments)
print("the same:", torch.allclose(embeddings.norm(total), theirs, atol=1e-6))

# %% [markdown]
# Does a sum mix up what was put into it? Let us try. We take the sums of forty review sentences
# that come with the library, and forget what they were made of. From each we subtract the mean of
# all token vectors and the segment, and ask which position vector is nearest to what remains. Then
# the other way round: we subtract the mean position, and ask which of 30,522 tokens is nearest.

# %%
_, development = data.load("sample")  # two tables; the first is for training
texts = [str(text) for text in development.texts]
token, position = embeddings.token.weight, embeddings.position.weight
right_place = right_token = asked = 0
for text in texts[: sized(40, 10)]:
    ids = tokenizer([text])["input_ids"][0]
    positions = torch.arange(len(ids))
    total = token[ids] + position[positions] + segment[0]
    # cdist: the distance of each row to each; argmin: which is the least.
    nearest_place = torch.cdist(total - token.mean(dim=0) - segment[0], position).argmin(dim=1)
    nearest_token = torch.cdist(total - position.mean(dim=0) - segment[0], token).argmin(dim=1)
    right_place += int((nearest_place == positions).sum())
    right_token += int((nearest_token == ids).sum())
    asked += len(ids)
print(f"{asked} tokens: position found for {right_place}, token for {right_token}")

# %% [markdown]
# All are found: the sum has kept what it was made of. In 384 dimensions there is room.
# Vectors that mean different things can point in different directions, and training finds such
# directions.
#
# ## Take order away
#
# What if all tokens stood in the same place? `embeddings` is told the positions, so we can tell it
# a lie. The function below reads a text, or a pair, and gives its tokens the positions that we say.
# It does what `BertModel` does, in two steps: embeddings, then the encoder, which is all the
# layers. A [Packing](../../minibert/packing.py) says which tokens belong to one text; here all do.
# A `Record` keeps the attention weights on the way.


# %%
def read(
    batch: dict[str, Tensor], positions: Tensor | None = None, segments: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """batch: one row of T tokens, from the tokenizer. positions, segments: (T,); None: as they are.

    Returns the vectors after the last layer, (T, C), and the attention weights of all layers and
    heads, (L, H, T, T).
    """
    ids = batch["input_ids"][0]
    if positions is None:
        positions = torch.arange(len(ids))
    if segments is None:
        segments = batch["token_type_ids"][0]
    packing = Packing(batch["attention_mask"])
    record = Record(packing, attentions=True)
    x = model.encoder(model.embeddings(ids, positions, segments), packing, record=record)
    return x, torch.cat(record.attentions or ())


def change(before: Tensor, after: Tensor) -> float:
    """How far vectors have moved, as a share of their length; 0: not at all."""
    return float((after - before).norm() / before.norm())


one, other = tokenizer(["the dog bites the man"]), tokenizer(["the man bites the dog"])
all_at_5 = torch.full((7,), 5)  # 5 5 5 5 5 5 5; there are seven tokens, with [CLS] and [SEP]
for name, positions in (("0, 1, 2, ...", torch.arange(7)), ("all at 5", all_at_5)):
    first, second = read(one, positions)[0], read(other, positions)[0]
    print(f"{name:<13} the two [CLS] differ by {change(first[0], second[0]):.7f} of their length")

# %% [markdown]
# `[CLS]`, the first token, is the one whose vector often stands for the whole text. With its
# positions the model tells the two sentences apart: the vectors differ by 17 % of their length.
# With all tokens in one place they are the same; what is left is rounding. Such a model reads a
# *bag of words*.
#
# That goes for all tokens: without positions, if you shuffle them, their vectors are shuffled with
# them, and nothing else happens.
#
# ## Exercise 1: a model without positions
#
# A lie in each call is one way. Another is to change the model. Write a function that returns a
# *copy* of a model whose position table is all zeros. The model that it was given must stay as it
# is, in all its tables. The check shuffles the tokens of a text, and wants to see their vectors
# shuffled in the same way and otherwise unchanged, to 0.00001.
#
# The table is `model.embeddings.position.weight`. After `import copy`, `copy.deepcopy(model)`
# copies a model with all its numbers; `copy.copy` would copy only the outermost shell, and both
# would share the rest. `.zero_()` sets a tensor to zero *in place*: no new one is made, as with all
# of PyTorch's functions whose names end with `_`. For weights that may be trained PyTorch refuses
# that, unless it happens inside `with torch.no_grad():`.


# %%
def without_positions(model: BertModel) -> BertModel:
    """Returns a copy of the model whose position table is zero; the model is not changed."""
    raise NotImplementedError  # your lines take the place of this one


print(lesson03.without_positions(without_positions))

# %% [markdown]
# ## A head that counts
#
# Lesson 4 looks at layer 1, head 3 of this model: every token gives nearly all of its attention to
# the token just before. Does that head know *words*, or positions? Now we can tell. We lie to it in
# several ways, over twenty sentences, and measure how much of its attention a token gives to the
# one before it and to the one after it.

# %%
HEAD = (0, 2)  # layer 1, head 3; Python counts from 0
lies = {
    "0, 1, 2, ...": lambda count: torch.arange(count),
    "all at 5": lambda count: torch.full((count,), 5),
    "backwards": lambda count: torch.arange(count).flip(0),  # the last token is at 0
    "from 100 on": lambda count: torch.arange(count) + 100,
    "0, 2, 4, ...": lambda count: 2 * torch.arange(count),
}
batches = [tokenizer([text]) for text in texts[: sized(50, 10)]]
print(f"{'positions':<13} to the one before   to the one after")
for name, lie in lies.items():
    to_previous, to_next = [], []
    for batch in batches[:20]:
        weights = read(batch, lie(batch["input_ids"].shape[1]))[1][HEAD]  # (T, T)
        to_previous.append(weights.diagonal(-1))  # of token i for token i - 1
        to_next.append(weights.diagonal(1))  # of token i for token i + 1
    previous, following = torch.cat(to_previous).mean(), torch.cat(to_next).mean()
    print(f"{name:<13} {previous:17.4f} {following:18.4f}")

# %% [markdown]
# - As it should be: 0.9997 to the token before.
# - All in one place: 0.09, not much more than the 0.06 of the token after. The head finds nothing
#   to hold on to.
# - Backwards: 0.9991 to the token *after*. In the words' order that is the wrong one; in the order
#   that we told, it is the one before. So the head goes by the position vectors and not by words.
# - From 100 on: still 0.93. It has not learned "5 looks at 4" for the first few places only.
# - Every second position: half. Now nobody stands just before.
#
# ## Change something
#
# A text has the same words in the same order if its first token stands at 1 in place of 0. Does the
# model see it so? And at 100? Guess, run the cell, then try other numbers for `start`. These texts
# have at most 41 tokens, so there is room up to 450.

# %%
for start in (1, 100):
    moved, but_cls = [], []
    for batch in batches:
        positions = torch.arange(batch["input_ids"].shape[1]) + start
        moved.append(change(read(batch)[0], read(batch, positions)[0]))
        positions[0] = 0
        but_cls.append(change(read(batch)[0], read(batch, positions)[0]))
    print(f"from {start} on: the vectors move by {np.mean(moved):.0%} of their length")
    print(f"    with [CLS] left at 0: by {np.mean(but_cls):.0%}")

# %% [markdown]
# One step to the right, and the vectors move by more than a third. Most of that comes from `[CLS]`,
# which has never stood anywhere but at 0. But go 100 to the right, and even with `[CLS]` in its
# place they move by nearly half. BERT's positions are *absolute*: it learned each of them from
# texts that begin at 0, and nothing makes it treat 101, 102, 103 as it treats 1, 2, 3.
#
# ## And segments?
#
# Now we lie about segments. We take pairs of sentences, and tell the model that both are the first
# text. To have something to compare with, we also put all tokens at position 5 again.

# %%
one_text, one_place = [], []
pairs = list(zip(texts[:50], texts[50:100], strict=True))
for text, pair in pairs[: sized(50, 10)]:
    batch = tokenizer([text], [pair])
    zeros = torch.zeros_like(batch["input_ids"][0])
    one_text.append(change(read(batch)[0], read(batch, segments=zeros)[0]))
    one_place.append(change(read(batch)[0], read(batch, positions=zeros + 5)[0]))
print(f"both in the first text: the vectors move by {np.mean(one_text):.0%}")
print(f"all at position 5:      the vectors move by {np.mean(one_place):.0%}")

# %% [markdown]
# In this model segments matter much less than positions. Why, we can only guess. `[SEP]` stands
# between the texts as well, so there is another way to see where the second begins. And the last
# training of this model was to match sentences (its
# [model card](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2)), each read on its
# own. Of a BERT that was fine-tuned on pairs it tells nothing.
#
# ## Where the numbers come from
#
# Nobody told BERT that 5 comes after 4. Its position table began as random numbers, and training
# changed them. The Transformer before BERT had a table that was *not* learned. Its position vectors
# are sines and cosines (Vaswani et al., section 3.5): for position p, the numbers 2i and 2i + 1 are
#
# $$\sin\left(p \,/\, 10000^{2i/C}\right), \qquad \cos\left(p \,/\, 10000^{2i/C}\right)$$
#
# Each pair of numbers is like the hand of a clock, given by its height and its distance to the
# right. The first hand turns fast, 1 radian (57 degrees) a position; the next ones turn slower and
# slower. With C = 4 there are two hands. The second is a hundred times slower: 10000 to the power
# of 2/4 is 100. For p = 1 the four numbers are sin 1 = 0.841, cos 1 = 0.540, sin 0.01 = 0.010 and
# cos 0.01 = 1.000; the second row below.
#
# (In two more things BERT left that paper: there the token vectors were multiplied by √C before
# positions were added, section 3.4, and no LayerNorm followed the sum.)


# %%
def sinusoids(positions: int, width: int) -> Tensor:
    """The position vectors of Vaswani et al. 2017, section 3.5, (positions, width)."""
    p = torch.arange(positions)[:, None]
    angles = p / 10000 ** (torch.arange(0, width, 2) / width)  # (positions, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


print(sinusoids(4, 4).numpy().round(3))

# %% [markdown]
# Two position vectors are alike if they point in the same direction. The measure is the **cosine**
# of the angle between them: 1 for the same direction, 0 for a right angle. For vectors of sines it
# depends on one thing only, how far apart the positions are. (Two clock hands: the angle between 3
# and 5 o'clock is that between 8 and 10.) So one curve shows all of it. Beside it we draw the mean
# for the learned vectors, of the first 128 positions, and that for a table of random numbers, as
# training begins with.

# %%
learned = position_similarity(model)
random = torch.randn(128, 384, generator=torch.Generator().manual_seed(0)).numpy()
alike = {
    "sines": cosines(sinusoids(128, 384).numpy()),
    "learned": learned.cosine[:128, :128],
    "random": cosines(random),
}
distances = list(range(1, 65))
lines = {
    name: (distances, [float(np.diagonal(matrix, d).mean()) for d in distances])
    for name, matrix in alike.items()
}
picture(
    curves,
    lines,
    "How alike are two positions, so far apart?",
    "positions apart",
    "mean cosine",
    alt="Three curves. Sines fall from 0.97 at one position apart to 0.48 at 64. Learned begins at "
    "0.86 and falls with waves, to 0.04 at 64. Random stays at 0.",
)
for name, (_distances, means) in lines.items():
    some = (1, 2, 4, 8, 16, 64)
    # + 0, or there would be a -0.00
    print(f"{name:<8}", ", ".join(f"{d} apart {round(means[d - 1], 2) + 0:.2f}" for d in some))

# %% [markdown]
# So training has given the learned vectors what sines have from the beginning: neighbours are
# alike, and those far apart are less so. Nobody asked for it. To guess a hidden word it helps to
# know which words are near, and that may be enough. The learned curve has larger waves, as if it
# were made of a few sines in place of 192; we have not tested that.
#
# Vaswani et al. tried both kinds and found nearly the same results (section 3.5 and table 3, row
# E). Sines have no last row, though, and a learned table has. The paper hoped that a model with
# sines could read longer texts than those it was trained on.
#
# ## Some positions are odd
#
# Here is the whole learned table: on the left, how alike each two of the first 128 positions are;
# on the right, how long the vectors are. The **length** of a vector is the root of the sum of its
# squares: [3, 4] has the length 5.

# %%
picture(
    plot_positions,
    learned,
    alt="Left, a matrix with a bright band along its diagonal and weaker ones beside it. Right, "
    "lengths near 0.42 up to position 126 and near 0.48 from 128 on, with peaks at 0, 127, 510 "
    "and 511.",
)
print(learned)

# %% [markdown]
# ## Exercise 2: find the odd positions
#
# Most vectors are about as long as each other. A few are far longer. Call a position *odd* if its
# vector is more than 1.25 times as long as the median; the median is the length in the middle, if
# you sort them. Write a function that finds the odd positions of any table. The check gives it a
# made-up one, and then that of `minilm-l6`.
#
# The rows of the table are the positions, and they are numbered from 0. PyTorch has
# `table.norm(dim=1)`, the length of each row, and `.median()`. You can do it with a loop as well.


# %%
def odd_positions(table: Tensor) -> list[int]:
    """table: (P, C), a row for each position. Returns the odd positions, numbered from 0."""
    raise NotImplementedError  # your lines take the place of this one


print(lesson03.odd_positions(odd_positions))

# %% [markdown]
# ## Why these?
#
# First what is known. `[CLS]` stands at 0 in every text and nowhere else. So the vector of position
# 0 need not say "I am before 1"; it can become a part of `[CLS]`. In the last training of our model
# texts were cut to 128 tokens (its model card). In a text that is cut the last token is always
# `[SEP]`, and it stands at 127. In a text of 512 it stands at 511. Our model must have seen such
# texts in its first training, of which we know less, or its table would be random there. (BERT
# itself learned from rows of 128 tokens in 90 % of its steps, and from rows of 512 in the others;
# Devlin et al., appendix A.2.)
#
# The table shows the border at 127 in two more ways. Lengths are different before and after it. And
# nearly all neighbours are alike; those that are not stand around the odd positions:

# %%
lengths = learned.length
print(f"mean length of 1 to 126: {lengths[1:127].mean():.2f}")
print(f"mean length of 128 to 509: {lengths[128:510].mean():.2f}")
print("neighbours with a cosine below 0.8:")
for p in range(511):
    if learned.cosine[p, p + 1] < 0.8:
        print(f"{p} and {p + 1}: {learned.cosine[p, p + 1]:.2f}")

# %% [markdown]
# Now a guess: *a position is odd if the same special token always stands there*. Its vector is then
# learned from that token only, and can become a part of it. A guess can be tested on another model.
# `python-bert`, the small model of [lesson 6](06_guess_the_hidden_word.ipynb), has a table of 32
# positions. All texts that it learned from began with `[CLS]` at 0, and those that filled the table
# ended with `[SEP]` at 31. If the guess is right, these two are odd.

# %%
python_bert = position_similarity(BertModel.from_pretrained("python-bert")).length
for p in np.argsort(-python_bert)[:5]:
    print(f"{p}: {python_bert[p] / np.median(python_bert):.2f} times the median")

# %% [markdown]
# Both are over our limit: 31 far, 0 only a little. That is what the guess foretold, and it could
# have failed. But 30 is over it as well, and about as long as 0. The guess does not name it, nor
# 510 in `minilm-l6`: no special token must stand there. So something else is at work near the end
# of a table. Perhaps it is this: these positions are ends, with neighbours on one side only,
# whatever stands there. Then `[SEP]` need not be the reason at 31 either. Our test cannot tell the
# two apart. A model that learned from rows without `[SEP]` at the end could. Until then a guess is
# what it is.
#
# ## What goes wrong in practice
#
# - **A text longer than the table.** There is no row 512, so no vector. Our library says so; cut
#   the text (`max_length`) or read it in windows.

# %%
try:
    model(torch.zeros(1, 513, dtype=torch.long))
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# - **Rows that were never trained.** Train a new model on rows of 128, and rows 128 to 511 of its
#   table stay random numbers. It fails on long texts only, and nothing warns you.
# - **Padding in front.** Some tokenizers can put padding before a text, as GPT-like models want it.
#   A BERT takes the column for the position, and so the text begins at another one; above you saw
#   what a single step does. BERT's padding goes behind.
# - **RoBERTa counts otherwise**: its first token has position 2, and a table of 514 rows serves
#   texts of 512 tokens ([roberta.py](../../minibert/variants/roberta.py)). It has one segment, and
#   DistilBERT has none: no use for type ids there.
# - **Zeros are taken for "nothing".** Row 0 of the segment table has been in every single text, and
#   the rest of the model counts on it. Leave the table out, and you take away more than the
#   difference of two segments. Look:

# %%
ids = one["input_ids"][0]
total = token[ids] + position[torch.arange(len(ids))]
after = model.encoder(embeddings.norm(total), Packing(one["attention_mask"]))
print(f"one text, no segment table: the vectors move by {change(read(one)[0], after):.0%}")

# %% [markdown]
# A text without a second one has no segments to be told apart, and yet its vectors move by most of
# their length. The fair question, what does the *difference* do, is the one we asked above: give
# all tokens the same row.
#
# Next: [lesson 4](04_self_attention.ipynb), how a token looks at the others.

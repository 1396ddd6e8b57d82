# %% [markdown]
# # 4. Self-attention by hand
#
# **The question.** "The animal slept because it was tired." To understand *it*, a reader looks at
# *animal*. How can a model, which only computes with numbers, look at another word?
#
# 30 minutes to read, as long again for the exercises, less than one to run. Run the cells from top
# to bottom: each uses what those above have made, and a `NameError` means that one of them has not
# run yet. Where an exercise says `not yet`, you may go on and come back.
#
# Read beside it: [attention.py](../../minibert/attention.py), and later
# [packing.py](../../minibert/packing.py). The paper: Vaswani et al. 2017, *Attention Is All You
# Need* ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), sections 3.2.1 and 3.2.2.

# %%
import torch
from checks import lesson04
from course import picture
from figures import tables
from torch import Tensor

from minibert import BertModel, Tokenizer, data
from minibert.attention import readable_attention
from minibert.inspect import attentions, head_statistics, plot_head

# %% [markdown]
# ## The idea
#
# Think of a room full of people, one for each token. Each of them holds three cards:
#
# - a **query**: what I am looking for;
# - a **key**: what I can be found by;
# - a **value**: what I tell those who find me.
#
# You compare your query with everybody's key. The better a key fits, the more closely you listen to
# that person, and you go home with a mixture of what you heard. All do this at the same time, each
# with everybody in the room, those before and those after, and with themselves. That is
# self-attention: *self*, because queries, keys and values all come from the same text.
#
# A card is a list of D numbers. Here D is 4, so that we can do it all by hand, and the numbers are
# made up. A model learns how to make the three cards from what it knows of a token; in bert-base D
# is 64, in the small model below 32.
#
# Three tokens (T = 3), *cat*, *slept*, *here*. To give queries and keys a meaning, say that their
# four numbers stand for *living*, *can act*, *event*, *place*. The query of *slept* asks for
# somebody living who can act: `[1, 1, 0, 0]`. The key of *cat* says exactly that. What the values
# say is another matter, and their four numbers need not mean the same; take them as they are.
#
# A `tensor` is PyTorch's table of numbers. Each row here is one token's card, so all queries
# together are a table of T rows and D columns; its `shape` is (3, 4).

# %%
tokens = ["cat", "slept", "here"]
query = torch.tensor(
    [
        [0.0, 0.0, 1.0, 0.0],  # cat looks for an event
        [1.0, 1.0, 0.0, 0.0],  # slept looks for somebody living who can act
        [0.0, 0.0, 0.0, 0.0],  # here looks for nothing in particular
    ]
)
key = torch.tensor(
    [
        [1.0, 1.0, 0.0, 0.0],  # cat is living and can act
        [0.0, 0.0, 1.0, 0.0],  # slept is an event
        [0.0, 0.0, 0.0, 1.0],  # here is a place
    ]
)
value = torch.tensor(
    [
        [2.0, 1.0, 0.0, 0.0],  # what cat tells
        [0.0, 0.0, 3.0, 0.0],  # what slept tells
        [0.0, 0.0, 0.0, 1.0],  # what here tells
    ]
)
print(query.shape, "T is", query.shape[0], "and D is", query.shape[1])

# %% [markdown]
# ## Step 1: compare
#
# How well does a query fit a key? Multiply them number by number and add up: the *dot product*. For
# *slept* and *cat* it is 1·1 + 1·1 + 0·0 + 0·0 = 2. For *slept* and *here* it is 0.
#
# All dot products at once are one matrix product, Q Kᵀ: a row for each token that looks, a column
# for each token looked at. `@` is the matrix product, and `.T` turns rows into columns.

# %%
scores = query @ key.T
print(scores)

# %% [markdown]
# ## Step 2: scale, and make weights of it
#
# A dot product adds up D terms. If these are as often negative as positive, they partly cancel, and
# the sum of D terms of about size 1 has about the size √D. Here it is for random cards:

# %%
torch.manual_seed(0)
for d in (4, 64, 512):
    a, b = torch.randn(2, 10_000, d)  # ten thousand pairs of cards of d random numbers
    products = (a * b).sum(dim=1)
    print(f"D = {d:<4} root of D {d**0.5:5.2f}   size of a dot product {products.std():5.2f}")

# %% [markdown]
# So the scores are divided by √D, which makes them as large as one term, however long the cards
# are. In our example √4 = 2, and the score of *slept* for *cat* becomes 1.
#
# Then **softmax** turns a row of scores into weights: take e to the power of each, and divide by
# their sum. No weight is negative, and a row sums to 1. For *slept* the scores are 1, 0 and 0:
#
# $$\frac{e^1}{e^1 + e^0 + e^0} = \frac{2.718}{2.718 + 1 + 1} = 0.576, \qquad
# \frac{e^0}{e^1 + e^0 + e^0} = \frac{1}{4.718} = 0.212$$
#
# So *slept* listens to *cat* with 0.576 of its attention, and to itself and *here* with 0.212 each.
# *here*, who asked for nothing, listens to all alike: e⁰ is 1 for each.

# %%
# dim=1: along each row, over the keys, so that each row sums to 1. dim=0 is down the columns.
weights = (scores / 4**0.5).softmax(dim=1)
print(weights)

# %% [markdown]
# ## Step 3: mix
#
# What *slept* takes home is 0.576 of *cat*'s value, plus 0.212 of its own, plus 0.212 of *here*'s.
# Its first number is 0.576 · 2 = 1.152. For all tokens at once that is one more matrix product. The
# result is called the **context**: what a token takes from the text around it.

# %%
context = weights @ value
print(context)

# %%
picture(
    tables,
    {
        "1. scores, Q Kᵀ": scores,
        "2. weights, softmax(scores / √D)": weights,
        "3. context, weights V": context,
    },
    tokens,
    tokens,
    xlabel="token looked at",
    alt="Three tables. The weights of slept are 0.576 for cat and 0.212 for each other token.",
)

# %% [markdown]
# The three steps are the paper's equation 1 (it calls our D $d_k$):
#
# $$\text{Attention}(Q, K, V) = \text{softmax}\left(\frac{Q K^T}{\sqrt{D}}\right) V$$
#
# ## The library does the same
#
# `readable_attention` in [attention.py](../../minibert/attention.py) has a line for each step, and
# a few more for the mask and for training; skip those for now. BERT reads B texts at once, and in
# each layer H heads look at the same time; a **head** is one such set of queries, keys and values.
# So the library's tables have two dimensions in front, (B, H, T, D). With B = H = 1 it gives our
# numbers. `[None, None]` puts two dimensions of size 1 in front, `[0, 0]` takes them off, and
# `allclose` means: equal but for rounding.

# %%
theirs, their_weights = readable_attention(query[None, None], key[None, None], value[None, None])
print("the same weights:", torch.allclose(their_weights[0, 0], weights))
print("the same context:", torch.allclose(theirs[0, 0], context))

# %% [markdown]
# ## The mask
#
# Texts of one batch differ in length, and the short ones are filled up with padding. Nobody may
# listen to padding. So there is a **mask**, True where a token may be looked at. (The word `[MASK]`
# of [lesson 6](06_guess_the_hidden_word.ipynb) is something else.) The score of a masked token
# becomes minus infinity *before* the softmax. Since e to the power of minus infinity is 0, its
# weight is 0, and the others still sum to 1. A score of 0 would not do: e⁰ is 1.
#
# Let *here* be padding. For *slept* the scores are now 1, 0 and −∞:
#
# $$\frac{e^1}{e^1 + e^0} = \frac{2.718}{3.718} = 0.731, \qquad \frac{e^0}{e^1 + e^0} = 0.269$$
#
# In PyTorch `~mask` turns True and False round, and `masked_fill` writes a number wherever it finds
# True. Our mask has one entry for each *column*, and PyTorch applies it to every row:

# %%
mask = torch.tensor([True, True, False])
print(~mask)
print(scores.masked_fill(~mask, -torch.inf))

theirs, their_weights = readable_attention(
    query[None, None], key[None, None], value[None, None], mask
)
print(their_weights[0, 0])

# %% [markdown]
# The row of padding itself, the last one, is computed like the others; nobody uses it. Our library
# does without most of this work: [packing.py](../../minibert/packing.py) lines up the real tokens
# of all texts in one list, and attention takes each text out of it. Only in training do texts of
# similar length share a table, with a mask.
#
# BERT hides nothing else. Every token sees those before it *and* those after it. GPT, which writes
# from left to right, also masks what comes later.
#
# ## Change something
#
# What do the weights of *slept* become if its scores are ten times as large? Guess; then set
# `factor` to 10, and to 0.

# %%
factor = 1
print((factor * scores[1] / 4**0.5).softmax(dim=0).numpy().round(4))

# %% [markdown]
# With 10, *cat* gets 0.9999: large scores make softmax take all from one token. A small change of a
# score then changes the weights hardly at all, and training, which works by small changes, may get
# stuck. That, the paper suspects, is why dividing by √D helps. With 0, all three get a third.
#
# ## Exercise 1: write attention
#
# Write the three steps as a function, for one text and one head, with a mask. The check runs it
# with cards of other lengths than ours, without padding and with padding, and compares the results
# with the library's (so `readable_attention` is not the answer). Everything you need stands above:
# `@`, `.T`, `shape[1]`, `masked_fill`, `softmax`.


# %%
def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """query, key, value: (T, D). mask: (T,), True where a token may be looked at.

    Returns the context, (T, D).
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson04.attention(attention))

# %% [markdown]
# ## Heads of a real model
#
# Where do the cards come from? The model has a vector x for each token, C numbers long. A head
# multiplies it by three tables that it has learned, $x W^Q$, $x W^K$ and $x W^V$: that is the
# query, the key and the value. `minilm-l6` has six layers with twelve heads each. The contexts of
# the twelve are laid side by side, and multiplied by one more table, $W^O$, which makes a vector of
# C numbers of them again. The paper calls this **multi-head attention** (section 3.2.2). Its
# numbers in layer 1, where the three tables of all twelve heads lie on top of each other:

# %%
model = BertModel.from_pretrained("minilm-l6")
tokenizer = Tokenizer.from_pretrained("minilm-l6")
learned = dict(model.named_parameters())
print("C is", model.config.hidden_size, "= 12 heads of D =", model.config.head_size)
for part in ("query_key_value", "output"):
    print(part, tuple(learned[f"encoder.layers.0.attention.{part}.weight"].shape))

# %% [markdown]
# What do the heads look at? Here are three of the 72. Each row is a token that looks, and its cells
# say how much it gives to each token. Layers and heads are numbered from 1. `[CLS]` and `[SEP]` are
# marks at the beginning and the end of every text ([lesson 2](02_words_into_pieces.ipynb)). Mind
# the colour bar: small weights are stretched, so that they can be seen.

# %%
sentence = attentions(model, tokenizer, ["The animal slept because it was tired."])[0]
for layer, head, seen in [
    (1, 3, "one bright cell in each row, just left of the diagonal; in the first row, on it"),
    (2, 9, "bright cells just right of the diagonal in five rows, and at [CLS] in the others"),
    (4, 2, "the and it are brightest at animal, many other rows at [CLS]"),
]:
    picture(plot_head, sentence, layer, head, alt=f"Layer {layer}, head {head}: {seen}.")

# %% [markdown]
# Layer 1, head 3 looks at the token before; only `[CLS]`, which has none, looks at itself. Layer 2,
# head 9 leans to the token after. And head 2 of layer 4 looks from *it* to *animal*. Has it learned
# what *it* means? Look at another row of the same picture:

# %%
for i in (5, 1):
    given = sentence.head(4, 2)[i, 2]
    print(f"{sentence.tokens[i]} gives {sentence.tokens[2]} {given:.2f} of its attention")

# %% [markdown]
# *the* gives *animal* even more. One picture is not enough to say what a head does. [Lesson
# 8](08_what_does_it_look_at.ipynb) tests this one, and the answer is a surprise.
#
# How can a head know which token comes before? Nothing in the three steps says so: if the tokens
# change places, the contexts change places with them, and that is all.

# %%
order = [2, 0, 1]  # here, cat, slept
weights_so = (query[order] @ key[order].T / 2).softmax(dim=1)
print("the same, in another order:", torch.allclose(weights_so @ value[order], context[order]))

# %% [markdown]
# So a token's vector has to say where the token stands. [Lesson 3](03_order.ipynb) is about that.
#
# What we said of layer 1, head 3 can be tested right here, over twenty of the review sentences that
# come with the library.

# %%
_, development = data.load("sample")  # two tables; the first is for training
sentences = development.texts[:20]
arrays = [found.weights for found in attentions(model, tokenizer, sentences)]
print(len(arrays), "arrays of numpy, one for each sentence")
print("the first has the shape (layers, heads, T, T):", arrays[0].shape)

# %% [markdown]
# ## Exercise 2: find the head that looks at the token before
#
# Write a function that finds, of all heads, the one that gives most of its attention to the token
# just before. One sentence may mislead: take the mean over the tokens of all sentences. (The mean
# of each sentence first, and then of these, is as good.) The first token has none before it, so
# leave its row out.
#
# In `array[l, h, i, j]` token i looks at token j. No clever numpy is needed: go through the layers,
# heads, arrays and tokens i = 1, 2, ... T − 1, and add up `array[l, h, i, i - 1]`. People count
# layers and heads from 1, Python from 0: the answer is for people. The check gives your function
# the weights of a made-up model, with other numbers of layers and heads; `array.shape` has them.


# %%
def previous_head(arrays: list) -> tuple[int, int]:
    """arrays: one (L, H, T, T) array of weights for each sentence, each with a T of its own.

    Returns (layer, head), both numbered from 1.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson04.previous_head(previous_head))

# %% [markdown]
# The library has this as one call. `previous` is the mean share of its attention that a token gives
# to the one before it, `next` to the one after, and so on; entropy says how widely a head looks,
# and is 0 if all goes to one token. The first table has the strongest head of each kind, and the
# first line your answer, if you run your function on `arrays`.

# %%
print(head_statistics(model, tokenizer, sentences))

# %% [markdown]
# The last line of the second table says where the largest share goes: 42 % of all attention rests
# on `[CLS]`. Our *here*, who asked for nothing, listened to all alike. Real heads seem to do
# something else: the weights must sum to 1, and a head that finds nothing to fit may park them on
# one token. In the middle layers of bert-base that token is `[SEP]` (Clark et al. 2019, [arXiv
# 1906.04341](https://arxiv.org/abs/1906.04341), section 3.2). What is true of one model need not be
# true of another.
#
# ## What goes wrong in practice
#
# - **The mask is forgotten.** Nothing fails. A text just gets another result when a longer text
#   happens to be in its batch. Test it: a text alone and the same text in a batch must agree.
# - **True means the opposite elsewhere.** In PyTorch's `nn.MultiheadAttention` a `key_padding_mask`
#   is True where a token is *hidden*.
# - **Softmax over the wrong dimension.** The columns sum to 1 instead of the rows; again nothing
#   fails. Print the sums.
# - **A row with nothing to look at.** All its scores are −∞, all powers of e are 0, and so is their
#   sum; 0 divided by 0 is NaN, "not a number", and spreads to whatever is computed from it. So the
#   library takes the lowest number there is instead of −∞, and sets the weights of masked tokens to
#   0 afterwards. The results are the same, and such a row becomes zeros.
# - **A large negative number in place of −∞.** Adding −10,000 to a score often works. But a row in
#   which all is masked then attends to padding, and in `float16` −10⁹ does not fit.
# - **A picture of attention is taken for a reason.** It shows where a head looks, not what the
#   model does with it. More in lesson 8.
#
# Next: [lesson 5](05_one_layer.ipynb) puts attention into a layer, and six layers on top of each
# other.

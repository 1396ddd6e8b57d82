# %% [markdown]
# # 4. Self-attention by hand
#
# **The question.** "The animal slept, for it was tired." To understand *it*, a reader looks back at
# *animal*. How can a layer of numbers look back?
#
# 20 minutes to read, less than one to run. Run the cells from top to bottom: each uses what those
# above have made, and a `NameError` means that one of them has not run yet.
#
# Read beside it: [attention.py](../../minibert/attention.py), and later
# [packing.py](../../minibert/packing.py). The paper: Vaswani et al. 2017,
# *Attention Is All You Need* ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), sections 3.2.1
# and 3.2.2.

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
# that person, and you go home with a mixture of what you heard. All do this at the same time, and
# everybody also listens a little to himself. That is self-attention: *self*, because queries, keys
# and values all come from the same text.
#
# A card is a list of D numbers. Here D is 4, so that we can do it all by hand, and the numbers are
# made up. In BERT the model learns how to make the three cards from a token's vector, and D is 64.
#
# Three tokens, *cat*, *slept*, *here*. To give the numbers a meaning, say that the four stand for
# *living*, *can act*, *event*, *place*. The query of *slept* asks for somebody living who can act:
# `[1, 1, 0, 0]`. The key of *cat* says exactly that.

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
        [2.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 3.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)

# %% [markdown]
# ## Step 1: compare
#
# How well does a query fit a key? Multiply them number by number and add up: the *dot product*. For
# *slept* and *cat* it is 1·1 + 1·1 + 0·0 + 0·0 = 2. For *slept* and *here* it is 0.
#
# All dot products at once are one matrix product, Q Kᵀ: a row for each token that looks, a column
# for each token looked at.

# %%
scores = query @ key.T
print(scores)

# %% [markdown]
# ## Step 2: scale, and make weights of it
#
# A dot product of long lists is a sum of many terms, so it grows with D. If the numbers on the
# cards are independent, with mean 0 and variance 1, the sum has variance D, and dividing by √D
# brings it back to 1. Here √4 = 2, and the score of *slept* for *cat* becomes 1.
#
# Then **softmax** turns a row of scores into weights: take e to the power of each, and divide by
# their sum. All weights are positive and a row sums to 1. For *slept* the scores are 1, 0 and 0:
#
# $$\frac{e^1}{e^1 + e^0 + e^0} = \frac{2.718}{2.718 + 1 + 1} = 0.576, \qquad
# \frac{e^0}{e^1 + e^0 + e^0} = \frac{1}{4.718} = 0.212$$
#
# So *slept* listens to *cat* with .576 of its attention, and to each of the others with .212.
# *here*, who asked for nothing, listens to all alike.

# %%
weights = (scores / 4**0.5).softmax(dim=1)  # dim 1: over the keys, so that each row sums to 1
print(weights)

# %% [markdown]
# ## Step 3: mix
#
# What *slept* takes home is .576 of *cat*'s value, plus .212 of its own, plus .212 of *here*'s. For
# all tokens at once that is one more matrix product. The result is called the **context**.

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
    alt="Three tables. Of the weights the row of slept is .576 for cat, .212 for each other token.",
)

# %% [markdown]
# The three steps are the paper's equation 1:
#
# $$\text{Attention}(Q, K, V) = \text{softmax}\left(\frac{Q K^T}{\sqrt{D}}\right) V$$
#
# ## The library does the same
#
# `readable_attention` in [attention.py](../../minibert/attention.py) has one line for each step.
# BERT reads B texts at once, and in each layer H heads look at the same time, each with cards of
# its own; so the library's matrices have two dimensions in front, (B, H, T, D). With B = H = 1 it
# gives our numbers:

# %%
theirs, their_weights = readable_attention(query[None, None], key[None, None], value[None, None])
print("the same:", torch.allclose(theirs[0, 0], context), torch.equal(their_weights[0, 0], weights))

# %% [markdown]
# ## The mask
#
# Texts of one batch differ in length, and the short ones are filled up with padding. Nobody may
# listen to padding. So there is a **mask**, True where a token may be looked at. The score of a
# masked token becomes minus infinity *before* the softmax, and since e to the power of minus
# infinity is 0, its weight is 0, and the others still sum to 1.
#
# Let *here* be padding. For *slept* the scores are now 1, 0 and −∞:
#
# $$\frac{e^1}{e^1 + e^0} = \frac{2.718}{3.718} = 0.731, \qquad \frac{e^0}{e^1 + e^0} = 0.269$$

# %%
mask = torch.tensor([True, True, False])
theirs, their_weights = readable_attention(
    query[None, None], key[None, None], value[None, None], mask
)
print(their_weights[0, 0])

# %% [markdown]
# Our library goes one step further and does not compute padding at all:
# [packing.py](../../minibert/packing.py) lines up the real tokens of all texts in one list, and
# attention takes each text out of it.
#
# BERT has no other mask than this. Every token sees those before it *and* those after it. GPT also
# masks what comes later, because it writes from left to right.
#
# ## Change something
#
# What do the weights of *slept* become if all its numbers are ten times as large? Think first, then
# change `factor` below. And what if it is 0?

# %%
factor = 10
print((factor * scores[1] / 4**0.5).softmax(dim=0))

# %% [markdown]
# With large scores softmax takes almost all from one token. It can no longer change its mind
# gradually, and its slope is almost 0, so training stops moving it. This is what dividing by √D is
# for: without it, scores grow with the size of the heads.
#
# ## Exercise 1: write attention
#
# Write the three steps as a function, for one text and one head, with a mask. Our check runs it
# without padding and with padding, and holds it beside the library.


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
# `minilm-l6` has six layers with twelve heads each. Every head makes its own queries, keys and
# values from the tokens' vectors, by three matrices that it has learned. What do they look at?
# Here are three of the 72. Read a row from the left: the token that looks, and in the columns how
# much it gives to each token. Layers and heads are numbered from 1.

# %%
model = BertModel.from_pretrained("minilm-l6")
tokenizer = Tokenizer.from_pretrained("minilm-l6")
(sentence,) = attentions(model, tokenizer, ["The animal slept, for it was tired."])
for layer, head, seen in [
    (1, 3, "one bright cell in each row, just left of the diagonal"),
    (2, 9, "in most rows the bright cell is just right of the diagonal"),
    (4, 2, "the row of it is brightest at animal; most others at [CLS]"),
]:
    picture(plot_head, sentence, layer, head, alt=f"Layer {layer}, head {head}: {seen}.")

# %% [markdown]
# Layer 1, head 3 looks at the token before. Layer 2, head 9 leans to the token after. And head 2 of
# layer 4 looks from *it* to *animal*: has it learned what *it* means? One picture is not enough to
# say so. [Lesson 8](08_what_does_it_look_at.ipynb) tests this head, and the answer is a surprise.
#
# The first claim can be tested right here, over many sentences.

# %%
_, development = data.load("sample")
sentences = development.texts[:20]
weights_of = [found.weights for found in attentions(model, tokenizer, sentences)]
print(len(weights_of), "arrays; the first is (layers, heads, T, T):", weights_of[0].shape)

# %% [markdown]
# ## Exercise 2: find the head that looks at the token before
#
# Write a function that finds, of all heads, the one that gives most of its attention to the token
# just before. One sentence may mislead: take the mean over all of them. The first token has none
# before it, so leave its row out.
#
# In `array[l, h, i, j]` token i looks at token j. People count layers and heads from 1, Python from
# 0: the answer is for people.


# %%
def previous_head(arrays: list) -> tuple[int, int]:
    """arrays: one (L, H, T, T) array of weights for each sentence, T being different each time.

    Returns (layer, head), both numbered from 1.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson04.previous_head(previous_head))

# %% [markdown]
# The library has this as one call. It also shows where most attention goes: to `[CLS]`. A token
# that looks for nothing has to put its attention somewhere, for the weights sum to 1, and in this
# model it rests on the first token. In bert-base it is `[SEP]` (Clark et al. 2019, [arXiv
# 1906.04341](https://arxiv.org/abs/1906.04341), section 3.2): a famous sentence about one model
# need not be true of another.

# %%
print(head_statistics(model, tokenizer, sentences))

# %% [markdown]
# ## What goes wrong in practice
#
# - **The mask is forgotten.** Nothing fails. A text just gets another result when a longer text
#   happens to be in its batch. Test it: a text alone and the same text in a batch must agree.
# - **Softmax over the wrong dimension.** The columns sum to 1 instead of the rows; again nothing
#   fails. Print the sums.
# - **A row with nothing to look at.** All scores are −∞, and 0 divided by 0 is NaN, which spreads
#   to every later number. The library returns zeros for such a row.
# - **A mask of −10,000 added to the scores** instead of −∞. In 16-bit numbers it may be too large,
#   and two masks added may overflow.
# - **A picture of attention is taken for a reason.** It shows where a head looks, not what the
#   model does with it. More in lesson 8.
#
# Next: [lesson 5](05_one_layer.ipynb) puts attention into a layer, and six layers on top of each
# other.

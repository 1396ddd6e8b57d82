# %% [markdown]
# # 5. One layer, six times
#
# **The question.** BERT is a stack of layers that are all built alike, twelve in bert-base, six in
# `minilm-l6`. What does one layer do to a token, and why do it again?
#
# 30 minutes to read, as long again for the exercises, less than one to run. Run the cells from top
# to bottom: each uses what those above have made, and a `NameError` means that one of them has not
# run yet. Where an exercise says `not yet`, you may go on and come back.
#
# Read beside it: [linear.py](../../minibert/linear.py) and
# [encoder.py](../../minibert/encoder.py), the latter after exercise 2. The papers: Vaswani et al.
# 2017, *Attention Is All You Need* ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), sections
# 3.1, 3.3 and 5.4; Ba et al. 2016, *Layer Normalization* ([arXiv
# 1607.06450](https://arxiv.org/abs/1607.06450)), section 3; Hendrycks & Gimpel 2016 on GELU ([arXiv
# 1606.08415](https://arxiv.org/abs/1606.08415)), section 2.

# %%
from collections.abc import Callable

import torch
from checks import lesson05
from course import picture, sized
from figures import bars, curves, tables
from torch import Tensor

from minibert import BertModel, Tokenizer, data
from minibert.attention import SelfAttention
from minibert.encoder import FeedForward, gelu, gelu_tanh
from minibert.inspect import plot_word, token_vectors, without_layer

# %% [markdown]
# ## The idea
#
# Each token of a text is a vector, a list of C numbers. Think of it as a sheet of paper that goes
# from desk to desk. Nobody takes a new sheet. Each desk reads what is there and **adds** something
# to it. A layer is two such desks:
#
# - At **attention** the sheets of a text lie side by side, and each token adds what it takes from
#   the others ([lesson 4](04_self_attention.ipynb)).
# - At the **feed-forward** network each sheet lies alone. A token adds what it makes of what it
#   knows by now. It thinks by itself.
#
# After each desk a clerk, **LayerNorm**, brings the numbers of the sheet back into a common range.
#
# ```
#      ┌───────────────┐               ┌──────────────────┐
# x ───┤               + ─ LayerNorm ──┤                  + ─ LayerNorm ──→ to the next layer
#      └── attention ──┘               └── feed-forward ──┘
# ```
#
# The upper way is the **residual connection**: x itself goes round the part and is added to its
# result. So a part need not make a new vector, only a correction of the old one. The vectors on
# their way through all layers are often called the **residual stream**.
#
# ## Adding, and LayerNorm by hand
#
# A token has four numbers, and attention adds something to them. All of this is made up.

# %%
x = torch.tensor([1.0, 2.0, 3.0, 6.0])
added = torch.tensor([0.0, 1.0, 0.0, 3.0])
total = x + added
print(total)

# %% [markdown]
# If parts only added, the numbers could grow from layer to layer. LayerNorm prevents that. Take a
# pencil:
#
# 1. The mean of 1, 3, 3 and 9 is 16 / 4 = 4. Subtract it: −3, −1, −1, 5.
# 2. How far are these from 0? Square them: 9, 1, 1, 25. The mean of the squares is 36 / 4 = 9. It
#    is called the **variance**. Its root is 3, the *standard deviation*.
# 3. Divide by it: −1, −0.333, −0.333, 1.667.
#
# Whatever numbers came in, the mean is now 0 and the variance 1.

# %%
mean = total.mean()
difference = total - mean
variance = (difference**2).mean()
print("mean", mean.item(), "variance", variance.item())
print(difference / variance.sqrt())

# %% [markdown]
# PyTorch's `LayerNorm` gives the same. It has three things more:
#
# - A **scale** for each of the C numbers, by which the result is multiplied, and a **shift**, which
#   is then added. They begin as 1 and 0, so here they do nothing; training changes them. PyTorch
#   calls them `weight` and `bias`.
# - A tiny number, **eps**, is added to the variance before its root is taken. If all numbers of a
#   token are equal, the variance is 0, and one would divide by 0. With eps the result is 0.
#
# With the scale $w$ and the shift $b$:
#
# $$\text{LayerNorm}(x) = \frac{x - \text{mean}}{\sqrt{\text{variance} + \text{eps}}} \cdot w + b$$
#
# (`detach` leaves out what PyTorch would need to train the scale and the shift.)

# %%
norm = torch.nn.LayerNorm(4, eps=1e-12)
print(norm(total).detach())
print(norm(torch.tensor([5.0, 5.0, 5.0, 5.0])).detach(), "when all are equal")

# %% [markdown]
# Each token is normalised by itself, with a mean and a variance of its own. If tokens are the rows
# of a table, we need the mean of each row, and that is `dim=1`. With `keepdim=True` the means stand
# below each other, shape (2, 1), and can be subtracted from the rows.

# %%
rows = torch.tensor([[1.0, 3.0, 3.0, 9.0], [0.0, 0.0, 2.0, 2.0]])
print(rows.mean(dim=1, keepdim=True))
print(rows - rows.mean(dim=1, keepdim=True))

# %% [markdown]
# ## Exercise 1: write LayerNorm
#
# Write the formula for a table of tokens. The check has an eps so large that its place matters. All
# you need stands above: `mean` with `dim` and `keepdim`, `** 2`, `sqrt`.


# %%
def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """x: (T, C), a token in each row. weight: (C,), the scale. bias: (C,), the shift.

    Returns (T, C).
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson05.layer_norm(layer_norm))

# %% [markdown]
# ## The feed-forward network: what a token thinks by itself
#
# Two matrices, one up and one down. A matrix compares a vector with each of its rows
# ([linear.py](../../minibert/linear.py)), so think of the rows of the first one, `up`, as
# *patterns*. Each result says how well the token fits one of them. The second matrix, `down`, has a
# column for each pattern: what to add to the token if it fits.
#
# By hand, with a token of two numbers and three patterns. The token is [2, −1]. It fits the first
# pattern, [1, 0], with 1·2 + 0·(−1) = 2, the second with −1, and the third with 3.

# %%
token = torch.tensor([2.0, -1.0])
up = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])  # a row for each pattern
down = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0]])  # a column for each pattern
fits = up @ token
print(fits)
print("down with all of them:", down @ fits, "and in one step:", (down @ up) @ token)

# %% [markdown]
# That would be no use: two matrices in a row are one matrix, as the last line shows. So something
# must happen between them, and it must not be a straight line. The idea: patterns that fit count,
# those that do not fit do not. The simplest way to do that is to put 0 for all that is negative; it
# is called **ReLU**, and the paper of 2017 has it. BERT has a softer one, **GELU**: a number x is
# multiplied by the share of the bell curve (the normal distribution, with mean 0 and variance 1)
# that lies below x.

# %%
print("    x   share below x   x times share   the library's gelu")
for number in (-3.0, -1.0, 0.0, 1.0, 3.0):
    one = torch.tensor(number)
    share = torch.special.ndtr(one)  # the share of the bell curve below it
    print(f"{number:5} {share:15.4f} {number * share:15.4f} {gelu(one):20.4f}")
print("patterns after GELU:", gelu(fits), "so the token adds", down @ gelu(fits))

# %%
numbers = torch.linspace(-4, 4, 41)  # 41 numbers from -4 to 4
picture(
    curves,
    {
        "GELU": (numbers.tolist(), gelu(numbers).tolist()),
        "ReLU": (numbers.tolist(), numbers.relu().tolist()),
    },
    "What is left of a pattern's fit",
    "fit",
    "what is left",
    alt="Two curves, near 0 on the left and rising as straight lines on the right. ReLU has a "
    "corner at 0; GELU is smooth and dips a little below 0, to -0.17, near -0.75.",
)

# %% [markdown]
# For speed, the paper on GELU also gives a formula that comes close, with the function tanh in it.
# Both are called GELU. Do they differ?

# %%
numbers = torch.linspace(-5, 5, 10_001)
differences = (gelu(numbers) - gelu_tanh(numbers)).abs()
most = differences.argmax()  # where it is largest
print(f"largest difference {differences[most]:.5f}, at {numbers[most].abs():.2f} or minus that")

# %% [markdown]
# By at most 0.0005. Still, a model trained with one and run with the other is off by a little in
# each layer, and no error tells you. A config says which it is: `gelu` is the exact one, `gelu_new`
# and `gelu_pytorch_tanh` are the one by tanh.
#
# The paper's equation 2, with GELU in place of its max(0, …), which is ReLU:
#
# $$\text{FeedForward}(x) = \text{GELU}(x W_1 + b_1)\, W_2 + b_2$$
#
# In bert-base 768 numbers go up to 3072 patterns, in `minilm-l6` 384 to 1536. These are two thirds
# of the weights of a layer ([lesson 1](01_how_big_is_bert.ipynb)).
#
# ## The whole layer
#
# The paper has one line for both parts (sections 3.1 and 5.4). Its "sublayer" is attention the
# first time and feed-forward the second time:
#
# $$\text{LayerNorm}(x + \text{Dropout}(\text{Sublayer}(x)))$$
#
# **Dropout** works only in training. It sets some of the numbers that a part adds to 0, each time
# others, one in ten in BERT, and makes the rest a little larger so that the sum stays about the
# same. So the model learns not to rely on a single number. When a model predicts, dropout does
# nothing.
#
# LayerNorm stands *after* the sum: **post-LN**. GPT-2 and most decoders since have it *before* the
# part, **pre-LN**: x + Sublayer(LayerNorm(x)). Then nothing touches the stream itself, and deep
# stacks are easier to train (Xiong et al. 2020, [arXiv
# 2002.04745](https://arxiv.org/abs/2002.04745)). The two kinds of layer have tables of the same
# shapes. So the weights of one fit into the other, no error comes, and all results are wrong.
#
# ## Exercise 2: build a layer of its parts
#
# You are given the five parts of a layer, each as a function, and the tokens x. Put them together
# as BERT does, without dropout. You call each part once; `gelu` and `+` do the rest. The check does
# it with a made-up layer of large numbers, and then with a layer of `minilm-l6`.


# %%
def layer(
    x: Tensor,
    attention: Callable,
    attention_norm: Callable,
    up: Callable,
    down: Callable,
    feed_forward_norm: Callable,
) -> Tensor:
    """x: (T, C), a token in each row. The others are functions: y = attention(x), and so on.

    attention: (T, C) -> (T, C). up: (T, C) -> (T, I). down: (T, I) -> (T, C). attention_norm,
    feed_forward_norm: (T, C) -> (T, C), a LayerNorm each; one belongs to each sum.

    Returns (T, C).
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson05.layer(layer))

# %% [markdown]
# ## Six layers of a real model
#
# How much does each part add? The **length** of a vector is the root of the sum of its squares. We
# compare the length of what a part adds with the length of what it was given. 1 means: it adds as
# much as was there.
#
# The parts are inside the model. To look inside, PyTorch has **hooks**: a function of ours that is
# called whenever a part has run, with what it was given and what came out. Inside our encoder there
# is no padding: the real tokens of all texts stand in one packed list, (N, C)
# ([packing.py](../../minibert/packing.py)). With one text at a time, the list is the text.
# `inference_mode` says that nothing is to be trained.

# %%
model = BertModel.from_pretrained("minilm-l6")
tokenizer = Tokenizer.from_pretrained("minilm-l6")
found: list[Tensor] = []


def measure(part: torch.nn.Module, given: tuple, result: Tensor) -> None:
    """The hook. given: the arguments of the part; the first are the tokens, (N, C)."""
    found.append(result.norm(dim=1) / given[0].norm(dim=1))  # norm: the length of each row


def shares(text: str) -> Tensor:
    """How much each part adds to each token: (layers, 2, T), attention first, then feed-forward."""
    found.clear()
    hooks = []
    for part in model.encoder.modules():  # all its parts, large and small
        if isinstance(part, SelfAttention | FeedForward):
            hooks.append(part.register_forward_hook(measure))
    with torch.inference_mode():
        model(**tokenizer([text]))
    for hook in hooks:
        hook.remove()  # or it would be called in every later run as well
    return torch.stack(found).unflatten(0, (-1, 2))  # twelve results, as six pairs


print(shares("The animal slept because it was tired.").shape)

# %% [markdown]
# Six layers, two parts, and ten tokens, for `[CLS]`, `[SEP]` and the full stop are tokens too. Now
# the review sentences that come with the library. We take the mean over all their tokens.

# %%
_, development = data.load("sample")  # two tables; the first is for training
texts = [str(text) for text in development.texts[: sized(100, 20)]]
measured = [shares(text) for text in texts]
together = torch.cat(measured, dim=2)  # all tokens of all sentences
means = together.mean(dim=2)
print(together.shape[2], "tokens in", len(texts), "sentences")
layers = [1, 2, 3, 4, 5, 6]
picture(
    curves,
    {
        "feed-forward": (layers, means[:, 1].tolist()),
        "attention": (layers, means[:, 0].tolist()),
    },
    f"minilm-l6, {len(texts)} sentences: length of what a part adds / of what it is given",
    "layer",
    "mean over all tokens",
    level=("as long as what it is given", 1),
    alt="Two curves over six layers. Attention adds between 0.3 and 0.5. Feed-forward adds more, "
    "up and down between 0.5 and 0.9, and 1.5 in layer 6.",
)

# %% [markdown]
# Attention adds a third to a half of what is there, feed-forward half to one and a half times as
# much. So it seems that feed-forward does most of the work. Is that true of every token? The first
# of each sentence is `[CLS]`. We set it apart.

# %%
cls = torch.stack([each[:, :, 0] for each in measured]).mean(dim=0)
others = torch.cat([each[:, :, 1:] for each in measured], dim=2).mean(dim=2)
print("         attention                 feed-forward")
print("layer    all   [CLS]  others       all   [CLS]  others")
for i in range(6):
    values = [f"{mean[i, part]:6.2f}" for part in (0, 1) for mean in (means, cls, others)]
    print(f"{i + 1:5} {'  '.join(values[:3])}    {'  '.join(values[3:])}")

# %%
sentence = "The animal slept because it was tired."
adds = shares(sentence)[:, 1].round(decimals=2)  # 1: feed-forward; 0 would be attention
picture(
    tables,
    {"minilm-l6: feed-forward adds so much, what it is given being 1": adds},
    [f"layer {i}" for i in layers],
    tokenizer.encode(sentence).tokens,
    alt="A table of six layers and ten tokens. [CLS] has 6.66 in layer 1, 2.99 in layer 2 and 5.88 "
    "in layer 3; the others have 0.3 to 0.6 in layers 1 to 4, and 0.65 to 1.7 in layer 6.",
)

# %% [markdown]
# The mean has misled us. In layers 1 to 4 feed-forward adds a little more to the others than
# attention does, and that is all. It is to `[CLS]` that it adds a great deal, and one token in
# twenty was enough to lift the mean. (It is the token on which attention rests in [lesson
# 4](04_self_attention.ipynb).) In layers 5 and 6 it is the other way round: there the others get
# much, and `[CLS]` little. Whenever you see a mean over tokens, look at the tokens.
#
# ## What the layers achieve
#
# "The light of the lamp" and "the bag was light" have the same word, and so the same row in the
# table of tokens. Only the neighbours tell the meanings apart. Here are eight sentences. In four of
# them *light* shines, in the others it weighs little. For each, we look which of the other seven
# *lights* has the vector most like it: its nearest neighbour. The measure is the **cosine**, which
# is 1 if two vectors point the same way, and 0 if they are at right angles. How often has the
# nearest neighbour the same meaning? By chance, three times in seven.
#
# We can look in seven places: before layer 1, and after each of the six layers. The vectors there
# are called **hidden states**, and number 0 is what goes into layer 1, the *embeddings*.

# %%
senses = {
    "The light of the lamp fell on the page.": "shines",
    "This suitcase is so light that a child can lift it.": "weighs little",
    "A bright light shone through the window.": "shines",
    "The bag was light, almost empty.": "weighs little",
    "Turn off the light when you leave the room.": "shines",
    "Carbon makes the bicycle light and strong.": "weighs little",
    "We saw a faint light at the end of the tunnel.": "shines",
    "She wore a light jacket that weighed nothing.": "weighs little",
}
light = token_vectors(model, tokenizer, list(senses), "light")
for number, share in enumerate(light.same_sense(list(senses.values()))):
    print(f"hidden state {number}: {8 * share:.0f} of 8 nearest neighbours have the same meaning")
picture(
    plot_word,
    light,
    list(senses.values()),
    alt="Two panels with eight points. Among the embeddings the two meanings lie mixed; in layer 3 "
    "those that shine and those that weigh little lie apart.",
)

# %% [markdown]
# In the embeddings, the eight vectors differ only by their position. Those with the same position
# are the same, as 2, 6 and 7 in the picture, and about half of the neighbours are right. In layer 3
# all are. (The picture shows the two directions in which the points differ most.) Later some go
# wrong again. Eight sentences are few; and this model was trained to compare whole sentences, so
# its last layers may have other things to do.
#
# You get hidden states without a hook, by `output_hidden_states=True`. They come unpacked, with
# padding, (B, T, C). The last is the result. ([trace.py](../trace.py) follows a sentence through
# every part and prints the first numbers of each result.)

# %%
with torch.inference_mode():
    output = model(**tokenizer([sentence]), output_hidden_states=True)
states = output.hidden_states
print(len(states), "hidden states; the last is the result:", states[6].equal(output[0]))
for i in range(6):
    cosine = torch.cosine_similarity(states[i], states[i + 1], dim=2).mean()
    print(f"layer {i + 1}: cosine of what goes in and what comes out {cosine:.2f}")

# %% [markdown]
# A cosine of 0.9 is an angle of 26 degrees. So in layers 1 to 5 most of a vector passes through.
# That is what "stream" means, though LayerNorm touches it twice in each layer. Layer 6 turns the
# vectors most.
#
# ## Change something
#
# If a layer only adds a correction, a model should survive the loss of one. `without_layer` takes a
# layer out: what goes in comes out. We compare the results of twenty sentences with those of the
# whole model, by the cosine, token by token. Which layer would change the result least, and which
# most? Guess; then set `left_out` to 1, to 3, and to what you guessed.

# %%
left_out = None  # or 1 to 6
batch = tokenizer(texts[:20])
real = batch["attention_mask"].bool()  # True where there is a token, not padding


def results() -> Tensor:
    """The vectors of all real tokens, (N, C)."""
    with torch.inference_mode():
        return model(**batch).last_hidden_state[real]


def alike() -> float:
    """How much the results of the model as it is now are like those of the whole model."""
    return torch.cosine_similarity(whole, results(), dim=1).mean().item()


whole = results()
if left_out is None:
    print(f"the whole model: {alike():.2f}")
else:
    with without_layer(model, left_out):
        print(f"without layer {left_out}: {alike():.2f}")

# %% [markdown]
# All six:

# %%
without = {}
for number in layers:
    with without_layer(model, number):
        without[f"without layer {number}"] = alike()
picture(
    bars,
    without,
    "minilm-l6 with a layer left out: how much its results are like the whole model's",
    "cosine, mean over the tokens of twenty sentences",
    alt="Six bars: 0.77 without layer 1, 0.92, 0.93 and 0.91 without layers 2, 3 and 4, 0.83 "
    "without 5 and 0.65 without 6.",
)

# %% [markdown]
# Layers 2, 3 and 4 move the result least: what one of them would have added, the others do without.
# Layer 1 gives all others what they work on, and layer 6 writes the result. (Without layer 6 the
# result is what would have gone into it. So its bar is the last cosine above, of more sentences.)
# That a vector moves little does not mean that no task suffers. It shows that a layer does not make
# everything anew.
#
# ## Encoder and decoder
#
# BERT is an **encoder**: it reads a text that is there. GPT is a **decoder**: it writes one, word
# after word. Their layers have the same parts. What differs is what a token may see.
#
# | | encoder, as BERT | decoder, as GPT |
# |---|---|---|
# | a token attends to | all tokens of its text | itself and those before it |
# | the mask hides | padding | padding, and what comes later |
# | it learns from | hidden words ([lesson 6](06_guess_the_hidden_word.ipynb)) | the next word |
# | it gives | a vector for each token | one word more, again and again |
#
# Does a later word change an earlier vector? Two sentences, different in the last word only, and
# the vector of *it*, which comes before:

# %%
pair = ["The animal slept because it was tired.", "The animal slept because it was warm."]
it = token_vectors(model, tokenizer, pair, "it")
for number in range(7):
    print(f"hidden state {number}: cosine of the two vectors {it.similarity(number)[0, 1]:.3f}")

# %% [markdown]
# In the embeddings the two are equal. From layer 1 on they are not: the last word has told *it*
# something. In a decoder they would stay equal in every layer, because *it* could not look ahead.
#
# The Transformer of 2017 has both: an encoder reads a sentence, and a decoder, whose layers have a
# third part that attends to the encoder's vectors, writes its translation. To translate or to
# summarise is to write, so it takes a decoder; BERT alone is no tool for that ([lesson
# 10](10_other_tasks_and_variants.ipynb)).
#
# ## What goes wrong in practice
#
# - **Dropout is left on.** `model.train()` turns it on, `model.eval()` off. If a model that was
#   trained is not turned back, it gives another answer each time it is asked. Our
#   `from_pretrained` gives a model with dropout off. Look at the effect:

# %%
torch.manual_seed(5)  # so that the same numbers are dropped each time this cell runs
with torch.inference_mode():
    for mode in (model.train, model.eval):
        mode()
        first, second = (model(**tokenizer([sentence]))[0] for _ in range(2))
        cosine = torch.cosine_similarity(first, second, dim=2).mean()
        print(f"after {mode.__name__}(): cosine of two answers to one sentence {cosine:.3f}")

# %% [markdown]
# - **Another eps.** BERT has 1e-12 (Python's way to write 10⁻¹²), PyTorch's `LayerNorm` and GPT-2
#   have 1e-5. Where the variance is not tiny, nobody notices. And in 16-bit numbers 10⁻¹² becomes
#   0, so it no longer protects: `torch.tensor(1e-12).half()` is 0.
# - **The other variance.** `x.var()` and `x.std()` of PyTorch divide by C − 1, not by C. That is
#   right for guessing a variance from a sample, and wrong here. With C = 768 it is off by one part
#   in 1,500, too little to see.
# - **The other GELU, or pre-LN for post-LN.** Above. Compare one layer at a time with a model that
#   is known to be right, and use large weights: with small ones GELU is nearly a straight line, and
#   the mistake hides.
# - **Hidden states are counted wrongly.** A model of six layers has seven, and number 0 is the
#   embeddings. The output of layer 3 is `hidden_states[3]`, and its input is `hidden_states[2]`.
# - **A hook that stays.** A hook runs until it is removed. Run a cell that registers one three
#   times, and it is called three times.
#
# Next: [lesson 6](06_guess_the_hidden_word.ipynb), how such layers learn language from text alone.

# %% [markdown]
# # 1. How big is BERT?
#
# **The question.** People say that BERT has a hundred million numbers. Where are they all, and how
# much memory do they take?
#
# Welcome. This is the first of ten lessons. They go with the eleven chapters of
# [the book](../../minibert/README.md), which are the code of a real BERT. At the end you will be
# able to explain its lines, and you will have trained a model on texts of your own. You need Python
# and a little algebra. PyTorch is explained as it comes, and a new word is **bold** where it is
# explained.
#
# How a lesson works:
#
# - Run the cells from top to bottom; in a notebook, Shift and Enter run one. Each uses what those
#   above have made, and a `NameError` means that one of them has not run yet. Nothing needs a
#   network. [README.md](README.md) says how to begin.
# - Change what you like in a cell and run it again.
# - In the two exercises a function ends with `raise NotImplementedError`. Your lines take the place
#   of that one. The last line of the cell calls a check, which says *passed*, or *not yet* and what
#   to look at.
# - An exercise that is not done stops nothing. You can run all cells first and come back.
#
# 20 minutes to read, seconds to run.
#
# Read beside it: [config.py](../../minibert/config.py), which has the sizes; where the numbers are
# made, [embeddings.py](../../minibert/embeddings.py) and [encoder.py](../../minibert/encoder.py);
# and what counts them here, [sizes.py](../../minibert/inspect/sizes.py). The papers: Devlin et al.
# 2019, *BERT* ([arXiv 1810.04805](https://arxiv.org/abs/1810.04805)), section 3; Vaswani et al.
# 2017, *Attention Is All You Need* ([arXiv 1706.03762](https://arxiv.org/abs/1706.03762)), sections
# 3.2 and 3.3.

# %%
import torch
from checks import lesson01
from course import picture
from figures import curves

from minibert import BertConfig, BertModel
from minibert.checkpoint.hub import find_folder
from minibert.encoder import EncoderLayer
from minibert.inspect import plot_sizes, summary

# %% [markdown]
# ## The idea
#
# A language model is a formula and a long list of numbers. The formula is short: you can read it in
# an evening. The numbers are called **parameters** or **weights**. Nobody chose them. They begin at
# random, and training changes each of them a little, many times, until the formula gives good
# answers.
#
# So the size of a model is two things that you can work out with a pencil:
#
# - how many numbers there are: rows times columns of each table, added up;
# - how much memory they take: so many numbers times the bytes of one.
#
# Take the largest table. bert-base-cased cuts every text into **tokens**: words and pieces of
# words, of which it knows 28,996 ([lesson 2](02_words_into_pieces.ipynb)). For each of them it has
# a **vector**, a list of 768 numbers. That makes 28,996 · 768 = 22,268,928, a fifth of the model.
#
# To count the rest we need the sizes of the model and not its numbers, so there is nothing to
# download. The list of sizes is called a **config**. `summary` counts what such a model has.

# %%
config = BertConfig.from_size("bert-base-cased")
sizes = summary(config)
picture(
    plot_sizes,
    sizes,
    alt="Bars of nine parts. The longest is feed_forward with 56.7 million parameters, then "
    "attention with 28.3 and the token table with 22.3; the other six are hardly seen.",
)

# %% [markdown]
# BERT has three parts:
#
# - the **embeddings** turn tokens into vectors, by three tables;
# - the **encoder**, twelve layers on top of each other, changes these vectors, so that each comes
#   to know its neighbours. A layer has two halves, *attention* and *feed-forward*; in the picture
#   those of all twelve layers are added up;
# - the **pooler** makes one vector of a whole text.
#
# Attention is [lesson 4](04_self_attention.ipynb), and a whole layer is
# [lesson 5](05_one_layer.ipynb). Here we only count, and for that we need one word of PyTorch.
#
# ## What a tensor is
#
# PyTorch keeps numbers in **tensors**. A tensor is a list of numbers, or a table with rows and
# columns, or a stack of such tables; and all its numbers are of one kind. Its **shape** says how
# many there are in each direction. Here are two rows and three columns:

# %%
weight = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.25, 1.0]])
print(weight)
print("shape", tuple(weight.shape), "which makes", weight.numel(), "numbers")

# %% [markdown]
# The kind of the numbers is the tensor's **dtype**. Of Python's floats PyTorch makes `float32`,
# **fp32** for short: each number takes 32 bits, and that is 4 bytes.

# %%
print(weight.dtype, weight.element_size(), "bytes a number,", weight.nbytes, "bytes in all")

# %% [markdown]
# What is a table of weights, a **matrix**, for? It turns one vector into another. Take each row,
# multiply it number by number with the vector, and add up. With the vector [1, 2, 4] the first row
# gives 0.5·1 − 1·2 + 2·4 = 6.5. Two rows make two results. Then a second tensor, the **bias**, adds
# a number to each: 6.5 + 0.5 = 7. In PyTorch `@` is this product.

# %%
bias = torch.tensor([0.5, -0.5])
print(weight @ torch.tensor([1.0, 2.0, 4.0]) + bias)

# %% [markdown]
# So to turn 3 numbers into 2 takes 2 · 3 numbers in the matrix and 2 in the bias: 8 parameters.
# Such a pair is called a **linear layer**, and the encoder is made of hardly anything else.
#
# ## One layer by hand
#
# The book has a letter for each size, and you meet them in every chapter. Here they are, with the
# sizes of bert-base-cased.
#
# | letter | size | here | in the config |
# |---|---|---|---|
# | B | texts that are read at once, a **batch** | any | |
# | T | tokens of a text | up to 512 | `max_position_embeddings` |
# | C | numbers in a token's vector, the *hidden size* | 768 | `hidden_size` |
# | I | numbers in the middle of the feed-forward network | 3072 | `intermediate_size` |
# | H | heads of attention | 12 | `num_attention_heads` |
# | D | numbers for one head, C / H | 64 | |
# | V | tokens that the model knows, its *vocabulary* | 28,996 | `vocab_size` |
#
# The BERT paper has other letters: L for the number of layers, H for our C, and A for our H.
#
# Now one layer. Attention has four matrices that turn 768 numbers into 768. They are called query,
# key, value and output. With its bias, a number for each result, each of the four has
# 768 · 768 + 768 = 590,592 parameters.
#
# | in one layer | numbers |
# |---|---:|
# | attention: query, key and value, 768 → 768 each | 1,771,776 |
# | attention: output, 768 → 768 | 590,592 |
# | a LayerNorm | 1,536 |
# | feed-forward: up, 768 → 3072 | 2,362,368 |
# | feed-forward: down, 3072 → 768 | 2,360,064 |
# | a second LayerNorm | 1,536 |
# | **together** | **7,087,872** |
#
# A **LayerNorm** brings the 768 numbers of a token into a common range. Then it multiplies each of
# them by a *scale* and adds a *shift*. Both are learned: 2 · 768 numbers.
#
# Take a pencil and check the two lines of the feed-forward network. H and D are not in the table:
# twelve heads of 64 numbers share the matrices of 768.
#
# The library has such a layer as a class. We make one, with random numbers, and ask it for its
# parameters. Query, key and value lie in one tensor, on top of each other: 3 · 768 = 2304 rows. A
# LayerNorm's scale is called `weight` here, and its shift `bias`.

# %%
layer = EncoderLayer(config)
for name, numbers in layer.named_parameters():
    print(f"{name:<33} {str(tuple(numbers.shape)):<13} {numbers.numel():>9,}")
in_a_layer = sum(numbers.numel() for numbers in layer.parameters())
print(f"{'together':<47} {in_a_layer:>9,}")

# %% [markdown]
# ## Exercise 1: a formula for one layer
#
# Write the sum for any C and I. The check compares your function with layers of the library, and
# 768 and 3072 are not the only sizes that it tries.


# %%
def layer_parameters(hidden: int, intermediate: int) -> int:
    """hidden: C. intermediate: I. Returns how many parameters one layer has."""
    raise NotImplementedError  # your lines take the place of this one


print(lesson01.layer_parameters(layer_parameters))

# %% [markdown]
# ## All of it
#
# The embeddings have three tables of 768 columns: a row for each of 28,996 tokens, for each of 512
# positions in a text, and for each of 2 texts, because BERT can read a pair
# ([lesson 3](03_order.ipynb)). A LayerNorm follows. The pooler is one more matrix with its bias,
# 768 → 768.

# %%
embeddings = (28_996 + 512 + 2) * 768 + 2 * 768
pooler = 768 * 768 + 768
total = embeddings + 12 * in_a_layer + pooler
print(f"{embeddings:,} + 12 x {in_a_layer:,} + {pooler:,} = {total:,}")
print("the library counts as many:", sizes.parameters == total)

# %% [markdown]
# That is bert-base-cased: **108,310,272** parameters. For BERT-base the paper says 110 million
# (section 3). bert-base-uncased, its sister, knows 30,522 tokens and comes nearer to that; it is in
# a table below.
#
# This is all that `summary` says. The lines on memory are explained later. The last line is about
# work: FLOPs are the multiplications and additions that one token costs. Each number in a matrix of
# the encoder is multiplied once and added once, so they are about twice its parameters.

# %%
print(sizes)

# %% [markdown]
# ## Change something
#
# Suppose we make every vector twice as wide: C = 1536, and I = 6144 with it. Does the model become
# twice as large? Guess first, then run the cell. What if you leave the width as it is and double
# `num_hidden_layers`?

# %%
wider = summary(BertConfig.from_size("bert-base-cased", hidden_size=1536, intermediate_size=6144))
for before, after in zip(sizes.parts, wider.parts, strict=True):
    times = after.parameters / before.parameters
    print(f"{after.name:<11} {after.parameters:>11,}, {times:.3f} times as many")
times = wider.parameters / sizes.parameters
print(f"{'together':<11} {wider.parameters:>11,}, {times:.3f} times as many")

# %% [markdown]
# A matrix grows in both directions, so it becomes four times as large. The biases and LayerNorms
# only double; they are few, and the encoder stays a little below 4. The tables of the embeddings
# get longer rows but no more of them, so they double. Together it is 3.58 times. With twice as many
# layers the encoder doubles, and the rest stays as it is.
#
# ## From numbers to bytes
#
# Four bytes a number, in fp32:

# %%
in_bytes = 4 * total
print(f"{in_bytes:,} bytes = {in_bytes / 10**6:.0f} MB = {in_bytes / 2**20:.0f} MiB")

# %% [markdown]
# **433 MB** and 413 MiB are the same memory. A megabyte, MB, is a million bytes. A mebibyte, MiB,
# is 2²⁰ = 1,048,576. Some programs count in MiB and write MB.
#
# A number can do with fewer bytes, and is then less exact. Two kinds take 2 bytes: fp16 (`float16`)
# has finer steps, and bf16 (`bfloat16`) has coarser ones but reaches as far as fp32. Python writes
# 3.4e+38 for 3.4 · 10³⁸.

# %%
third = torch.tensor(1 / 3)
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    kept = third.to(dtype)
    print(
        f"{str(dtype):<14} {kept.element_size()} bytes, 1/3 is {kept.item():.7f}, "
        f"the largest number {torch.finfo(dtype).max:.3g}"
    )

# %% [markdown]
# With 1 byte there are whole numbers only, from −128 to 127: int8. To store a row of weights,
# divide it by one number, its *scale*, and round. To use it, multiply by the scale. Below, the
# largest weight, its sign left out, is 1.27, so the scale is 1.27 / 127 = 0.01. The last weight,
# 0.013, comes back as 0.01.

# %%
row = torch.tensor([0.5, -1.27, 0.013])
scale = row.abs().max() / 127
whole = (row / scale).round().to(torch.int8)
print(whole, "times", f"{scale:.2f}", "is", whole * scale)

# %% [markdown]
# Now a model that is really large. GPT-3 has layers with the same matrices: 96 layers, 12,288 wide
# (Brown et al. 2020, [arXiv 2005.14165](https://arxiv.org/abs/2005.14165), section 2.1 with table
# 2.1). It has no table for pairs of texts and no pooler. Nor has DistilBERT, a descendant of BERT,
# so we ask for a DistilBERT of that size. Your computer has room for that: a config has no numbers.

# %%
gpt3 = summary(
    BertConfig(
        model_type="distilbert",
        type_vocab_size=0,
        vocab_size=50257,
        max_position_embeddings=2048,
        hidden_size=12288,
        intermediate_size=49152,
        num_hidden_layers=96,
        num_attention_heads=96,
    )
)
print(f"one layer {gpt3.parts[1].parameters // 96:,}, all {gpt3.parameters:,}")
for kind, each in (("fp32", 4), ("fp16 or bf16", 2), ("int8", 1)):
    bert, gpt = total * each / 1e6, gpt3.parameters * each / 1e9
    print(f"{kind:<13} {each} a number: bert-base-cased {bert:4.0f} MB, GPT-3 {gpt:4.0f} GB")

# %% [markdown]
# The paper says 175 billion, and 175 · 4 = 700 GB. One of its layers has more numbers than sixteen
# bert-base-cased together.
#
# ## A real model
#
# So far no model was loaded. `minilm-l6` is a small BERT that comes as a Python package. It has six
# layers and is 384 wide. Here are its numbers, their bytes in memory, and its file.

# %%
model = BertModel.from_pretrained("minilm-l6")
counted = sum(numbers.numel() for numbers in model.parameters())
held = sum(numbers.nbytes for numbers in model.parameters())
file = find_folder("minilm-l6") / "model.safetensors"
print(f"{counted:,} numbers, {held:,} bytes; the file has {file.stat().st_size - held:,} more")

# %% [markdown]
# So the file is little else than the numbers. The rest are names and shapes of the tensors, and one
# small table that our library does not read.
#
# Now some models side by side. For memory, `summary` assumes a batch of 32 texts with 128 tokens
# each.

# %%
print(f"{'':<18} {'parameters':>11} {'weights':>9}   predicting   training, GPU   training, CPU")
for name in (
    "minilm-l6",
    "albert-base-v2",
    "bert-base-cased",
    "bert-base-uncased",
    "bert-large-cased",
):
    found = summary(BertConfig.from_size(name), batch=32, length=128)
    weights, predicting, gpu, cpu = (number / 1e6 for number in found.memory)
    print(
        f"{name:<18} {found.parameters:>11,} {weights:6,.0f} MB {predicting:9,.0f} MB "
        f"{gpu:12,.0f} MB {cpu:12,.0f} MB"
    )

# %% [markdown]
# ALBERT has twelve layers as BERT has, but they share the numbers of one
# ([lesson 10](10_other_tasks_and_variants.ipynb)). So it has a ninth of bert-base's weights. But to
# train it on a GPU still takes two thirds of the memory. What is it that does not shrink?
#
# ## Training takes more than the weights
#
# A step of training reads a batch and measures how wrong the model is. Then it goes back, from the
# last layer to the first, and asks of every weight: would the error shrink if you were a little
# larger, or a little smaller? Three things need memory besides the weights.
#
# - **Gradients**: the answers to that question, a number for each weight.
# - **The optimizer**: what moves the weights. The usual one is AdamW. It does not trust a single
#   gradient, so it remembers two *moments* of each weight: a running mean of its gradients, and a
#   running mean of their squares.
# - **Activations**: the results in between, such as each token's vector after each layer. A model
#   that predicts can forget a result as soon as the next one is there. A model that trains needs
#   them for the way back and keeps them all. The more tokens in a batch, the more there are. Shared
#   weights do not change that, and so ALBERT saves less than one hopes.
#
# One kind of activation grows faster. Attention compares each token with each, so in every head of
# every layer a text of T tokens makes a table of T · T numbers. bert-base-cased has 12 layers of 12
# heads. For one text:

# %%
for length in (128, 256, 512):
    pairs = 12 * 12 * length * length
    print(f"{length} tokens: {pairs:>10,} numbers, {4 * pairs / 1e6:>5.1f} MB")

# %% [markdown]
# Twice as many tokens, four times as much. On a GPU PyTorch can work through this table piece by
# piece and keep none of it; that is called *fused* attention. On a CPU it cannot do so when BERT is
# trained, and keeps three such tables.

# %%
lengths = [16, 32, 64, 128, 192, 256, 320, 384, 448, 512]
memories = [summary(config, batch=32, length=length).memory for length in lengths]
picture(
    curves,
    {
        "training on a CPU": (lengths, [memory.training_on_cpu / 1e9 for memory in memories]),
        "training on a GPU": (lengths, [memory.training / 1e9 for memory in memories]),
        "predicting": (lengths, [memory.inference / 1e9 for memory in memories]),
    },
    "bert-base-cased in fp32, a batch of 32 texts: memory as reckoned",
    "tokens of each text",
    "GB",
    level=("the weights alone", sizes.memory.weights / 1e9),
    alt="Three curves over the tokens of a text. Training on a CPU bends upwards to 27 GB at 512 "
    "tokens, training on a GPU rises straight to 11, predicting stays below 1.",
)
print("tokens   predicting   training, GPU   training, CPU")
for length, memory in zip(lengths, memories, strict=True):
    predicting, gpu, cpu = (number / 1e9 for number in memory[1:])
    print(f"{length:>6} {predicting:9.2f} GB {gpu:12.2f} GB {cpu:12.2f} GB")

# %% [markdown]
# These are estimates: `summary` adds up what has to be there. On the way back activations go as
# gradients come, so it counts the larger of the two. Our
# [tests](../../tests/inspect/test_sizes.py) train small models on a CPU and find its figure within
# 15 % of what was really taken. The GPU's figure was not tried on a GPU. PyTorch itself is not in
# them, some hundred MB, nor is freed memory that the system has not taken back yet.
#
# ## Exercise 2: what training keeps
#
# How many bytes does training take however short the texts are? Count the weights, their gradients
# and AdamW's moments, all in fp32. Leave activations out.
#
# Often only some of the weights are trained and the others stay as they are: they are **frozen**. A
# frozen weight is in memory too, but it needs no gradient, and AdamW remembers nothing of it.


# %%
def training_bytes(parameters: int, trained: int) -> int:
    """parameters: all weights of the model. trained: how many of them are not frozen.

    Returns bytes, without activations.
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson01.training_bytes(training_bytes))

# %% [markdown]
# ## What goes wrong in practice
#
# - **MB and MiB.** 413 and 433 can be the same model. With GiB, 2³⁰ bytes, the difference is 7 %.
#   Ask which one a program means.
# - **The file is taken for the peak.** The weights of bert-base-cased are 433 MB. To train it with
#   32 texts of 128 tokens takes nearly nine times as much on a GPU, and more on a CPU: see above.
# - **The optimizer's memory comes late.** PyTorch's AdamW makes its moments in the first step. A
#   model may load, and even answer, and fail there.
# - **One batch of long texts.** Training runs for an hour, then such a batch comes, and memory is
#   out. Try a batch of the longest texts first. Fewer texts in a batch help, or a limit on T
#   (`max_length`).
# - **Two bytes become four.** Our library keeps in fp32 what it has loaded. So a model whose file
#   is in fp16 takes twice the size of the file.
# - **Shared numbers are counted twice.** To guess a hidden word, BERT uses the token table a second
#   time ([lesson 6](06_guess_the_hidden_word.ipynb)). It has no second table of 22 million numbers.
#   And ALBERT's layer, which is used twelve times, counts once.
#
# Next: [lesson 2](02_words_into_pieces.ipynb), how 28,996 tokens cover every text.

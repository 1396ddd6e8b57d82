# %% [markdown]
# # 2. Words into pieces
#
# **The question.** BERT looks every token up in a table of some 30,000 rows. New words are made
# every day, and people misspell the old ones. How can so short a list cover every text?
#
# 25 minutes to read, as long again for the exercises, less than one to run. Run the cells from top
# to bottom: each uses what those above have made.
#
# Read beside it: [wordpiece.py](../../minibert/wordpiece.py), which cuts a text into pieces, and
# [tokenizer.py](../../minibert/tokenizer.py), which makes of them what a model reads. The papers:
# Devlin et al. 2019, *BERT* ([arXiv 1810.04805](https://arxiv.org/abs/1810.04805)), section 3,
# "Input/Output Representations"; Wu et al. 2016 ([arXiv
# 1609.08144](https://arxiv.org/abs/1609.08144)), section 4.1, on pieces of words; Song et al. 2021,
# *Fast WordPiece Tokenization* ([arXiv 2012.15524](https://arxiv.org/abs/2012.15524)), section 1,
# on the longest match.

# %%
from pathlib import Path

from checks import lesson02
from course import picture, sized
from figures import bars, curves, strips

from minibert import Tokenizer, data
from minibert.corpus.text import TextFile
from minibert.corpus.vocabulary import train_vocabulary
from minibert.inspect import token_table
from minibert.tokenizer import WordPieceTokenizer
from minibert.wordpiece import WordPiece

# %% [markdown]
# ## The idea
#
# The list of all tokens that a model knows is its **vocabulary**. What should stand in it?
#
# - *Words.* Then *film* is one, and *films* another, and *filming*. However long the list is, the
#   next text has a word that is missing, and a missing word tells the model nothing.
# - *Letters.* Nothing is missing, but a text becomes several times as long, and a single letter
#   says little.
# - *Pieces of words.* Common words are whole. A rare word is put together from parts, in the worst
#   case from letters.
#
# BERT takes pieces. What cuts a text into them is a **tokenizer**. Here is that of `minilm-l6`,
# whose vocabulary is the one of bert-base-uncased:

# %%
tokenizer = Tokenizer.from_pretrained("minilm-l6")
words = ("films", "wonderfully", "unwatchable", "hamster", "skilfully", "unaffordable")
picture(
    strips,
    {word: tokenizer.tokenize(word) for word in words},
    "words in pieces of minilm-l6's vocabulary",
    alt="Six words in boxes. films is whole, wonderfully is wonderful and ##ly, unaffordable is "
    "una, ##ff, ##ord and ##able.",
)
for word in words:
    print(f"{word:<13}", *tokenizer.tokenize(word))

# %% [markdown]
# The two signs `##` say that a piece does not begin a word, but goes on with one. So *able* and
# *##able* are two entries of the vocabulary, each with a row of its own in the model's table: a
# word, and the end of many words.
#
# Some of these cuts look like grammar: *un*, *watch*, *able*. Others do not: a hamster is no kind
# of ham. The tokenizer knows no grammar. What it does is much simpler.
#
# ## By hand: longest match first
#
# The rule: find the longest piece of the vocabulary with which the word begins. Then the longest
# piece, now with `##`, with which the rest begins. And so on, to the end of the word. No piece is
# ever taken back.
#
# Let this be the whole vocabulary, a dozen pieces:

# %%
small = {"un", "una", "afford", "able", "a", "y"}
small |= {"##a", "##ab", "##able", "##ff", "##ford", "##ord"}
print(len(small), "pieces")

# %% [markdown]
# Take *unaffordable*. Is it a piece? No. Without its last letter? *unaffordabl*, no. So we go on,
# until *una* is one. *un* is one, too, but *una* is longer and comes first. The rest is
# *ffordable*. The longest piece with which it begins is *##ff*. Then *##ord*, and then *##able* at
# once.
#
# The library can show us that. Its class `WordPiece` asks a vocabulary one thing only: is this
# piece in it? A `set` answers such questions. Ours also prints them, a line for each piece that is
# found.


# %%
class Watched(set[str]):
    """A set that prints what it is asked for."""

    def __contains__(self, piece: object) -> bool:
        found = super().__contains__(piece)
        print(f"{piece}?", end=" yes\n" if found else " ")
        return found


by_hand = WordPiece(Watched(small), unknown="[UNK]")
result = [piece.token for piece in by_hand.pieces("unaffordable")]
print("->", result)

# %% [markdown]
# Neither *afford* nor *able* was asked for: in the middle of a word they would need `##`. And
# though *un* is in the vocabulary, this word does not get it: *una* was longer.
#
# Now *unaffordably*. Nothing fits its last two letters, neither *##ly* nor *##l*:

# %%
result = [piece.token for piece in by_hand.pieces("unaffordably")]
print("->", result)

# %% [markdown]
# Where nothing fits, the **whole** word becomes `[UNK]`, unknown, also the parts that did fit. The
# vocabulary of `minilm-l6` has each letter from a to z, with `##` and without. So no word of plain
# letters is unknown to it, unless it has more than 100 of them; but see below what an emoji does.
#
# This way of cutting is called *greedy*: it takes as much as it can now, and does not look ahead.
# It is fast, and it need not find the fewest pieces. In the picture above *skilfully* has four:
# *ski ##lf ##ull ##y*. There is a way with three, and all its pieces are in the vocabulary:

# %%
print([piece in tokenizer.vocabulary.ids for piece in ("ski", "##l", "##fully")])

# %% [markdown]
# ## Exercise 1: cut a word
#
# Write the rule as a function. Keep a number `start`, where the next piece begins; at first it is
# 0. While it has not reached the end of the word, try one `end` after the other, the far one first.
#    `word[start:end]` are the letters in between, and `range(9, 4, -1)` counts 9, 8, 7, 6, 5. If
#    `piece in vocabulary`, keep the piece and go on behind it. If none is, the word is unknown.
#
# The check has another vocabulary and words that your function has not seen. Beware of a loop that
# never ends: if nothing fits and `start` stays where it is, `while` goes on for ever. The check
# stops a function that asks the vocabulary 10,000 times about one word. If a cell runs on
# nevertheless, interrupt it: in Jupyter with the black square, in a terminal with Ctrl and C.


# %%
def pieces(word: str, vocabulary: set[str]) -> list[str]:
    """word: lower-case letters without a space. vocabulary: the pieces there are.

    Returns the pieces of the word, those after the first with ##, or ["[UNK]"].
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson02.pieces(pieces))

# %% [markdown]
# ## From a text to ids
#
# A text is not a word yet. Before any word is cut, [wordpiece.py](../../minibert/wordpiece.py) does
# two things:
#
# 1. **Normalise.** An *uncased* model makes all letters lower-case and takes accents away: *Naïve*
#    becomes *naive*. A *cased* model keeps both.
# 2. **Split into words**, at white space. Every punctuation mark is a word of its own.
#
# Then each word is cut, and each piece gets its number in the vocabulary, its **id**. The id is the
# row of the model's table where the vector of this token stands. That is all the model sees of a
# text: it never meets a letter. `[CLS]` and `[SEP]` are put around every text; of them later.

# %%
text = "Unaffordable, naïve!"
print(token_table(tokenizer, text))

# %% [markdown]
# The last two columns are the **offsets**: where in the text a piece stood, in characters. *naive*
# in row 6 came from `text[14:19]`, which is *naïve*. Tasks that answer with a part of the text need
# them, such as finding names or answers ([lesson 10](10_other_tasks_and_variants.ipynb)). From ids
# alone the text does not come back as it was:

# %%
row = tokenizer.encode(text)
print("from the ids:   ", tokenizer.decode(row.ids, skip_special_tokens=True))
start, end = row.offsets[6]
print("by its offsets: ", text[start:end])

# %% [markdown]
# Cutting is done twice in this library: in Python, to be read, and by the `tokenizers` package,
# which is written in Rust and faster. Both should give the same. Let us see, with 200 sentences of
# reviews that come with the library:

# %%
train, development = data.load("sample")  # two tables
sentences = [str(text) for text in development.texts]
in_python = Tokenizer.from_pretrained("minilm-l6", backend="python")
same = [in_python.encode(text) == tokenizer.encode(text) for text in sentences]
print(f"{sum(same)} of {len(same)} are the same: ids, tokens, offsets and all")

# %% [markdown]
# ## Change something
#
# *beautiful* is one token. Guess what becomes of *beautifull*, *beutiful* and *beautyful*; then set
# `word` to them, and to a word of your own that you misspell.

# %%
word = "beautiful"
print(tokenizer.tokenize(word))

# %% [markdown]
# *beautifull* keeps *beautiful* and adds *##l*. *beutiful* becomes *be ##uti ##ful*, and
# *beautyful* *beauty ##ful*. One letter can change all pieces, those before it as well, because
# each is the longest that fits.
#
# So odd spelling costs. More pieces make a longer row, which takes more time and fills the 512
# tokens that BERT can read at once. And the model gets a few fragments in place of a vector that
# was made for this word. How many pieces more are they? Let us leave out the fourth letter of every
# long word in the 200 sentences:

# %%
long_words = [
    word for text in sentences for word in text.lower().split() if word.isalpha() and len(word) >= 6
]
misspelt = [word[:3] + word[4:] for word in long_words]
for name, each in (("as they are", long_words), ("one letter less", misspelt)):
    number = sum(len(tokenizer.tokenize(word)) for word in each)
    print(f"{len(each)} words, {name:<15}: {number / len(each):.2f} pieces a word")
for before, after in zip(long_words[:3], misspelt[:3], strict=True):
    print(*tokenizer.tokenize(before), "->", *tokenizer.tokenize(after))

# %% [markdown]
# ## Other languages pay more
#
# The vocabulary was chosen from English text. What if a text is in another language? This is the
# first sentence of the Universal Declaration of Human Rights, article 1, as the United Nations
# publish it in three languages.

# %%
declaration = {
    "English": "All human beings are born free and equal in dignity and rights.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
}
counts = {}
for language, sentence in declaration.items():
    found = tokenizer.tokenize(sentence)
    counts[language] = len(found)
    print(f"{language}: {len(sentence.split())} words, {len(found)} pieces")
    print("   ", *found)
picture(
    bars,
    counts,
    "one sentence in three languages, minilm-l6's vocabulary",
    "pieces",
    "{:.0f}",
    alt="Three bars: English 13 pieces, German 23, Finnish 29.",
)

# %% [markdown]
# The Finnish sentence has the fewest words and the most pieces: of its words only *ja* is in the
# list. 29 pieces take more than twice the room of 13. And attention, which compares each token with
# each ([lesson 4](04_self_attention.ipynb)), makes 29 · 29 = 841 comparisons of pieces in place of
# 13 · 13 = 169: five times as many.
#
# ## How a vocabulary is made
#
# It is made once, from much text, before the model is trained. The common way begins with the
# letters and then, again and again, makes one piece of the two neighbours that stand together most
# often.
#
# Say the text is: *sing* three times, *singer* twice, *ring* twice, *pin* once. Cut into letters,
# *sing* is *s ##i ##n ##g*. Count the pairs of neighbours: *##i ##n* stands in all eight words,
# *##n ##g* in seven, *s ##i* in five. So the first new piece is *##in*. Count again: now *##in ##g*
# leads, with seven, and makes *##ing*. Then *s ##ing*, five times, becomes *sing*. Next come pairs
# that stand there twice, and then we stop.
#
# The library numbers its pieces in the order in which it makes them. Five special tokens come first
# ("The row", below), then the letters.

# %%
folder = Path("output/lessons")
folder.mkdir(parents=True, exist_ok=True)
(folder / "sing.txt").write_text("sing sing sing singer singer ring ring pin\n", "utf-8")
learned = train_vocabulary([TextFile.at(folder / "sing.txt")], size=100)
print(*learned.ids)

# %% [markdown]
# *pin* is no piece: it stood there once, and is cut into *p ##in*.
#
# What is this way called? **Byte-pair encoding** (Sennrich et al. 2016, [arXiv
# 1508.07909](https://arxiv.org/abs/1508.07909), section 3.2). The `tokenizers` package trains
# "WordPiece" vocabularies this way, by counting pairs, and our
# [vocabulary.py](../../minibert/corpus/vocabulary.py) calls it. The original WordPiece chose
# differently: in each step the piece that makes the training text most probable (Schuster and
# Nakajima 2012, *Japanese and Korean Voice Search*; Wu et al. 2016, section 4.1). Put roughly,
# there a pair counts for more, the rarer its two halves are without each other. Google did not
# publish the program that made BERT's list; the README of its repository
# [google-research/bert](https://github.com/google-research/bert) says so. How a word is *cut*, the
# longest match first, is the same for all these lists.
#
# How long should a list be? Here are vocabularies of several sizes, all made from the sample's
# training sentences, and how many pieces they need for the 200 others. Every entry costs a row in
# the model's table; every piece costs time. (Punctuation marks count as words here.)

# %%
(folder / "sample.txt").write_text("\n\n".join(map(str, train.texts)), "utf-8")
sample = [TextFile.at(folder / "sample.txt")]


def pieces_a_word(tokenizer: Tokenizer) -> float:
    """How many pieces the 200 sentences have for each of their words."""
    rows = [tokenizer.encode(text) for text in sentences]
    words = sum(len(set(row.word_ids) - {None}) for row in rows)
    return sum(len(row.ids) - 2 for row in rows) / words  # without [CLS] and [SEP]


sizes = sized((100, 200, 500, 1000, 2000, 2800), (100, 500, 2000))
needed = []
first = train_vocabulary(sample, sizes[0]).ids
made_of_two = [piece for piece in first if piece[0] != "[" and len(piece.strip("#")) > 1]
print("the first pieces that are made:", *made_of_two[:15])
for size in sizes:
    made = WordPieceTokenizer(train_vocabulary(sample, size))
    needed.append(pieces_a_word(made))
    print(f"{size:>6} entries: {needed[-1]:.2f} pieces a word,", *made.tokenize("unwatchable"))
level = pieces_a_word(tokenizer)
print(f"{tokenizer.vocabulary.size:>6} of minilm-l6: {level:.2f}")
picture(
    curves,
    {"made from the sample": (sizes, needed)},
    "a longer list needs fewer pieces",
    "entries of the vocabulary",
    "pieces a word",
    level=("minilm-l6, 30,522 entries", level),
    alt="A curve that falls steeply from about 2.9 pieces a word at 100 entries to 1.9 at 500, and "
    "then slowly to 1.3 at 2800. A line at 1.05 is minilm-l6.",
)

# %% [markdown]
# The first hundreds help most: they are *the*, *##ing*, *and*. Later entries are rarer, and each of
# them helps fewer sentences. `minilm-l6` is no point of this curve, because its list was made from
# other and far more text.
#
# A list also knows what it was made from. `python-bert`, the small model of [lesson
# 6](06_guess_the_hidden_word.ipynb), has 2,000 entries made from the documentation of Python:

# %%
python = Tokenizer.from_pretrained("python-bert")
for word in ("tuple", "iterator", "film", "movie"):
    print(f"{word:<9}", *tokenizer.tokenize(word), "|", *python.tokenize(word))
print("the English sentence:", len(python.tokenize(declaration["English"])), "pieces")

# %% [markdown]
# That list is short, and made from one kind of text. With it English takes about as many pieces as
# German did above. What a language costs depends on the list.
#
# ## Case, numbers, emoji
#
# Some cuts that surprise people:

# %%
for odd in ("NAÏVE", "don't", "2019", "2026", "3.14", "東京", "great 😀", "great😀"):
    print(f"{odd:<8}", *tokenizer.tokenize(odd))

# %% [markdown]
# - A number is cut like a word. *2019* is in the list; *2026* is not, and becomes *202 ##6*. The
#   two years share no piece.
# - Chinese characters stand without spaces, so each counts as a word.
# - This emoji is not in the list, so it is `[UNK]`. If it touches a word, they are *one* word, and
#   the word is lost with it. That is the rule from above, at its worst.
#
# And case: what if the tokenizer of an uncased model forgets to lower the letters? Its vocabulary
# has no capital letter. Then there is the opposite, a cased vocabulary, made from the same sample:

# %%
forgetful = WordPiece(tokenizer.vocabulary.ids, unknown="[UNK]", lower_case=False)
print(*[piece.token for piece in forgetful.pieces("Anna lives in Berlin.")])
cased = WordPieceTokenizer(train_vocabulary(sample, 1000, lower_case=False))
print(*cased.tokenize("the film"), "|", *cased.tokenize("The Film"))

# %% [markdown]
# With the first, every word with a capital letter is unknown. In the second, *The* and *the* are
# two entries, and *Film* is put together from pieces. A cased model can tell *US* from *us*; it
# pays for that with a second entry for many words.
#
# ## The row
#
# A model reads rows. `[CLS]` opens each of them; its last vector stands for the whole row, and a
# classifier reads it ([lesson 7](07_a_classifier.ipynb)). `[SEP]` ends each text. BERT can also
# read a **pair**, such as a question and an answer, in one row:

# %%
print(token_table(tokenizer, "Is it good?", "It is unaffordable."))

# %% [markdown]
# *type* says which text a token belongs to: 0 for the first, with the `[CLS]` before it and the
# `[SEP]` behind it; 1 for the second, with its `[SEP]`. There is no second `[CLS]`.
#
# Rows of one batch must be equally long, because a tensor is a table without holes. Short ones are
# filled up at the end with **padding**, `[PAD]`, whose id and type are 0. The **attention mask** is
# 1 for what is to be read and 0 for padding, and lesson 4 shows what a model does with it.

# %%
batch = tokenizer(["Is it good?", "Yes."], ["It is unaffordable.", "No."])
for name, numbers in batch.items():
    print(name)
    print(numbers.numpy())

# %% [markdown]
# ## Exercise 2: the row of a pair
#
# Write a function that makes such a row from two lists of pieces, filled up to a length. It returns
# three lists of that length: the tokens, their type ids, the attention mask. `[0] * 2` is `[0, 0]`,
# and `+` puts lists behind each other. The length is never too short for the texts.


# %%
def pair_row(
    first: list[str], second: list[str], length: int
) -> tuple[list[str], list[int], list[int]]:
    """first, second: the pieces of two texts. length: of the whole row.

    Returns (tokens, type ids, attention mask).
    """
    raise NotImplementedError  # your lines take the place of this one


print(lesson02.pair_row(pair_row))

# %% [markdown]
# ## What goes wrong in practice
#
# Three mistakes, made on purpose:

# %%
ids = python.encode("The film was good.").ids
print("ids of python-bert, read by minilm-l6's list:", tokenizer.decode(ids))

print("a user's text:", tokenizer.tokenize("Is it good? [SEP] Yes."))

long = "The beginning is dull, but the end is wonderful."
print("cut to 8 tokens:", tokenizer.decode(tokenizer(long, max_length=8)["input_ids"][0]))
print("tokens that were cut off:", tokenizer.encode_batch([long], max_length=8)[0].dropped)

# %% [markdown]
# - **A tokenizer of another model.** An id is only a number, and every list numbers its entries in
#   its own way. Nothing fails as long as the ids exist: the model reads nonsense and answers. Load
#   both from the same folder or name.
# - **The wrong case.** Lower the letters for a cased model and it meets words that it has hardly
#   seen in that form; forget it for an uncased one and you get `[UNK]`. The tokenizer's files say
#   which one it is. Let it do this, and do not call `lower()` yourself.
# - **Special tokens in a user's text.** If somebody writes `[SEP]`, it is read as that token, and
#   the text ends early. So it is here and in `transformers`. Where texts come from strangers,
#   replace it first, for example by `( SEP )`.
# - **Texts are cut in silence.** `max_length` throws away what does not fit; above, it was the
#   verdict. A `Tokenizer` only counts what it drops; our `TextClassifier` warns of cut texts. With
#   other libraries look for yourself how many of your texts are too long.
# - **Words are counted in place of tokens.** BERT's limit of 512 is in tokens, `[CLS]` and `[SEP]`
#   included. The Finnish sentence has 9 words and 31 tokens in its row.
# - **An emoji swallows a word.** A space before it is cheap to add, and saves the word.
#
# Next: [lesson 3](03_order.ipynb), how a model that sees all tokens at once knows which came first.

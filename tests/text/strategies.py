"""Texts that are hard on a tokenizer, for hypothesis.

Three habits of hypothesis shape this file. It draws from a large alphabet mostly the first 256
characters, so every general category of Unicode is an alphabet of its own here. It makes one flat
choice without repetitions of a `one_of` within a `one_of`, so kinds of text that are to be more
frequent than others are drawn by `sampled_from`. And it tries several changed copies of each
example: of a list of 20 texts it would change one and repeat 19, so a list of texts is made here of
one drawn text and its variants.
"""

import functools
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Every general category but Cs, the lone surrogates, which no tokenizer can take.
CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn"
).split()
NAMES = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
FORMS = ("NFC", "NFD", "NFKC", "NFKD")

# A few characters of one category, each category with equal chance; and a few such groups.
groups = st.one_of(
    [st.text(st.characters(categories=[c]), min_size=1, max_size=5) for c in CATEGORIES]
)
runs = st.lists(groups, min_size=1, max_size=5).map("".join)

punctuation = st.text(
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡«·»¿–—‘’“”•…‹›、。「」！？＄｜", max_size=5
)
# All kinds of space, what only looks like it, and what is taken out.
spaces = st.text(
    " \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
    "\0\x07\x7f\xad\u180e\u200b\u200d\u2060\ufeff\ufffd\ue000",
    max_size=4,
)
# Ideographs, among them the first and the last of blocks, and their neighbours that are none.
ideographs = st.text(
    "x1中日本\u33ff\u3400\u4dbf\u4dc0\u4e00\u9fff\ua000々〇ガか\u3099가\uf900\ufaff\U00020000\U0002a6df"
    "\U0002a6e0\U0002b81f\U0002b820\U0002b91f\U0002b920\U0002ceaf\U0002f800\U0002fa1f\U00030000",
    max_size=5,
)

_ODD = (
    # Letters whose lower case is longer, depends on the place, or is another letter's.
    "İ I\u0307 ı ß ẞ STRASSE ſ \u212a \u212b \u2126 ΟΔΟΣ Σ ς ǅ ǈ ᾈ ŉ Ꮳ ꭰ Ⴀ \U0001e900 \U00010400",
    "Ⅷ ⓐ 𝐀 ﬁ ﬃ ㎏ ª ½",
    # Emoji: joined, with a tone of skin, with a variation selector, a flag, a key.
    "👩\u200d👩\u200d👧 👍🏽 ❤\ufe0f 🏳\ufe0f\u200d🌈 🇩🇪 1\ufe0f\u20e3 😀",
    # Scripts in which a letter is more than a character, and CJK beside other letters.
    "한국어 각 \u1112\u1161\u11ab 가\u11a8 हिन्दी க்ஷ ภาษาไทย العربيّة שָׁלוֹם བོད",
    "日本語 x中y ガ カ\u3099 ｶﾞ",
    # Marks of several ranks out of order, and marks later than the reference's tables.
    "\u1df7\u0344 e\u0301\u0323 \u0344 \u302e \u08d4 \u1715 \U00011938 \u0f73",
    # What cleaning takes away, what it leaves, and characters that are none.
    "\0 \x07 \x7f \xad \u200d \u200e \ufeff \ufffd \ue000 \U0010fffd \ufdd0 \ufffe \uffff",
    "\U0001fffe \U0010ffff \u0378 \ufff9 \U000e0041",
    # The tokenizer's own signs, and endings that joining glues to the word before.
    "## ##ing # don't n't 've e-mail@example.com $5.00 1,000.5",
)
ODD = [text for line in _ODD for text in line.split(" ")]


def spellings(name: str) -> list[str]:
    """A special token of another tokenizer than BERT's, as it must be and must not be, and beside
    the spaces and signs that matter to such a one."""
    bare = name[1:-1]
    wrong = [name.upper(), f"{name[0]} {bare} {name[-1]}", name[:-1], name[1:], f"＜{bare}＞", bare]
    beside = [" ", "  ", "\n", "\u3000 ", "\x1c", "\xa0", "▁", "Ġ", "'s", "1", "x", ".", name]
    return [*wrong, name, *(s + name for s in beside), *(name + s for s in beside)]


# What the words of byte-level BPE and the pieces of Unigram turn on.
SPACED = (
    "'s|'S|don't|I'll|'|''|``|'re'd|’s|Ġ|▁|▁▁|Ġa|a Ġ| a|  a|a |a  | \n|\n\n|\t\t a|\xa0a| \xa0|"
    "\u3000|\x1c|!\x1c?|\x1f a|\x85|a1b2| 12|١٢|½|²|ⅷ|\u1c89|\U00010d40|\U0001ccf0|\U000116d0|"
    "a\u0301|İ|ＡＢ|ﬁ|aaaaaaaaaaa"
).split("|")


def _spellings(name: str) -> list[str]:
    """A special token as it must be, and as it must not be to be one."""
    bare = name.strip("[]")
    wrong = [name.lower(), name.title(), f"[ {bare} ]", name[:-1], name[1:], f"［{bare}］", bare]
    broken = [f"[{bare[0]}\xad{bare[1:]}]", f"[{bare}\u0301]"]
    right = [name, f"[{name}]", f"x{name}y", f"##{name}", f"{name}ing", f"{name}\u0301"]
    return wrong + broken + right + [name + other for other in NAMES]


def _long_words() -> Iterator[str]:
    """Words about as long as they may be, whose length normalisation changes, or not."""
    # A letter, and how many it becomes in an uncased model.
    letters = {"x": 1, "e\u0301": 1, "x\xad": 1, "İ": 1, "가": 2, "각": 3}
    # Something in the middle: nothing, what vanishes, what counts, and what ends the word.
    middles = ["", "\u0301", "\xad\0", "é", "e\u0301", "İ", "中", "-", " ", "[SEP]"]
    lengths = (99, 100, 101)
    for length, (letter, size), middle in itertools.product(lengths, letters.items(), middles):
        count, rest = divmod(length, size)
        yield letter * (count // 2) + middle + letter * (count - count // 2) + "x" * rest


SPELLINGS = [spelling for name in NAMES for spelling in _spellings(name)]
LONG_WORDS = list(_long_words())
EDGE_CASES = ODD + SPELLINGS + LONG_WORDS

# A word twice, composed and decomposed: the same to an uncased model, not to a cased one.
composed = st.builds(
    lambda word, first, second, between: (
        unicodedata.normalize(first, word) + between + unicodedata.normalize(second, word)
    ),
    st.sampled_from(
        ["é", "Ångström", "naïve", "Ǻ", "ệ", "한국", "가", "ガ", "ﬁancé", "ṩ", "क़", "ΐ"]
    ),
    st.sampled_from(FORMS),
    st.sampled_from(FORMS),
    st.sampled_from(["", " "]),
)

# A letter under a heap of marks; their order matters in normalisation.
marked = st.builds(
    lambda letter, marks, form: unicodedata.normalize(form, letter + marks),
    st.sampled_from("aeoAÉñßİжЙΑώ가中שक1."),
    st.text(st.characters(categories=["Mn", "Mc", "Me"]), min_size=1, max_size=4),
    st.sampled_from(FORMS),
)


def _words(letters: Iterable[str]) -> st.SearchStrategy[str]:
    """Words made of pieces of the vocabulary, most of which take several pieces again."""
    pieces = st.sampled_from(sorted({*letters} - {""}))
    return st.lists(pieces, min_size=1, max_size=3).map("".join)


def _variants(parts: list[str]) -> list[str]:
    """The text of these parts and what differs from it in spaces, normal form or case only."""
    changes = (str, _normal("NFC"), _normal("NFD"), str.upper, str.lower, str.title)
    texts = ("".join(parts), " ".join(parts), "".join(parts[::-1]))
    return list(dict.fromkeys(change(text) for text in texts for change in changes))


def _normal(form: str) -> Callable[[str], str]:
    return functools.partial(unicodedata.normalize, form)


def texts(tokens: Iterable[str]) -> st.SearchStrategy[list[str]]:
    """Up to 18 variants of a text, which may hold words of this vocabulary and all of the above."""
    return texts_of((token.removeprefix("##") for token in tokens), SPELLINGS)


def texts_of(words: Iterable[str], spellings: list[str]) -> st.SearchStrategy[list[str]]:
    """As `texts`, for any vocabulary: the letters of its pieces, and how special tokens are written
    in texts."""
    special, odd, long = map(st.sampled_from, (spellings, ODD, LONG_WORDS))
    common = [_words(words)] * 10 + [runs] * 10 + [special] * 4
    rare = [punctuation, spaces, ideographs, odd, long, composed, marked]
    part = st.sampled_from(common + rare).flatmap(lambda kind: kind)
    return st.lists(part, min_size=1, max_size=5).map(_variants)


def for_each(
    check: Callable[..., None], *drawn: st.SearchStrategy, examples: int, repeatable: bool
) -> None:
    """Call check(*drawn) for so many examples; `repeatable`: the same ones in every run."""
    # Said in full, for on a CI server hypothesis has other defaults.
    run = settings(
        max_examples=examples,
        derandomize=repeatable,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run(given(*drawn)(check))()

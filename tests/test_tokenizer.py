"""Our tokenizer, the Rust one, and transformers: the same to the last offset."""

import re
import shutil
import unicodedata

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from minibert import tokenizer, wordpiece
from minibert.text import python_backends, truncation
from minibert.text.characters import CONTROL, PUNCTUATION
from minibert.text.matched import Matcher
from minibert.text.truncation import truncated_lengths
from minibert.tokenizer import WordPieceTokenizer
from minibert.wordpiece import Piece
from tests.text import strategies
from tests.text.agreement import check_decoding, check_roles, check_row, check_texts

TEXTS = [
    "",
    " \t\n ",
    "Hello, world!",
    "UNAFFORDABLE Naïve Ångström ÉCOLE",
    "e\u0301 combining, ﬁ ligature, ß, İstanbul, ΟΔΟΣ",
    "日本語とEnglish混ぜる",
    "한국어 ภาษาไทย हिन्दी العربية",
    "emoji 👩\u200d👩\u200d👧 🏳️\u200d🌈 \U0001f600",
    "soft\u00adhyphen zero\u200bwidth nul\x00 bell\x07 \ufffd",
    "[MASK] in text, [SEP] too, but [mask] and [UNK are not",
    "[CLS][SEP][PAD]",
    "x" * 99,
    "x" * 100,
    "x" * 101 + " after",
    "it's $5.00 (don't) -- e-mail@example.com ... #1 ~^`",
    "\u2028line\u2029separators\u3000and\u1680spaces",
    "many words " * 60,
]


@pytest.fixture(scope="module", params=["uncased", "uncased vocabulary, cased rules", "cased"])
def three(request, tmp_path_factory):
    """(ours, Rust behind our class, transformers) for one vocabulary."""
    if request.param == "uncased vocabulary, cased rules":
        folder = tmp_path_factory.mktemp("cased")
        shutil.copy(request.getfixturevalue("minilm") / "vocab.txt", folder)
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
        reference = transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    elif request.param == "uncased":
        folder = request.getfixturevalue("minilm")
        reference = transformers.AutoTokenizer.from_pretrained(folder)
        # The file comes with padding and truncation to 128 switched on.
        reference.backend_tokenizer.no_padding()
        reference.backend_tokenizer.no_truncation()
    else:
        folder = request.getfixturevalue("shared") / "bert-base-cased"
        reference = transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)
        ours = WordPieceTokenizer.from_pretrained(folder, backend="python")
        rust = WordPieceTokenizer.from_pretrained(folder, backend="rust")
    return ours, rust, reference


@pytest.fixture(scope="module")
def sample(three):
    """The edge cases and some six hundred drawn texts, for tests that do not look for new ones."""
    found = list(strategies.EDGE_CASES)
    drawn = strategies.texts(three[0].vocabulary.ids)
    strategies.for_each(lambda texts: found.extend(texts), drawn, examples=80, repeatable=True)
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_single_texts(three, text):
    check_decoding(three, check_row(three, text).ids)


def test_the_roles_and_sizes_have_the_names_of_transformers(three):
    check_roles(three)


def test_a_role_cannot_be_changed_in_silence(three):
    with pytest.raises(AttributeError, match="mask_token"):
        three[0].mask_token = "[UNK]"


@pytest.mark.parametrize("max_length", [None, 3, 4, 5, 8, 13, 50])
def test_pairs_and_truncation(three, max_length):
    for text, pair in zip(TEXTS, TEXTS[::-1], strict=True):
        check_decoding(three, check_row(three, text, pair, max_length).ids)


# The same texts in every run, so that a red run is due to the change at hand and not to luck. New
# texts are for the slow tier.
def test_any_text(three, parity):
    check_drawn_texts(three, 2_000, parity, repeatable=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("three", "count"),
    [("uncased", 100_000), ("uncased vocabulary, cased rules", 10_000), ("cased", 100_000)],
    indirect=["three"],
    scope="module",
)
def test_any_text_many_times(three, count, parity):
    check_drawn_texts(three, count, parity, repeatable=False)


def check_drawn_texts(three, count, parity, repeatable):
    """Check at least so many different texts, with characters of every category."""
    seen = set()

    def check(texts, share):
        check_texts(three, texts, share)
        seen.update(texts)

    strategies.for_each(
        check,
        strategies.texts(three[0].vocabulary.ids),
        st.integers(0, 99),
        examples=100 + count // 7,  # each is some eight new texts, the first ones fewer
        repeatable=repeatable,
    )
    name = f"vocabulary of {three[0].vocabulary.size}, "
    name += "lower-casing" if three[0].vocabulary.lower_case else "keeping case"
    name += ", the same texts in every run" if repeatable else ", new texts in every run"
    parity.at_least(f"{name}: texts, none of them cut differently", len(seen), count)
    assert {unicodedata.category(c) for c in set().union(*seen)} == set(strategies.CATEGORIES)


@pytest.mark.parametrize("max_length", [None, 20])
@pytest.mark.parametrize("paired", [False, True])
def test_batch_is_that_of_transformers(three, sample, paired, max_length):
    ours, rust, reference = three
    texts = [text for text in TEXTS + sample[::4] if text]  # an empty pair is none to transformers
    pairs = texts[::-1] if paired else None
    wanted = reference(
        texts,
        pairs,
        padding=True,
        truncation=max_length is not None,
        max_length=max_length,
        return_tensors="pt",
    )
    for mine in (ours, rust):
        got = mine(texts, pairs=pairs, max_length=max_length)
        assert got.keys() == wanted.keys()
        for name in got:
            assert got[name].dtype == torch.int64
            assert torch.equal(got[name], wanted[name]), name


# --- places in the text --------------------------------------------------------------------------


def test_offsets_point_into_the_original_text(three):
    ours, _, _ = three
    text = "Naïve\u00ad  [MASK] 日本 Café"
    encoding = ours.encode(text)
    found = [text[start:end] for start, end in encoding.offsets[1:-1]]
    assert "".join(found).replace("\u00ad", "") == "Naïve[MASK]日本Café"


def test_offsets_go_forward_within_the_text(three, sample):
    for text in sample:
        pieces = three[0].backend.pieces(text)
        assert all(0 <= piece.start < piece.end <= len(text) for piece in pieces), text
        assert [p.start for p in pieces] == sorted(p.start for p in pieces), text
        assert [p.end for p in pieces] == sorted(p.end for p in pieces), text


def test_what_a_piece_stands_for_is_spelled_like_it(three, sample):
    backend = three[0].backend
    for text in sample:
        for pieces in together(backend.pieces(text)):
            part = text[pieces[0].start : pieces[-1].end]
            letters = "".join(piece.token.removeprefix("##") for piece in pieces)
            if letters in three[0].vocabulary.special:
                assert letters in (part, "[UNK]"), text
            else:
                normal = "".join(c.value for c in backend.wordpiece.normalize(part))
                assert normal.strip() == letters, text


def together(pieces):
    """Groups of pieces that share characters: a Hangul syllable may become three letters."""
    groups = []
    for piece in pieces:
        if groups and piece.start < groups[-1][-1].end:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


# --- too long ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "max_length", "kept"),
    [
        ((4, 4), 7 + 3, (3, 4)),
        ((9, 2), 6 + 3, (4, 2)),
        ((2, 9), 6 + 3, (2, 4)),
        ((9, 9), 0 + 3, (0, 0)),
        ((3, 3), 6 + 3, (3, 3)),
        ((9, None), 4 + 2, (4, 0)),
        ((9, None), None, (9, 0)),
    ],
)
def test_the_longer_text_gives_way_first(lengths, max_length, kept):
    assert truncated_lengths(*lengths, max_length) == kept


@pytest.mark.parametrize("three", ["uncased"], indirect=True)
def test_every_short_row_is_cut_as_by_the_rust_library(three):
    backend = three[2].backend_tokenizer
    wrong = []
    for max_length in range(3, 21):
        backend.enable_truncation(max_length, strategy="longest_first")
        for first in range(13):
            for second in (None, *range(13)):
                pair = None if second is None else "b " * second
                tokens = backend.encode("a " * first, pair).tokens
                kept = (tokens.count("a"), tokens.count("b"))
                if truncated_lengths(first, second, max_length) != kept:
                    wrong.append((first, second, max_length, kept))
    assert not wrong


def test_too_short_a_maximum_is_named(three):
    with pytest.raises(ValueError, match="max_length is 2.*3"):
        three[1].encode("a", "b", max_length=2)


# --- refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("three", ["uncased"], indirect=True)
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("text 0", lambda mine, bad: mine(bad)),
        ("text 1", lambda mine, bad: mine(["fine", bad])),
        ("the pair of text 1", lambda mine, bad: mine(["fine", "fine"], pairs=["fine", bad])),
        ("text 2", lambda mine, bad: mine.encode_batch(["fine", ("fine", "fine"), bad])),
        ("text 1", lambda mine, bad: mine.encode_batch(["fine", (bad, "fine")])),
        ("the pair of text 1", lambda mine, bad: mine.encode_batch(["fine", ("fine", bad)])),
        ("the text", lambda mine, bad: mine.encode(bad)),
        ("the text", lambda mine, bad: mine.encode(bad, "fine")),
        ("the pair", lambda mine, bad: mine.encode("fine", bad)),
        ("the text", lambda mine, bad: mine.tokenize(bad)),
    ],
)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    before=st.text(max_size=20),
    surrogate=st.characters(categories=["Cs"]),
    after=st.text(st.characters(categories=strategies.CATEGORIES + ["Cs"]), max_size=20),
)
def test_a_lone_surrogate_is_refused_wherever_it_stands(three, name, use, before, surrogate, after):
    bad = before + surrogate + after
    message = f"{name} has a lone surrogate, {surrogate!r}, at position {len(before)};"
    for mine in three[:2]:
        with pytest.raises(ValueError, match=re.escape(message)):
            use(mine, bad)


@pytest.mark.parametrize("backend", ["python", "rust"])
def test_texts_no_tokenizer_can_take(backend):
    tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6", backend=backend)
    with pytest.raises(ValueError, match="text 1 is None, a NoneType"):
        tokenizer(["fine", None])
    with pytest.raises(ValueError, match="text 0 is a tuple of 1"):
        tokenizer.encode_batch([("a",), "b"])
    with pytest.raises(ValueError, match="2 texts and 1 pairs"):
        tokenizer(["a", "b"], pairs=["c"])
    with pytest.raises(ValueError, match="no texts"):
        tokenizer([])
    with pytest.raises(ValueError, match="99999999 is not an id"):
        tokenizer.decode([99999999])


def test_unknown_backend_is_refused(minilm):
    with pytest.raises(
        ValueError, match=r"backend is .go.; it must be one of \('rust', 'python'\)"
    ):
        WordPieceTokenizer.from_pretrained(minilm, backend="go")


# --- mistakes that the checks above must find ----------------------------------------------------


def test_the_sample_holds_no_difference(three, sample):
    check_texts(three, sample)


def attribute(name, value):
    """The mistake of a wrong setting."""
    return lambda patch, ours: patch.setattr(ours.backend.wordpiece, name, value)


def constant(name, value):
    """The mistake of a wrong constant, or of a function that shadows a builtin."""
    return lambda patch, ours: patch.setattr(wordpiece, name, value, raising=False)


def unknown_rest(patch, ours):
    """A word that cannot be completed keeps its beginning, and only the rest is unknown."""
    right = ours.backend.wordpiece.split_word

    def wrong(word, number):
        whole = right(word, number)
        if whole[0].token == "[UNK]" and len(word) <= 100:
            for end in range(len(word) - 1, 0, -1):
                pieces = right(word[:end], number)
                if pieces[0].token != "[UNK]":
                    return [*pieces, Piece("[UNK]", word[end].source, word[-1].source + 1, number)]
        return whole

    patch.setattr(ours.backend.wordpiece, "split_word", wrong)


def offsets_after_normalisation(patch, ours):
    right = ours.backend.wordpiece.normalize

    def wrong(text):
        return [c._replace(source=i) for i, c in enumerate(right(text))]

    patch.setattr(ours.backend.wordpiece, "normalize", wrong)


def words_counted_anew(patch, ours):
    """After a special token the number of the word starts at 0 again."""
    right = ours.backend.wordpiece.pieces
    patch.setattr(ours.backend.wordpiece, "pieces", lambda text, first_word: right(text))


def other_text_cut_in_a_tie(patch, ours):
    right = truncation.truncated_lengths

    def wrong(first, second, max_length, separators):
        kept = right(first, second, max_length, separators)
        return kept[::-1] if first == second else kept

    patch.setattr(truncation, "truncated_lengths", wrong)


def one_segment(patch, ours):
    """The second text has the type of the first, in both our backends, which share this part."""
    right = tokenizer.frame

    def wrong(*arguments):
        items, type_ids = right(*arguments)
        return items, [0] * len(type_ids)

    patch.setattr(tokenizer, "frame", wrong)


MISTAKES = {
    "case kept": attribute("lower_case", False),
    "accents kept": attribute("strip_accents", False),
    "CJK not spaced": attribute("split_cjk", False),
    "words of at most 99": constant("MAX_CHARACTERS", 99),
    "words of at most 101": constant("MAX_CHARACTERS", 101),
    "control characters kept": constant("CONTROL", {0xFFFD}),
    "U+FFFD kept": constant("CONTROL", CONTROL - {0xFFFD}),
    "no symbol is punctuation": constant("PUNCTUATION", PUNCTUATION - set(map(ord, "$+<=>^`|~"))),
    "shortest piece first": constant("range", lambda *steps: reversed(range(*steps))),
    "only the rest of a word unknown": unknown_rest,
    "special tokens are words": lambda patch, ours: patch.setattr(
        ours.backend, "special", Matcher([])
    ),
    "offsets after normalisation": offsets_after_normalisation,
    "words counted anew": words_counted_anew,
    "the other text cut in a tie": other_text_cut_in_a_tie,
    "one segment": one_segment,
    "nothing glued in decoding": lambda patch, ours: patch.setattr(python_backends, "_GLUED", ()),
    "lower-cased": attribute("lower_case", True),
    "accents stripped": attribute("strip_accents", True),
}
CASED = ["lower-cased", "accents stripped"]  # no mistakes for an uncased vocabulary


@pytest.mark.parametrize(
    ("three", "mistake"),
    [
        *[("uncased", mistake) for mistake in MISTAKES if mistake not in CASED],
        *[("uncased vocabulary, cased rules", mistake) for mistake in CASED],
        *[("cased", mistake) for mistake in CASED],
    ],
    indirect=["three"],
    scope="module",
)
def test_the_check_finds_a_mistake(three, sample, mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch, three[0])
    with pytest.raises(AssertionError, match="PythonWordPiece"):
        check_texts(three, sample)


# --- writing, joining -----------------------------------------------------------------------------


def test_transformers_reads_what_we_write(three, tmp_path):
    _, rust, reference = three
    rust.write_files(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    again = WordPieceTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == reference(text)["input_ids"]
        assert again.encode(text) == rust.encode(text)


def test_joining_is_that_of_the_rust_decoder(three):
    ours, rust, _ = three
    for tokens in (["wait", "...", "what", "?"], ["a", "##b", ".", "c"], ["##x", "'s", "'", "!"]):
        assert ours.backend.join(tokens) == rust.backend.join(tokens)

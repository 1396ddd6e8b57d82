"""Our tokenizer, the Rust one, and transformers: the same to the last offset."""

import json
import shutil

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minibert.tokenizer import WordPieceTokenizer, truncated_lengths
from minibert.vocabulary import Vocabulary
from minibert.wordpiece import WordPiece

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


def check_same(three, text, pair=None, max_length=None):
    ours, rust, reference = three
    mine = ours.encode(text, pair, max_length)
    assert mine == rust.encode(text, pair, max_length)
    backend = reference.backend_tokenizer
    if max_length is not None:
        backend.enable_truncation(max_length)
    try:
        theirs = backend.encode(text, pair)
    finally:
        backend.no_truncation()
    assert mine.ids == theirs.ids
    assert mine.tokens == theirs.tokens
    assert mine.type_ids == theirs.type_ids
    assert mine.offsets == theirs.offsets
    assert mine.word_ids == theirs.word_ids
    row = rust.encode_batch([text if pair is None else (text, pair)], max_length)[0]
    assert (row.ids, row.type_ids) == (mine.ids, mine.type_ids)
    for skip in (False, True):
        decoded = ours.decode(mine.ids, skip_special_tokens=skip)
        assert decoded == rust.decode(mine.ids, skip_special_tokens=skip)
        assert decoded == backend.decode(mine.ids, skip_special_tokens=skip)


@pytest.mark.parametrize("text", TEXTS)
def test_single_texts(three, text):
    check_same(three, text)


@pytest.mark.parametrize("max_length", [None, 3, 4, 5, 8, 13, 50])
def test_pairs_and_truncation(three, max_length):
    for text, pair in zip(TEXTS, TEXTS[::-1], strict=True):
        check_same(three, text, pair, max_length)


pieces_of_text = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["[MASK]", "[SEP]", "é", "e\u0301\u0323", "中", "a" * 100, "a" * 101, "##ing"]),
    st.sampled_from(["\u302e", "\u1df7\u0344", "\u00ad", " ", "don't", "한", "İ", "👩\u200d👧"]),
)
texts = st.lists(pieces_of_text, max_size=8).map("".join)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts, pair=st.none() | texts, max_length=st.none() | st.integers(3, 24))
def test_any_text(three, text, pair, max_length):
    check_same(three, text, pair, max_length)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts, pair=st.none() | texts, max_length=st.none() | st.integers(3, 24))
def test_any_text_many_times(three, text, pair, max_length):
    check_same(three, text, pair, max_length)


def test_batch_is_that_of_transformers(three):
    _, rust, reference = three
    pairs = TEXTS[::-1]
    wanted = reference(
        TEXTS, pairs, padding=True, truncation="longest_first", max_length=40, return_tensors="pt"
    )
    got = rust(TEXTS, pairs=pairs, max_length=40)
    assert got.keys() == wanted.keys()
    # transformers takes an empty second text for none.
    both = [i for i, pair in enumerate(pairs) if pair]
    for name in got:
        assert got[name].dtype == torch.int64
        assert torch.equal(got[name][both], wanted[name][both]), name


def test_offsets_point_into_the_original_text(three):
    ours, _, _ = three
    text = "Naïve\u00ad  [MASK] 日本 Café"
    encoding = ours.encode(text)
    found = [text[start:end] for start, end in encoding.offsets[1:-1]]
    assert "".join(found).replace("\u00ad", "") == "Naïve[MASK]日本Café"


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


def test_too_short_a_maximum_is_named(three):
    with pytest.raises(ValueError, match="max_length is 2.*3"):
        three[1].encode("a", "b", max_length=2)


@pytest.mark.parametrize("backend", ["python", "rust"])
def test_texts_no_tokenizer_can_take(backend):
    tokenizer = WordPieceTokenizer.from_pretrained("minilm-l6", backend=backend)
    with pytest.raises(ValueError, match="text 1.*surrogate.*position 2"):
        tokenizer(["fine", "ab\ud800"])
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
    with pytest.raises(ValueError, match="'rust' or 'python'"):
        WordPieceTokenizer.from_pretrained(minilm, backend="go")


# --- files ---------------------------------------------------------------------------------------

SMALL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "na", "##ive", "hello", "!"]


def write_vocab(folder, tokens):
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


def test_bare_vocabulary_says_what_it_infers(tmp_path):
    write_vocab(tmp_path, SMALL)
    with pytest.warns(UserWarning, match="no upper-case.*lower-cased"):
        assert Vocabulary.from_folder(tmp_path).lower_case
    write_vocab(tmp_path, [*SMALL, "Hello"])
    with pytest.warns(UserWarning, match="not lower-cased"):
        assert not Vocabulary.from_folder(tmp_path).lower_case


def test_published_uncased_vocabulary_is_taken_for_uncased(minilm, tmp_path):
    shutil.copy(minilm / "vocab.txt", tmp_path)
    with pytest.warns(UserWarning, match="no upper-case"):
        assert Vocabulary.from_folder(tmp_path).lower_case


@pytest.mark.parametrize("lower_case", [True, False])
def test_tokenizer_config_overrides_tokenizer_json_as_in_transformers(minilm, tmp_path, lower_case):
    data = json.loads((minilm / "tokenizer.json").read_text())
    data |= {"padding": None, "truncation": None}
    data["normalizer"]["lowercase"] = not lower_case
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower_case}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    shutil.copy(minilm / "config.json", tmp_path)
    with pytest.warns(UserWarning, match="disagree.*do_lower_case"):
        ours = WordPieceTokenizer.from_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert ours.encode("Hello NAÏVE").ids == theirs("Hello NAÏVE")["input_ids"]


def test_published_cased_vocabulary_is_taken_for_cased(shared):
    with pytest.warns(UserWarning, match="not lower-cased"):
        vocabulary = Vocabulary.from_folder(shared / "bert-base-cased")
    assert not vocabulary.lower_case and vocabulary.size == 28996


@pytest.mark.parametrize(
    ("strip", "expected"),
    [(None, ["na", "##ive"]), (True, ["na", "##ive"]), (False, ["[UNK]"])],
)
def test_strip_accents_has_three_states(tmp_path, strip, expected):
    write_vocab(tmp_path, SMALL)
    settings = {"do_lower_case": True, "strip_accents": strip}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    for backend in ("python", "rust"):
        tokenizer = WordPieceTokenizer.from_pretrained(tmp_path, backend=backend)
        assert tokenizer.tokenize("Naïve") == expected


def test_cased_vocabulary_keeps_accents_and_case(tmp_path):
    write_vocab(tmp_path, [*SMALL, "Na", "##ïve"])
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    for backend in ("python", "rust"):
        tokenizer = WordPieceTokenizer.from_pretrained(tmp_path, backend=backend)
        assert tokenizer.tokenize("Naïve naive") == ["Na", "##ïve", "na", "##ive"]


def test_own_padding_and_truncation_of_the_file_are_ignored(minilm):
    data = json.loads((minilm / "tokenizer.json").read_text())
    assert data["truncation"] and data["padding"], "the file would cut and fill up to 128"
    tokenizer = WordPieceTokenizer.from_pretrained(minilm)
    assert tokenizer("word " * 200)["input_ids"].shape == (1, 202)
    assert tokenizer("word")["input_ids"].shape == (1, 3)


def test_added_special_tokens_are_recognised(minilm, tmp_path):
    data = json.loads((minilm / "tokenizer.json").read_text())
    plain = {"special": True, "lstrip": False, "rstrip": False, "single_word": False}
    data["added_tokens"].append({"id": 30522, "content": "[E1]", "normalized": False, **plain})
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    for backend in ("python", "rust"):
        tokenizer = WordPieceTokenizer.from_pretrained(tmp_path, backend=backend)
        assert tokenizer.tokenize("the [E1]cat") == ["the", "[E1]", "cat"]
        assert tokenizer("[E1]")["input_ids"].tolist() == [[101, 30522, 102]]
    data["added_tokens"][-1]["lstrip"] = True
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"\[E1\].*lstrip"):
        WordPieceTokenizer.from_pretrained(tmp_path)


def test_another_kind_of_tokenizer_is_refused(minilm, tmp_path):
    data = json.loads((minilm / "tokenizer.json").read_text())
    data["model"]["type"] = "BPE"
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match="'BPE'"):
        WordPieceTokenizer.from_pretrained(tmp_path)


def test_vocabulary_without_a_special_token_is_refused(tmp_path):
    write_vocab(tmp_path, SMALL[1:])
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    with pytest.raises(ValueError, match=r"'\[PAD\]'"):
        WordPieceTokenizer.from_pretrained(tmp_path)


def test_folder_without_vocabulary_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="vocab.txt"):
        WordPieceTokenizer.from_pretrained(tmp_path)


def test_transformers_reads_what_we_write(three, tmp_path):
    _, rust, reference = three
    rust.write_files(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    again = WordPieceTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == reference(text)["input_ids"]
        assert again.encode(text) == rust.encode(text)


def test_docstring_example():
    uncased = WordPiece({"na", "##ive", "!"}, unknown="[UNK]")
    assert [piece.token for piece in uncased.pieces("Naïve!")] == ["na", "##ive", "!"]


def test_joining_is_that_of_the_rust_decoder(three):
    ours, rust, _ = three
    for tokens in (["wait", "...", "what", "?"], ["a", "##b", ".", "c"], ["##x", "'s", "'", "!"]):
        assert ours.backend.join(tokens) == rust.backend.join(tokens)

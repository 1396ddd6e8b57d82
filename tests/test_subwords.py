"""The tokenizers of the variants: byte-level BPE, ours and Rust's, and Unigram, as transformers."""

import json
import pickle
import random
import re
import shutil

import pytest
import torch
import transformers
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from minibert import TextClassifier, TextEncoder, Tokenizer, WordPieceTokenizer, tokenizer
from minibert.text import byte_pairs
from minibert.text.byte_pairs import LETTERS, WORDS, BytePairs
from minibert.text.characters import _LATER_DIGITS, _LATER_LETTERS, SHAPES
from minibert.text.reading import read_vocabulary
from minibert.text.vocabulary import BytePairVocabulary, Vocabulary
from tests.conftest import small_model
from tests.text import strategies
from tests.text.agreement import check_roles, check_row, check_texts
from tests.text.kinds import SPECIAL, split_files, write_folder

# The class of transformers, what tokenizer_config.json has beside it, and another class there.
KINDS = {
    "RoBERTa": ("RobertaTokenizer", {}, None),
    "RoBERTa, prefix space": ("RobertaTokenizer", {"add_prefix_space": True}, None),
    "RoBERTa, spaces in places": ("RobertaTokenizer", {"trim_offsets": False}, None),
    "XLM-R": ("XLMRobertaTokenizer", {}, None),
    "CamemBERT": ("CamembertTokenizer", {}, None),
    "ALBERT": ("AlbertTokenizer", {}, None),
    "byte pairs as they are": ("RobertaTokenizer", {}, "PreTrainedTokenizerFast"),
    "Unigram as it is": ("AlbertTokenizer", {}, "PreTrainedTokenizerFast"),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*add_prefix_space is True in the latter")


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    name, config, other = KINDS[request.param]
    roles = {}
    if other:  # such a class knows no names for the roles
        cls, sep = ("[CLS]", "[SEP]") if name == "AlbertTokenizer" else ("<s>", "</s>")
        roles = {"cls_token": cls, "sep_token": sep, "mask_token": SPECIAL[name][-1]}
        roles |= {"tokenizer_class": other, "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {**config, **roles, "model_max_length": 512}
    return write_folder(tmp_path_factory.mktemp("kind"), name, settings)


@pytest.fixture(scope="module")
def three(folder):
    """(ours, Rust behind our class, transformers); where ours has no Python, Rust stands twice."""
    return opened(folder)


def opened(folder):
    rust = Tokenizer.from_pretrained(folder)
    ours = rust
    if isinstance(rust.vocabulary, BytePairVocabulary):
        ours = Tokenizer.from_pretrained(folder, backend="python")
    return ours, rust, transformers.AutoTokenizer.from_pretrained(folder)


def drawn_texts(three):
    """Texts of all kinds, with words of this vocabulary and its special tokens."""
    ours, rust, _ = three
    words = [rust.backend.join([token]) for token in ours.vocabulary.ids]
    names = [spelled for name in ours.vocabulary.special for spelled in strategies.spellings(name)]
    return strategies.texts_of(words, names + strategies.SPACED * 3)


@pytest.fixture(scope="module")
def sample(three):
    """Texts with what these tokenizers turn on, and some drawn ones."""
    mask = three[0].vocabulary.mask_token
    found = [*strategies.SPACED, *strategies.spellings(mask)]
    strategies.for_each(
        lambda texts: found.extend(texts), drawn_texts(three), examples=12, repeatable=True
    )
    return found


def test_any_text(three, parity, request):
    check_drawn_texts(three, 100, parity, request.node.callspec.params["folder"], repeatable=True)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["RoBERTa", "XLM-R", "ALBERT"], indirect=True, scope="module")
def test_any_text_many_times(three, parity, request):
    kind = request.node.callspec.params["folder"]
    check_drawn_texts(three, 100_000, parity, kind, repeatable=False)


def check_drawn_texts(three, count, parity, kind, repeatable):
    """Check at least so many different texts, with characters of every category."""
    seen = set()

    def check(texts, share):
        check_texts(three, texts, share)
        seen.update(texts)

    strategies.for_each(
        check,
        drawn_texts(three),
        st.integers(0, 99),
        examples=22 + count // 7,
        repeatable=repeatable,
    )
    runs = "the same texts in every run" if repeatable else "new texts in every run"
    parity.at_least(f"{kind}: texts, none of them cut differently, {runs}", len(seen), count)


def batch_of_transformers(reference, *arguments, **options):
    """Its tokenizers of these families leave token_type_ids out if they are not asked for."""
    batch = reference(*arguments, return_token_type_ids=True, return_tensors="pt", **options)
    return dict(batch)


def test_batches_are_those_of_transformers(three, sample):
    ours, rust, reference = three
    texts = [text for text in sample if text][::8]  # an empty pair is none to transformers
    for max_length in (None, 5, 13):
        cut = {"truncation": max_length is not None, "max_length": max_length, "padding": True}
        for pairs in (None, texts[::-1]):
            wanted = batch_of_transformers(reference, texts, pairs, **cut)
            got = rust(texts, pairs, max_length=max_length)
            assert got.keys() == wanted.keys()
            assert all(torch.equal(got[name], wanted[name]) for name in got)
    got, wanted = ours(texts, texts[::-1]), rust(texts, texts[::-1])
    assert all(torch.equal(got[name], wanted[name]) for name in got)


def test_the_roles_and_sizes_have_the_names_of_transformers(three):
    check_roles(three)


def test_each_family_has_its_frame(three):
    ours, _, reference = three
    sep = ours.vocabulary.sep_token
    row = ours.encode("a", "b")
    assert row.tokens.count(sep) == (3 if sep == "</s>" else 2)
    assert set(row.type_ids) == ({0} if sep == "</s>" else {0, 1})
    longer = ours(["a", "a b c d"])
    assert longer["input_ids"][0, -1] == reference.pad_token_id


def test_transformers_reads_what_we_write(folder, three, sample, tmp_path):
    _, rust, reference = three
    shutil.copy(folder / "config.json", tmp_path)
    rust.save_pretrained(tmp_path)
    theirs, again = transformers.AutoTokenizer.from_pretrained(tmp_path), opened(tmp_path)
    assert type(theirs) is type(reference)
    assert theirs.model_max_length == 512
    assert again[0].vocabulary == rust.vocabulary
    for text in sample[::3]:
        assert theirs(text, "a b")["input_ids"] == reference(text, "a b")["input_ids"]
        assert again[0].encode(text, "a b") == rust.encode(text, "a b")


def test_special_tokens_may_be_left_out_of_the_text(three):
    ours, rust, reference = three
    ids = rust.encode("A fine film.", "Yes").ids
    wanted = reference.backend_tokenizer.decode(ids, skip_special_tokens=True)
    for mine in (ours, rust):
        assert mine.decode(ids, skip_special_tokens=True) == wanted


@pytest.mark.parametrize("folder", ["RoBERTa", "XLM-R"], indirect=True)
def test_a_tokenizer_can_be_copied_and_pickled(three):
    for mine in three[:2]:
        again = pickle.loads(pickle.dumps(mine))
        assert again.encode("A fine <mask>", "Yes") == mine.encode("A fine <mask>", "Yes")


# --- byte pairs ----------------------------------------------------------------------------------


def test_bytes_are_written_with_the_letters_of_gpt_2():
    assert sorted(LETTERS) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert LETTERS[ord(" ")] == "Ġ" and LETTERS[ord("\n")] == "Ċ"


def check_words(points):
    """Our words of texts with these characters are Rust's."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = "".join(f"a{chr(p)}1{chr(p)}!{chr(p)} {chr(p)}\n" for p in points)
    ends = [end for _, (_, end) in splitter.pre_tokenize_str(text)]
    assert [match.end() for match in WORDS.finditer(text.translate(SHAPES))] == ends


def test_words_are_those_of_the_rust_library():
    later = {p + step for p in _LATER_LETTERS | _LATER_DIGITS for step in (-1, 0, 1)}
    check_words(sorted({*range(0x3000), *later} - {*range(0x13470, 0x143F0)}))


@pytest.mark.slow
def test_words_with_any_character_are_those_of_the_rust_library():
    check_words(p for p in range(0x110000) if not 0xD800 <= p < 0xE000)


def test_merges_go_by_the_order_in_which_they_were_learned():
    merges = [("b", "c"), ("a", "b"), ("a", "bc"), ("d", "d")]
    algorithm = BytePairs("abcd", merges)
    assert algorithm.merge([*"abc"]) == ["abc"]
    assert algorithm.merge([*"abab"]) == ["ab", "ab"]
    assert algorithm.merge([*"ddd"]) == ["dd", "d"]


@pytest.mark.parametrize("folder", ["RoBERTa"], indirect=True)
def test_any_ids_are_joined_as_by_the_rust_library(three):
    """Most of these do not spell valid UTF-8."""
    ours, rust, reference = three
    draw, size = random.Random(0), ours.vocabulary.size
    for length in range(1, 150):
        ids = [draw.randrange(size) for _ in range(length)]
        ids = [i if i > 300 or draw.random() < 0.5 else draw.randrange(5, 261) for i in ids]
        wanted = reference.backend_tokenizer.decode(ids, skip_special_tokens=False)
        assert ours.decode(ids) == rust.decode(ids) == wanted


@pytest.mark.parametrize("prefix", [False, True])
def test_a_word_at_the_beginning_is_another_token_but_for_the_prefix_space(tmp_path, prefix):
    write_folder(tmp_path, "RobertaTokenizer", {"add_prefix_space": prefix})
    for mine in opened(tmp_path)[:2]:
        first, second = mine.tokenize("and and")
        assert second == "Ġand" and (first == second) is prefix
        assert mine.encode("and and").offsets[1:3] == [(0, 3), (4, 7)]


def test_the_mask_takes_the_space_before_it_along(tmp_path):
    write_folder(tmp_path, "RobertaTokenizer")
    wanted = ["a", "<mask>", "Ġand"]
    for mine in opened(tmp_path)[:2]:
        assert mine.tokenize("a <mask> and") == wanted
    split_files(tmp_path)
    ours, rust, reference = opened(tmp_path)
    assert ours.tokenize("a <mask> and") == rust.tokenize("a <mask> and") == wanted
    # Without a tokenizer.json transformers 5 does not, as it did up to version 4.
    assert reference.tokenize("a <mask> and") == ["a", "Ġ", "<mask>", "Ġand"]


def test_vocab_json_and_merges_txt_say_the_same_as_tokenizer_json(tmp_path):
    whole = opened(write_folder(tmp_path, "RobertaTokenizer"))
    split = opened(split_files(tmp_path))
    assert split[0].vocabulary == whole[0].vocabulary
    for text in strategies.SPACED:
        check_row(split, text, "a <s>")


def test_a_vocabulary_that_lacks_bytes_is_warned_of_and_read_as_by_transformers(tmp_path):
    write_folder(tmp_path, "RobertaTokenizer")
    whole = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary, merges = whole["model"]["vocab"], whole["model"]["merges"]
    whole["model"]["merges"] = [pair for pair in merges if "Ã" not in "".join(pair)]
    whole["model"]["vocab"] = {t: i for t, i in vocabulary.items() if "Ã" not in t or len(t) > 1}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    with pytest.warns(UserWarning, match="no token for 1 of the 256 bytes"):
        three = opened(tmp_path)
    for mine in three[:2]:
        assert mine("naïve é x")["input_ids"].tolist() == [three[2]("naïve é x")["input_ids"]]


# --- which kind it is ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("model", ["bert", "distilbert", "roberta", "albert"])
def test_the_files_decide_and_not_the_model(tmp_path, name, model):
    write_folder(tmp_path, name)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model}))
    ours, rust, reference = opened(tmp_path)
    assert type(reference).__name__ == name
    check_row((ours, rust, reference), "A fine <mask> film")


@pytest.mark.parametrize("name", SPECIAL)
def test_where_no_file_names_the_class_the_model_does(tmp_path, name):
    write_folder(tmp_path, name, {"tokenizer_class": None})
    three = opened(tmp_path)
    assert three[0].vocabulary.tokenizer_class == name == type(three[2]).__name__
    check_texts(three, strategies.SPACED)


@pytest.mark.parametrize("name", SPECIAL)
def test_old_files_do_not_name_their_model(tmp_path, name):
    wanted = read_vocabulary(write_folder(tmp_path, name), Vocabulary)
    whole = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    del whole["model"]["type"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    found = read_vocabulary(tmp_path, Vocabulary)
    assert (found.ids, found.special) == (wanted.ids, wanted.special)


@pytest.mark.parametrize(
    "config", [{"model_type": "distilbert"}, {"model_type": "roberta", "type_vocab_size": 1}]
)
def test_a_model_without_a_second_segment_gets_zeros(minilm, tmp_path, config):
    shutil.copy(minilm / "tokenizer.json", tmp_path)
    settings = {"tokenizer_class": "BertTokenizer"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps(config))
    batch = Tokenizer.from_pretrained(tmp_path)("a", "b")
    assert batch["input_ids"].tolist() == [[101, 1037, 102, 1038, 102]]
    assert not batch["token_type_ids"].any()


def test_the_class_of_a_family_is_written_again(minilm, tmp_path):
    for name in ("DistilBertTokenizer", "ElectraTokenizer"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(minilm / "tokenizer.json", folder)
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
        WordPieceTokenizer.from_pretrained(folder).save_pretrained(folder)
        written = json.loads((folder / "tokenizer_config.json").read_text())
        assert written["tokenizer_class"] == name
        assert Tokenizer.from_pretrained(folder)("a")["input_ids"].tolist() == [[101, 1037, 102]]


# --- with a model --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*(few|steps|longer than 12 tokens|learned nothing)")
@pytest.mark.parametrize("name", ["RobertaTokenizer", "AlbertTokenizer"])
def test_a_bert_with_any_tokenizer_is_trained_saved_and_opened(tmp_path, name):
    start, saved = tmp_path / "start", tmp_path / "saved"
    small_model(vocab_size=1500).bert.save_pretrained(start)
    written = Tokenizer.from_pretrained(write_folder(tmp_path / "tokenizer", name))
    written.save_pretrained(start)
    texts, labels = ["A fine film.", "Bad, <mask> bad.", ("so", "so"), "fine"], [1, 0, 0, 1]
    classifier = TextClassifier(start, epochs=1, batch_size=2, max_length=12)
    classifier.fit(texts, labels)
    classifier.save(saved)
    again = TextClassifier.load(saved)
    assert (again.predict_proba(texts) == classifier.predict_proba(texts)).all()
    theirs = transformers.AutoTokenizer.from_pretrained(saved)
    assert type(theirs).__name__ == name and theirs.model_max_length == 12
    for text in texts:
        both = text if isinstance(text, tuple) else (text,)
        assert theirs(*both)["input_ids"] == again.tokenizer_.encode(*both).ids
    assert TextEncoder.load(start).encode(texts).shape == (4, 48)


def test_a_model_saved_over_another_keeps_every_file_of_its_tokenizer(tmp_path):
    split_files(write_folder(tmp_path / "m", "RobertaTokenizer"))
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "m" / "sentencepiece.bpe.model").write_bytes(b"x")
    before = {path.name for path in (tmp_path / "m").iterdir()}
    small_model(vocab_size=1500).save_pretrained(tmp_path / "m", overwrite=True)
    assert before < {path.name for path in (tmp_path / "m").iterdir()}
    assert Tokenizer.from_pretrained(tmp_path / "m").tokenize("and and")[-1] == "Ġand"


# --- mistakes that the checks above must find ----------------------------------------------------


@pytest.mark.parametrize("folder", ["RoBERTa", "RoBERTa, prefix space", "XLM-R"], indirect=True)
def test_the_sample_holds_no_difference(three, sample):
    check_texts(three, sample)


def framed(**wrong):
    """A frame that ignores what the family says."""
    right = tokenizer.frame

    def mistake(patch, ours):
        patch.setattr(
            tokenizer,
            "frame",
            lambda first, second, cls, sep, separators, segments: right(
                first, second, cls, sep, **{"separators": separators, "segments": segments, **wrong}
            ),
        )

    return mistake


def words(old, new):
    """Another pattern for words."""
    pattern = WORDS.pattern.replace(old, new)
    assert pattern != WORDS.pattern
    return lambda patch, ours: patch.setattr(byte_pairs, "WORDS", re.compile(pattern, re.ASCII))


def on_algorithm(name, value):
    return lambda patch, ours: patch.setattr(ours.backend.byte_pairs, name, value(ours))


MISTAKES = {
    "one </s> between the texts": framed(separators=1),
    "segments for RoBERTa": framed(segments=2),
    "one special token too few": lambda patch, ours: patch.setattr(
        tokenizer,
        "truncate",
        lambda *arguments, right=tokenizer.truncate: right(*arguments[:-1], 1),
    ),
    "pairs in any order": on_algorithm(
        "ranks", lambda ours: {pair: len(pair[0]) for pair in ours.vocabulary.merges}
    ),
    "capital endings": words("'(?:s|", "'(?:s|S|"),
    "spaces kept together": words(r"|\s+(?!\S)", ""),
    "letters and digits in one word": words("[A-Za-z]+| ?[0-9]+", "[A-Za-z0-9]+"),
    "U+001C is a space": lambda patch, ours: patch.setattr(
        byte_pairs,
        "SHAPES",
        type(SHAPES)({0x1C: "\t"}),
    ),
    "the mask leaves its space": lambda patch, ours: patch.setattr(
        ours.backend.special, "left_space", ()
    ),
    "spaces in the places": lambda patch, ours: patch.setattr(ours.backend, "trim_offsets", False),
    "a space before every text": on_algorithm("add_prefix_space", lambda ours: True),
}


@pytest.mark.parametrize("folder", ["RoBERTa"], indirect=True)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_check_finds_a_mistake(three, sample, mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch, three[0])
    with pytest.raises(AssertionError, match="PythonBytePairs"):
        check_texts(three, sample)

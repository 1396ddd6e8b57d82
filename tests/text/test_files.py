"""What the files of a tokenizer say, and how they are read together."""

import inspect
import json
import shutil
import warnings

import pytest
import transformers

from minibert.text.reading import read_vocabulary
from minibert.text.vocabulary import WordPieceVocabulary
from minibert.tokenizer import WordPieceTokenizer

SMALL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "na", "##ive", "hello", "!"]


def write_vocab(folder, tokens):
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


def test_bare_vocabulary_says_what_it_infers(tmp_path):
    write_vocab(tmp_path, SMALL)
    with pytest.warns(UserWarning, match="no upper-case.*lower-cased"):
        assert read_vocabulary(tmp_path, WordPieceVocabulary).lower_case
    write_vocab(tmp_path, [*SMALL, "Hello"])
    with pytest.warns(UserWarning, match="not lower-cased"):
        assert not read_vocabulary(tmp_path, WordPieceVocabulary).lower_case


def test_published_uncased_vocabulary_is_taken_for_uncased(minilm, tmp_path):
    shutil.copy(minilm / "vocab.txt", tmp_path)
    with pytest.warns(UserWarning, match="no upper-case"):
        assert read_vocabulary(tmp_path, WordPieceVocabulary).lower_case


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
        vocabulary = read_vocabulary(shared / "bert-base-cased", WordPieceVocabulary)
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


def without_case(folder):
    """A folder that does not say whether its model is cased."""
    write_vocab(folder, SMALL)


def with_contradiction(folder):
    """A folder whose two files disagree."""
    ids = {token: i for i, token in enumerate(SMALL)}
    vocabulary = WordPieceVocabulary(
        ids=ids, special={token: ids[token] for token in SMALL[:5]}, lower_case=True
    )
    WordPieceTokenizer(vocabulary).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))


@pytest.mark.parametrize("write", [without_case, with_contradiction])
@pytest.mark.parametrize(
    "read",
    [
        lambda folder: read_vocabulary(folder, WordPieceVocabulary),
        lambda folder: WordPieceTokenizer.from_pretrained(folder),
    ],
    ids=["Vocabulary", "WordPieceTokenizer"],
)
def test_doubts_about_case_are_said_at_the_line_that_reads(write, read, tmp_path):
    write(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(tmp_path)
    (warning,) = caught
    line = inspect.getsourcelines(read)[1]
    assert (warning.filename, warning.lineno) == (__file__, line)
